"""A builder of LLVM IR as text: typed values, straight-line operations, counted loops.

The text is in its final form (SSA with explicit phis), so no optimiser runs after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from struct import pack, unpack

from isoconv.plan.machine import Machine

SCALARS = {
    "float32": "float",
    "float64": "double",
    "int32": "i32",
    "int64": "i64",
    "bool": "i1",
}
# How an element lies in memory; a bool is a byte there.
STORED = {**SCALARS, "bool": "i8"}
SIZES = {"float": 4, "double": 8, "i32": 4, "i64": 8, "i8": 1, "ptr": 8}


@dataclass(frozen=True)
class Value:
    """An SSA value or a constant, with its LLVM type."""

    text: str
    type: str

    def __str__(self) -> str:
        return f"{self.type} {self.text}"


def vector_type(scalar: str, lanes: int) -> str:
    """The type of `lanes` elements; a scalar for one lane."""
    return scalar if lanes == 1 else f"<{lanes} x {scalar}>"


def element_type(type_: str) -> str:
    """The scalar type inside a vector type, or the type itself."""
    return type_.split(" x ")[1][:-1] if type_.startswith("<") else type_


def lane_count(type_: str) -> int:
    """How many lanes a type has; 1 for a scalar."""
    return int(type_[1:].split(" ")[0]) if type_.startswith("<") else 1


def like(type_: str, scalar: str) -> str:
    """A type with the lanes of `type_` and elements of `scalar`."""
    return vector_type(scalar, lane_count(type_))


def _literal(scalar: str, number: float) -> str:
    if scalar in ("float", "double"):
        if scalar == "float":
            (number,) = unpack("f", pack("f", number))
        return f"0x{pack('>d', number).hex().upper()}"
    if scalar == "i1":
        return "true" if number else "false"
    return str(int(number))


class Loop:
    """A counted loop under construction: `index` and `carried` inside, `results` after it."""

    def __init__(self, index: Value, carried: tuple[Value, ...]) -> None:
        self.index = index
        self.carried = carried
        self.next: tuple[Value, ...] = carried
        self.results: tuple[Value, ...] = ()


class Builder:
    """Writes the body of one function, line by line."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.lines: list[str] = []
        self.entry: list[str] = []
        self.declared: dict[str, str] = {}
        self.block = "entry"
        self._count = 0

    # -- values ---------------------------------------------------------------------------

    def fresh(self, type_: str) -> Value:
        self._count += 1
        return Value(f"%v{self._count}", type_)

    def emit(self, type_: str, text: str) -> Value:
        value = self.fresh(type_)
        self.lines.append(f"  {value.text} = {text}")
        return value

    def const(self, type_: str, number: float) -> Value:
        """A constant of a scalar or vector type, the same in every lane."""
        literal = _literal(element_type(type_), number)
        lanes = lane_count(type_)
        if lanes == 1:
            return Value(literal, type_)
        if number == 0 and literal in ("0", "0x0000000000000000", "false"):
            return Value("zeroinitializer", type_)
        body = ", ".join(f"{element_type(type_)} {literal}" for _ in range(lanes))
        return Value(f"<{body}>", type_)

    def i64(self, number: int) -> Value:
        return Value(str(number), "i64")

    def iota(self, lanes: int, scalar: str = "i64") -> Value:
        """0, 1, 2, ... in the lanes."""
        body = ", ".join(f"{scalar} {_literal(scalar, lane)}" for lane in range(lanes))
        return Value(f"<{body}>", vector_type(scalar, lanes))

    # -- operations -----------------------------------------------------------------------

    def op(self, name: str, left: Value, right: Value) -> Value:
        """A binary instruction such as fadd, fmul, add, mul, and, or, xor, shl, sdiv."""
        return self.emit(left.type, f"{name} {left}, {right.text}")

    def compare(self, predicate: str, left: Value, right: Value) -> Value:
        """fcmp (oeq, olt, ugt, ...) on floats, icmp (eq, slt, ...) on integers."""
        kind = "fcmp" if element_type(left.type) in ("float", "double") else "icmp"
        return self.emit(like(left.type, "i1"), f"{kind} {predicate} {left}, {right.text}")

    def select(self, condition: Value, left: Value, right: Value) -> Value:
        return self.emit(left.type, f"select {condition}, {left}, {right}")

    def call(self, name: str, type_: str, *args: Value) -> Value:
        """A call of an intrinsic or function, declared on first use; args must be typed."""
        kinds = ", ".join(a.type for a in args)
        self.declared[name] = f"declare {type_} @{name}({kinds})"
        text = f"call {type_} @{name}({', '.join(map(str, args))})"
        if type_ == "void":
            self.lines.append(f"  {text}")
            return Value("void", "void")
        return self.emit(type_, text)

    def intrinsic(self, name: str, *args: Value, type_: str | None = None) -> Value:
        """llvm.NAME overloaded on its first argument's type: sqrt, fabs, floor, maxnum, smax."""
        first = args[0].type
        return self.call(f"llvm.{name}.{mangle(first)}", type_ or first, *args)

    def fma(self, left: Value, right: Value, addend: Value) -> Value:
        return self.intrinsic("fma", left, right, addend)

    def convert(self, name: str, value: Value, scalar: str) -> Value:
        """A cast instruction (sitofp, fptosi, fpext, fptrunc, zext, sext, trunc, bitcast)."""
        type_ = like(value.type, scalar)
        return self.emit(type_, f"{name} {value} to {type_}")

    def splat(self, scalar: Value, lanes: int) -> Value:
        """The scalar in every lane."""
        if lanes == 1:
            return scalar
        type_ = vector_type(scalar.type, lanes)
        one = self.emit(type_, f"insertelement {type_} poison, {scalar}, i64 0")
        zeros = f"<{lanes} x i32> zeroinitializer"
        return self.emit(type_, f"shufflevector {type_} {one.text}, {type_} poison, {zeros}")

    def shuffle(self, vector: Value, lanes: Sequence[int]) -> Value:
        """The lanes of a vector by number."""
        numbers = ", ".join(f"i32 {lane}" for lane in lanes)
        type_ = vector_type(element_type(vector.type), len(lanes))
        operands = f"{vector}, {vector.type} poison, <{len(lanes)} x i32> <{numbers}>"
        return self.emit(type_, f"shufflevector {operands}")

    def resize(self, vector: Value, lanes: int) -> Value:
        """The first lanes of a vector, those beyond it with any value."""
        have = lane_count(vector.type)
        if have == lanes:
            return vector
        numbers = ", ".join(f"i32 {lane}" if lane < have else "i32 poison" for lane in range(lanes))
        type_ = vector_type(element_type(vector.type), lanes)
        return self.emit(
            type_, f"shufflevector {vector}, {vector.type} poison, <{lanes} x i32> <{numbers}>"
        )

    def add(self, left: Value, right: Value | int) -> Value:
        """i64 addition with constants folded."""
        return self._integer("add", left, right, 0)

    def sub(self, left: Value, right: Value | int) -> Value:
        return self._integer("sub", left, right, 0)

    def mul(self, left: Value, right: Value | int) -> Value:
        if isinstance(right, int):
            right = self.i64(right)
        if "0" in (left.text, right.text):
            return self.i64(0)
        if left.text == "1":
            return right
        return self._integer("mul", left, right, 1)

    def _integer(self, name: str, left: Value, right: Value | int, neutral: int) -> Value:
        if isinstance(right, int):
            right = self.i64(right)
        if right.text == str(neutral):
            return left
        if _is_number(left.text) and _is_number(right.text):
            x, y = int(left.text), int(right.text)
            return self.i64({"add": x + y, "sub": x - y, "mul": x * y}[name])
        if name == "add" and left.text == "0":
            return right
        return self.emit("i64", f"{name} nsw {left}, {right.text}")

    def minimum(self, left: Value, right: Value | int) -> Value:
        return self._extreme("smin", left, right)

    def maximum(self, left: Value, right: Value | int) -> Value:
        return self._extreme("smax", left, right)

    def _extreme(self, name: str, left: Value, right: Value | int) -> Value:
        if isinstance(right, int):
            right = self.i64(right)
        if _is_number(left.text) and _is_number(right.text):
            chosen = (min if name == "smin" else max)(int(left.text), int(right.text))
            return self.i64(chosen)
        return self.intrinsic(name, left, right)

    def floordiv(self, left: Value, right: int) -> Value:
        """Division rounded towards minus infinity by a positive constant."""
        if right == 1:
            return left
        if _is_number(left.text):
            return self.i64(int(left.text) // right)
        if right & (right - 1) == 0:
            return self.emit("i64", f"ashr {left}, {right.bit_length() - 1}")
        quotient = self.emit("i64", f"sdiv {left}, {right}")
        rest = self.emit("i64", f"srem {left}, {right}")
        negative = self.emit("i64", f"ashr {rest}, 63")
        return self.add(quotient, negative)

    # -- memory ---------------------------------------------------------------------------

    def at(self, base: Value, index: Value | int, scalar: str) -> Value:
        """The address of element `index` of an array of `scalar` (as stored) at `base`."""
        if isinstance(index, int):
            index = self.i64(index)
        if index.text == "0":
            return base
        return self.emit("ptr", f"getelementptr {scalar}, {base}, {index}")

    def load(self, address: Value, type_: str, align: int = 0) -> Value:
        align = align or SIZES[element_type(type_)]
        return self.emit(type_, f"load {type_}, {address}, align {align}")

    def store(self, value: Value, address: Value, align: int = 0) -> None:
        align = align or SIZES[element_type(value.type)]
        self.lines.append(f"  store {value}, {address}, align {align}")

    def prefetch(self, address: Value) -> None:
        """Brings the line of an address, which need not be valid, into the nearest cache."""
        flags = (Value(number, "i32") for number in "031")
        self.lines.append(f"  call void @llvm.prefetch.p0({address}, {', '.join(map(str, flags))})")
        self.declared["llvm.prefetch.p0"] = "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)"

    def load_masked(
        self, address: Value, type_: str, mask: Value | None, otherwise: Value | None = None
    ) -> Value:
        """Lanes outside the mask are not read and hold those of `otherwise`, or zero; a mask of
        None is one of all lanes.
        """
        if mask is None:
            return self.load(address, type_)
        zero = otherwise or self.const(type_, 0)
        name = f"llvm.masked.load.{mangle(type_)}.p0"
        self.declared[name] = f"declare {type_} @{name}(ptr, {mask.type}, {type_})"
        align = SIZES[element_type(type_)]
        args = f"ptr align {align} {address.text}, {mask}, {zero}"
        return self.emit(type_, f"call {type_} @{name}({args})")

    def store_masked(self, value: Value, address: Value, mask: Value | None) -> None:
        """Writes the lanes of the mask; all for None."""
        if mask is None:
            self.store(value, address)
            return
        name = f"llvm.masked.store.{mangle(value.type)}.p0"
        self.declared[name] = f"declare void @{name}({value.type}, ptr, {mask.type})"
        align = SIZES[element_type(value.type)]
        args = f"{value}, ptr align {align} {address.text}, {mask}"
        self.lines.append(f"  call void @{name}({args})")

    def mask_first(self, count: int, lanes: int) -> Value | None:
        """The first `count` lanes, a number known now; None where that is all of them."""
        if count >= lanes:
            return None
        bits = ", ".join(f"i1 {_literal('i1', lane < count)}" for lane in range(lanes))
        return Value(f"<{bits}>", vector_type("i1", lanes))

    def mask_below(self, count: Value, lanes: int) -> Value:
        """True in the lanes whose number is below `count` (i64)."""
        return self.compare("slt", self.iota(lanes), self.splat(count, lanes))

    def mask_between(self, low: Value, high: Value, lanes: int) -> Value:
        """True in the lanes whose number is at least `low` and below `high` (i64)."""
        above = self.compare("sge", self.iota(lanes), self.splat(low, lanes))
        return self.op("and", above, self.mask_below(high, lanes))

    def opaque(self, pointer: Value) -> Value:
        """The same pointer, hidden from the optimiser, so that it merges no loads through it."""
        return self.emit("ptr", f'call ptr asm "", "=r,0"({pointer})')

    def whole(self, vector: Value) -> Value:
        """The same vector of 512 bits, whose parts the optimiser does not make anew."""
        return self.emit(vector.type, f'call {vector.type} asm "", "=v,0"({vector})')

    # -- control --------------------------------------------------------------------------

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")
        self.block = name

    def new_label(self, stem: str) -> str:
        self._count += 1
        return f"{stem}{self._count}"

    def branch(self, target: str) -> None:
        self.lines.append(f"  br label %{target}")

    def branch_if(self, condition: Value, yes: str, no: str) -> None:
        self.lines.append(f"  br {condition}, label %{yes}, label %{no}")

    @contextmanager
    def at_entry(self) -> Iterator[None]:
        """What is written inside stands at the start of the function: straight-line code only."""
        body, self.lines = self.lines, self.entry
        try:
            yield
        finally:
            self.lines = body

    @contextmanager
    def loop(
        self,
        start: Value | int,
        stop: Value | int,
        step: int = 1,
        carried: Sequence[Value] = (),
        at_least_once: bool = False,
    ) -> Iterator[Loop]:
        """`for index in range(start, stop, step)`; set `.next` inside, read `.results` after.

        With `at_least_once` the test stands at the end: one branch less an iteration.
        """
        first = self.i64(start) if isinstance(start, int) else start
        last = self.i64(stop) if isinstance(stop, int) else stop
        body, end = self.new_label("body"), self.new_label("end")
        before = self.block
        if at_least_once:
            self.branch(body)
        else:
            self.branch_if(self.compare("slt", first, last), body, end)
        self.label(body)
        index = self.fresh("i64")
        phis = tuple(self.fresh(value.type) for value in carried)
        place = len(self.lines)
        state = Loop(index, phis)
        yield state
        following = self.add(index, step)
        inside = self.block
        self.branch_if(self.compare("slt", following, last), body, end)
        lines = [
            f"  {index.text} = phi i64 [ {first.text}, %{before} ], [ {following.text}, %{inside} ]"
        ]
        for phi, initial, new in zip(phis, carried, state.next, strict=True):
            lines.append(
                f"  {phi.text} = phi {phi.type} [ {initial.text}, %{before} ], "
                f"[ {new.text}, %{inside} ]"
            )
        self.lines[place:place] = lines
        self.label(end)
        if at_least_once:
            state.results = state.next
            return
        results = []
        for initial, new in zip(carried, state.next, strict=True):
            arms = f"[ {initial.text}, %{before} ], [ {new.text}, %{inside} ]"
            results.append(self.emit(new.type, f"phi {new.type} {arms}"))
        state.results = tuple(results)

    @contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """The body runs only where the condition (i1) holds."""
        body, end = self.new_label("then"), self.new_label("done")
        self.branch_if(condition, body, end)
        self.label(body)
        yield
        self.branch(end)
        self.label(end)

    def function(self, signature: str) -> str:
        """The module text: one function with this body, and what it declares."""
        declared = "\n".join(self.declared[name] for name in sorted(self.declared))
        body = "\n".join(self.entry + self.lines)
        return f"{declared}\n\ndefine {signature} {{\nentry:\n{body}\n}}\n"


def mangle(type_: str) -> str:
    """The suffix of an overloaded intrinsic: v16f32 for <16 x float>."""
    short = {"float": "f32", "double": "f64", "ptr": "p0"}
    scalar = element_type(type_)
    name = short.get(scalar, scalar)
    lanes = lane_count(type_)
    return name if lanes == 1 else f"v{lanes}{name}"


def _is_number(text: str) -> bool:
    return text.lstrip("-").isdigit()
