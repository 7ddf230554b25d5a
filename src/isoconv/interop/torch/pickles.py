"""Pickles of PyTorch's files read as data: a small machine of its own, which calls nothing.

Only what tensors and dicts of them need is understood; every other name in a file is refused.
"""

from __future__ import annotations

import math
import pickletools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from isoconv.errors import FileError, explain

# What the numbers of a storage are, in NumPy's terms; "bfloat16" NumPy has not.
STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "bool",
}
MOST_AXES = 32
MOST_ELEMENTS = 2**40


@dataclass(frozen=True, eq=False)
class Storage:
    """The numbers that tensors are made of; where they are, the file says elsewhere."""

    key: str
    dtype: str
    count: int


@dataclass(frozen=True, eq=False)
class Tensor:
    """A view of a storage; counts and steps are of elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class _Name:
    """A name that is allowed in a file."""

    module: str
    name: str


class _Mark:
    """Where a group of values on the stack begins."""


_MARK = _Mark()


def read(stream: BytesIO, where: str) -> Any:
    """The next pickle of a stream, as dicts, lists, tuples, strings, numbers and `Tensor`s.

    Raises FileError, which begins with `where`, for what is damaged or would need code to be run.
    """
    machine = _Machine(where)
    try:
        with warnings.catch_warnings():
            # What Python's own reader of arguments finds odd is damage.
            warnings.simplefilter("error")
            return _run(machine, stream)
    except (Warning, ValueError, IndexError, TypeError, OverflowError, EOFError) as error:
        if isinstance(error, FileError):
            raise
        raise machine.fault(f"damage ({error})", "a whole pickle") from error


def _run(machine: _Machine, stream: BytesIO) -> Any:
    """What is on the stack when the pickle stops."""
    for opcode, argument, place in pickletools.genops(stream):
        machine.place = place
        step = _STEPS.get(opcode.name)
        if step is None:
            raise machine.fault(f"the instruction {opcode.name}", "data alone")
        if opcode.name == "STOP":
            return machine.pop()
        step(machine, argument)
    raise machine.fault("no end", "a whole pickle")


class _Machine:
    """The stack and the memo while a pickle is read."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.place: int | None = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def fault(self, given: str, expected: str) -> FileError:
        return FileError(explain(f"{self.where}, byte {self.place}", given, expected))

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise self.fault("an empty stack", "a value")
        return self.stack.pop()

    def top(self, kind: type) -> Any:
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise self.fault("another object", f"a {kind.__name__} to add to")
        return self.stack[-1]

    def group(self) -> list[Any]:
        """The values down to the last mark, which goes too."""
        found: list[Any] = []
        while self.stack:
            value = self.stack.pop()
            if value is _MARK:
                return found[::-1]
            found.append(value)
        raise self.fault("no mark", "the beginning of a group")

    def remember(self, index: Any = None) -> None:
        if not self.stack:
            raise self.fault("an empty stack", "a value")
        self.memo[len(self.memo) if index is None else int(index)] = self.stack[-1]

    def recall(self, index: Any) -> None:
        if int(index) not in self.memo:
            raise self.fault(f"number {index}", "a value noted before")
        self.push(self.memo[int(index)])

    def store(self, pairs: list[Any]) -> None:
        """Puts keys and values into the dict on the stack."""
        if len(pairs) % 2:
            raise self.fault("a key without a value", "pairs")
        target = self.top(dict)
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            # Only these: the hash of a tuple can take for ever.
            if not isinstance(key, str | int | float | None):
                raise self.fault(f"a key that is a {type(key).__name__}", "a string or a number")
            target[key] = value

    def name(self, module: str, name: str) -> None:
        if (module, name) not in _CALLS and not _is_storage(module, name):
            given = f"{module}.{name}"
            expected = "tensors and dicts of them; code in files is never run"
            raise self.fault(given, expected)
        self.push(_Name(module, name))

    def call(self) -> None:
        arguments, target = self.pop(), self.pop()
        known = isinstance(target, _Name) and (target.module, target.name) in _CALLS
        if not known or not isinstance(arguments, tuple):
            raise self.fault("a call", "one of a tensor or a dict")
        self.push(_CALLS[target.module, target.name](self, *arguments))

    def build(self) -> None:
        """An OrderedDict's attributes, which say nothing about its items."""
        self.pop()
        self.top(dict)

    def persistent(self, identity: Any) -> None:
        """A storage: ("storage", kind, key, device, count, ...)."""
        wrong = self.fault("an unknown reference", "a storage with its key and count")
        if not isinstance(identity, tuple) or not 5 <= len(identity) <= 6:
            raise wrong
        word, kind, key, _, count = identity[:5]
        fits = isinstance(kind, _Name) and _is_storage(kind.module, kind.name)
        if word != "storage" or not fits or not isinstance(key, str) or not _whole(count):
            raise wrong
        if count > MOST_ELEMENTS or (len(identity) == 6 and identity[5] is not None):
            raise self.fault("a storage too large, or a part of one", "a storage by itself")
        self.push(Storage(key, STORAGES[kind.name], count))


