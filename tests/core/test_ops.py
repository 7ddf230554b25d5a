"""Operations against Keras' on JAX, at once and with sizes known at run time only."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from oracle import close, numbers

import isoconv
from isoconv import ops
from isoconv.errors import ArgumentError, DtypeError, RuntimeCheckError, ShapeError
from isoconv.ops.compiled import Compiled
from isoconv.ops.random import normal
from isoconv.ops.seeds import SeedGenerator
from isoconv.ops.tensor import KerasTensor

X = numbers(3, 4, 5)
POSITIVE = np.abs(X) + 0.1

UNARY = [
    "absolute", "ceil", "cos", "erf", "exp", "expm1", "floor", "negative", "round", "sign", "sin",
    "square", "tanh", "relu", "relu6", "leaky_relu", "elu", "celu", "selu", "sigmoid",
    "hard_sigmoid", "log_sigmoid", "softplus", "softsign", "silu", "hard_silu", "gelu", "softmax",
    "log_softmax", "isnan", "isfinite", "logical_not", "transpose", "sum", "mean", "max", "min",
    "var", "std", "all", "any", "argmax", "argmin", "count_nonzero", "logsumexp", "hard_tanh",
    "ones_like", "zeros_like", "reciprocal",
]  # fmt: skip
POSITIVE_UNARY = ["log", "log1p", "log2", "log10", "sqrt", "rsqrt"]
BINARY = [
    "add", "subtract", "multiply", "divide", "floor_divide", "mod", "maximum", "minimum", "equal",
    "not_equal", "less", "less_equal", "greater", "greater_equal", "logical_and", "logical_or",
]  # fmt: skip


def same(name: str, *args, **kwargs) -> None:
    """Ours at once, ours with run-time sizes on every axis, and Keras'."""
    ours, theirs = getattr(ops, name), getattr(keras.ops, name)
    expected = theirs(*args, **kwargs)
    actual = ours(*args, **kwargs)
    wanted = np.asarray(expected).dtype
    # Keras computes some functions of float64 arrays in float32, and the mean partly.
    close(actual, expected, 1e-5 if wanted == "float32" or name == "mean" else 1e-11)
    assert actual.dtype.kind == wanted.kind
    later = Compiled(ours, lambda index, array: range(array.ndim))
    close(later(*args, **kwargs), actual)


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    same(name, X)


@pytest.mark.parametrize("name", POSITIVE_UNARY)
def test_unary_of_positive(name):
    same(name, POSITIVE)


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("other", [numbers(3, 4, 5, seed=2), numbers(4, 1, seed=1), 0.7, X])
def test_binary(name, other):
    ours, theirs = getattr(ops, name), getattr(keras.ops, name)
    close(ours(X, other), theirs(X, other))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["floor_divide", "mod"])
def test_division_with_rest_is_exact(name, dtype):
    """Where a rounded quotient would be another whole number, at infinities and at zero."""
    values = [0.0, 1, -1, 2.5, -2.5, 7, 3, 0.1, -0.1, 0.3, 1e30, np.inf, -np.inf, np.nan]
    a, b = np.meshgrid(np.array(values, dtype), np.array(values, dtype))
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(getattr(ops, name)(a, b), getattr(np, name)(a, b))


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "var", "std", "logsumexp"])
@pytest.mark.parametrize("axis", [0, -1, (0, 2), None])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(name, axis, keepdims):
    same(name, X, axis=axis, keepdims=keepdims)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_places(axis):
    same("argmax", X, axis=axis)
    same("argmin", X, axis=axis, keepdims=True)


