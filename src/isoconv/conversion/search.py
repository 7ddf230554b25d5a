"""Which chains the rules lead to, from one chain and its input's shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from isoconv.conversion.chain import Chain, Pending, Shape
from isoconv.conversion.describe import name_of
from isoconv.conversion.rule import LayerRule
from isoconv.conversion.rules import ALL
from isoconv.errors import ShapeError
from isoconv.layers.base import Layer
from isoconv.layers.reshaping import Permute, Reshape

_LONGEST = 10


@dataclass(frozen=True)
class Found:
    """A chain of layers, and the rules that led to it, in order.

    plan: the layers, which have their weights once those that are `pending` are filled in, in this
    order.
    """

    plan: tuple[Layer, ...]
    rules: tuple[LayerRule, ...] = ()
    pending: tuple[Pending, ...] = ()

    @property
    def name(self) -> str:
        return name_of(self.plan)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers with their weights."""
        self.fill()
        return self.plan

    def fill(self) -> None:
        """Gives the layers their weights, if they have not had them."""
        for each in self.pending:
            each.fill()


def reachable(given: Sequence[Layer], shape: Shape, depth: int) -> Iterator[Found]:
    """The chains that up to `depth` rules lead to, nearest first, each once; the first is the
    given one. Shapes are without the batch.
    """
    start = Found(tuple(given))
    seen, latest = {start.name}, [start]
    yield start
    for _ in range(depth):
        nearer, latest = latest, []
        for found in nearer:
            for new in _next(found, shape):
                if new.name not in seen and len(new.plan) <= _LONGEST:
                    seen.add(new.name)
                    latest.append(new)
                    yield new


def _next(found: Found, shape: Shape) -> Iterator[Found]:
    shapes = shapes_along(found.plan, shape)
    for rule in ALL:
        width = len(rule.takes)
        for place in range(len(found.plan) - width + 1):
            chain = applied(rule, shapes[place], found.plan[place : place + width])
            if chain is not None:
                plan = (*found.plan[:place], *chain.plan, *found.plan[place + width :])
                rules, pending = (*found.rules, rule), (*found.pending, *chain.pending)
                yield Found(tidy(plan, shape), rules, pending)


def tidy(layers: Sequence[Layer], shape: Shape) -> tuple[Layer, ...]:
    """The chain without what undoes itself: one Reshape for two in a row, no two Permutes that
    cancel, nothing where no shape changes.
    """
    kept: list[Layer] = []
    before = [shape]
    for layer in layers:
        if isinstance(layer, Reshape) and kept and isinstance(kept[-1], Reshape):
            kept.pop()
            before.pop()
        after = tuple(layer.compute_output_shape((None, *before[-1]))[1:])
        if isinstance(layer, Permute) and kept and isinstance(kept[-1], Permute):
            dims = kept[-1].dims
            if all(dims[axis - 1] == place for place, axis in enumerate(layer.dims, 1)):
                kept.pop()
                before.pop()
                continue
        if isinstance(layer, Reshape) and after == before[-1]:
            continue
        kept.append(layer)
        before.append(after)
    return tuple(kept)


def applied(rule: LayerRule, shape: Shape, given: Sequence[Layer]) -> Chain | None:
    """The other side of a rule; None where it does not hold, or a length is needed and unknown."""
    try:
        return rule.apply(shape, given)
    except ShapeError:
        return None


def shapes_along(layers: Sequence[Layer], shape: Shape) -> list[Shape]:
    """The shape before each layer, and after the last."""
    shapes = [shape]
    for layer in layers:
        shapes.append(tuple(layer.compute_output_shape((None, *shapes[-1]))[1:]))
    return shapes
