"""Data that are almost all 0 are taken element by element, and give what the reference gives."""

import numpy as np
import pytest

from isoconv.equivalence import balls
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph
from isoconv.ir.ops import make
from isoconv.ir.rules import OPERANDS
from isoconv.reference import MEANING
from isoconv.reference.meaning import Call
from isoconv.rewriting.proof.field import PRIMES, Field
from isoconv.rewriting.proof.sparse import is_sparse
from isoconv.rewriting.proof.values import evaluate

SIZES, CHANNELS, FILTERS, BATCH = (7, 6), 4, 6, 3
GEOMETRIES = {
    "unit": (Axis(3), Axis(2)),
    "strides": (Axis(3, 2, 1, 1, 2), Axis(1, 3, 1, 0, 1)),
    "dilation": (Axis(2, 1, 3, 2, 2), Axis(3, 1, 2, 3, 1)),
    "cropped": (Axis(2, 2, 1, -2, 1), Axis(3, 1, 1, 1, -1)),
}


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("face", ["y", "x", "w"])
def test_impulses_give_what_the_reference_gives(face: str, groups: int, geometry: str) -> None:
    axes = GEOMETRIES[geometry]
    places = [axis.output(size) for axis, size in zip(axes, SIZES, strict=True)]
    shapes = {
        "x": (BATCH, *SIZES, CHANNELS),
        "w": (*(axis.taps for axis in axes), CHANNELS // groups, FILTERS),
        "y": (BATCH, *places, FILTERS),
    }
    random = np.random.default_rng(groups)
    values = {part: random.integers(-9, 10, shapes[part]).astype(float) for part in OPERANDS[face]}
    data = values["y" if face == "x" else "x"]
    data *= random.random(data.shape) < 0.05
    assert data.any()
    assert is_sparse(data)

    nodes = {
        part: make("input", name=part, shape=each.shape, dtype="float64")
        for part, each in values.items()
    }
    form = make("conv", *nodes.values(), face=face, axes=axes, groups=groups, sizes=SIZES)
    expected = MEANING["conv"](
        Call(dict(form.attrs), shapes[face], "float64", "float64"), *values.values()
    )
    (found,) = balls.middles(Graph((*nodes.values(),), (form,)), values)
    np.testing.assert_array_equal(found, expected)
    residues = {nodes[n]: each[None].astype(np.int64) % PRIMES[0] for n, each in values.items()}
    (found,) = evaluate([form], residues, Field(PRIMES[0], 0))
    np.testing.assert_array_equal(found[0], expected.astype(np.int64) % PRIMES[0])
