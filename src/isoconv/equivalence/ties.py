"""What ties positions of one open axis to each other in a program, or that this is not understood.

Understood is what is the same at every place far from the ends: windows, pads, slices from an end,
reshapes that keep neighbours together, and sums or maxima over all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil, lcm
from typing import Any

from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph, Node
from isoconv.ir.sizes import Dim, Floor, Maximum, Shape, Size, names, product
from isoconv.rewriting.proof.values import NotUnderstoodError

_ARITHMETIC = frozenset({"cast", "reshape", "broadcast", "mul", "div", "add", "sub", "neg"})
"""What may be done with sizes as numbers: the results are fractions of polynomials in them."""


class Ties:
    """What ties positions on the axes of one open size, collected node by node.

    period: of all strides and floor divisions. reach: how many positions around its own an output
    can read at most, ends included. everywhere: whether some result depends on all positions, or
    on those as far from the other end. degree: in which power the size may stand in a number.
    NotUnderstoodError where such numbers do not say it all.
    """

    def __init__(self, graph: Graph, size: Size) -> None:
        (self._name,) = names(size)
        self.period = self.reach = self._wide = 1
        self.everywhere = False
        self._crossing = 0
        for node in graph.nodes:
            if self._concerns(node):
                self._add(node)
        self.reach += self._crossing
        self.degree = self._degree(graph)

    def _concerns(self, node: Node) -> bool:
        return any(map(self._is, (*_dims(node), *(d for each in node.inputs for d in each.shape))))

    def _is(self, dim: Dim) -> bool:
        return self._name in names(dim)

    def _add(self, node: Node) -> None:
        for dim in _dims(node):
            self.period = lcm(self.period, _divisor(dim))
            self._cross(dim)
        match node.op:
            case "conv" | "pool_max" | "pool_argmax" | "pool_take" | "pool_scatter":
                self._window(node)
            case "pad":
                self._pad(node)
            case "slice":
                self._slice(node)
            case "reshape":
                self._reshape(node)
            case "concat":
                self._concat(node)
            case "reduce_sum" | "reduce_max" | "reverse":
                self.everywhere |= self._over(node)
            case "argmax" if self._is(node.inputs[0].shape[node["axis"]]):
                raise NotUnderstoodError("a position on an axis of open size as a number")
            case "iota" if self._is(node.shape[node["axis"]]):
                raise NotUnderstoodError("positions on an axis of open size as numbers")
            case "gather" if self._is(node.inputs[0].shape[0]):
                raise NotUnderstoodError("a table of open size")
            case "scatter_add" if self._is(node.shape[0]):
                raise NotUnderstoodError("a table of open size")

    def _over(self, node: Node) -> bool:
        """Whether the axes that an operation goes over as a whole are of this size."""
        return any(self._is(node.inputs[0].shape[axis]) for axis in node["axes"])

    def _widen(self, dims: Sequence[Dim], before: Dim, after: Dim, span: int = 0) -> None:
        """Adds a span and the constants of dims; one step after is so many steps before."""
        self.reach += self._wide * (span + sum(map(_constants, dims)))
        ratio = self._slope(before) / (self._slope(after) or 1)
        self._wide *= max(1, -(-ratio.numerator // ratio.denominator))

    def _still(self, *dims: Dim) -> None:
        """Refuses sizes that grow with the open one: what they say is nearer to no end."""
        if any(self._slope(dim) for dim in dims):
            raise NotUnderstoodError("an axis of open size that is cut or continued in its middle")

    def _window(self, node: Node) -> None:
        axes: Sequence[Axis] = node["axes"]
        face = node["face"] if node.op == "conv" else ""
        if face == "w":
            self.everywhere = True
        given = node.inputs[1 if face == "x" else 0]
        wide = given.shape[given.rank - 1 - len(axes) : -1]
        for axis, dim, after in zip(axes, wide, _last(node, len(axes), wide), strict=True):
            if self._is(dim):
                self._still(axis.low, axis.high)
                self.period = lcm(self.period, axis.stride)
                span = max(axis.span, _constants(axis.low), _constants(axis.high))
                self._widen([], dim, after, span)

    def _pad(self, node: Node) -> None:
        each = zip(node["low"], node["high"], node.inputs[0].shape, node.shape, strict=True)
        for low, high, before, after in each:
            if self._is(before):
                self._still(low, high)
                self._widen([low, high], before, after)

    def _slice(self, node: Node) -> None:
        each = zip(node["start"], node["step"], node.inputs[0].shape, node.shape, strict=True)
        for start, step, before, after in each:
            if self._is(before):
                if self._slope(after):
                    # All but some at the ends.
                    self._still(start, after * step - before)
                elif self._slope(start):
                    # Some at the end.
                    self._still(start - before)
                self._widen([start, before, after * step], before, after, abs(step))

    def _reshape(self, node: Node) -> None:
        for before, after in _groups(node.inputs[0].shape, node.shape):
            if not any(map(self._is, before)):
                continue
            if before == after:
                continue
            ends = [[dim for dim in dims if dim != 1] for dims in (before, after)]
            if not all(self._is(dims[0]) for dims in ends):
                raise NotUnderstoodError("a reshape that parts neighbours on an axis of open size")
            factor = max([1, *(n for dims in ends for n in dims[1:] if isinstance(n, int))])
            self._widen([], ends[0][0], ends[1][0], factor)

    def _concat(self, node: Node) -> None:
        axis = node["axis"]
        dims = [each.shape[axis] for each in node.inputs]
        if self._is(node.shape[axis]):
            if sum(map(self._is, dims)) > 1:
                raise NotUnderstoodError("an axis of open size that is continued in its middle")
            self._widen(dims, node.shape[axis], node.shape[axis])

    # -- sizes as numbers ----------------------------------------------------------------------

    def _degree(self, graph: Graph) -> int:
        degrees: dict[Node, int] = {}
        counts: set[Node] = set()
        for node in graph.nodes:
            own = sum(degrees[each] for each in node.inputs)
            if node.op == "size" and self._is(node["dim"]):
                own += 1
                counts.add(node)
            elif counts.intersection(node.inputs):
                if all(each in counts or each.op == "full" for each in node.inputs):
                    if node.op not in _ARITHMETIC:
                        raise NotUnderstoodError(f"{node.op} of an open size")
                    counts.add(node)
            elif self._sums(node):
                own += 1
            degrees[node] = own
        return max((degrees[node] for node in graph.outputs), default=0)

    def _sums(self, node: Node) -> bool:
        """Whether a result is a sum over all positions."""
        if node.op == "conv":
            return bool(node["face"] == "w") and self._concerns(node)
        return node.op == "reduce_sum" and self._over(node)

    def _slope(self, dim: Dim) -> Fraction:
        """How fast a size grows with the open one."""
        if isinstance(dim, int):
            return Fraction(0)
        return sum((c * self._slope_of(monomial) for monomial, c in dim.terms), Fraction(0))

    def _slope_of(self, monomial: Sequence[Any]) -> Fraction:
        match monomial:
            case []:
                return Fraction(0)
            case [Floor(numerator, int(divisor))]:
                return self._slope(numerator) / divisor
            case [Maximum(left, right)]:
                return max(self._slope(left), self._slope(right))
            case [atom]:
                return Fraction(atom.text == self._name)
        raise NotUnderstoodError(f"the size {'*'.join(map(str, monomial))}")

    def _cross(self, dim: Dim) -> None:
        """Notes from where on the larger of two sizes is the one that grows faster."""
        for atom in _atoms(dim):
            match atom:
                case Floor(numerator, _):
                    self._cross(numerator)
                case Maximum(left, right):
                    self._cross(left)
                    self._cross(right)
                    apart = abs(self._slope(left) - self._slope(right))
                    if apart:
                        # A floor division is less than 1 below its quotient.
                        far = (_constants(left) + _constants(right) + 2) / apart
                        self._crossing = max(self._crossing, ceil(far))


def refuse_mixed(graph: Graph) -> None:
    """NotUnderstoodError where one axis is of two open sizes, or two must be equal."""
    for node in graph.nodes:
        for dim in _dims(node) if node.op != "size" else ():
            if len(names(dim)) > 1:
                raise NotUnderstoodError(f"the size {dim} of two open ones")
        if node.op in ("reshape", "transpose", "reduce_sum", "reduce_max"):
            continue
        shapes = [node.shape, *(each.shape for each in node.inputs if each.rank == node.rank)]
        for dims in zip(*shapes, strict=True):
            found = {frozenset(names(dim)) for dim in dims} - {frozenset()}
            if node.op != "conv" and len(found) > 1:
                raise NotUnderstoodError("open sizes that must be equal")


def _last(node: Node, count: int, otherwise: Shape) -> Shape:
    """The sizes of the axes of windows after the operation."""
    face_w = node.op == "conv" and node["face"] == "w"
    return otherwise if face_w else node.shape[node.rank - 1 - count : -1]


def _dims(node: Node) -> Iterator[Dim]:
    yield from node.shape
    for _, value in node.attrs:
        yield from _inside(value)


def _inside(value: Any) -> Iterator[Dim]:
    if isinstance(value, Size):
        yield value
    elif isinstance(value, Axis):
        yield from (value.low, value.high)
    elif isinstance(value, tuple):
        for each in value:
            yield from _inside(each)


def _divisor(dim: Dim) -> int:
    """A common multiple of all that is divided by in a size."""
    found = 1
    for atom in _atoms(dim):
        match atom:
            case Floor(numerator, int(divisor)):
                found = lcm(found, divisor * _divisor(numerator))
            case Floor():
                raise NotUnderstoodError(f"the size {dim}")
            case Maximum(left, right):
                found = lcm(found, _divisor(left), _divisor(right))
    return found


def _atoms(dim: Dim) -> list[Any]:
    return [] if isinstance(dim, int) else [atom for monomial, _ in dim.terms for atom in monomial]


def _constants(dim: Dim) -> int:
    """The constants in a size, without signs: how far from an end it can lie."""
    if isinstance(dim, int):
        return abs(dim)
    total = sum(abs(c) for monomial, c in dim.terms if not monomial)
    for atom in _atoms(dim):
        match atom:
            case Floor(numerator, _):
                total += _constants(numerator)
            case Maximum(left, right):
                total += max(_constants(left), _constants(right))
    return total


def _groups(before: Shape, after: Shape) -> Iterator[tuple[Shape, Shape]]:
    """The parts of two shapes of as many elements that have as many elements each."""
    ends = [[product(dims[: i + 1]) for i in range(len(dims))] for dims in (before, after)]
    i = j = 0
    for at, end in enumerate(ends[0]):
        if end in ends[1][j:]:
            to = j + ends[1][j:].index(end) + 1
            yield before[i : at + 1], after[j:to]
            i, j = at + 1, to
    yield before[i:], after[j:]
