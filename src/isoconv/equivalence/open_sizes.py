"""Decides for all sizes of the axes whose sizes are left open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from isoconv.equivalence.answer import Equivalence, argument
from isoconv.equivalence.free import Free
from isoconv.equivalence.lengths import MOST, Bound, bounds, choices, combinations, filled
from isoconv.equivalence.sides import Shape, Side
from isoconv.errors import ArgumentError, RuntimeCheckError
from isoconv.rewriting.proof.values import NotUnderstoodError

SOME = 8
"""Where sizes are too many to decide all, those up to here are tried for a difference."""

Decide = Callable[[Side, Side], Equivalence]


def decide_open(a: Side, b: Side, decide: Decide) -> Equivalence:
    """The relation that holds for every size of the open axes, decided for those that matter."""
    try:
        found = bounds([a, b])
    except NotUnderstoodError as error:
        return plain("unknown", a, b, f"not understood with open sizes: {error}")
    every = combinations(found)
    if every > MOST:
        refuted = _refuted_at_one(a, b, decide, tuple(min(each.last, SOME) for each in found))
        reason = f"too many sizes to decide ({every} of at most {MOST}): {_all(found)}"
        return plain("unknown", a, b, reason) if refuted is None else refuted
    answer: Equivalence | None = None
    for sizes in choices(found):
        taken = [_takes(side, filled(side.open_shapes, sizes)) for side in (a, b)]
        if not any(taken):
            continue
        if not all(taken):
            return _only_one(a, b, sizes, taken[0])
        if answer is None or answer.weight_map is None:
            now = decide(a, b)
        elif Free(a, b).carried(answer.weight_map):
            continue
        else:
            now = _not_carried(decide(a, b), answer)
        if answer is not None and now.relation == answer.relation:
            continue
        if now.relation not in ("equal", "a_within_b", "b_within_a"):
            return with_reason(now, f"decided at the open sizes {sizes}")
        if answer is None:
            answer = now
        elif now.relation != answer.relation:
            return with_reason(now, f"at the open sizes {sizes}; at larger ones {answer.relation}")
    if answer is None:
        reason = f"neither side takes any of the sizes that were tried: {_all(found)}"
        return plain("unknown", a, b, reason)
    said = f"for every size of the open axes: decided for {_all(found)}"
    return with_reason(answer, said)


def _refuted_at_one(a: Side, b: Side, decide: Decide, sizes: tuple[int, ...]) -> Equivalence | None:
    """The answer at one choice of sizes if the sides differ there, which is enough."""
    if not all(_takes(side, filled(side.open_shapes, sizes)) for side in (a, b)):
        return None
    now = decide(a, b)
    if now.relation != "different":
        return None
    return with_reason(now, f"decided at the open sizes {sizes}")


def _all(found: Sequence[Bound]) -> str:
    """What was decided, axis by axis."""
    if len(set(found)) == 1:
        each = "" if len(found) == 1 else "every combination of "
        return f"{each}{found[0]}"
    every = [f"axis {axis}: {bound}" for axis, bound in enumerate(found)]
    return "every combination of " + "; ".join(every)


def _takes(side: Side, shapes: list[Shape]) -> bool:
    """Makes the side ready for these shapes; False where its layers refuse them."""
    try:
        side.trace(shapes, 1)
    except (ArgumentError, RuntimeCheckError):
        return False
    side.shapes = shapes
    return all(n > 0 for shape in side.output_shapes(shapes) for n in shape)


def _not_carried(now: Equivalence, before: Equivalence) -> Equivalence:
    """The answer at a size where the weights that carried a over to b elsewhere do not."""
    if now.relation != before.relation:
        return now
    reason = "no one map of the weights was found that holds for all sizes"
    return with_reason(replace(now, relation="unknown", weight_map=None), reason)


def _only_one(a: Side, b: Side, sizes: tuple[int, ...], by_a: bool) -> Equivalence:
    who = "a" if by_a else "b"
    reason = f"at the open sizes {sizes} only {who} takes its input"
    return plain("different", a, b, reason)


def plain(relation: str, a: Side, b: Side, reason: str) -> Equivalence:
    """An answer of one reason."""
    proof = argument(relation, a.title, b.title, [reason])
    return Equivalence(relation, proof, a=a.title, b=b.title, reasons=(reason,))


def with_reason(answer: Equivalence, reason: str) -> Equivalence:
    """The answer with one more reason, before the others."""
    reasons = (reason, *answer.reasons)
    return replace(
        answer, proof=argument(answer.relation, answer.a, answer.b, reasons), reasons=reasons
    )
