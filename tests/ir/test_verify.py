"""Contradictions within a graph are found, and what run-time sizes must fulfil is listed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoconv.errors import InternalError, ShapeError
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph, origin, raw
from isoconv.ir.ops import make
from isoconv.ir.sizes import evaluate, maximum, name
from isoconv.ir.verify import obligations, verify
from isoconv.reference import run
from oracles import leaves
from samples import SAMPLES, SIZES

N, L, M = name("n"), name("L"), name("m")


def tensor(label, *shape, dtype="float32"):
    return make("input", name=label, shape=shape, dtype=dtype)


def graph(*outputs):
    return Graph(leaves(outputs), outputs)


X, Y = tensor("x", N, L, 2), tensor("y", N, M, 2)


@pytest.mark.parametrize("node", SAMPLES.values(), ids=SAMPLES)
def test_every_sample_is_sound(node):
    verify(graph(node))


def broken(op, *inputs, shape=(N, L, 2), dtype="float32", **attrs):
    with origin("model/layer"):
        return raw(op, inputs, attrs, shape, dtype)


FAULTS = {
    "another rank": broken("exp", X, shape=(N, L)),
    "another size": broken("reduce_sum", X, axes=(2,), shape=(N, L, 2)),
    "another dtype": broken("exp", X, dtype="float64"),
    "no such operation": broken("cube", X),
    "an operand too many": broken("exp", X, X),
    "an attribute too many": broken("exp", X, axes=(1,)),
    "an axis too far": broken("reduce_sum", X, axes=(3,)),
    "no face": broken("conv", X, X, face="z", axes=(), groups=1, sizes=()),
    "a window of no axis": broken("pool_max", X, axes=(None,)),
}


@pytest.mark.parametrize("node", FAULTS.values(), ids=FAULTS)
def test_a_planted_contradiction_is_found_and_named(node):
    with pytest.raises(InternalError, match=f"model/layer: {node.op}: "):
        verify(graph(make("neg", node)))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((), "'x': not listed"),
        ((X, tensor("x", N)), "more than one input 'x'"),
        ((X, X), "more than one input 'x'"),
        ((X, make("neg", X)), "neg: listed as an input"),
    ],
)
def test_inputs_are_listed_once(inputs, message):
    with pytest.raises(InternalError, match=message):
        verify(Graph(inputs, (make("exp", X),)))


def test_sizes_may_be_written_differently_as_long_as_they_can_be_equal():
    verify(graph(raw("exp", [X], {}, (N, 9, 2), "float32")))


# -- obligations ------------------------------------------------------------------------------

WINDOW = (Axis(5, 2, 1, 1, 0),)
W = tensor("w", 5, 2, 3)
FORM = {"axes": WINDOW, "groups": 1, "sizes": (L,)}

OWED = {
    "operands": (make("add", X, Y), ["m == L"]),
    "a row": (make("add", X, tensor("row", 1, 1, 2)), []),
    "a known size": (make("add", X, tensor("k", N, 7, 2)), ["L == 7"]),
    "broadcasting": (make("broadcast", X, shape=(M, L, 2)), ["n == m"]),
    "reshaping": (make("reshape", X, shape=(M, 4)), ["2*L*n == 4*m"]),
    "reshaping that loses nothing": (make("reshape", X, shape=(2 * L, N)), []),
    "joining": (make("concat", X, Y, axis=2), ["L == m"]),
    "slicing": (
        make("slice", X, start=(0, 2, 0), shape=(N, M, 1), step=(1, 3, 1)),
        ["L >= 3*m"],
    ),
    "the rest": (
        make("slice", X, start=(0, 2, 0), shape=(N, L - 2, 2), step=(1, 1, 1)),
        ["L - 2 >= 0"],
    ),
    "the end": (
        make("slice", X, start=(0, L - 3, 0), shape=(N, 3, 2), step=(1, 1, 1)),
        ["L - 3 >= 0"],
    ),
    "cropping": (
        make("pad", X, low=(0, -2, 0), high=(0, -1, 0), interior=(0, 0, 0), value=0.0),
        ["L - 3 >= 0"],
    ),
    "padding by a size": (
        make("pad", X, low=(0, M, 0), high=(0, maximum(M, 3), 0), interior=(0, 0, 0), value=0.0),
        [],
    ),
    "face y": (make("conv", X, W, face="y", **FORM), ["floor(L, 2) - 1 >= 1"]),
    "face x": (
        make("conv", W, tensor("dy", N, M, 3), face="x", **FORM),
        ["m == floor(L, 2) - 1"],
    ),
    "face w": (
        make("conv", X, tensor("dy", 4, M, 3), face="w", **FORM),
        ["n == 4", "m == floor(L, 2) - 1"],
    ),
    "pooling": (make("pool_max", X, axes=WINDOW), ["floor(L, 2) - 1 >= 1"]),
    "scattering": (
        make("scatter_add", tensor("i", M, dtype="int32"), tensor("u", N, 2), rows=L + 1),
        ["m == n"],
    ),
    "a computed length": (
        make("full", value=1.0, shape=(L - M,), dtype="float32"),
        ["L - m >= 0"],
    ),
    "the same twice": (make("sub", make("add", X, Y), Y), ["m == L"]),
}


@pytest.mark.parametrize(("node", "owed"), OWED.values(), ids=OWED)
def test_what_is_left_for_run_time(node, owed):
    found = obligations(graph(node))
    assert [f"{check.left} {check.relation} {check.right}" for check in found] == owed


def test_a_check_says_who_asks():
    with origin("model/conv1d"):
        node = make("conv", tensor("seen", N, L, 2), W, face="y", **FORM)
    (check,) = obligations(graph(node))
    assert check.origin == "model/conv1d"
    assert check.message() == (
        "model/conv1d: conv: expected a window no larger than the input; got a window of 5 over "
        "L + 1 (input L, padding included)."
    )
    assert "got a window of 5 over 3 (input 2, padding included)." in check.message({"L": 2})


IMPOSSIBLE = {
    "a window too large": lambda: make("pool_max", tensor("s", N, 3, 2), axes=WINDOW),
    "cropping too much": lambda: make(
        "pad", tensor("s", 2), low=(-2,), high=(-1,), interior=(0,), value=0.0
    ),
    "starting before the beginning": lambda: make(
        "slice", X, start=(-1, 0, 0), shape=(N, L, 2), step=(1, 1, 1)
    ),
}


@pytest.mark.parametrize("build", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_can_never_hold_is_an_error_at_once(build):
    with origin("model/pool"):
        node = build()
    with pytest.raises(ShapeError, match="model/pool: "):
        obligations(graph(node))


@given(st.sampled_from(list(OWED)), st.integers(0, 8), st.integers(0, 8), st.integers(0, 8))
def test_a_program_runs_on_all_sizes_that_fulfil_its_obligations(key, n, length, m):
    program = graph(OWED[key][0])
    sizes = {"n": n, "L": length, "m": m}
    holds = {"==": int.__eq__, ">=": int.__ge__}
    for check in obligations(program):
        left, right = (evaluate(side, sizes) for side in (check.left, check.right))
        if not holds[check.relation](left, right):
            return
    feeds = {}
    for node in program.inputs:
        shape = tuple(evaluate(dim, sizes) for dim in node.shape)
        feeds[node["name"]] = np.zeros(shape, node.dtype)
    run(program, feeds, sizes)


@pytest.mark.parametrize("node", SAMPLES.values(), ids=SAMPLES)
def test_samples_fulfil_their_obligations(node):
    for check in obligations(graph(node)):
        left, right = (evaluate(side, SIZES) for side in (check.left, check.right))
        assert left == right if check.relation == "==" else left >= right
