"""Row 22: forms in tiles, within the tolerance that the user gave and only then."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import isoconv
from isoconv import Numerics, layers
from isoconv.errors import ArgumentError, ShapeError
from isoconv.ir import schemes
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph
from isoconv.ir.ops import make
from isoconv.ir.schemes import SIDES, Scheme, scheme
from isoconv.plan.program import plan
from isoconv.rewriting import approximate
from isoconv.rewriting.tiled import tiled
from isoconv.runtime.executable import Executable
from isoconv.runtime.host import host
from oracles import given, value

NAMES = [family.name for family in approximate.FAMILIES]


# -- schemes ----------------------------------------------------------------------------------


def distance(found: Scheme) -> float:
    """How far a scheme is from the sums it stands for, over all data and weights."""
    data, weights, outputs = (found.matrix(side) for side in SIDES)
    table = np.einsum("pi,pk,po->oik", data, weights, outputs)
    o, i, k = np.indices(table.shape)
    return float(np.abs(table - (i == o + k)).max())


@pytest.mark.parametrize("name", NAMES)
def test_a_scheme_is_the_sums_of_a_filter(name):
    assert distance(scheme(name)) < 1e-12
    assert scheme(name).points < scheme(name).outputs * scheme(name).taps


def spoiled(name: str, side: str) -> Scheme:
    """A scheme with one wrong number."""
    first, *others = (factor.copy() for factor in getattr(scheme(name), side))
    first[tuple(np.argwhere(first)[1])] *= 1.01
    return replace(scheme(name), name="wrong", **{side: (first, *others)})


@pytest.mark.parametrize("side", ["data", "weights", "results"])
@pytest.mark.parametrize("name", ["F(4,3)", "DFT(8)"])
def test_a_wrong_entry_of_a_scheme_is_found(name, side):
    assert distance(spoiled(name, side)) > 1e-4


# -- layers -----------------------------------------------------------------------------------

RTOL = 1e-3
TITLES = {
    "Winograd F(2,3)": 2e-5,
    "Winograd F(4,3)": RTOL,
    "Winograd F(2,5)": RTOL,
    "Toom-Cook F(4,4)": RTOL,
    "Fourier transforms of 16 positions": RTOL,
    "Fourier transforms of 32 positions": RTOL,
    "Fourier transforms of 64 positions": RTOL,
}
# Scheme, kernel, lengths, channels, filters (0: depthwise), padding.
CASES = [
    ("Winograd F(2,3)", (3, 3), (7, 16), 24, 33, "same"),
    ("Winograd F(2,3)", (3, 3), (1, 3), 40, 40, "same"),
    ("Winograd F(4,3)", (3, 3), (17, 9), 33, 40, "valid"),
    ("Winograd F(4,3)", (3, 3), (8, 31), 40, 24, "same"),
    ("Winograd F(4,3)", (3,), (2,), 47, 48, "same"),
    ("Winograd F(4,3)", (3,), (33,), 48, 40, "causal"),
    ("Winograd F(4,3)", (1, 3), (3, 13), 40, 48, "same"),
    ("Winograd F(4,3)", (3, 1), (13, 3), 40, 48, "same"),
    ("Winograd F(2,5)", (5, 5), (11, 12), 32, 40, "same"),
    ("Toom-Cook F(4,4)", (4, 4), (9, 13), 16, 17, "same"),
    ("Toom-Cook F(4,4)", (5,), (37,), 16, 33, "same"),
    ("Toom-Cook F(4,4)", (4,), (7,), 33, 32, "valid"),
    ("Toom-Cook F(4,4)", (72,), (101,), 17, 0, "same"),
    ("Fourier transforms of 16 positions", (8,), (41,), 64, 67, "same"),
    ("Fourier transforms of 32 positions", (16,), (40,), 64, 64, "causal"),
    ("Fourier transforms of 32 positions", (11,), (101,), 40, 64, "valid"),
    ("Fourier transforms of 64 positions", (67,), (131,), 40, 64, "causal"),
    ("Fourier transforms of 64 positions", (400,), (433,), 16, 0, "valid"),
]


def drawn(kernel, lengths, channels, filters, padding, dtype="float32", **options):
    """A layer with its weights, and data for it."""
    rng = np.random.default_rng([*kernel, *lengths, channels])
    kind = getattr(layers, f"{'' if filters else 'Depthwise'}Conv{len(kernel)}D")
    given = (filters,) if filters else ()
    layer = kind(*given, kernel, padding=padding, dtype=dtype, **options)
    first = options.get("data_format") == "channels_first"
    x = rng.normal(size=(3, channels, *lengths) if first else (3, *lengths, channels))
    layer.build(x.shape)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.weights])
    return layer, x.astype(dtype)


def exact(layer, x) -> tuple[np.ndarray, np.ndarray]:
    """The layer without its activation in float64, and its sums of absolute values."""
    first = layer.data_format == "channels_first"
    kernel, bias = (w.numpy().astype("float64") for w in layer.weights)
    alone = isinstance(layer, layers.DepthwiseConv1D)
    kernel = np.swapaxes(kernel, -1, -2) if alone else kernel
    groups, rank = len(bias) if alone else 1, kernel.ndim - 2
    x = np.asarray(x, "float64")
    x = x if first else np.moveaxis(x, -1, 1)
    taps = [k - 1 for k in kernel.shape[:-2]]
    total = [0 if layer.padding == "valid" else k for k in taps]
    low = [k if layer.padding == "causal" else k // 2 for k in total]
    sides = [(0, 0), (0, 0), *((a, b - a) for a, b in zip(low, total, strict=True))]
    x = np.pad(x, sides)
    conv = getattr(torch.nn.functional, f"conv{rank}d")
    turned = np.transpose(kernel, (rank + 1, rank, *range(rank)))
    found = []
    for data, weights, shift in ((x, turned, bias), (np.abs(x), np.abs(turned), 0 * bias)):
        arrays = (torch.from_numpy(np.ascontiguousarray(a)) for a in (data, weights, shift))
        y = conv(*arrays, groups=groups)
        found.append(y.numpy() if first else np.moveaxis(y.numpy(), 1, -1))
    return found[0], found[1]


def approximated(model, x, rtol):
    """The outputs, and the one step that led to them."""
    function = isoconv.jit(model, numerics=Numerics(rtol))
    y = function(x)
    (step,) = function.approximations
    return y, step


def test_every_scheme_is_a_case():
    assert {title for title, *_ in CASES} == set(TITLES)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_errors_are_within_the_bound_that_is_reported(case):
    title, *shape = case
    layer, x = drawn(*shape, activation="relu")
    y, step = approximated(layer, x, TITLES[title])
    assert (step.rule.title, step.where) == (title, layer.name)
    assert 0 < step.bound <= TITLES[title]
    assert f"error at most {step.bound:.1e}" in str(step)
    wanted, scale = exact(layer, x)
    assert (np.abs(y - np.maximum(wanted, 0)) <= step.bound * scale).all()


@pytest.mark.parametrize("name", ["F(4,3)", "DFT(16)"])
def test_a_wrong_entry_is_seen_in_the_outputs(name, monkeypatch):
    family = next(each for each in approximate.FAMILIES if each.name == name)
    monkeypatch.setitem(schemes.SCHEMES, "wrong", lambda: spoiled(name, "data"))
    monkeypatch.setattr(approximate, "FAMILIES", (replace(family, name="wrong"),))
    scheme.cache_clear()
    _, *shape = next(case for case in CASES if case[0] == family.title)
    layer, x = drawn(*shape)
    y, step = approximated(layer, x, RTOL)
    wanted, scale = exact(layer, x)
    assert (np.abs(y - wanted) > step.bound * scale).any()
    scheme.cache_clear()


HOSTILE = [*((name, 1) for name in NAMES), ("F(2,3)", 2), ("F(4,3)", 2)]


@pytest.mark.parametrize(("name", "rank"), HOSTILE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_bound_holds_for_data_made_to_break_it(name, rank, dtype):
    """Signs that make the most of a row of each matrix, alike in all channels."""
    family = next(each for each in approximate.FAMILIES if each.name == name)
    found, channels, rng = scheme(name), 64, np.random.default_rng(0)
    x, w = (np.where(found.matrix(side) < 0, -1, 1) for side in ("data", "weights"))
    if rank == 2:
        x, w = (np.einsum("pi,qj->pqij", a, a).reshape(-1, *2 * a.shape[1:]) for a in (x, w))
    x = (x[..., None] * rng.uniform(0.9, 1, (*x.shape, channels))).astype(dtype)
    w = np.moveaxis(w, 0, -1)[..., None, :]
    w = (w * rng.uniform(0.9, 1, (*w.shape[:-2], channels, w.shape[-1]))).astype(dtype)
    nodes = given("x", x), given("w", w)
    axes = (Axis(found.taps),) * rank
    form = make("conv", *nodes, face="y", axes=axes, groups=1, sizes=x.shape[1:-1])
    graph = Graph(nodes, (tiled(form, [found] * rank),))
    (y,) = Executable(plan(graph, {}), host(), {}, 1)([x, w])
    exact = value(form, {"x": x, "w": w}, precision="float64")
    scale = value(form, {"x": abs(x), "w": abs(w)}, precision="float64")
    error = (np.abs(y - exact) / scale).max()
    assert 0 < error <= approximate.bound(family, form)


def test_a_tolerance_holds_for_every_order_of_axes_and_what_follows():
    for order in ("channels_last", "channels_first"):
        layer, x = drawn((3, 3), (13, 10), 32, 40, "same", data_format=order)
        x_in = isoconv.Input(x.shape[1:])
        y = layer(x_in)
        model = isoconv.Model(x_in, layers.Add()([layers.ReLU()(y), y]))
        found, step = approximated(model, x, RTOL)
        wanted, scale = exact(layer, x)
        error = np.abs(found - np.maximum(wanted, 0) - wanted)
        assert (error <= 2.01 * step.bound * scale).all()


# -- only then --------------------------------------------------------------------------------


def small() -> tuple[isoconv.Model, np.ndarray]:
    x = isoconv.Input((None, None, 40))
    y = layers.Conv2D(40, 3, padding="same", activation="relu")(x)
    model = isoconv.Model(x, layers.Conv2D(48, 3, strides=2)(layers.Add()([x, y])))
    return model, np.random.default_rng(1).normal(size=(5, 18, 14, 40)).astype("float32")


def test_without_a_tolerance_that_allows_it_no_bit_changes():
    model, x = small()
    for numerics in (None, Numerics(0), Numerics(1e-7)):
        function = isoconv.jit(model, numerics=numerics)
        np.testing.assert_array_equal(function(x), model.predict(x))
        assert function.approximations == ()
    function = isoconv.jit(model, numerics=Numerics(RTOL))
    assert (function(x) != model.predict(x)).any()
    assert [step.rule.equation.number for step in function.approximations] == ["22"]


@pytest.mark.parametrize(
    ("kernel", "channels", "filters", "options"),
    [
        ((8, 8), 40, 40, {}),  # transforms of 23 x 23 points are not written out
        ((3, 5), 40, 40, {}),
        ((3, 3, 3), 40, 40, {}),
        ((3, 3), 40, 12, {}),
        ((3, 3), 2, 16, {}),
        ((3, 3), 512, 512, {}),  # weights at points would be too large
        ((3, 3), 40, 40, {"strides": 2}),
        ((3, 3), 40, 40, {"dilation_rate": 2}),
        ((3, 3), 40, 40, {"groups": 2}),
        ((9,), 64, 0, {}),
    ],
    ids=str,
)
def test_what_gains_nothing_or_fits_no_scheme_stays_exact(kernel, channels, filters, options):
    lengths = tuple(2 * k + 1 for k in kernel)
    layer, x = drawn(kernel, lengths, channels, filters, "same", **options)
    function = isoconv.jit(layer, numerics=Numerics(1))
    np.testing.assert_array_equal(function(x), isoconv.jit(layer)(x))
    assert function.approximations == ()


def test_no_samples_give_no_outputs():
    layer, x = drawn((3, 3), (6, 6), 64, 64, "same")
    y, _ = approximated(layer, x[:0], RTOL)
    assert y.shape == (0, 6, 6, 64)


def test_a_larger_tolerance_never_takes_a_worse_bound_than_it_allows():
    for rtol in np.geomspace(1e-6, 1e-3, 7):
        layer, x = drawn((3, 3), (6, 6), 64, 64, "same")
        function = isoconv.jit(layer, numerics=Numerics(float(rtol)))
        function(x)
        assert all(step.bound <= rtol for step in function.approximations)


@pytest.mark.parametrize("title", ["Winograd F(4,3)", "Fourier transforms of 32 positions"])
def test_the_same_bits_whatever_batch_place_and_threads(title):
    _, *shape = next(case for case in CASES if case[0] == title)
    layer, x = drawn(*shape)
    x = np.concatenate([x] * 4)
    one, two = (isoconv.jit(layer, numerics=Numerics(RTOL), threads=n) for n in (1, 2))
    y = one(x)
    np.testing.assert_array_equal(two(x), y)
    np.testing.assert_array_equal(two(x[1:3]), y[1:3])
    np.testing.assert_array_equal(one(x[5:6]), y[5:6])


def test_weights_stay_live():
    layer, x = drawn((3, 3), (9, 9), 32, 40, "same")
    function = isoconv.jit(layer, numerics=Numerics(RTOL))
    y = function(x)
    layer.weights[0].assign(2 * layer.weights[0].numpy())
    layer.weights[1].assign(2 * layer.weights[1].numpy())
    np.testing.assert_array_equal(function(x), 2 * y)


def test_a_nan_stays_among_outputs_computed_together():
    layer, x = drawn((3,), (64,), 48, 40, "same")
    x[0, 20, 3] = np.nan
    y, _ = approximated(layer, x, RTOL)
    found = np.isnan(y).any((0, 2))
    assert found[19:22].all()
    assert not found[:16].any()
    assert not found[24:].any()
    assert not np.isnan(y[1:]).any()


def test_what_is_too_short_is_an_error_that_names_the_layer():
    layer, x = drawn((3, 3), (9, 9), 32, 40, "valid")
    function = isoconv.jit(layer, numerics=Numerics(RTOL))
    function(x)
    with pytest.raises(ShapeError, match=layer.name):
        function(x[:, :2])


def test_numbers_of_numpy_are_tolerances_too():
    assert Numerics(np.float32(0.5)) == Numerics(0.5)


@pytest.mark.parametrize("rtol", [-1e-3, float("nan"), float("inf"), "1e-3", True, None])
def test_a_tolerance_is_a_number(rtol):
    with pytest.raises(ArgumentError, match="Numerics: rtol: expected a finite number"):
        Numerics(rtol)


def test_a_tolerance_and_no_rewriting_exclude_each_other():
    with pytest.raises(ArgumentError, match="numerics: expected rewrite=True"):
        isoconv.jit(small()[0], rewrite=False, numerics=Numerics(RTOL))
