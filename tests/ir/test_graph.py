"""Nodes are interned and immutable in effect; graphs are sorted, rebuilt and resized."""

import gc
from threading import Thread

import pytest

from isoconv.errors import DtypeError, InternalError, ShapeError
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph, origin, raw, rebuild, rewrite, sort
from isoconv.ir.ops import make
from isoconv.ir.sizes import name
from oracles import leaves
from samples import SAMPLES


def tensor(label, *shape, dtype="float32"):
    return make("input", name=label, shape=shape, dtype=dtype)


X = tensor("x", 4, 3)


def full(value, dtype="float64"):
    return make("full", value=value, shape=(1,), dtype=dtype)


def test_equal_nodes_are_one_object():
    assert make("add", X, X) is make("add", X, tensor("x", 4, 3))
    assert make("exp", X) is not make("tanh", X)
    assert full(float("nan")) is full(float("nan"))


@pytest.mark.parametrize("pair", [(0.0, -0.0), (1, 1.0), (1, True), (0.0, 0)])
def test_numbers_that_python_finds_equal_stay_apart(pair):
    left, right = map(full, pair)
    assert left is not right
    assert (repr(left["value"]), repr(right["value"])) == tuple(map(repr, pair))


def test_equal_nodes_are_one_object_in_all_threads():
    found = []
    threads = [Thread(target=lambda: found.append(make("sin", X))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_nodes_that_nobody_holds_are_forgotten():
    with origin("first"):
        made = make("sin", make("cos", X)).origin
    gc.collect()
    assert (made, make("sin", make("cos", X)).origin) == ("first", "")


def test_origins_nest():
    with origin("model"), origin("layer"), origin(""):
        node = make("exp", tensor("seen here only", 2))
    assert node.origin == "model/layer"


def test_sorting_puts_operands_first_and_each_node_once():
    shared = make("exp", X)
    top = make("add", make("neg", shared), shared)
    order = sort([top, shared])
    assert order == [X, shared, top.inputs[0], top]
    deep = X
    for _ in range(5000):
        deep = make("neg", deep)
    assert len(sort([deep])) == 5001


def test_users_are_the_readers_of_a_node():
    double = make("add", X, X)
    graph = Graph((X,), (double, make("neg", double)))
    assert graph.users == {X: [double, double], double: [graph.outputs[1]], graph.outputs[1]: []}


def test_rewriting_rebuilds_from_the_inputs_up():
    y = tensor("y", 4, 3)
    before = make("add", make("exp", X), make("exp", X))
    (after,) = rewrite([before], lambda node, new: y if node is X else rebuild(node, new))
    assert after is make("add", make("exp", y), make("exp", y))


def test_sizes_are_renamed_in_shapes_attributes_and_axes():
    n, m = name("n"), name("m")
    x, z = tensor("x", n, n, 1), tensor("x", m, m, 1)
    axis, other = Axis(2, 1, 1, n - 3), Axis(2, 1, 1, m - 3)
    conv = make("conv", x, tensor("w", 2, 1, 1), face="y", axes=(axis,), groups=1, sizes=(n,))
    (moved,) = rewrite([conv], lambda node, new: rebuild(node, new, {"n": m}))
    expected = make("conv", z, tensor("w", 2, 1, 1), face="y", axes=(other,), groups=1, sizes=(m,))
    assert moved is expected


@pytest.mark.parametrize("node", SAMPLES.values(), ids=SAMPLES)
def test_rebuilding_with_the_same_parts_changes_nothing(node):
    assert rebuild(node, node.inputs) is node
    assert rebuild(node, node.inputs, {"n": name("n")}) is node
    assert raw(node.op, node.inputs, dict(node.attrs), node.shape, node.dtype) is node
    assert all(leaf.op == "input" for leaf in leaves([node]))


# -- what the table refuses -------------------------------------------------------------------

AXES = (Axis(3),)
W, IMAGE = tensor("w", 3, 2, 4), tensor("image", 5, 7, 4)
FACE = {"axes": AXES, "sizes": (7,)}

REFUSED = {
    "unequal sizes": (ShapeError, "add", [X, tensor("y", 4, 2)], {}),
    "unequal dtypes": (DtypeError, "add", [X, tensor("y", 4, 3, dtype="float64")], {}),
    "unequal ranks": (InternalError, "add", [X, tensor("y", 3)], {}),
    "exp of integers": (DtypeError, "exp", [tensor("i", 4, dtype="int32")], {}),
    "not of a float": (DtypeError, "not", [X], {}),
    "a float condition": (DtypeError, "where", [X, X, X], {}),
    "too few operands": (InternalError, "add", [X], {}),
    "a missing attribute": (InternalError, "cast", [X], {}),
    "an unknown dtype": (InternalError, "cast", [X], {"dtype": "float16"}),
    "elements lost": (ShapeError, "reshape", [X], {"shape": (5, 2)}),
    "an axis twice": (InternalError, "transpose", [X], {"perm": (0, 0)}),
    "an axis too far": (InternalError, "reduce_sum", [X], {"axes": (2,)}),
    "narrowing": (ShapeError, "broadcast", [X], {"shape": (4, 1)}),
    "a slice too long": (
        ShapeError,
        "slice",
        [X],
        {"start": (2, 0), "shape": (3, 3), "step": (1, 1)},
    ),
    "uneven joining": (ShapeError, "concat", [X, tensor("y", 4, 2)], {"axis": 0}),
    "rows that are no integers": (DtypeError, "gather", [X, X], {}),
    "channels": (ShapeError, "conv", [IMAGE, W], {"face": "y", "groups": 1, **FACE}),
    "filters": (ShapeError, "conv", [W, tensor("y", 5, 5, 3)], {"face": "x", "groups": 2, **FACE}),
    "sizes": (ShapeError, "conv", [W, tensor("y", 5, 6, 4)], {"face": "x", "groups": 2, **FACE}),
    "batches": (
        ShapeError,
        "conv",
        [IMAGE, tensor("y", 4, 5, 4)],
        {"face": "w", "groups": 1, **FACE},
    ),
    "groups": (
        InternalError,
        "conv",
        [IMAGE, tensor("y", 5, 5, 3)],
        {"face": "w", "groups": 2, **FACE},
    ),
    "taps": (
        InternalError,
        "conv",
        [IMAGE, tensor("w", 2, 2, 4)],
        {"face": "y", "groups": 2, **FACE},
    ),
    "the rank of weights": (InternalError, "conv", [IMAGE, X], {"face": "y", "groups": 1, **FACE}),
    "taken taps": (
        ShapeError,
        "pool_take",
        [IMAGE, tensor("t", 5, 4, 4, dtype="int32")],
        {"axes": AXES},
    ),
    "float taps": (DtypeError, "pool_take", [IMAGE, tensor("t", 5, 5, 4)], {"axes": AXES}),
}


@pytest.mark.parametrize(("error", "op", "operands", "attrs"), REFUSED.values(), ids=REFUSED)
def test_operands_that_do_not_fit_are_refused(error, op, operands, attrs):
    with pytest.raises(error):
        make(op, *operands, **attrs)
