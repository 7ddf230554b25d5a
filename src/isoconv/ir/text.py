"""Programs as text and back, exactly: one line a node.

    inputs %0, %1
    %0 = input {dtype="float32", name="x", shape=[n, L, 3]} : float32[n, L, 3]
    %1 = input {dtype="float32", name="w", shape=[3, 3, 8]} : float32[3, 3, 8]
    %2 = conv(%0, %1) {axes=[axis(3)], face="y", groups=1, sizes=[L]} : float32[n, L - 2, 8]
    return %2

What follows a `#` is where the node came from, which is no part of the program.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from isoconv import dtypes
from isoconv.errors import ArgumentError, InternalError, IsoconvError, explain
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph, Node, raw
from isoconv.ir.sizes import Dim, Size, maximum, name
from isoconv.ir.verify import problem, verify_inputs

T = TypeVar("T")


def show(graph: Graph) -> str:
    """The program as text."""
    read = set(graph.nodes)
    unread = [node for node in graph.inputs if node not in read]
    nodes = [*unread, *graph.nodes]
    number = {node: f"%{i}" for i, node in enumerate(nodes)}
    lines = [f"inputs {_list(number[node] for node in graph.inputs)}"]
    lines += [_line(node, number) for node in nodes]
    lines.append(f"return {_list(number[node] for node in graph.outputs)}")
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _line(node: Node, number: dict[Node, str]) -> str:
    operands = f"({_list(number[x] for x in node.inputs)})" if node.inputs else ""
    attrs = f" {{{_list(f'{key}={_value(value)}' for key, value in node.attrs)}}}"
    type_ = f"{node.dtype}{_value(node.shape)}"
    origin = f"  # {' '.join(node.origin.split())}" if node.origin else ""
    return f"{number[node]} = {node.op}{operands}{attrs if node.attrs else ''} : {type_}{origin}"


def _list(items: Any) -> str:
    return ", ".join(items)


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{_list(map(_value, value))}]"
    if isinstance(value, Axis):
        given = [(f.name, getattr(value, f.name)) for f in fields(Axis)[1:]]
        return f"axis({_list([str(value.taps), *(f'{k}={v}' for k, v in given if v != _AXIS[k])])})"
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(float(value))
    return str(value)


_AXIS = {f.name: f.default for f in fields(Axis)[1:]}


# -- and back ---------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""\s*(?: (?P<string>"(?:[^"\\]|\\.)*")
             | (?P<float>\d+\.\d*(?:e[+-]?\d+)?|\d+e[+-]?\d+)
             | (?P<int>\d+)
             | (?P<ref>%\d+)
             | (?P<word>[^\W\d]\w*)
             | (?P<sign>[][(){}=:,*+-])
             | (?P<comment>\#.*)
             | (?P<wrong>\S.*) )""",
    re.VERBOSE,
)