@pytest.mark.parametrize(
    "exponent", [0, 1, 2, 3, 4, 5, 2.0, 0.5, -1.0], ids=lambda value: repr(value)
)
def test_power(exponent):
    close(ops.power(POSITIVE, exponent), POSITIVE**exponent)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("reshape", ((-1, 10),)),
        ("reshape", ((5, 3, 4),)),
        ("transpose", ((2, 0, 1),)),
        ("moveaxis", (0, -1)),
        ("swapaxes", (0, 2)),
        ("expand_dims", (1,)),
        ("expand_dims", ((0, -1),)),
        ("flip", (1,)),
        ("flip", ()),
        ("repeat", (2, 1)),
        ("repeat", (3,)),
        ("tile", ((2, 1, 3),)),
        ("tile", (2,)),
        ("pad", (((1, 2), (0, 0), (3, 1)),)),
        ("pad", (1,)),
        ("clip", (-0.5, 0.5)),
        ("broadcast_to", ((2, 3, 4, 5),)),
        ("take", (np.array([[0, 2], [1, -1]]), 1)),
        ("take", (np.array([7, 0]),)),
        ("take_along_axis", (np.array([[[1], [0], [3], [4]]] * 3), -1)),
        ("take_along_axis", (np.array([7, 0, -1]),)),
    ],
)
def test_moving(name, args):
    close(getattr(ops, name)(X, *args), getattr(keras.ops, name)(X, *args))


@pytest.mark.parametrize(
    "key",
    [
        1,
        -1,
        (0, 2),
        slice(1, 3),
        (..., 2),
        (slice(None), None, slice(None, None, 2)),
        (slice(None), slice(-2, None)),
        (slice(None), slice(None, -1)),
        (slice(None), slice(1, 100)),
        (slice(None), slice(None, None, -1)),
        (0, ..., slice(3, 0, -2)),
        (slice(2, 1),),
        (slice(-100, 2), slice(0, 3, 2)),
    ],
    ids=str,
)
def test_indexing(key):
    np.testing.assert_array_equal(ops.getitem(X, key), X[key])
    if "-2" not in str(key):
        later = Compiled(lambda x: x[key], lambda index, array: range(array.ndim))
        np.testing.assert_array_equal(later(X), X[key])


def test_joining():
    y = numbers(3, 2, 5)
    same("concatenate", [X, y], axis=1)
    same("concatenate", [X, X])
    same("stack", [X, X], axis=1)
    for ours, theirs in zip(ops.split(X, 2, axis=1), np.split(X, 2, axis=1), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    parts = ops.split(X, [1, 3], axis=1)
    assert [part.shape[1] for part in parts] == [1, 2, 1]


def test_making():
    assert ops.zeros((2, 3)).dtype == "float32"
    np.testing.assert_array_equal(ops.full((2,), 3, dtype="int32"), [3, 3])
    np.testing.assert_array_equal(ops.arange(5), range(5))
    np.testing.assert_array_equal(ops.arange(1, 10, 3), range(1, 10, 3))
    np.testing.assert_array_equal(ops.arange(3, 0), [])
    np.testing.assert_array_equal(ops.eye(2, 3, 1), np.eye(2, 3, 1))
    np.testing.assert_array_equal(ops.one_hot([0, 2, 5], 3), [[1, 0, 0], [0, 0, 1], [0, 0, 0]])
    same("one_hot", np.array([[0, 1]]), 4, axis=1)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((4, 5), (5, 3)),
        ((2, 4, 5), (5, 3)),
        ((2, 4, 5), (2, 5, 3)),
        ((2, 1, 4, 5), (3, 5, 2)),
        ((5,), (5,)),
        ((5,), (5, 3)),
        ((4, 5), (5,)),
        ((2, 4, 5), (5,)),
        ((5,), (2, 5, 3)),
    ],
)
def test_matmul(left, right):
    if left[:-2] == right[:-2]:
        same("matmul", numbers(*left), numbers(*right))
    close(ops.matmul(numbers(*left), numbers(*right)), numbers(*left) @ numbers(*right))


