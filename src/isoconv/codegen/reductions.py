"""The emission of reductions over axes other than the lanes', and the order of their sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from isoconv.codegen.emit import Value, element_type
from isoconv.codegen.index import ZERO, Coord, Index
from isoconv.codegen.pull import Emission, Pull
from isoconv.ir.graph import Node

# A sum is taken in blocks of this many terms, so that its error grows slowly; the blocks depend
# on nothing but positions, so that the bits do not depend on threads or vector width.
BLOCK = 256


def exceeds(p: Pull, value: Value, best: Value) -> Value:
    """Whether a value beats the best so far; NaN beats every number, and the first one stays."""
    if element_type(value.type) not in ("float", "double"):
        return p.b.compare("sgt", value, best)
    above = p.b.compare("ugt", value, best)
    ordered = p.b.compare("ord", best, best)
    return p.b.op("and", above, ordered)


def lowest(node: Node) -> float:
    """What every value of a dtype is at least."""
    return {"int32": -(2**31), "int64": -(2**63)}.get(node.dtype, float("-inf"))


def blocked(
    p: Pull,
    counts: Sequence[Value],
    zero: Value,
    term: Callable[[list[Value], tuple[Value, ...]], Sequence[Value]],
    join: Callable[[Value, Value], Value],
    begin: Value = ZERO.base,
) -> Value:
    """A reduction over nested axes, the last one from `begin` on and in blocks, which end at
    multiples of BLOCK and whose results are joined in order.
    """
    if not counts:
        return term([], (zero,))[0]
    last = counts[-1]
    start = p.b.mul(p.b.floordiv(begin, BLOCK), BLOCK)

    def outer(numbers: list[Value], carried: tuple[Value, ...]) -> Sequence[Value]:
        with p.scope(), p.b.loop(start, last, step=BLOCK, carried=carried) as blocks:
            end = p.b.minimum(p.b.add(blocks.index, BLOCK), last)
            first = p.b.maximum(blocks.index, begin)
            with p.scope(), p.b.loop(first, end, carried=[zero]) as inner:
                inner.next = tuple(term([*numbers, inner.index], inner.carried))
            blocks.next = (join(blocks.carried[0], inner.results[0]),)
        return blocks.results

    return p.nest(counts[:-1], [zero], outer)[0]


def _reduce(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    (x,) = node.inputs
    axes = node["axes"]
    counts = [p.sizes(x.shape[axis]) for axis in axes]

    def place(numbers: list[Value]) -> Index:
        given = dict(zip(axes, numbers, strict=True))
        return tuple(Coord(given[i]) if i in given else c for i, c in enumerate(index))

    def value(numbers: list[Value]) -> Value:
        return p.vector(x, place(numbers), mask)

    if node.op == "reduce_max":
        return p.nest(
            counts, [p.zero(node, lowest(node))], lambda n, c: [larger(p, value(n), c[0])]
        )[0]
    name = "fadd" if node.dtype.startswith("float") else "add"
    return blocked(
        p,
        counts,
        p.zero(node),
        lambda numbers, carried: [p.b.op(name, carried[0], value(numbers))],
        lambda total, part: p.b.op(name, total, part),
    )


def larger(p: Pull, value: Value, best: Value) -> Value:
    """The larger of two; NaN if either is."""
    b = p.b
    if element_type(value.type) not in ("float", "double"):
        return b.select(b.compare("sgt", value, best), value, best)
    # One instruction on x86, which gives `best` where either is NaN.
    chosen = b.select(b.compare("ogt", value, best), value, best)
    return b.select(b.compare("uno", value, value), value, chosen)


def _argmax(p: Pull, node: Node, index: Index, mask: Value | None) -> Value:
    (x,) = node.inputs
    axis = node["axis"]
    start = [p.zero(x, lowest(x)), p.zero(node, -1)]

    def body(numbers: list[Value], carried: tuple[Value, ...]) -> Sequence[Value]:
        best, where = carried
        value = p.vector(x, (*index[:axis], Coord(numbers[0]), *index[axis + 1 :]), mask)
        unset = p.b.compare("slt", where, p.zero(node))
        better = p.b.op("or", exceeds(p, value, best), unset)
        place = p.spread(p.b.convert("trunc", numbers[0], "i32"))
        return [p.b.select(better, value, best), p.b.select(better, place, where)]

    return p.nest([p.sizes(x.shape[axis])], start, body)[1]


REDUCTIONS: Mapping[str, Emission] = {
    "reduce_sum": _reduce,
    "reduce_max": _reduce,
    "argmax": _argmax,
}
