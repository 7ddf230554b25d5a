"""The answer: a relation, why it holds, what the weights become, and where two sides differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any

import numpy as np

from isoconv.ops.recorder import Array
from isoconv.sections import Section, as_html

WORDS = {
    "equal": "a and b are equal",
    "a_within_b": "every a is a b, not one to one the other way",
    "b_within_a": "every b is an a, not one to one the other way",
    "different": "a and b are different",
    "rounding": "a and b differ only by rounding",
    "unknown": "not known",
}


@dataclass(frozen=True)
class Counterexample:
    """An input on which the two sides differ, with what both really give there.

    input: without the batch (a list for several inputs). a, b: both outputs. place: the flat
    index of the output element that was looked at. weights: with free weights, those of `side`
    ("a" or "b") whose function no weights of the other side give; other_weights: those of the
    other side fitted to it. why: what the other side cannot do.
    """

    input: Any
    a: Any
    b: Any
    place: int | None = None
    side: str | None = None
    weights: list[Array] | None = None
    other_weights: list[Array] | None = None
    why: str = ""

    def __str__(self) -> str:
        lines = []
        if self.side:
            other = "b" if self.side == "a" else "a"
            lines.append(
                _fill(f"With some weights {self.side} is no {other}: of every {other}, {self.why}.")
            )
        if self.input is not None:
            lines.append(_fill(f"On the input {_show(self.input)}"))
        if self.place is None:
            lines.append(f"  a gives the shape {np.shape(self.a)}, b the shape {np.shape(self.b)}")
        else:
            for name, value in (("a", self.a), ("b", self.b)):
                lines.append(f"  {name} gives {_element(value, self.place)}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Equivalence:
    """What `equivalent` answers; true exactly for equal sides.

    relation: "equal", "a_within_b", "b_within_a", "different", "rounding" (given weights only)
    or "unknown". proof: the argument, in lines of at most 80 columns. counterexample: where the
    sides differ, if they do. weight_map: a function from the weights of the one side, as
    `get_weights` orders them, to those of the other: of a to b, for "b_within_a" of b to a.
    numeric: "exact" (the same sums of the same products), "folding" (weights are computed from
    others, which rounds), "rounded" (given weights that were themselves rounded when converted)
    or None. reasons: the lines of the argument. a, b: what was compared, as text.
    """

    relation: str
    proof: str
    counterexample: Counterexample | None = None
    weight_map: Any = None
    numeric: str | None = None
    reasons: tuple[str, ...] = ()
    a: str = ""
    b: str = ""

    def __bool__(self) -> bool:
        return self.relation == "equal"

    def __str__(self) -> str:
        return self.proof if self.counterexample is None else f"{self.proof}\n{self.counterexample}"

    def as_dict(self) -> dict[str, Any]:
        """The answer as plain data."""
        example = self.counterexample
        return {
            "relation": self.relation,
            "equal": bool(self),
            "numeric": self.numeric,
            "reasons": list(self.reasons),
            "counterexample": None if example is None else str(example),
            "proof": self.proof,
        }

    __repr__ = __str__

    def _repr_html_(self) -> str:
        title = f"{self.relation}: {WORDS[self.relation]}"
        found = [Section(title, (), [("a", self.a), ("b", self.b)]), Section("Why", self.reasons)]
        if self.counterexample is not None:
            found.append(Section("Where they differ", str(self.counterexample).splitlines()))
        return as_html(found)


def argument(relation: str, a: str, b: str, reasons: Sequence[str]) -> str:
    """The proof as text."""
    lines = [_fill(f"{relation}: {WORDS[relation]}")]
    lines += [_fill(f"a = {a}", 4), _fill(f"b = {b}", 4)]
    lines += [_fill(f"- {reason}", 2) for reason in reasons]
    return "\n".join(lines)


def _fill(text: str, indent: int = 0) -> str:
    return "\n".join(
        fill(
            line, 80, subsequent_indent=" " * indent, break_long_words=True, break_on_hyphens=False
        )
        for line in text.splitlines()
    )


def _show(value: Any) -> str:
    """A small array in full; a large one by its elements that are not 0."""
    if isinstance(value, list):
        return ", ".join(map(_show, value))
    array = np.asarray(value)
    if array.size <= 12:
        return f"{array.tolist()}"
    spots = np.argwhere(array)
    shown = ", ".join(f"{array[tuple(s)]:g} at {tuple(int(i) for i in s)}" for s in spots[:4])
    more = f" and {len(spots) - 4} more" if len(spots) > 4 else ""
    return f"of shape {array.shape} with {shown}{more}, else 0" if len(spots) else "of zeros"


def _element(value: Any, place: int) -> str:
    arrays = value if isinstance(value, list) else [value]
    for array in map(np.asarray, arrays):
        if place < array.size:
            where = tuple(int(i) for i in np.unravel_index(place, array.shape))
            return f"{array[where]:.9g} at {where} of {array.shape}"
        place -= array.size
    return "nothing"