def test_dot_and_tensordot():
    a, b = numbers(2, 3, 4), numbers(5, 4, 6)
    close(ops.dot(a, b), np.dot(a, b))
    close(ops.dot(a, 2.0), a * 2)
    close(ops.tensordot(a, numbers(4, 3, 2), [[1, 2], [1, 0]]),
          np.tensordot(a, numbers(4, 3, 2), [[1, 2], [1, 0]]))  # fmt: skip
    close(ops.outer(a[0, 0], b[0, 0]), np.outer(a[0, 0], b[0, 0]))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_windows(rank, padding, stride, data_format):
    spatial = (7, 5, 6)[:rank]
    last = data_format == "channels_last"
    x = numbers(2, *spatial, 4) if last else numbers(2, 4, *spatial)
    options = {"strides": stride, "padding": padding, "data_format": data_format}
    w = numbers(*(3, 2, 2)[:rank], 2, 6)
    close(ops.conv(x, w, **options), keras.ops.conv(x, w, **options))
    w = numbers(*(3, 2, 2)[:rank], 5, 4)
    close(ops.conv_transpose(x, w, **options), keras.ops.conv_transpose(x, w, **options))
    pool = (3, 2, 2)[:rank]
    close(ops.max_pool(x, pool, **options), keras.ops.max_pool(x, pool, **options))
    close(ops.average_pool(x, pool, **options), keras.ops.average_pool(x, pool, **options))
    if rank < 3:
        w = numbers(*(3, 2)[:rank], 4, 2)
        close(ops.depthwise_conv(x, w, **options), keras.ops.depthwise_conv(x, w, **options))
        p = numbers(*(1,) * rank, 8, 3)
        close(ops.separable_conv(x, w, p, **options), keras.ops.separable_conv(x, w, p, **options))


@pytest.mark.parametrize("number", [0, -1, 1.5, (0,), (1, 1), "a", None])
def test_windows_of_no_size_are_refused(number):
    x, w = numbers(1, 8, 3), numbers(3, 3, 3)
    calls = {
        "strides": lambda: ops.conv(x, w, strides=number),
        "dilation_rate": lambda: ops.conv_transpose(x, w, dilation_rate=number),
        "pool_size": lambda: ops.max_pool(x, number, 1),
    }
    for name, call in calls.items():
        with pytest.raises(ArgumentError, match=f"{name}: expected an integer of at least 1"):
            call()


@pytest.mark.parametrize("padding", ["sane", 3, None, ((1, 1), (1, 1))])
def test_windows_of_no_padding_there_is_are_refused(padding):
    x, w = numbers(1, 8, 3), numbers(3, 3, 3)
    calls = (
        lambda: ops.conv(x, w, padding=padding),
        lambda: ops.conv_transpose(x, w, padding=padding),
        lambda: ops.max_pool(x, 2, padding=padding),
    )
    for call in calls:
        with pytest.raises(ArgumentError, match="padding: expected"):
            call()


def test_numbers_take_the_dtype_of_tensors():
    x = np.ones(2, "float32")
    assert ops.add(x, 1).dtype == ops.add(x, 2.5).dtype == ops.multiply(np.float64(2), x).dtype
    assert ops.add(np.ones(2, "int32"), 1).dtype == "int32"
    assert ops.add(np.ones(2, "int32"), 1.5).dtype == "float32"
    assert ops.add(np.ones(2, bool), 1).dtype == "int32"
    assert ops.divide(np.ones(2, "int64"), 2).dtype == "float32"
    assert ops.add(x, np.ones(2)).dtype == "float64"


def test_defaults_are_those_of_the_moment():
    x, w = numbers(1, 3, 5), numbers(2, 3, 4)
    assert ops.zeros((2,)).dtype == "float32"
    with pytest.raises(ShapeError):
        ops.conv(x, w)
    try:
        isoconv.set_floatx("float64")
        isoconv.set_image_data_format("channels_first")
        assert ops.zeros((2,)).dtype == "float64"
        assert ops.conv(x, w).shape == (1, 4, 4)
    finally:
        isoconv.set_floatx("float32")
        isoconv.set_image_data_format("channels_last")
    assert ops.zeros((2,)).dtype == "float32"


def test_foreign_arrays_are_taken():
    assert ops.add(np.ones(2, "float16"), 1).dtype == "float32"
    assert ops.add(np.ones(2, "uint8"), 1).dtype == "int32"
    assert ops.add(np.ones((4, 4))[::2, 1:], 1).shape == (2, 3)
    fixed = np.ones(3)
    fixed.flags.writeable = False
    np.testing.assert_array_equal(ops.add(fixed, 1), [2, 2, 2])
    np.testing.assert_array_equal(ops.add(np.ones(2, ">f8"), 1), [2, 2])


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "silu", "elu", "gelu", "softmax",
                                  "log_softmax", "logsumexp", "log_sigmoid", "selu"])  # fmt: skip
