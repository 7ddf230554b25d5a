"""Sizes of tensors that may be unknown until run time: integers, or expressions of named sizes.

An expression is kept as a polynomial in canonical form, so that equal sizes compare equal. Its
atoms are names, floor divisions and maxima.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Union

from isoconv.errors import InternalError, ShapeError, explain

# What an expression may grow to: no model needs as much, and a hostile file could ask for more
# than any machine has. Products of terms, factors of a term, and the letters of a factor.
_MOST_PRODUCTS, _MOST_FACTORS, _MOST_LETTERS = 4096, 64, 20_000


class _Written:
    """What is equal where it is written the same, because it is kept in canonical form."""

    @cached_property
    def text(self) -> str:
        raise NotImplementedError

    def __str__(self) -> str:
        return self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return type(other) is type(self) and other.text == self.text


@dataclass(frozen=True, eq=False)
class Name(_Written):
    """A size given at run time."""

    name: str

    @cached_property
    def text(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class Floor(_Written):
    """`numerator // divisor`, rounded towards minus infinity."""

    numerator: Dim
    divisor: Dim

    @cached_property
    def text(self) -> str:
        return f"floor({self.numerator}, {self.divisor})"


@dataclass(frozen=True, eq=False)
class Maximum(_Written):
    """The larger of two sizes."""

    left: Dim
    right: Dim

    @cached_property
    def text(self) -> str:
        return f"max({self.left}, {self.right})"


Atom = Name | Floor | Maximum
Monomial = tuple[Atom, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Size(_Written):
    """A polynomial of atoms with integer coefficients; build it with `+ - * //` and `maximum`."""

    terms: tuple[tuple[Monomial, int], ...]

    def __add__(self, other: Dim) -> Dim:
        if other == 0:
            return self
        return _collect([*self.terms, *_terms(other)])

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim) -> Dim:
        return self + other * -1

    def __rsub__(self, other: Dim) -> Dim:
        return self * -1 + other

    def __mul__(self, other: Dim) -> Dim:
        if isinstance(other, int):
            # The order of the terms stays as it is.
            return Size(tuple([(m, c * other) for m, c in self.terms])) if other else 0
        if len(self.terms) * len(other.terms) > _MOST_PRODUCTS:
            raise _too_large(f"{len(self.terms)} by {len(other.terms)} terms multiplied")
        return _collect(
            (_product(left, right), x * y) for left, x in self.terms for right, y in other.terms
        )

    __rmul__ = __mul__

    def __floordiv__(self, other: Dim) -> Dim:
        if isinstance(other, Size):
            return _divide_by_size(self, other)
        if other <= 0:
            raise InternalError(f"a size is divided by {other}")
        # Whole multiples of the divisor come out, so that what stays under it is unique.
        whole = _collect((m, c // other) for m, c in self.terms)
        rest = _collect((m, c % other) for m, c in self.terms)
        return whole + _floor(rest, other)

    def __rfloordiv__(self, other: int) -> Dim:
        return _atom(Floor(other, self))

    @cached_property
    def text(self) -> str:
        text = ""
        for monomial, coefficient in self.terms:
            number = abs(coefficient)
            shown = [] if number == 1 and monomial else [number]
            body = "*".join(map(str, [*shown, *monomial]))
            sign = "-" if coefficient < 0 else "+"
            text += f" {sign} {body}" if text else f"{sign}{body}".removeprefix("+")
        return text

    def __repr__(self) -> str:
        return self.text


Dim = Union[int, Size]  # noqa: UP007 - both sides are needed before Size exists
Shape = tuple[Dim, ...]

RESERVED = frozenset({"floor", "max", "axis", "inf", "nan", "true", "false"})
"""Words that mean something else where a size is printed."""


def name(text: str) -> Size:
    """The size called `text`, an identifier."""
    if not text.isidentifier() or text in RESERVED:
        raise InternalError(f"a size cannot be called {text!r}")
    return Size((((Name(text),), 1),))


def maximum(left: Dim, right: Dim) -> Dim:
    """The larger of two sizes, decided here where their difference is a known number."""
    for larger, smaller in ((left, right), (right, left)):
        least = lower_bound(larger - smaller)
        if least is not None and least >= 0:
            return larger
    if (isinstance(left, int), str(left)) > (isinstance(right, int), str(right)):
        left, right = right, left
    return _atom(Maximum(left, right))


def minimum(left: Dim, right: Dim) -> Dim:
    return -maximum(-left, -right)


def product(dims: Iterable[Dim]) -> Dim:
    """The number of elements of a shape."""
    result: Dim = 1
    for dim in dims:
        result = result * dim
    return result


def ceildiv(left: Dim, right: Dim) -> Dim:
    return (left + (right - 1)) // right


def lower_bound(dim: Dim) -> int | None:
    """A number that the size cannot fall below, where one is evident; a name is at least 0."""
    total = 0
    for monomial, coefficient in _terms(dim):
        least = _lower_term(monomial, coefficient)
        if least is None:
            return None
        total += least
    return total


def _lower_term(monomial: Monomial, coefficient: int) -> int | None:
    least = [_lower_atom(atom) for atom in monomial]
    found = [n for n in least if n is not None]
    if monomial and (coefficient < 0 or len(found) < len(least)):
        return None
    # A product of several is bounded by the product of their bounds only above zero.
    if len(found) > 1 and min(found) < 0:
        return None
    return coefficient * prod(found)


def _lower_atom(atom: Atom) -> int | None:
    match atom:
        case Name():
            return 0
        case Floor(numerator, int(divisor)):
            least = lower_bound(numerator)
            return None if least is None else least // divisor
        case Maximum(left, right):
            found = [n for n in map(lower_bound, (left, right)) if n is not None]
            return max(found, default=None)
    return None


def number(dim: Dim) -> int:
    """A size that must be a number by now, such as a count of channels."""
    if isinstance(dim, Size):
        raise InternalError(f"the size {dim} must be known here")
    return dim


def known(dims: Iterable[Dim]) -> bool:
    """Whether every size is a number."""
    return all(isinstance(dim, int) for dim in dims)


def names(dim: Dim) -> set[str]:
    """The run-time sizes that an expression is made of."""
    if isinstance(dim, int):
        return set()
    found: set[str] = set()
    for monomial, _ in dim.terms:
        for atom in monomial:
            match atom:
                case Name(text):
                    found.add(text)
                case Floor(numerator, divisor):
                    found |= names(numerator) | names(divisor)
                case Maximum(left, right):
                    found |= names(left) | names(right)
    return found


def substitute(dim: Dim, values: Mapping[str, Dim]) -> Dim:
    """The expression with names replaced; names that are not given stay."""
    if isinstance(dim, int):
        return dim
    total: Dim = 0
    for monomial, coefficient in dim.terms:
        total = total + coefficient * product(_substitute_atom(atom, values) for atom in monomial)
    return total


def evaluate(dim: Dim, values: Mapping[str, int]) -> int:
    """The number an expression comes to; every name must be given."""
    if isinstance(dim, int):
        return dim
    try:
        return sum([c * prod([_value(atom, values) for atom in m]) for m, c in dim.terms])
    except KeyError as error:
        missing = ", ".join(sorted(names(dim) - values.keys()))
        text = f"the sizes {missing} are needed to evaluate {dim}"
        raise InternalError(text) from error


def _value(atom: Atom, values: Mapping[str, int]) -> int:
    match atom:
        case Name(text):
            return values[text]
        case Floor(numerator, divisor):
            return evaluate(numerator, values) // evaluate(divisor, values)
        case Maximum(left, right):
            return max(evaluate(left, values), evaluate(right, values))


def fold(
    dim: Dim,
    number: Callable[[int], object],
    name_: Callable[[str], object],
    operate: Callable[[str, object, object], object],
) -> object:
    """Rebuilds an expression with other operations: "+", "*", "//" and "max"."""
    if isinstance(dim, int):
        return number(dim)
    total: object | None = None
    for monomial, coefficient in dim.terms:
        term: object | None = None if coefficient == 1 and monomial else number(coefficient)
        for atom in monomial:
            match atom:
                case Name(text):
                    value = name_(text)
                case Floor(left, right):
                    sides = (fold(side, number, name_, operate) for side in (left, right))
                    value = operate("//", *sides)
                case Maximum(left, right):
                    sides = (fold(side, number, name_, operate) for side in (left, right))
                    value = operate("max", *sides)
            term = value if term is None else operate("*", term, value)
        total = term if total is None else operate("+", total, term)
    return number(0) if total is None else total


def _substitute_atom(atom: Atom, values: Mapping[str, Dim]) -> Dim:
    match atom:
        case Name(text):
            return values.get(text, name(text))
        case Floor(numerator, divisor):
            return substitute(numerator, values) // substitute(divisor, values)
        case Maximum(left, right):
            return maximum(substitute(left, values), substitute(right, values))


def _terms(dim: Dim) -> tuple[tuple[Monomial, int], ...]:
    return dim.terms if isinstance(dim, Size) else (((), dim),)


def _too_large(what: str) -> ShapeError:
    return ShapeError(explain("a size", what, "an expression that can be worked with"))


def _atom(atom: Floor | Maximum) -> Size:
    """The size that is this alone."""
    if len(atom.text) > _MOST_LETTERS:
        raise _too_large(f"one of {len(atom.text)} letters")
    return Size((((atom,), 1),))


def _product(left: Monomial, right: Monomial) -> Monomial:
    if len(left) + len(right) > _MOST_FACTORS:
        raise _too_large(f"a product of {len(left) + len(right)} sizes")
    return tuple(sorted(left + right, key=str)) if left and right else left or right


def _collect(terms: Iterable[tuple[Monomial, int]]) -> Dim:
    total: dict[Monomial, int] = {}
    for monomial, coefficient in terms:
        total[monomial] = total.get(monomial, 0) + coefficient
    kept = {m: c for m, c in total.items() if c}
    if all(not monomial for monomial in kept):
        return kept.get((), 0)
    return Size(tuple(sorted(kept.items(), key=_order)))


def _order(term: tuple[Monomial, int]) -> tuple[bool, str]:
    monomial, _ = term
    return (not monomial, "*".join(map(str, monomial)))


def _floor(rest: Dim, divisor: int) -> Dim:
    """`rest // divisor`, where the coefficients of `rest` are in 0..divisor-1."""
    if isinstance(rest, int):
        return rest // divisor
    match rest.terms:
        # floor((floor(n / a) + c) / b) = floor((n + c*a) / (a*b))
        case (((Floor(inner, int(first)),), 1),):
            return inner // (first * divisor)
        case (((Floor(inner, int(first)),), 1), ((), offset)):
            return (inner + offset * first) // (first * divisor)
    return _atom(Floor(rest, divisor))


def _divide_by_size(left: Size, right: Size) -> Dim:
    if left == right:
        return 1
    if len(right.terms) == 1:
        quotient = list(_divide_terms(left, right.terms[0]))
        if len(quotient) == len(left.terms):
            return _collect(quotient)
    return _atom(Floor(left, right))


def _divide_terms(left: Size, divisor: tuple[Monomial, int]) -> Iterator[tuple[Monomial, int]]:
    """The terms of `left` that `divisor` divides exactly, divided."""
    monomial, coefficient = divisor
    for factors, number in left.terms:
        remaining = list(factors)
        for atom in monomial:
            if atom not in remaining:
                break
            remaining.remove(atom)
        else:
            if number % coefficient == 0:
                yield tuple(remaining), number // coefficient