def parse(text: str) -> Graph:
    """The program that `show` printed; ArgumentError, with the line, for anything else."""
    nodes: dict[str, Node] = {}
    ends: dict[str, list[str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        try:
            reader = _Reader(line)
            if reader.kind == "ref":
                label, node = _node(reader, nodes)
                nodes[label] = node
            elif reader.kind == "word":
                word = reader.word("inputs", "return")
                ends[word] = [] if reader.kind == "end" else reader.items(reader.ref)
            reader.finish()
        except IsoconvError as error:
            raise ArgumentError(f"line {number}: {error}") from error
    missing = [word for word in ("inputs", "return") if word not in ends]
    undefined = [label for labels in ends.values() for label in labels if label not in nodes]
    if missing or undefined:
        expected = "a line 'inputs' and a line 'return', of nodes that are there"
        raise ArgumentError(explain("program", f"no {_list(missing + undefined)}", expected))
    inputs, outputs = ([nodes[label] for label in ends[word]] for word in ("inputs", "return"))
    graph = Graph(tuple(inputs), tuple(outputs))
    try:
        verify_inputs(graph)
    except InternalError as error:
        raise ArgumentError(str(error)) from error
    return graph


def _node(reader: _Reader, nodes: dict[str, Node]) -> tuple[str, Node]:
    label = reader.ref()
    reader.take("=")
    op = reader.word()
    inputs: list[str] = reader.bracketed("(", ")", reader.ref) if reader.text == "(" else []
    attrs = reader.bracketed("{", "}", reader.pair) if reader.text == "{" else []
    reader.take(":")
    dtype = reader.word(*dtypes.ALL)
    shape = tuple(reader.bracketed("[", "]", reader.size))
    unknown = [x for x in inputs if x not in nodes]
    if unknown or label in nodes:
        found = f"{unknown[0]} before its line" if unknown else f"{label} twice"
        raise ArgumentError(explain(label, found, "each node once, after its operands"))
    node = raw(op, [nodes[x] for x in inputs], dict(attrs), shape, dtype)
    if problem(node):
        raise ArgumentError(f"{op}: {problem(node)}")
    return label, node


def parse_size(text: str) -> Dim:
    """The size, a number or an expression, that `str` of one shows; ArgumentError for others."""
    reader = _Reader(text)
    size = reader.size()
    reader.finish()
    return size


class _Reader:
    """The tokens of one line, read from the left. text, kind: the next token."""

    def __init__(self, line: str) -> None:
        found = [(m[m.lastgroup or ""], m.lastgroup or "") for m in _TOKEN.finditer(line)]
        self._tokens = [(text, kind) for text, kind in found if kind != "comment"]
        self._next = 0

    @property
    def text(self) -> str:
        return self._token[0]

    @property
    def kind(self) -> str:
        return self._token[1]

    @property
    def _token(self) -> tuple[str, str]:
        return (*self._tokens, *[("the end of the line", "end")])[self._next]

    def _advance(self) -> str:
        text = self.text
        self._next += 1
        return text

    def _fail(self, expected: str) -> ArgumentError:
        return ArgumentError(explain("program", self.text, expected))

    def finish(self) -> None:
        if self.kind != "end":
            raise self._fail("the end of the line")

    def take(self, sign: str) -> None:
        if self.text != sign or self.kind != "sign":
            raise self._fail(f"{sign!r}")
        self._advance()

    def skip(self, sign: str) -> bool:
        """Whether `sign` came next; it is read then."""
        found = self.text == sign and self.kind == "sign"
        self._next += found
        return found

    def ref(self) -> str:
        if self.kind != "ref":
            raise self._fail("a node such as %0")
        return self._advance()

    def word(self, *allowed: str) -> str:
        if self.kind != "word" or (allowed and self.text not in allowed):
            raise self._fail(" or ".join(allowed) or "a name")
        return self._advance()

    def items(self, item: Callable[[], T]) -> list[T]:
        found = [item()]
        while self.skip(","):
            found.append(item())
        return found

    def bracketed(self, left: str, right: str, item: Callable[[], T]) -> list[T]:
        self.take(left)
        found = [] if self.text == right else self.items(item)
        self.take(right)
        return found

    # -- values ---------------------------------------------------------------------------

    def pair(self) -> tuple[str, Any]:
        key = self.word()
        self.take("=")
        return key, self.value()

    def value(self) -> Any:
        if self.text == "[" and self.kind == "sign":
            return tuple(self.bracketed("[", "]", self.value))
        if self.kind == "string":
            return self._string()
        if self.kind == "word" and self.text in ("true", "false"):
            return self._advance() == "true"
        if self.kind == "word" and self.text == "axis":
            return self._axis()
        return self._number()

    def _string(self) -> str:
        try:
            found = str(json.loads(self.text))
        except json.JSONDecodeError as error:
            raise self._fail("a string") from error
        self._advance()
        return found

    def _axis(self) -> Axis:
        self._advance()
        self.take("(")
        taps = self.size()
        rest = dict(self.items(self.pair)) if self.skip(",") else {}
        self.take(")")
        if not isinstance(taps, int) or not set(rest) <= set(_AXIS):
            raise self._fail(f"axis(taps, {_list(f'{key}=' for key in _AXIS)})")
        return Axis(taps, **rest)

    def _number(self) -> float | Dim:
        start = self._next
        sign = -1.0 if self.skip("-") else 1.0
        if self.kind == "float" or self.text in ("inf", "nan"):
            return sign * float(self._advance())
        self._next = start
        return self.size()

    def size(self) -> Dim:
        """An expression of run-time sizes: a sum of products."""
        total = self._product() * -1 if self.skip("-") else self._product()
        while self.text in ("+", "-"):
            total = total - self._product() if self._advance() == "-" else total + self._product()
        return total

    def _product(self) -> Dim:
        total = self._factor()
        while self.skip("*"):
            total = total * self._factor()
        return total

    def _factor(self) -> Dim:
        if self.kind == "int":
            return int(self._advance())
        word = self.word()
        if word not in ("floor", "max"):
            return name(word)
        sides: Sequence[Dim] = self.bracketed("(", ")", self.size)
        if len(sides) != 2:
            raise self._fail(f"two sizes in {word}")
        left, right = sides
        if word == "max":
            return maximum(left, right)
        if isinstance(left, Size) or isinstance(right, Size):
            return left // right
        raise self._fail("a size in floor")