def test_extremes_stay_finite_with_their_gradients(name):
    x = np.array([-1e4, -100.0, -1.0, 0.0, 1.0, 100.0, 1e4], "float32")
    y, pullback = isoconv.vjp(getattr(ops, name), x)
    (dx,) = pullback(np.ones_like(y))
    assert np.isfinite(y).all()
    assert np.isfinite(dx).all()


@pytest.mark.parametrize(
    ("name", "slope"), [("sigmoid", 0.25), ("softplus", 0.5), ("relu", 0.0), ("elu", 1.0),
                        ("silu", 0.5), ("tanh", 1.0), ("absolute", 0.0)],
)  # fmt: skip
def test_gradient_at_zero(name, slope):
    _, pullback = isoconv.vjp(getattr(ops, name), np.zeros(1))
    assert pullback(np.ones(1))[0] == pytest.approx(slope)


def test_relu_keeps_nan():
    assert np.isnan(ops.relu(np.array([np.nan]))).all()


def test_no_gradient_flows_where_it_is_stopped():
    _, pullback = isoconv.vjp(lambda x: ops.sum(x * ops.stop_gradient(x)), X)
    np.testing.assert_array_equal(pullback(np.float64(1))[0], X)


def test_random_numbers_repeat_with_the_seed():
    first = ops.random.uniform((1000,), seed=3)
    np.testing.assert_array_equal(first, ops.random.uniform((1000,), seed=3))
    assert (first != ops.random.uniform((1000,), seed=4)).all()
    seed = SeedGenerator(3)
    drawn = [ops.random.uniform((5,), seed=seed) for _ in range(2)]
    assert (drawn[0] != drawn[1]).all()
    isoconv.utils.set_random_seed(5)
    again = normal((3,))
    isoconv.utils.set_random_seed(5)
    np.testing.assert_array_equal(normal((3,)), again)


def test_random_distributions():
    sample = ops.random.normal((40_000,), 2.0, 3.0, dtype="float64", seed=1)
    assert sample.mean() == pytest.approx(2.0, abs=0.06)
    assert sample.std() == pytest.approx(3.0, abs=0.06)
    assert abs(((sample - 2) / 3) ** 3).mean() == pytest.approx(1.596, abs=0.06)
    whole = ops.random.randint((1000,), 2, 5, seed=1)
    assert set(whole) == {2, 3, 4}
    kept = ops.random.dropout(np.ones((10_000,)), 0.25, seed=2)
    assert set(np.unique(kept)) == {0.0, 1 / 0.75}
    assert kept.mean() == pytest.approx(1.0, abs=0.03)
    wide = ops.random.dropout(np.ones((4, 6)), 0.5, noise_shape=(None, 1), seed=2)
    assert (wide == wide[:, :1]).all()


