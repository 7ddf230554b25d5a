"""The question: are two layers, models or chains of layers the same function?"""

from __future__ import annotations

from math import prod
from typing import Any

from isoconv.equivalence.answer import Equivalence
from isoconv.equivalence.free import Free, decide_free
from isoconv.equivalence.given import decide_given
from isoconv.equivalence.open_sizes import decide_open
from isoconv.equivalence.reduce import decide_reduced
from isoconv.equivalence.sides import Shape, Side, numbers
from isoconv.errors import ArgumentError, ShapeError, explain


def equivalent(
    a: Any,
    b: Any,
    input_shape: Any = None,
    other_shape: Any = None,
    weights: str = "free",
) -> Equivalence:
    """Whether a and b are the same function, and why or where they are not.

    Inputs and outputs of different shapes but as many elements are identified in row-major
    order, and the answer says so. Nothing is compared within a tolerance.

    Args:
        a, b: layers, models, lists of layers one after the other, or specs such as
            "Conv1D(64, 3) > Flatten()".
        input_shape: the shape of a's input without the batch; None for a size stands for every
            size. May be left out where a knows it. A list of shapes for several inputs.
        other_shape: that of b's input; b's own, else `input_shape`, if left out.
        weights: "free" asks whether each function that some weights give to one side is given
            by some weights to the other; "given" compares with the weights both hold.

    Raises:
        ArgumentError: for what is no layer, is random or changes in training mode, or has no
            weights to compare.
        ShapeError: where a shape is missing, or the inputs have different numbers of elements.
    """
    if weights not in ("free", "given"):
        raise ArgumentError(explain("equivalent: weights", repr(weights), "'free' or 'given'"))
    keep = weights == "given"
    left, right = Side(a, "a", keep), Side(b, "b", keep)
    shapes = _shapes(left, input_shape, "input_shape")
    others = _other_shapes(right, other_shape, shapes)
    if shapes is None:
        if others is None or other_shape is None:
            remedy = "Give input_shape, without the batch."
            raise ShapeError(explain("equivalent: a", "no input_shape", "one it knows", remedy))
        shapes = others
    assert others is not None
    _fit(shapes, others)
    left.ready(shapes)
    right.ready(others)
    decide = decide_given if keep else decide_free
    if any(None in shape for shape in (*shapes, *others)):
        return decide_open(left, right, decide)
    if not keep:
        free = Free(left, right)
        reduced = None if free.is_plain() else decide_reduced(left, right)
        return free.decide() if reduced is None else reduced
    return decide(left, right)


def _shapes(side: Side, given: Any, where: str) -> list[Shape] | None:
    if given is None:
        return side.own_shapes()
    several = isinstance(given, list) and any(isinstance(each, list | tuple) for each in given)
    each = given if several else [given]
    return [numbers(shape, f"equivalent: {where}") for shape in each]


def _other_shapes(side: Side, given: Any, shapes: list[Shape] | None) -> list[Shape] | None:
    found = _shapes(side, given, "other_shape")
    return shapes if found is None else found


def _fit(shapes: list[Shape], others: list[Shape]) -> None:
    """The inputs must have as many elements; ShapeError else."""
    if [_elements(each) for each in shapes] == [_elements(each) for each in others]:
        return
    remedy = "Give the shapes of both inputs, with as many elements in each."
    given = f"{_show(shapes)} and {_show(others)}"
    raise ShapeError(explain("equivalent: input shapes", given, "equal sizes", remedy))


def _elements(shape: Shape) -> tuple[int, int]:
    """The product of the known sizes, and how many are not known."""
    return prod(n for n in shape if n is not None), sum(n is None for n in shape)


def _show(shapes: list[Shape]) -> str:
    return ", ".join(map(str, shapes))
