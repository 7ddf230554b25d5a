"""Expressions of sizes mean what Python's integers mean, and equal ones look equal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoconv.errors import InternalError, ShapeError
from isoconv.ir import sizes
from isoconv.ir.sizes import Size, ceildiv, evaluate, lower_bound, maximum, minimum, name, names

A, B, C = map(name, "abc")

leaf = st.one_of(st.sampled_from("abc"), st.integers(-9, 9))
trees = st.recursive(
    leaf,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["+", "-", "*", "max", "min"]), inner, inner),
        st.tuples(st.just("//"), inner, st.integers(1, 6)),
        st.tuples(st.just("//"), inner, st.sampled_from("abc")),
    ),
    max_leaves=8,
)
numbers = st.fixed_dictionaries({key: st.integers(1, 40) for key in "abc"})

PLAIN = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "//": lambda x, y: x // y,
    "max": max,
    "min": min,
}
SYMBOLIC = PLAIN | {"max": maximum, "min": minimum}


def build(tree, operations, leaf):
    if isinstance(tree, tuple):
        operation, left, right = tree
        sides = (build(side, operations, leaf) for side in (left, right))
        return operations[operation](*sides)
    return leaf(tree) if isinstance(tree, str) else tree


@given(trees, numbers)
def test_an_expression_is_what_its_numbers_give(tree, given):
    expected = build(tree, PLAIN, given.get)
    dim = build(tree, SYMBOLIC, name)
    assert evaluate(dim, given) == expected
    assert sizes.fold(dim, int, given.get, lambda op, x, y: PLAIN[op](x, y)) == expected


@given(trees, numbers)
def test_names_may_be_replaced_one_after_another(tree, given):
    dim = build(tree, SYMBOLIC, name)
    for key, value in given.items():
        dim = sizes.substitute(dim, {key: value})
    assert dim == build(tree, PLAIN, given.get)


@given(trees, numbers)
def test_a_lower_bound_is_one(tree, given):
    least = lower_bound(build(tree, SYMBOLIC, name))
    assert least is None or least <= build(tree, PLAIN, given.get)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (A + B - A, B),
        ((A + 1) * (A - 1), A * A - 1),
        (A * B // B, A),
        (2 * A // 2, A),
        ((A + 5) // 2, (A + 1) // 2 + 2),
        (3 * A // 2, A + A // 2),
        (-A // 2, A // 2 - A),
        ((A // 2 + 3) // 4, (A + 6) // 8),
        (ceildiv(A, 3) * 3 // 3, ceildiv(A, 3)),
        (maximum(A, B), maximum(B, A)),
        (maximum(A + 3, A), A + 3),
        (maximum(A, 0), A),
        (minimum(A, A + B), A),
        (A // A, 1),
        (sizes.product([2, A, B]), 2 * B * A),
    ],
)
def test_equal_sizes_compare_equal(left, right):
    assert left == right
    assert hash(left) == hash(right)


def test_numbers_come_out_as_integers():
    for dim in (A - A, 0 * A, (A + 7 - A) // 2, maximum(A - A, 2)):
        assert type(dim) is int


@pytest.mark.parametrize(
    ("dim", "text"),
    [
        (A, "a"),
        (2 * A * B - C + 1, "2*a*b - c + 1"),
        (-A, "-a"),
        ((A - 3) // 2, "floor(a + 1, 2) - 2"),
        (5 // A, "floor(5, a)"),
        (maximum(A - 2, B), "max(a - 2, b)"),
    ],
)
def test_sizes_read_like_arithmetic(dim, text):
    assert str(dim) == text


def test_the_names_of_an_expression():
    assert names(maximum(A // 2, B) * C + 1) == {"a", "b", "c"}
    assert names(7) == set()


def test_misuse_is_refused():
    with pytest.raises(InternalError, match="b, c"):
        evaluate(A + B * C, {"a": 1})
    for divisor in (0, -2):
        with pytest.raises(InternalError):
            A // divisor
    for text in ("max", "floor", "axis", "nan", "", "a b", "1a"):
        with pytest.raises(InternalError):
            name(text)
    assert isinstance(A, Size)


@pytest.mark.parametrize(
    ("size", "grow", "message"),
    [
        (A + B + C, lambda size: size * size, "terms multiplied"),
        (A, lambda size: size * size, "a product of 128 sizes"),
        (A, lambda size: maximum(size // B, size), "letters"),
    ],
)
def test_expressions_that_explode_are_refused_at_once(size, grow, message):
    def grown(size, times=40):
        return grown(grow(size), times - 1) if times else size

    with pytest.raises(ShapeError, match=message):
        grown(size)