def test_functions_on_keras_tensors_record_themselves():
    x = isoconv.Input((None, 3))
    y = ops.relu(x * 2)[:, 1:]
    assert isinstance(y, KerasTensor)
    assert y.shape == (None, None, 3)
    assert ops.concatenate([x, x], axis=-1).shape == (None, None, 6)
    assert ops.sum(x, axis=1).shape == (None, 3)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: ops.add(np.ones(3), np.ones(4)), ShapeError),
        (lambda: ops.reshape(X, (7, -1)), ShapeError),
        (lambda: ops.reshape(X, (-1, -1)), ShapeError),
        (lambda: ops.transpose(X, (0, 0, 1)), ArgumentError),
        (lambda: ops.sum(X, axis=3), ArgumentError),
        (lambda: ops.squeeze(X, 0), ShapeError),
        (lambda: ops.concatenate([X, numbers(2, 2, 2)]), ShapeError),
        (lambda: ops.concatenate([]), ArgumentError),
        (lambda: ops.matmul(X, X), ShapeError),
        (lambda: ops.take(X, np.ones(2)), DtypeError),
        (lambda: ops.exp(np.array(["a"])), DtypeError),
        (lambda: ops.exp([[1.0], [1.0, 2.0]]), ArgumentError),
        (lambda: ops.conv(numbers(1, 3, 2), numbers(5, 2, 4)), ShapeError),
        (lambda: ops.conv(numbers(1, 3, 2), numbers(2, 3, 4)), ShapeError),
        (lambda: ops.conv(numbers(1, 3), numbers(2, 3, 4)), ShapeError),
        (lambda: ops.getitem(X, 9), ShapeError),
        (lambda: ops.getitem(X, (0, 0, 0, 0)), ShapeError),
        (lambda: ops.split(X, 3, axis=1), ShapeError),
        (lambda: ops.pad(X, ((1, 1),) * 2), ShapeError),
        (lambda: ops.random.dropout(X, 2.0), ArgumentError),
        (lambda: isoconv.utils.set_random_seed(-1), ArgumentError),
    ],
)
def test_errors_say_what_was_given(call, error):
    with pytest.raises(error, match=r"expected .*; got "):
        call()


def test_a_tensor_is_no_number():
    def branch(x):
        return x if x > 0 else -x

    with pytest.raises(TypeError, match=r"isoconv\.ops\.where"):
        Compiled(branch)(np.ones(()))
    with pytest.raises(TypeError, match=r"isoconv\.ops"):
        Compiled(lambda x: np.exp(np.asarray(x)))(np.ones(1))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_whole_quotients_have_the_sign_of_zero_of_numpy(dtype):
    values = [0.0, -0.0, 1, -1, 0.5, -0.5, 3, -3, 1e-20, -1e-20, np.inf, -np.inf]
    a, b = np.meshgrid(np.array(values, dtype), np.array(values, dtype))
    with np.errstate(all="ignore"):
        wanted = np.floor_divide(a, b)
    known = ~np.isnan(wanted)
    for found in (ops.floor_divide(a, b), Compiled(ops.floor_divide, lambda *_: (0, 1))(a, b)):
        np.testing.assert_array_equal(np.signbit(found)[known], np.signbit(wanted)[known])


@pytest.mark.parametrize("axis", [1, (0, 1), None])
@pytest.mark.parametrize("name", ["any", "all", "sum", "mean", "var", "logsumexp", "count_nonzero"])
def test_reductions_over_nothing(name, axis):
    nothing = np.zeros((2, 0, 3), "float32")
    later = Compiled(getattr(ops, name), lambda index, array: (1,))
    wanted = getattr(keras.ops, name)(nothing, axis=axis)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(getattr(ops, name)(nothing, axis=axis), wanted)
        np.testing.assert_array_equal(later(nothing, axis=axis), wanted)


def test_softmax_over_nothing_is_nothing():
    assert ops.softmax(np.zeros((2, 0, 3), "float32"), axis=1).shape == (2, 0, 3)


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin"])
def test_what_nothing_has_none_of_is_refused(name):
    nothing = np.zeros((2, 0, 3), "float32")
    with pytest.raises(ShapeError, match=rf"^{name}: .* along axis 1; .*\(2, 0, 3\)"):
        getattr(ops, name)(nothing, axis=1)
    later = Compiled(getattr(ops, name), lambda index, array: (1,))
    with pytest.raises(RuntimeCheckError, match=rf"^{name}: .* along axis 1; .*\(2, 0, 3\)"):
        later(nothing, axis=1)


def test_the_size_of_a_mask_is_checked_where_it_is_known_late():
    x, mask = isoconv.Input((None, 3)), isoconv.Input((None,), dtype="bool")
    pooled = isoconv.layers.GlobalAveragePooling1D(name="pooled")(x, mask=mask)
    model = isoconv.Model([x, mask], pooled)
    model.predict([X[:, :, :3], X[:, :, 0] > 0])
    with pytest.raises(RuntimeCheckError, match=r"'pooled'.* equal; .*\(3, 4, 3\) and \(3, 2, 3\)"):
        model.predict([X[:, :, :3], X[:, :2, 0] > 0])
