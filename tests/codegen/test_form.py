"""All three faces of the form, compiled, are within rounding of the float64 reference."""

from itertools import product

import numpy as np
import pytest
from compiled import error_and_bound, normal, run, tensor

from isoconv import reference
from isoconv.codegen import taps
from isoconv.codegen.emit import Builder
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph
from isoconv.ir.ops import make
from isoconv.ir.verify import verify
from isoconv.plan.lower import lower

TAILS = (1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 67, 130)
AXES = {
    "valid": Axis(3),
    "same": Axis(3, 1, 1, 1, 1),
    "causal with stride": Axis(4, 2, 1, 3, 0),
    "dilated": Axis(3, 1, 3, 2, 4),
    "dilated with stride": Axis(3, 2, 3, 3, 3),
    "stride beyond the kernel": Axis(2, 5),
    "strides and dilation with a common factor": Axis(5, 6, 4, 5, 3),
    "strides and dilation without one": Axis(7, 5, 3, 4, 4),
    "a million strides": Axis(3, 10**6, 7, 9, 0),
    "cropped": Axis(3, 1, 1, -2, -1),
    "one sided": Axis(5, 3, 2, 8, -1),
    "a tap": Axis(1),
}
FACES = {"y": "xw", "x": "wy", "w": "xy"}


def faces(axes, channels, filters, groups=1, dtype="float32", lengths=(11, 6, 5), batch=2):
    """(node, feeds) of each face for lengths known at run time."""
    names = [f"L{i}" for i in range(len(axes))]
    x = tensor("x", "n", *names, channels, dtype=dtype)
    w = tensor("w", *(a.taps for a in axes), channels // groups, filters, dtype=dtype)
    sizes = x.shape[1:-1]
    outputs = [a.output(dim) for a, dim in zip(axes, sizes, strict=True)]
    y = make("input", name="y", shape=(x.shape[0], *outputs, filters), dtype=dtype)
    spatial = lengths[: len(axes)]
    reached = [a.output(length) for a, length in zip(axes, spatial, strict=True)]
    feeds = {
        "x": normal(0, batch, *spatial, channels, dtype=dtype),
        "w": normal(1, *w.shape, dtype=dtype),
        "y": normal(2, batch, *reached, filters, dtype=dtype),
    }
    parts = {"x": x, "w": w, "y": y}
    for face, operands in FACES.items():
        node = make(
            "conv",
            *(parts[part] for part in operands),
            face=face,
            axes=tuple(axes),
            groups=groups,
            sizes=sizes,
        )
        # The sizes are read off x, so every program is given it.
        yield node, parts["x"], feeds


def check(node, x, feeds, **kwargs):
    used = {n["name"]: feeds[n["name"]] for n in node.inputs}
    found, _ = run([node, make("neg", x)], used | {"x": feeds["x"]}, **kwargs)
    error, bound = error_and_bound_of(node, x, feeds, found)
    assert found.dtype == node.dtype
    assert np.all(error <= bound)


def error_and_bound_of(node, x, feeds, found):
    sizes = {f"L{i}": n for i, n in enumerate(feeds["x"].shape[1:-1])}
    return error_and_bound(node, feeds, found, sizes | {"n": feeds["x"].shape[0]})


@pytest.mark.parametrize("axis", AXES.values(), ids=AXES)
@pytest.mark.parametrize(("channels", "filters"), [(1, 32), (3, 5), (17, 33), (64, 64)])
def test_one_axis(axis, channels, filters):
    for case in faces([axis], channels, filters, lengths=(29,)):
        check(*case)


@pytest.mark.parametrize("size", TAILS)
def test_tails_of_channels_and_filters(size):
    for channels, filters in ((size, 16), (5, size)):
        for case in faces([AXES["same"]], channels, filters, lengths=(19,)):
            check(*case)


@pytest.mark.parametrize("length", [1, 2, 5, 6, 7, 13, 14, 15, 255, 256, 257, 600])
def test_tails_of_lengths(length):
    for case in faces([Axis(3, 1, 1, 1, 1)], 4, 32, lengths=(length,)):
        check(*case)


@pytest.mark.parametrize("groups", [1, 2, 4, 8])
@pytest.mark.parametrize("names", list(product(("same", "dilated with stride"), repeat=2)))
def test_two_axes_and_groups(names, groups):
    for case in faces([AXES[name] for name in names], 8, 24, groups):
        check(*case)


@pytest.mark.parametrize("filters", [6, 12])
def test_depthwise(filters):
    for axes in ([AXES["causal with stride"]], [AXES["dilated"], AXES["same"]]):
        for case in faces(axes, 6, filters, groups=6):
            check(*case)


def test_three_axes_and_none():
    for axes in ([Axis(2), AXES["same"], Axis(2, 2)], []):
        for case in faces(axes, 5, 18):
            check(*case)


@pytest.mark.parametrize("name", AXES)
def test_float64(name):
    for case in faces([AXES[name]], 5, 19, dtype="float64"):
        check(*case)


@pytest.mark.parametrize("batch", [0, 1])
def test_small_batches(batch):
    for case in faces([AXES["same"]], 3, 4, batch=batch):
        check(*case)


def test_absent_inputs_never_leak():
    for node, _, feeds in faces([AXES["same"]], 3, 20, lengths=(40,)):
        if node["face"] != "y":
            continue
        feeds["x"][:, 10] = np.nan
        (found,) = run([node], feeds)
        assert np.isnan(found[:, 9:12]).all()
        assert np.isfinite(found[:, :9]).all()
        assert np.isfinite(found[:, 12:]).all()


@pytest.mark.parametrize("axis", AXES.values(), ids=AXES)
@pytest.mark.parametrize(("groups", "filters"), [(1, 5), (2, 6), (4, 8)])
def test_lowering_changes_no_sum(axis, groups, filters):
    for node, x, feeds in faces([axis], 4, filters, groups, lengths=(19,)):
        graph = Graph((*node.inputs, *({x} - set(node.inputs))), (node,))
        lowered = lower(graph)
        verify(lowered)
        before, after = (reference.run(g, feeds, precision="float64")[0] for g in (graph, lowered))
        np.testing.assert_allclose(after, before, rtol=1e-12, atol=1e-12)


def test_a_wrong_padding_side_is_caught(monkeypatch, tmp_path):
    real = taps.forward

    def shifted(b, sizes, axis, output, length):
        wrong = Axis(axis.taps, axis.stride, axis.dilation, axis.high, axis.low)
        return real(b, sizes, wrong, output, length)

    monkeypatch.setattr(taps, "forward", shifted)
    monkeypatch.setenv("ISOCONV_CACHE_MB", "0")
    # A geometry that no other test uses, so that no kernel of it is loaded.
    case = next(iter(faces([Axis(5, 1, 1, 4, 0)], 3, 11, lengths=(4,))))
    with pytest.raises(AssertionError):
        check(*case)


def test_a_wrong_tail_mask_is_caught(monkeypatch):
    real = Builder.mask_below
    monkeypatch.setattr(
        Builder, "mask_below", lambda b, count, lanes: real(b, b.sub(count, 1), lanes)
    )
    monkeypatch.setenv("ISOCONV_CACHE_MB", "0")
    cases = list(faces([Axis(3)], 6, 14, groups=6 // 3, lengths=(23,)))
    assert [case[0]["face"] for case in cases] == ["y", "x", "w"]
    with pytest.raises(AssertionError):
        check(*cases[2])