def _is_storage(module: str, name: str) -> bool:
    return module == "torch" and name in STORAGES


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _tensor(
    machine: _Machine, storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any
) -> Tensor:
    """A view, all of which must lie within its storage, none of it more than once on average."""
    listed = isinstance(shape, tuple | list) and isinstance(strides, tuple | list)
    numbers: list[Any] = [offset, *shape, *strides] if listed else [-1]
    whole = all(map(_whole, numbers)) and isinstance(storage, Storage)
    if not whole or len(shape) != len(strides) or len(shape) > MOST_AXES:
        raise machine.fault("a tensor's place", "a storage, an offset, sizes and as many strides")
    if max(numbers) > MOST_ELEMENTS or math.prod(shape) > storage.count:
        given = f"a tensor of shape {tuple(shape)} in a storage of {storage.count}"
        raise machine.fault(given, "as many elements as it has")
    last = offset + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
    if math.prod(shape) and last >= storage.count:
        given = f"a tensor that ends at element {last} of {storage.count}"
        raise machine.fault(given, "one within its storage")
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def _parameter(machine: _Machine, data: Any, *rest: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise machine.fault("a parameter of something", "one of a tensor")
    return data


def _ordered(machine: _Machine, *items: Any) -> dict[Any, Any]:
    if items:
        raise machine.fault("a dict made of items", "an empty one, filled afterwards")
    return {}


def _size(machine: _Machine, values: Any = ()) -> tuple[Any, ...]:
    return tuple(values) if isinstance(values, tuple | list) else ()


# What may be called, and what stands for calling it.
_CALLS: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): _ordered,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "Size"): _size,
}


def _append(machine: _Machine, values: list[Any]) -> None:
    machine.top(list).extend(values)


def _tuple_of(count: int) -> Callable[[_Machine, Any], None]:
    def make(machine: _Machine, _: Any) -> None:
        values = [machine.pop() for _ in range(count)]
        machine.push(tuple(values[::-1]))

    return make


def _push_name(machine: _Machine, text: str) -> None:
    module, _, name = text.partition(" ")
    machine.name(module, name)


def _stack_name(machine: _Machine, _: Any) -> None:
    name, module = machine.pop(), machine.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise machine.fault("a name that is no string", "a string")
    machine.name(module, name)


def _dict(machine: _Machine, _: Any) -> None:
    pairs = machine.group()
    machine.push({})
    machine.store(pairs)


def _item(machine: _Machine, _: Any) -> None:
    value, key = machine.pop(), machine.pop()
    machine.store([key, value])


_Step = Callable[[_Machine, Any], None]


def _nothing(machine: _Machine, _: Any) -> None:
    pass


def _dropped(machine: _Machine, _: Any) -> None:
    machine.stack.pop()


def _group_dropped(machine: _Machine, _: Any) -> None:
    machine.group()


_STEPS: dict[str, _Step] = {
    "PROTO": _nothing,
    "FRAME": _nothing,
    "STOP": _nothing,
    "MARK": lambda m, _: m.push(_MARK),
    "POP": _dropped,
    "POP_MARK": _group_dropped,
    "NONE": lambda m, _: m.push(None),
    "NEWTRUE": lambda m, _: m.push(True),
    "NEWFALSE": lambda m, _: m.push(False),
    "EMPTY_LIST": lambda m, _: m.push([]),
    "EMPTY_TUPLE": lambda m, _: m.push(()),
    "EMPTY_DICT": lambda m, _: m.push({}),
    "LIST": lambda m, _: m.push(m.group()),
    "TUPLE": lambda m, _: m.push(tuple(m.group())),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "DICT": _dict,
    "APPEND": lambda m, _: _append(m, [m.pop()]),
    "APPENDS": lambda m, _: _append(m, m.group()),
    "SETITEM": _item,
    "SETITEMS": lambda m, _: m.store(m.group()),
    "MEMOIZE": lambda m, _: m.remember(),
    "GLOBAL": _push_name,
    "STACK_GLOBAL": _stack_name,
    "REDUCE": lambda m, _: m.call(),
    "BUILD": lambda m, _: m.build(),
    "BINPERSID": lambda m, _: m.persistent(m.pop()),
}
_VALUES = "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING"
_VALUES += " SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES"
_VALUES += " SHORT_BINBYTES BINBYTES8"
_STEPS |= dict.fromkeys(_VALUES.split(), _Machine.push)
_STEPS |= dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.remember)
_STEPS |= dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.recall)
