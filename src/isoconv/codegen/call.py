"""A call of a compiled program without a step in Python, as LLVM IR; `runtime.calls` hands it out.

`ptr call(ptr self, ptr args, i64 count)` has the signature of CPython's METH_FASTCALL functions.
`self` is an array of NumPy whose words (see below) say which arguments the call is for: so many
arrays, of given dtypes and shapes, C-contiguous, while nothing has changed and nothing is traced.
For these it makes the outputs, runs the driver and returns them: an array, or a list of several.
For anything else, and where the driver finds fault, it returns NotImplemented, with nothing done.

`ptr claim(ptr frame)` is the first frame of a chain that was not in use, but now is; or null.
"""

from __future__ import annotations

from isoconv.codegen import driver
from isoconv.codegen.emit import Builder, Value
from isoconv.plan.machine import Machine

SYMBOL, CLAIM = "call", "claim"

# Of an array object: CPython's header, whose last field is the type, and then what NumPy's C API
# has as PyArrayObject_fields, from the address of the elements on.
_TYPE = driver.DATA - 8
_RANK, _SIZES, _DTYPE, _FLAGS = (driver.DATA + offset for offset in (8, 16, 40, 48))
# NPY_ARRAY_C_CONTIGUOUS and NPY_ARRAY_ALIGNED.
_PLAIN = 0x1 | 0x100

# The words of `self`. The same in all calls: where `isoconv.changes` counts, the type of arrays,
# NotImplemented, NumPy's PyArray_NewFromDescr and functions of CPython.
CHANGES, ARRAY, DECLINED, NEW_ARRAY, INCREF, DECREF, NEW_LIST, SET_ITEM, SAVE, RESTORE = range(10)
# Of this one: the count of changes that it holds for, the driver, the chain of frames, the number
# of the call, and whether Python's lock is given back while it runs;
STAMP, DRIVER, FRAMES, OWNER, RELEASING = range(10, 15)
# where in a frame its own words begin and how many they are, where its inputs and its outputs
# stand and how many those are.
OWN_AT, OWN, GIVEN_AT, GIVEN, MADE_AT, MADE = range(15, 21)
# Then dtype, rank and sizes of each input, the same of each output, and its own words, which begin
# at these:
OUTPUTS, WORDS, FIRST = 21, 22, 23


def emit(machine: Machine) -> str:
    """The module of `call`."""
    return _Call(machine).text()


def emit_claim(machine: Machine) -> str:
    """The module of `claim`."""
    b = Builder(machine)
    b.lines.append(f"  ret {_claimed(b, Value('%frame', 'ptr'))}")
    return b.function(f"ptr @{CLAIM}(ptr %frame)")


def _claimed(b: Builder, first: Value) -> Value:
    """The first free frame from this one on, or null."""
    before, look, take, on, end = map(b.new_label, ("before", "look", "take", "on", "end"))
    b.branch(before)
    b.label(before)
    b.branch(look)
    b.label(look)
    following = b.fresh("ptr")
    frame = b.emit("ptr", f"phi ptr [ {first.text}, %{before} ], [ {following.text}, %{on} ]")
    b.branch_if(b.compare("eq", frame, _NULL), end, take)
    b.label(take)
    busy = b.at(frame, driver.BUSY, "i64")
    tried = b.emit("{i64, i1}", f"cmpxchg {busy}, i64 0, i64 1 acquire monotonic")
    b.branch_if(b.emit("i1", f"extractvalue {{i64, i1}} {tried.text}, 1"), end, on)
    b.label(on)
    b.lines.append(f"  {following.text} = load ptr, {b.at(frame, driver.NEXT, 'i64')}, align 8")
    b.branch(look)
    b.label(end)
    return frame


_NULL = Value("null", "ptr")


