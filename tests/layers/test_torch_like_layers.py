"""Layers and arguments that come from PyTorch and ONNX, against PyTorch, values and gradients."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from oracle import compare, numbers

import isoconv
from isoconv import layers, ops
from isoconv.errors import ArgumentError, ShapeError
from isoconv.layers import adaptive

LAST = "channels_last"
SHAPES = {1: (2, 9, 3), 2: (2, 7, 10, 3), 3: (2, 5, 6, 4, 2)}
F_PAD = {"reflect": "reflect", "replicate": "replicate", "circular": "circular"}


def named(name, rank, *args, **kwargs):
    return getattr(layers, f"{name}{rank}D")(*args, dtype="float64", **kwargs)


def check(make, theirs, rank, shape=None, exact=False):
    """Asserts that a layer in both data formats is a function of torch, and its gradient that of
    autograd; also when drawn for lengths known at run time only.
    """
    x = numbers(*(shape or SHAPES[rank]))
    given = torch.tensor(np.moveaxis(x, -1, 1), requires_grad=True)
    expected = theirs(given)
    flow = torch.tensor(numbers(*expected.shape, seed=1))
    (slope,) = torch.autograd.grad(expected, given, flow)
    for data_format, move in ((LAST, -1), ("channels_first", 1)):
        layer = make(data_format)
        y, pullback = isoconv.vjp(layer, np.moveaxis(x, -1, move))
        values = np.moveaxis(expected.detach().numpy(), 1, move)
        np.testing.assert_allclose(y, values, rtol=0 if exact else 1e-12, atol=1e-13)
        back = pullback(np.ascontiguousarray(np.moveaxis(flow.numpy(), 1, move)))[0]
        np.testing.assert_allclose(np.moveaxis(back, move, 1), slope.numpy(), 1e-11, 1e-12)
        assert layer.compute_output_shape(np.moveaxis(x, -1, move).shape) == y.shape
        again = type(layer).from_config(layer.get_config())
        loose = list(np.moveaxis(x, -1, move).shape[1:])
        loose = [None if i != move % (rank + 2) - 1 else s for i, s in enumerate(loose)]
        inputs = isoconv.Input(loose, dtype="float64")
        model = isoconv.Model(inputs, again(inputs))
        np.testing.assert_array_equal(model(np.moveaxis(x, -1, move)), y)


def around(pairs):
    return [side for pair in reversed(pairs) for side in pair]


PAIRS = {1: [(2, 3)], 2: [(0, 3), (2, 1)], 3: [(1, 2), (0, 1), (3, 0)]}


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_is_torchs(rank, mode):
    pairs = PAIRS[rank]
    check(
        lambda data_format: named("Padding", rank, pairs, mode, data_format),
        lambda x: F.pad(x, around(pairs), mode),
        rank,
        exact=True,
    )


@pytest.mark.parametrize("mode", ["reflect", "symmetric", "edge", "wrap"])
def test_pad_is_numpys(mode):
    x = numbers(3, 4)
    np.testing.assert_array_equal(
        ops.pad(x, [(2, 1), (0, 3)], mode), np.pad(x, [(2, 1), (0, 3)], mode)
    )


@pytest.mark.parametrize(
    ("mode", "least"), [("reflect", 4), ("symmetric", 3), ("circular", 3), ("replicate", 1)]
)
def test_padding_wants_the_positions_it_takes(mode, least):
    layer = layers.Padding1D(3, mode)
    inputs = isoconv.Input((None, 2))
    model = isoconv.Model(inputs, layers.Padding1D(3, mode)(inputs))
    x = np.ones((1, least, 2), "float32")
    assert layer(x).shape == model(x).shape == (1, least + 6, 2)
    for short in (layer, model):
        with pytest.raises(ShapeError):
            short(x[:, 1:])


POOLS = [
    {"pool_size": 3, "strides": 2, "padding": 1},
    {"pool_size": 3, "strides": 2, "ceil_mode": True},
    {"pool_size": 2, "strides": 3, "padding": 1, "ceil_mode": True},
    {"pool_size": 4, "strides": 3, "padding": 2, "ceil_mode": True},
    {"pool_size": 2, "ceil_mode": True},
]


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("options", POOLS, ids=str)
def test_windows_that_stick_out_are_torchs(rank, options):
    renamed = {"kernel_size": options["pool_size"], "stride": options.get("strides")}
    renamed |= {key: options[key] for key in ("padding", "ceil_mode") if key in options}
    for name, function, more in (
        ("MaxPooling", f"max_pool{rank}d", {}),
        ("AveragePooling", f"avg_pool{rank}d", {"count_include_pad": False}),
    ):
        check(
            lambda data_format, name=name: named(name, rank, data_format=data_format, **options),
            lambda x, f=function, more=more: getattr(F, f)(x, **renamed, **more),
            rank,
        )


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_dilated_windows_are_torchs(rank):
    options = {"padding": 1, "dilation": 2, "ceil_mode": True}
    check(
        lambda data_format: named(
            "MaxPooling",
            rank,
            2,
            2,
            1,
            data_format,
            dilation_rate=2,
            ceil_mode=True,
        ),
        lambda x: getattr(F, f"max_pool{rank}d")(x, 2, 2, **options),
        rank,
        exact=True,
    )


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("p", [2, 4])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_norm_pooling_is_torchs(rank, p, ceil_mode):
    def theirs(x):
        # torch scales a mean that leaves out what sticks out: here it is a sum.
        ones = torch.ones((x.shape[1], 1, *(3,) * rank), dtype=x.dtype)
        more = [0 if not ceil_mode else -(size - 3) % 2 for size in x.shape[2:]]
        padded = F.pad(x.pow(p), around([(0, m) for m in more]))
        convolve = (F.conv1d, F.conv2d)[rank - 1]
        return convolve(padded, ones, stride=2, groups=x.shape[1]).pow(1 / p)

    check(
        lambda data_format: named(
            "LpPooling", rank, 3, 2, data_format=data_format, p=p, ceil_mode=ceil_mode
        ),
        theirs,
        rank,
    )
    if not ceil_mode:
        x = torch.tensor(np.moveaxis(numbers(*SHAPES[rank]), -1, 1))
        torch.testing.assert_close(theirs(x), getattr(F, f"lp_pool{rank}d")(x, p, 3, 2))


def test_norm_of_nothing_has_a_gradient():
    y, pullback = isoconv.vjp(layers.LpPooling1D(2), np.zeros((1, 4, 1), "float32"))
    np.testing.assert_array_equal(pullback(np.ones_like(y))[0], 0)


ADAPTIVE = [(1, 4), (1, 1), (1, 9), (1, 20), (2, (3, 5)), (2, (None, 7)), (3, (2, 4, 3)), (3, 1)]


@pytest.mark.parametrize(("rank", "size"), ADAPTIVE, ids=str)
@pytest.mark.parametrize("kind", ["Average", "Max"])
def test_adaptive_pooling_is_torchs(rank, size, kind):
    function = {"Average": "adaptive_avg_pool", "Max": "adaptive_max_pool"}[kind]
    check(
        lambda data_format: named(f"Adaptive{kind}Pooling", rank, size, data_format),
        lambda x: getattr(F, f"{function}{rank}d")(x, size),
        rank,
    )


def test_adaptive_pooling_is_kerass_where_it_has_it():
    compare("AdaptiveAveragePooling2D", numbers(2, 7, 10, 3), output_size=(3, 5))
    compare("AdaptiveMaxPooling1D", numbers(2, 9, 3), output_size=4)


def test_a_wrong_adaptive_window_is_caught(monkeypatch):
    right = adaptive.iota

    def wrong(shape, axis, dtype):
        return right(shape, axis, dtype) * (0 if axis == 0 else 1)

    monkeypatch.setattr(adaptive, "iota", wrong)
    with pytest.raises(AssertionError):
        test_adaptive_pooling_is_torchs(1, 4, "Average")


def test_nan_stays_in_its_adaptive_window():
    x = numbers(1, 7, 1)
    x[0, 6] = np.nan
    y = layers.AdaptiveAveragePooling1D(3, dtype="float64")(x)
    assert np.isnan(y[0, 2, 0])
    assert not np.isnan(y[0, :2]).any()


NORMS = [(1, {}), (2, {"epsilon": 1e-5}), (3, {"center": False}), (6, {"scale": False})]


@pytest.mark.parametrize("groups_and_more", NORMS, ids=str)
@pytest.mark.parametrize("shape", [(3, 6), (2, 5, 6), (2, 3, 4, 6)], ids=str)
def test_group_normalization_is_keras(groups_and_more, shape, monkeypatch):
    groups, options = groups_and_more
    monkeypatch.setattr(keras.src.backend, "result_type", lambda *dtypes: str(dtypes[0]))
    compare("GroupNormalization", numbers(*shape), groups=groups, **options)


@pytest.mark.parametrize("groups", [1, 2, 6, -1])
@pytest.mark.parametrize("rank", [1, 2])
def test_group_normalization_is_torchs(groups, rank):
    shape = (2, 7, 6) if rank == 1 else (2, 5, 4, 6)
    gamma, beta = numbers(6, seed=2), numbers(6, seed=3)

    def ours(data_format):
        axis = -1 if data_format == LAST else 1
        layer = layers.GroupNormalization(groups, axis, 1e-5, dtype="float64")
        layer.build(shape if axis == -1 else (2, 6, *shape[1:-1]))
        layer.set_weights([gamma, beta])
        return layer

    def theirs(x):
        count = 6 if groups == -1 else groups
        return F.group_norm(x, count, torch.tensor(gamma), torch.tensor(beta), 1e-5)

    for data_format in (LAST, "channels_first"):
        x = numbers(*shape)
        given = np.ascontiguousarray(np.moveaxis(x, -1, 1))
        expected = theirs(torch.tensor(given)).numpy()
        if data_format == LAST:
            given, expected = x, np.moveaxis(expected, 1, -1)
        np.testing.assert_allclose(ours(data_format)(given), expected, 1e-11, 1e-12)


RESIZES = [
    (1, {"scale": 1.5}),
    (1, {"scale": 2}),
    (1, {"size": 4}),
    (2, {"size": (11, 3)}),
    (2, {"scale": (0.4, 2.7)}),
    (3, {"scale": 1.3}),
]


@pytest.mark.parametrize(("rank", "options"), RESIZES, ids=str)
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_nearest_resizing_is_torchs(rank, options, mode):
    renamed = {{"scale": "scale_factor"}.get(key, key): value for key, value in options.items()}
    check(
        lambda data_format: named(
            "NearestResizing", rank, data_format=data_format, interpolation=mode, **options
        ),
        lambda x: F.interpolate(x, **renamed, mode=mode),
        rank,
        exact=True,
    )


@pytest.mark.parametrize("scale", [1.1, 1.3, 0.7, 2.3])
def test_nearest_resizing_takes_torchs_positions_at_every_length(scale):
    layer = layers.NearestResizing1D(scale=scale)
    for length in range(2, 70):
        x = np.arange(length, dtype="float32")[None, :, None]
        expected = F.interpolate(torch.tensor(x).movedim(-1, 1), scale_factor=scale)
        y = layer(x)
        if (scale, length) == (2.3, 50):  # There torch's product is 114.99999999999999.
            assert (y.shape[1], expected.shape[2]) == (115, 114)
            y = y[:, :114]
        np.testing.assert_array_equal(y, expected.movedim(1, -1).numpy())


WRONG = [
    ("Padding1D", {"mode": "mirror"}, "mode"),
    ("MaxPooling2D", {"pool_size": 2, "padding": 2}, "padding"),
    ("MaxPooling2D", {"pool_size": 2, "padding": ((0, 1),)}, "padding"),
    ("LpPooling1D", {"pool_size": 2, "p": 0.5}, "p: "),
    ("AdaptiveMaxPooling2D", {"output_size": (1, 2, 3)}, "output_size"),
    ("AdaptiveMaxPooling1D", {"output_size": 0}, "output_size"),
    ("NearestResizing1D", {"size": 3, "scale": 2}, "size"),
    ("NearestResizing1D", {"scale": 0}, "scale"),
    ("GroupNormalization", {"groups": 0}, "groups"),
]


@pytest.mark.parametrize(("name", "options", "said"), WRONG, ids=str)
def test_wrong_arguments_are_named(name, options, said):
    with pytest.raises(ArgumentError, match=said):
        getattr(layers, name)(**options)


def test_channels_that_do_not_divide_are_refused():
    with pytest.raises(ArgumentError, match="groups"):
        layers.GroupNormalization(4)(np.ones((2, 6), "float32"))


def test_keras_reads_the_configs_that_it_can():
    for layer in (
        layers.MaxPooling2D(3),
        layers.GroupNormalization(2),
        layers.AdaptiveMaxPooling1D(2),
    ):
        theirs = getattr(keras.layers, type(layer).__name__)
        assert theirs.from_config(layer.get_config()).name == layer.name


def test_masks_of_windows_that_stick_out():
    layer = layers.MaxPooling1D(2, padding=(1, 0), ceil_mode=True)
    mask = np.array([[True, False, False, False, True, True]])
    np.testing.assert_array_equal(
        layer.compute_mask(np.zeros((1, 6, 1)), mask), [[True, False, True, True]]
    )
