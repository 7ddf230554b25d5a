"""Every operation is emitted, and compiled code means what the reference says."""

import numpy as np
import pytest
from compiled import normal, run, tensor

from isoconv import reference
from isoconv.codegen.elementwise import ELEMENTWISE
from isoconv.codegen.emission import EMISSION
from isoconv.errors import RuntimeCheckError
from isoconv.ir.graph import Graph
from isoconv.ir.ops import OPS, make
from isoconv.ir.sizes import evaluate
from isoconv.runtime.host import host, machine_for
from oracles import leaves
from samples import SAMPLES, SIZES

# A program reads its run-time sizes off an input in which they stand bare.
BARE = tensor("bare", "n", "L", dtype="float64")

# Functions without a closed form may differ in the last digits, as their own tests bound.
APPROXIMATE = {"exp", "expm1", "log", "log1p", "tanh", "erf", "sin", "cos", "pow"}


def test_every_operation_has_an_emission():
    elsewhere = {"input", "cast", "scatter_add", "to_points", "from_points"}
    assert set(OPS) == set(ELEMENTWISE) | set(EMISSION) | elsewhere


def feeds_for(node):
    """Arrays for the inputs: floats of both signs (positive for logarithms), small integers."""
    rng = np.random.default_rng(0)
    feeds = {}
    for leaf in leaves([node, BARE]):
        shape = tuple(evaluate(dim, SIZES) for dim in leaf.shape)
        if leaf.dtype == "bool":
            feeds[leaf["name"]] = rng.integers(0, 2, shape).astype(bool)
        elif leaf.dtype.startswith("int"):
            feeds[leaf["name"]] = rng.integers(0, 3, shape).astype(leaf.dtype)
        else:
            values = rng.standard_normal(shape).astype(leaf.dtype)
            positive = node.op in ("log", "sqrt", "pow", "log1p")
            feeds[leaf["name"]] = np.abs(values) if positive else values
    return feeds


@pytest.mark.parametrize("name", SAMPLES)
def test_compiled_equals_reference(name):
    node = SAMPLES[name]
    feeds = feeds_for(node)
    found, _ = run([node, make("neg", BARE)], feeds)
    (expected,) = reference.run(Graph(leaves([node]), (node,)), feeds, SIZES)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    if node.op in APPROXIMATE:
        np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-300)
    elif node.op in ("conv", "reduce_sum", "to_points", "from_points"):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)
    else:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_vector_width_changes_no_bits(name, monkeypatch):
    if host().triple.split("-")[0] != "x86_64":
        pytest.skip("the narrower machine to compare with is an x86-64 one")
    node = SAMPLES[name]
    feeds = feeds_for(node)
    wide, _ = run([node, make("neg", BARE)], feeds)
    narrow, _ = run(
        [node, make("neg", BARE)], feeds, machine=machine_for(host().triple, "x86-64-v3")
    )
    np.testing.assert_array_equal(wide, narrow)


def test_integers_out_of_a_table_are_an_error():
    table, rows = tensor("table", 5, 3), tensor("rows", "n", dtype="int32")
    for wrong in (5, -1):
        feeds = {"table": normal(0, 5, 3), "rows": np.array([0, wrong], np.int32)}
        with pytest.raises(RuntimeCheckError, match="gather: expected integers from 0 to 4"):
            run([make("gather", table, rows)], feeds)