class _Call:
    def __init__(self, machine: Machine) -> None:
        self.b = b = Builder(machine)
        self.args, self.count = Value("%args", "ptr"), Value("%count", "i64")
        self.words = b.load(b.at(Value("%self", "ptr"), driver.DATA, "i8"), "ptr", align=8)
        self.declined = b.new_label("declined")

    def text(self) -> str:
        b = self.b
        self._check()
        frame = _claimed(b, self._word(FRAMES, "ptr"))
        self._need(b.compare("ne", frame, _NULL))
        self._point(frame)
        self._make_outputs(frame)
        code = self._run(frame)
        good, bad = b.new_label("good"), b.new_label("bad")
        b.branch_if(b.compare("eq", code, b.i64(0)), good, bad)
        b.label(bad)
        self._drop(frame, self._word(MADE))
        b.branch(self.declined)
        b.label(good)
        with b.when(b.compare("eq", self._word(MADE), b.i64(1))):
            made = self._read(frame, self._word(MADE_AT), "ptr")
            self._release(frame)
            b.lines.append(f"  ret {made}")
            b.label(b.new_label("never"))
        self._return_list(frame)
        b.label(self.declined)
        declined = self._word(DECLINED, "ptr")
        self._call("void", INCREF, declined)
        b.lines.append(f"  ret {declined}")
        return b.function(f"ptr @{SYMBOL}(ptr %self, ptr %args, i64 %count)")

    def _check(self) -> None:
        """Declines what the call is not for."""
        b = self.b
        changes = self._word(CHANGES, "ptr")
        self._need(b.compare("eq", self._read(changes, 0), self._word(STAMP)))
        self._need(b.compare("eq", self._read(changes, 1), b.i64(0)))
        self._need(b.compare("eq", self.count, self._word(GIVEN)))
        first = b.at(self.words, FIRST, "i64")
        with b.loop(0, self.count, carried=[first]) as inputs:
            (wanted,) = inputs.carried
            array = self._read(self.args, inputs.index, "ptr")
            self._need(b.compare("eq", self._field(array, _TYPE), self._word(ARRAY)))
            self._need(b.compare("eq", self._field(array, _DTYPE), self._read(wanted, 0)))
            flags = b.op("and", self._field(array, _FLAGS, "i32"), Value(str(_PLAIN), "i32"))
            self._need(b.compare("eq", flags, Value(str(_PLAIN), "i32")))
            rank = self._read(wanted, 1)
            found = b.convert("zext", self._field(array, _RANK, "i32"), "i64")
            self._need(b.compare("eq", found, rank))
            sizes = self._field(array, _SIZES, "ptr")
            expected = b.at(wanted, 2, "i64")
            with b.loop(0, rank) as axes:
                size = self._read(sizes, axes.index)
                self._need(b.compare("eq", size, self._read(expected, axes.index)))
            inputs.next = (b.at(expected, rank, "i64"),)

    def _point(self, frame: Value) -> None:
        """Gives the frame the words of this call, but for its outputs."""
        b = self.b
        owner = b.at(frame, driver.OWNER, "i64")
        number = self._word(OWNER)
        with b.when(b.compare("ne", b.load(owner, "i64"), number)):
            b.store(number, owner)
            own = b.at(self.words, self._word(WORDS), "i64")
            place = b.at(frame, self._word(OWN_AT), "i64")
            with b.loop(0, self._word(OWN)) as words:
                b.store(self._read(own, words.index), b.at(place, words.index, "i64"))
        place = b.at(frame, self._word(GIVEN_AT), "i64")
        with b.loop(0, self.count) as inputs:
            b.store(self._read(self.args, inputs.index), b.at(place, inputs.index, "i64"))

    def _make_outputs(self, frame: Value) -> None:
        """Puts new arrays into the frame; returns null where there is no memory."""
        b = self.b
        place = b.at(frame, self._word(MADE_AT), "i64")
        first = b.at(self.words, self._word(OUTPUTS), "i64")
        with b.loop(0, self._word(MADE), carried=[first]) as outputs:
            (wanted,) = outputs.carried
            dtype, rank = self._read(wanted, 0, "ptr"), self._read(wanted, 1)
            sizes = b.at(wanted, 2, "i64")
            outputs.next = (b.at(sizes, rank, "i64"),)
            # The array takes over a reference to its dtype.
            self._call("void", INCREF, dtype)
            short, plain = b.convert("trunc", rank, "i32"), Value("0", "i32")
            array = self._word(ARRAY, "ptr")
            given = (array, dtype, short, sizes, _NULL, _NULL, plain, _NULL)
            made = self._call("ptr", NEW_ARRAY, *given)
            with b.when(b.compare("eq", made, _NULL)):
                self._drop(frame, outputs.index)
                b.lines.append("  ret ptr null")
                b.label(b.new_label("never"))
            b.store(made, b.at(place, outputs.index, "i64"), align=8)

    def _run(self, frame: Value) -> Value:
        """What the driver says."""
        b = self.b
        run = self._word(DRIVER, "ptr")
        held, released, end = map(b.new_label, ("held", "released", "ran"))
        b.branch_if(b.compare("eq", self._word(RELEASING), b.i64(0)), held, released)
        b.label(held)
        kept = b.emit("i64", f"call i64 {run.text}({frame})")
        b.branch(end)
        b.label(released)
        state = self._call("ptr", SAVE)
        free = b.emit("i64", f"call i64 {run.text}({frame})")
        self._call("void", RESTORE, state)
        b.branch(end)
        b.label(end)
        return b.emit("i64", f"phi i64 [ {kept.text}, %{held} ], [ {free.text}, %{released} ]")

    def _return_list(self, frame: Value) -> None:
        b = self.b
        count = self._word(MADE)
        result = self._call("ptr", NEW_LIST, count)
        with b.when(b.compare("eq", result, _NULL)):
            self._drop(frame, count)
            b.lines.append("  ret ptr null")
            b.label(b.new_label("never"))
        place = b.at(frame, self._word(MADE_AT), "i64")
        with b.loop(0, count) as outputs:
            # The list takes the array over.
            made = self._read(place, outputs.index, "ptr")
            self._call("i32", SET_ITEM, result, outputs.index, made)
        self._release(frame)
        b.lines.append(f"  ret {result}")

    def _drop(self, frame: Value, count: Value) -> None:
        """Lets go of the first outputs in a frame, and of the frame."""
        place = self.b.at(frame, self._word(MADE_AT), "i64")
        with self.b.loop(0, count) as outputs:
            self._call("void", DECREF, self._read(place, outputs.index, "ptr"))
        self._release(frame)

    def _release(self, frame: Value) -> None:
        busy = self.b.at(frame, driver.BUSY, "i64")
        self.b.lines.append(f"  store atomic i64 0, {busy} release, align 8")

    def _need(self, condition: Value) -> None:
        go_on = self.b.new_label("go")
        self.b.branch_if(condition, go_on, self.declined)
        self.b.label(go_on)

    def _word(self, number: int, type_: str = "i64") -> Value:
        return self._read(self.words, number, type_)

    def _read(self, base: Value, number: Value | int, type_: str = "i64") -> Value:
        return self.b.load(self.b.at(base, number, "i64"), type_, align=8)

    def _field(self, array: Value, offset: int, type_: str = "i64") -> Value:
        return self.b.load(self.b.at(array, offset, "i8"), type_)

    def _call(self, type_: str, function: int, *args: Value) -> Value:
        text = f"call {type_} {self._word(function, 'ptr').text}({', '.join(map(str, args))})"
        if type_ == "void":
            self.b.lines.append(f"  {text}")
            return _NULL
        return self.b.emit(type_, text)
