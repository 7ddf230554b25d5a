"""Tiles taken to points and back, and products of weights that lie group by group."""

import numpy as np
import pytest
from compiled import normal, run, tensor

from isoconv import reference
from isoconv.codegen.generate import emit
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph
from isoconv.ir.layout import apart, joined
from isoconv.ir.ops import make
from isoconv.ir.schemes import scheme
from isoconv.plan.program import plan
from isoconv.runtime.host import machine_for
from isoconv.runtime.jit import compile_object

# Schemes, sides, strides, paddings.
POINTS = [
    (("F(2,3)",), "data", (2,), ((1, 1),)),
    (("F(4,3)",), "data", (4,), ((0, 0),)),
    (("DFT(8)",), "data", (8,), ((3, 9),)),
    (("F(2,3)", "F(4,3)"), "data", (2, 4), ((1, 3), (-1, 4))),
    (("1", "F(2,5)"), "data", (1, 2), ((0, 0), (2, 2))),
    (("F(4,4)",), "weights", (4,), ((0, 2),)),
    (("F(4,3)", "F(4,3)"), "outputs", (4, 4), ((0, 1), (0, 3))),
    (("DFT(8)",), "outputs", (3,), ((2, 5),)),
]


def windows(names, side, strides, paddings) -> tuple[Axis, ...]:
    taps = (scheme(name).factors(side)[0].shape[1] for name in names)
    return tuple(Axis(k, s, 1, *p) for k, s, p in zip(taps, strides, paddings, strict=True))


def nodes(names, side, strides, paddings, channels, dtype):
    """to_points of lengths known at run time, and from_points of what that gives."""
    axes = windows(names, side, strides, paddings)
    x = tensor("x", "n", *("L", "M")[: len(axes)], channels, dtype=dtype)
    there = make("to_points", x, axes=axes, schemes=names, side=side)
    v = tensor("v", *there.shape, dtype=dtype)
    attrs = {"axes": axes, "schemes": names, "side": side, "sizes": x.shape[1:-1]}
    return there, make("from_points", v, **attrs)


@pytest.mark.parametrize("channels", [1, 7, 16, 33])
@pytest.mark.parametrize("case", POINTS, ids=str)
def test_tiles_go_to_points_and_back(case, channels):
    dtype = "float64" if channels == 7 else "float32"
    there, back = nodes(*case, channels, dtype)
    sizes = {"n": 2, "L": 19, "M": 10}
    x = normal(0, 2, *(19, 10)[: there.rank - 2], channels, dtype=dtype)
    feeds = {"x": x}
    (found,) = run([there], feeds)
    (wanted,) = reference.run(Graph(there.inputs, (there,)), feeds, sizes, precision="float64")
    assert_near(found, wanted)
    relu = make(
        "relu", make("sub", back, make("full", value=0.5, shape=(1,) * back.rank, dtype=dtype))
    )
    bare = make("neg", tensor("x", *there.inputs[0].shape, dtype=dtype))
    feeds["v"] = normal(1, *found.shape, dtype=dtype)
    found, _ = run([relu, bare], feeds)
    (wanted,) = reference.run(Graph(back.inputs, (back,)), feeds, sizes, precision="float64")
    assert_near(found, np.maximum(wanted - 0.5, 0))


def assert_near(found, wanted):
    eps = np.finfo(found.dtype).eps
    np.testing.assert_allclose(found, wanted, rtol=0, atol=20 * eps * max(1, abs(wanted).max()))


@pytest.mark.parametrize("rows", [1, 5, 6, 13, 49])
@pytest.mark.parametrize(("groups", "channels", "filters"), [(4, 5, 33), (16, 24, 70), (3, 64, 16)])
def test_weights_group_by_group_give_the_same_bits(rows, groups, channels, filters):
    for taps in ((), (3,), (4, 2)):
        x = normal(0, *(rows, 9, 8)[: len(taps) + 1], groups * channels)
        w = normal(1, *taps, groups, channels, filters)
        given = tensor("x", "n", *x.shape[1:]), tensor("w", *w.shape)
        form = {
            "face": "y",
            "axes": tuple(map(Axis, taps)),
            "groups": groups,
            "sizes": x.shape[1:-1],
        }
        own = joined(given[1])
        assert apart(own, groups) is given[1]
        (found,) = run([make("conv", given[0], own, **form)], {"x": x, "w": w})
        together = np.moveaxis(w, -3, -2).reshape(*taps, channels, groups * filters)
        plain = make("conv", given[0], tensor("w", *together.shape), **form)
        (wanted,) = run([plain], {"x": x, "w": together})
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("triple", "cpu"),
    [
        ("x86_64-unknown-linux-gnu", "x86-64-v3"),
        ("aarch64-unknown-linux-gnu", "neoverse-n1"),
    ],
)
def test_points_are_emitted_for_other_processors(triple, cpu):
    for node in nodes(("F(4,3)", "F(4,3)"), "data", (4, 4), ((1, 1), (1, 1)), 32, "float32"):
        machine = machine_for(triple, cpu)
        (step,) = plan(Graph(node.inputs, (node,)), {}).steps
        assert step.kernel.kind == "points"
        assert compile_object(emit(step.kernel, machine), machine)
