"""The reference against other libraries: the oracle of everything else must itself be right."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from isoconv.errors import ArgumentError, RuntimeCheckError, ShapeError
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph
from isoconv.ir.ops import make
from isoconv.ir.sizes import name
from isoconv.reference import run
from isoconv.reference.random import philox
from oracles import assert_close, compute, conv_by_jax, numbers, value
from oracles import given as tensor

# -- the form ---------------------------------------------------------------------------------

TAILS = (7, 8, 9, 15, 16, 17, 31, 32, 33)

# id: axes, lengths, groups, channels, filters
GRID = {
    "no axes": ([], [], 1, 5, 7),
    "no axes, groups": ([], [], 3, 6, 9),
    "valid": ([Axis(3)], [8], 1, 3, 5),
    "one tap": ([Axis(1)], [4], 1, 3, 2),
    "whole input": ([Axis(6)], [6], 1, 2, 3),
    "padded": ([Axis(3, 1, 1, 1, 1)], [6], 1, 3, 4),
    "padding wider than the kernel": ([Axis(2, 1, 1, 4, 3)], [3], 1, 2, 2),
    "asymmetric": ([Axis(4, 1, 1, 2, 0)], [5], 1, 3, 2),
    "cropped": ([Axis(3, 1, 1, -2, -1)], [9], 1, 2, 3),
    "cropped before, padded after": ([Axis(3, 2, 1, -1, 2)], [8], 1, 2, 3),
    "causal with stride": ([Axis(3, 2, 2, 4, 0)], [9], 1, 2, 3),
    "stride": ([Axis(3, 2)], [10], 1, 3, 2),
    "stride over the kernel": ([Axis(2, 5)], [13], 1, 3, 2),
    "dilation": ([Axis(3, 1, 4)], [11], 1, 2, 3),
    "dilation with stride": ([Axis(3, 3, 2, 1, 2)], [12], 1, 2, 3),
    "stride and dilation with a common factor": ([Axis(4, 4, 2, 3, 1)], [17], 1, 2, 2),
    "groups": ([Axis(3, 1, 1, 1, 1)], [6], 2, 6, 4),
    "depthwise": ([Axis(3, 1, 1, 0, 2)], [7], 5, 5, 5),
    "depthwise, multiplier 2": ([Axis(3)], [7], 5, 5, 10),
    "prime channels": ([Axis(2)], [5], 1, 13, 11),
    "two axes": ([Axis(2, 2, 1, 1, 0), Axis(3, 1, 2, 0, 3)], [5, 6], 2, 4, 6),
    "three axes": ([Axis(2), Axis(1, 2), Axis(3, 1, 1, -1, 2)], [3, 4, 5], 1, 3, 2),
} | {
    f"{c} channels, {f} filters": ([Axis(3, 1, 1, 1, 1)], [9], 1, c, f)
    for c, f in zip(TAILS, reversed(TAILS), strict=True)
}


def conv(face, *arrays, axes, groups, sizes):
    return compute("conv", *arrays, face=face, axes=tuple(axes), groups=groups, sizes=tuple(sizes))


@pytest.mark.parametrize("case", GRID.values(), ids=GRID)
def test_the_three_faces_are_convolution_and_its_gradients(case):
    axes, lengths, groups, channels, filters = case
    x = numbers(2, *lengths, channels)
    w = numbers(*(axis.taps for axis in axes), channels // groups, filters)
    y, pullback = jax.vjp(lambda x, w: conv_by_jax(x, w, axes, groups), x, w)
    dy = numbers(*y.shape, seed=1)
    dx, dw = pullback(dy)
    attrs = {"axes": axes, "groups": groups, "sizes": lengths}
    terms = channels * w.size // filters + dy.size
    assert_close(conv("y", x, w, **attrs), y, terms)
    assert_close(conv("x", w, dy, **attrs), dx, terms)
    assert_close(conv("w", x, dy, **attrs), dw, terms)


@st.composite
def geometries(draw):
    taps, stride, dilation = (draw(st.integers(1, 4)) for _ in range(3))
    low, high = (draw(st.integers(-2, 5)) for _ in range(2))
    return Axis(taps, stride, dilation, low, high), draw(st.integers(1, 12))


@settings(max_examples=60)
@given(st.lists(geometries(), min_size=1, max_size=3), st.integers(1, 3), st.integers(1, 3))
def test_any_geometry_is_torch_after_padding(drawn, groups, each):
    axes, lengths = zip(*drawn, strict=True)
    assume(all(axis.output(length) > 0 for axis, length in drawn))
    # torch cannot crop more than there is, even where it pads on the other side.
    assume(all(length + min(axis.low, 0) + min(axis.high, 0) > 0 for axis, length in drawn))
    x = numbers(2, *lengths, 2 * groups)
    w = numbers(*(axis.taps for axis in axes), 2, each * groups)
    tx, tw = (torch.tensor(array, requires_grad=True) for array in (x, w))
    n = len(axes)
    sides = [side for axis in reversed(axes) for side in (axis.low, axis.high)]
    padded = torch.nn.functional.pad(tx.movedim(-1, 1), sides)
    function = getattr(torch.nn.functional, f"conv{n}d")
    strides, dilations = ([getattr(a, k) for a in axes] for k in ("stride", "dilation"))
    weights = tw.permute(n + 1, n, *range(n)).contiguous()
    y = function(padded, weights, None, strides, 0, dilations, groups).movedim(1, -1)
    dy = numbers(*y.shape, seed=1)
    y.backward(torch.tensor(dy))
    attrs = {"axes": axes, "groups": groups, "sizes": lengths}
    assert_close(conv("y", x, w, **attrs), y.detach(), 64)
    assert_close(conv("x", w, dy, **attrs), tx.grad, 64)
    assert_close(conv("w", x, dy, **attrs), tw.grad, 256)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    ("taps", "stride", "dilation", "padding", "extra", "groups"),
    [(3, 1, 1, 0, 0, 1), (3, 2, 1, 1, 1, 1), (2, 3, 1, 0, 2, 2), (3, 2, 3, 2, 0, 2)],
)
def test_face_x_is_the_transposed_convolution(rank, taps, stride, dilation, padding, extra, groups):
    y, w = numbers(2, *[4] * rank, 4), numbers(*[taps] * rank, 3, 4)
    function = getattr(torch.nn.functional, f"conv_transpose{rank}d")
    ty = torch.tensor(y).movedim(-1, 1)
    # torch: [in, out / groups, taps...], its input being our y.
    tw = torch.tensor(w).permute(rank + 1, rank, *range(rank))
    expected = function(ty, tw, None, stride, padding, extra, groups, dilation).movedim(1, -1)
    axes = [Axis(taps, stride, dilation, padding, padding - extra)] * rank
    sizes = expected.shape[1:-1]
    assert_close(conv("x", w, y, axes=axes, groups=groups, sizes=sizes), expected, 64)


def test_a_wrong_padding_side_is_noticed():
    x, w = numbers(2, 7, 3), numbers(4, 3, 2)
    expected = conv_by_jax(x, w, [Axis(4, 1, 1, 2, 1)], 1)
    wrong = conv("y", x, w, axes=[Axis(4, 1, 1, 1, 2)], groups=1, sizes=[7])
    with pytest.raises(AssertionError):
        assert_close(wrong, expected, 12)


def test_what_is_absent_contributes_nothing():
    nan, axis = np.nan, Axis(3, 1, 1, 1, -1)
    x = np.array([1.0, 2, 3, 4, nan])[None, :, None]  # the NaN is cropped off
    w = np.array([nan, 1.0, 1.0])[:, None, None]
    y = conv("y", x, w, axes=[axis], groups=1, sizes=[5])[0, :, 0]
    np.testing.assert_array_equal(y, [3, nan, nan])  # the first tap of the first window is absent
    dx = conv("x", w, np.ones((1, 3, 1)), axes=[axis], groups=1, sizes=[5])[0, :, 0]
    np.testing.assert_array_equal(dx, [nan, nan, 2, 1, 0])
    dw = conv("w", x, np.ones((1, 3, 1)), axes=[axis], groups=1, sizes=[5])[:, 0, 0]
    np.testing.assert_array_equal(dw, [3, 6, 9])


@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (2, 0)])
def test_any_number_of_batch_axes(batch):
    attrs = {"axes": [Axis(2)], "groups": 1, "sizes": [4]}
    x, w, dy = numbers(*batch, 4, 2), numbers(2, 2, 3), numbers(*batch, 3, 3)
    flat = {key: array.reshape(-1, *array.shape[-2:]) for key, array in (("x", x), ("dy", dy))}
    y = conv("y", flat["x"], w, **attrs)
    np.testing.assert_array_equal(conv("y", x, w, **attrs), y.reshape(*batch, 3, 3))
    dw = conv("w", flat["x"], flat["dy"], **attrs)
    np.testing.assert_array_equal(conv("w", x, dy, **attrs), dw)


# -- pooling ----------------------------------------------------------------------------------

POOLS = {
    "one axis": ([Axis(2, 2)], [6]),
    "overlapping": ([Axis(3, 1, 1, 1, 1)], [7]),
    "stride over the window": ([Axis(2, 3, 1, 0, 1)], [8]),
    "dilated": ([Axis(2, 1, 3, 2, 1)], [8]),
    "cropped": ([Axis(2, 2, 1, -1, 1)], [6]),
    "two axes": ([Axis(2, 2, 1, 0, 1), Axis(3, 2, 1, 1, 1)], [5, 6]),
    "three axes": ([Axis(2), Axis(1, 2), Axis(3, 2, 1, 1, 1)], [3, 4, 5]),
}


def max_by_jax(x, axes):
    # Padded first: JAX cannot differentiate a pooling that crops.
    sides = [(0, 0, 0), *((axis.low, axis.high, 0) for axis in axes), (0, 0, 0)]
    padded = jax.lax.pad(x, -jnp.inf, sides)
    taps, strides, dilations = (
        (1, *(getattr(axis, key) for axis in axes), 1) for key in ("taps", "stride", "dilation")
    )
    return jax.lax.reduce_window(
        padded, -jnp.inf, jax.lax.max, taps, strides, "VALID", window_dilation=dilations
    )


@pytest.mark.parametrize("case", POOLS.values(), ids=POOLS)
def test_pooling_is_the_maximum_and_takes_its_first_place(case):
    axes, lengths = tuple(case[0]), case[1]
    # Few different numbers, so that there are ties.
    x = np.random.default_rng(0).integers(0, 3, (2, *lengths, 3)).astype("float64")
    y, pullback = jax.vjp(lambda x: max_by_jax(x, axes), x)
    taps = compute("pool_argmax", x, axes=axes)
    assert_close(compute("pool_max", x, axes=axes), y)
    assert_close(compute("pool_take", x, taps, axes=axes), y)
    if all(axis.dilation == 1 for axis in axes):
        dy = numbers(*y.shape)
        dx = compute("pool_scatter", dy, taps, axes=axes, sizes=tuple(lengths))
        assert_close(dx, pullback(dy)[0])


def test_nan_is_the_maximum_and_an_empty_window_has_none():
    axes, nan, inf = (Axis(2, 2, 1, 2, 1),), np.nan, np.inf
    x = np.array([-inf, -inf, 3, nan, nan])[None, :, None]
    taps = compute("pool_argmax", x, axes=axes)
    np.testing.assert_array_equal(
        compute("pool_max", x, axes=axes)[0, :, 0], [-inf, -inf, nan, nan]
    )
    np.testing.assert_array_equal(taps[0, :, 0], [-1, 0, 1, 0])
    taken = compute("pool_take", x, taps, axes=axes)[0, :, 0]
    np.testing.assert_array_equal(taken, [0, -inf, nan, nan])
    dx = compute("pool_scatter", np.ones((1, 4, 1)), taps, axes=axes, sizes=(5,))
    np.testing.assert_array_equal(dx[0, :, 0], [1, 0, 0, 1, 1])


# -- everything else --------------------------------------------------------------------------

P = np.abs(numbers(2, 3, 4)) + 0.1  # positive
A, B, ROW = numbers(2, 3, 4), numbers(2, 3, 4, seed=1), numbers(1, 3, 1)
ODD = np.array([-np.inf, -2.5, -0.0, 0.0, 0.5, 1e-12, np.inf, np.nan])
M, K = (np.random.default_rng(seed).integers(-3, 4, (2, 3)).astype("int32") for seed in (0, 1))
T, F = M > 0, K > 0

UNARY = {
    "neg": jnp.negative,
    "abs": jnp.abs,
    "sign": jnp.sign,
    "floor": jnp.floor,
    "relu": jax.nn.relu,
    "sqrt": jnp.sqrt,
    "exp": jnp.exp,
    "expm1": jnp.expm1,
    "log": jnp.log,
    "log1p": jnp.log1p,
    "tanh": jnp.tanh,
    "erf": jax.scipy.special.erf,
}
BINARY = {
    "add": jnp.add,
    "sub": jnp.subtract,
    "mul": jnp.multiply,
    "div": jnp.divide,
    "rem": jnp.fmod,
    "max": jnp.maximum,
    "min": jnp.minimum,
    "lt": jnp.less,
    "le": jnp.less_equal,
    "eq": jnp.equal,
}
CASES = (
    [(op, f, operand) for op, f in UNARY.items() for operand in ([P], [ODD])]
    + [(op, f, [A]) for op, f in (("sin", jnp.sin), ("cos", jnp.cos))]
    + [(op, f, xs) for op, f in BINARY.items() for xs in ([A, B], [A, ROW], [ODD, ODD[::-1]])]
    + [(op, f, [M, K]) for op, f in BINARY.items() if op not in ("div", "rem")]
    + [(op, UNARY[op], [M]) for op in ("neg", "abs", "sign")]
    + [
        ("pow", jnp.power, [P, B]),
        ("pow", jnp.power, [A, np.full((1, 1, 1), 3.0)]),
        ("and", jnp.logical_and, [T, F]),
        ("or", jnp.logical_or, [T, F]),
        ("not", jnp.logical_not, [T]),
        ("where", jnp.where, [A > 0, A, ROW]),
    ]
)


@pytest.mark.parametrize(("op", "function", "operands"), CASES)
@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_elementwise_operations(op, function, operands):
    actual, expected = compute(op, *operands), np.asarray(function(*operands))
    np.testing.assert_allclose(actual, expected, rtol=4e-15, atol=0)
    assert actual.dtype == expected.dtype


def padded_by_jax(x, low, high, interior, value):
    sides = list(zip(low, high, interior, strict=True))
    return jax.lax.pad(x, jnp.asarray(value, x.dtype), sides)


SEGMENTS = np.array([2, 0, 2, 1])
OTHERS = [
    ("cast", [A * 3], {"dtype": "int32"}, lambda x: np.trunc(x).astype("int32")),
    ("cast", [ODD[2:5]], {"dtype": "bool"}, lambda x: x != 0),
    ("full", [], {"value": 2.5, "shape": (2, 0), "dtype": "float32"}, lambda: np.ones((2, 0), "f")),
    ("iota", [], {"axis": 0, "shape": (2, 2), "dtype": "int64"}, lambda: [[0, 0], [1, 1]]),
    ("size", [], {"dim": 7, "dtype": "int64"}, lambda: 7),
    ("reshape", [A], {"shape": (4, 6)}, lambda x: x.ravel().reshape(4, 6)),
    ("transpose", [A], {"perm": (2, 0, 1)}, lambda x: np.einsum("abc->cab", x)),
    ("broadcast", [ROW], {"shape": (2, 3, 4)}, lambda x: x + np.zeros((2, 3, 4))),
    (
        "slice",
        [A],
        {"start": (1, 0, 1), "shape": (1, 2, 2), "step": (1, 2, 2)},
        lambda x: x[1:, ::2, 1::2],
    ),
    ("reverse", [A], {"axes": (0, 2)}, lambda x: x[::-1, :, ::-1]),
    ("concat", [A, B], {"axis": 1}, lambda x, y: [[*a, *b] for a, b in zip(x, y, strict=True)]),
    ("reduce_sum", [A], {"axes": (0, 2)}, lambda x: x.sum((0, 2), keepdims=True)),
    ("reduce_sum", [A], {"axes": ()}, lambda x: x),
    ("reduce_max", [A], {"axes": (1,)}, lambda x: x.max(1, keepdims=True)),
    ("reduce_max", [A[:0]], {"axes": (0,)}, lambda x: np.full((1, 3, 4), -np.inf)),
    ("argmax", [np.array([[1.0, 3, 3], [2, np.nan, 9]])], {"axis": 1}, lambda x: [[1], [1]]),
    ("gather", [A, np.array([[1, 0], [1, 1]])], {}, lambda x, i: np.take(x, i, 0)),
    (
        "scatter_add",
        [SEGMENTS, numbers(4, 2)],
        {"rows": 4},
        lambda i, x: jax.ops.segment_sum(x, i, 4),
    ),
]


@pytest.mark.parametrize(("op", "operands", "attrs", "function"), OTHERS)
def test_the_other_operations(op, operands, attrs, function):
    actual, expected = compute(op, *operands, **attrs), np.asarray(function(*operands))
    np.testing.assert_allclose(actual, expected, rtol=1e-14, atol=1e-14)
    assert actual.shape == expected.shape


@pytest.mark.parametrize("interior", [0, 2])
@pytest.mark.parametrize("low", [-2, 0, 3])
@pytest.mark.parametrize("high", [-1, 0, 2])
def test_pad_grows_crops_and_spreads(low, high, interior):
    attrs = {"low": (0, low), "high": (0, high), "interior": (0, interior), "value": 7.0}
    x = numbers(2, 5)
    np.testing.assert_array_equal(compute("pad", x, **attrs), padded_by_jax(x, **attrs))


@pytest.mark.parametrize("op", ["gather", "scatter_add"])
@pytest.mark.parametrize("wrong", [-1, 3])
def test_rows_outside_the_table_are_refused(op, wrong):
    rows, attrs = np.array([0, wrong]), {"rows": 3} if op == "scatter_add" else {}
    operands = [numbers(3, 2), rows] if op == "gather" else [rows, numbers(2, 2)]
    with pytest.raises(RuntimeCheckError, match=f"got {wrong}"):
        compute(op, *operands, **attrs)


# -- running ----------------------------------------------------------------------------------


def test_float64_is_asked_for_and_keeps_the_numbers_of_the_program():
    x = np.full((1,), 1 / 3, "float32")
    node = make("mul", tensor("x", x), make("full", value=0.1, shape=(1,), dtype="float32"))
    exact = np.float64(np.float32(1 / 3)) * np.float64(np.float32(0.1))
    assert value(node, {"x": x}, precision="float64") == [exact]
    assert value(node, {"x": x}).dtype == "float32"


def test_random_numbers_are_those_of_the_program_at_any_precision():
    key = np.array(-3)
    node = make("random", tensor("key", key), shape=(4, 500), dtype="float32")
    drawn = value(node, {"key": key})
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert abs(drawn.mean() - 0.5) < 0.02
    np.testing.assert_array_equal(value(node, {"key": key}, precision="float64"), drawn)
    assert not np.array_equal(value(node, {"key": np.array(4)}), drawn)


@pytest.mark.parametrize(
    ("key", "counter", "upper", "bits"),
    [
        (0, 0, 0, (0x6627E8D5, 0xE169C58D)),
        (2**64 - 1, 2**64 - 1, 2**64 - 1, (0x408F276D, 0x41C83B0E)),
        (0x299F31D0A4093822, 0x85A308D3243F6A88, 0x0370734413198A2E, (0xD16CFE09, 0x94FDCCEB)),
    ],
)
def test_philox_gives_the_answers_known_for_it(key, counter, upper, bits):
    (found,) = philox(np.uint64(key), np.array([counter], "uint64"), upper)
    first, second = (int(found) % 2**32, int(found) >> 32)
    assert (first, second) == bits


def test_sizes_are_bound_by_the_inputs_or_given():
    n, steps = name("n"), name("steps")
    x = make("input", name="x", shape=(n, n + steps), dtype="float32")
    graph = Graph((x,), (make("size", dim=steps * 10 + n, dtype="int64"),))
    (result,) = run(graph, {"x": np.zeros((2, 5))}, {"steps": 3})
    assert result == 32
    for shape, sizes, error in [
        ((2, 5), {"steps": 4}, RuntimeCheckError),
        ((2, 5), {"n": 3}, ShapeError),
        ((2,), {}, ShapeError),
    ]:
        with pytest.raises(error):
            value(x, {"x": np.zeros(shape)}, sizes=sizes)
    with pytest.raises(ArgumentError, match="'x'"):
        run(graph, {})
