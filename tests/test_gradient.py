"""Gradients against finite differences, against JAX, and against wrong rules planted on purpose."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from isoconv import dtypes
from isoconv.gradient import FLAT, RULES, vjp
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph, origin, sort
from isoconv.ir.ops import make
from isoconv.ir.sizes import name
from isoconv.ir.verify import verify
from isoconv.reference import run
from oracles import assert_close, conv_by_jax, given, leaves, numbers, value, values
from samples import SAMPLES, SIZES, feeds

SMOOTH = {key: node for key, node in SAMPLES.items() if node.op not in FLAT}


def differentiable(outputs):
    return [node for node in leaves(outputs) if dtypes.is_float(node.dtype)]


def check_vjp(outputs, arrays, order=1):
    """<pullback(dy), v> = <dy, derivative along v>, which is taken as a difference quotient."""
    wrt = differentiable(outputs)
    outputs = [make("cast", node, dtype="float64") for node in outputs]
    cotangents = [
        make("input", name=f"dy{order}{i}", shape=node.shape, dtype=node.dtype)
        for i, node in enumerate(outputs)
    ]
    gradients = vjp(outputs, wrt, cotangents)
    results = compute(outputs, arrays)
    dys = [numbers(*result.shape, seed=10 * order) for result in results]
    arrays = arrays | {node["name"]: dy for node, dy in zip(cotangents, dys, strict=True)}
    pulled = compute(gradients, arrays)
    along = [numbers(*arrays[node["name"]].shape, seed=11 * order) for node in wrt]

    def moved(step):
        pairs = zip(wrt, along, strict=True)
        there = {node["name"]: arrays[node["name"]] + step * v for node, v in pairs}
        return compute(outputs, arrays | there)

    step = 1e-6
    ahead, behind = moved(step), moved(-step)
    by_difference = sum(
        np.sum(dy * (a - b)) / (2 * step) for dy, a, b in zip(dys, ahead, behind, strict=True)
    )
    products = [g * v for g, v in zip(pulled, along, strict=True)]
    scale = sum(np.sum(np.abs(each)) for each in products) + 1e-3
    assert abs(sum(map(np.sum, products)) - by_difference) <= 2e-7 * scale
    if order > 1:
        check_vjp(gradients, arrays, order - 1)


def compute(outputs, arrays):
    return values(outputs, arrays, sizes=SIZES, precision="float64")


@pytest.mark.parametrize("node", SMOOTH.values(), ids=SMOOTH)
def test_rules_and_their_rules_are_derivatives(node):
    check_vjp([node], feeds(node), order=2)


@pytest.mark.parametrize("key", ["tanh", "div", "reduce_max", "pool_take", "pad", "conv face w"])
def test_a_gradient_wrong_by_a_thousandth_is_noticed(key, monkeypatch):
    node = SMOOTH[key]
    rule = RULES[node.op]

    def wrong(dy, y, operand):
        flow = rule(dy, y, operand)
        more = make("full", value=1.001, shape=(1,) * flow.rank, dtype=flow.dtype)
        return make("mul", flow, more)

    monkeypatch.setitem(RULES, node.op, wrong)
    with pytest.raises(AssertionError):
        check_vjp([node], feeds(node))


@pytest.mark.parametrize("node", SAMPLES.values(), ids=SAMPLES)
def test_gradients_are_sound_programs_with_sizes_of_their_operands(node):
    wrt = leaves([node])
    if not dtypes.is_float(node.dtype):
        return
    dy = make("input", name="dy_", shape=node.shape, dtype=node.dtype)
    gradients = vjp([node], wrt, [dy])
    graph_inputs = tuple(leaves([*gradients, dy]))
    verify(Graph(graph_inputs, tuple(gradients)))
    for gradient, x in zip(gradients, wrt, strict=True):
        assert (gradient.shape, gradient.dtype) == (x.shape, x.dtype)


def test_every_face_of_every_order_is_a_face():
    axes = (Axis(3, 2, 1, 1, 0),)
    x, w = given("x", numbers(1, 5, 2)), given("w", numbers(3, 2, 4))
    y = make("conv", x, w, face="y", axes=axes, groups=1, sizes=(5,))
    dy = given("dy", numbers(*y.shape))
    first = vjp([y], [x, w], [dy])
    second = vjp(first, [x, w, dy], [x, w])
    assert {node.op for node in sort([*first, *second])} == {"input", "conv", "add"}


@pytest.mark.parametrize("groups", [1, 2])
def test_the_second_order_of_a_convolution_is_that_of_jax(groups):
    axes = [Axis(3, 2, 1, -1, 2), Axis(2, 1, 3, 2, 0)]
    x, w = numbers(2, 6, 5, 4), numbers(3, 2, 4 // groups, 2)

    def by_jax(x, w):
        y = conv_by_jax(x, w, axes, groups)
        return jnp.sum(y**3)

    nodes = [given("x", x), given("w", w)]
    attrs = {"face": "y", "axes": tuple(axes), "groups": groups, "sizes": (6, 5)}
    y = make("conv", *nodes, **attrs)
    loss = make("reduce_sum", make("mul", y, make("mul", y, y)), axes=(0, 1, 2, 3))
    one = make("full", value=1.0, shape=loss.shape, dtype=loss.dtype)
    first = vjp([loss], nodes, [one])
    second = vjp([first[1]], nodes, [nodes[1]])
    along = w
    expected = jax.grad(lambda x, w: jnp.vdot(jax.grad(by_jax, 1)(x, w), along), (0, 1))(x, w)
    for actual, wanted in zip(values(second, {"x": x, "w": w}), expected, strict=True):
        assert_close(actual, wanted, 1000)


# -- exact values at the edges ----------------------------------------------------------------

EDGES = {
    "max shares a tie": ("max", jnp.maximum, [[1.0, 2, 3], [3.0, 2, 1]]),
    "min shares a tie": ("min", jnp.minimum, [[1.0, 2, 3], [3.0, 2, 1]]),
    "max of NaN": ("max", jnp.maximum, [[np.nan, 1], [1.0, np.nan]]),
    "relu at 0": ("relu", jax.nn.relu, [[0.0, -1, 2]]),
    "sqrt at 0": ("sqrt", jnp.sqrt, [[0.0, 4]]),
    "pow at 0": ("pow", jnp.power, [[0.0, 0, 2, -2], [1.0, 2, 0, 3]]),
}


@pytest.mark.parametrize(("op", "function", "operands"), EDGES.values(), ids=EDGES)
@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_edges_are_as_in_jax(op, function, operands):
    arrays = {f"x{i}": np.array(x) for i, x in enumerate(operands)}
    nodes = [given(*item) for item in arrays.items()]
    y = make(op, *nodes)
    one = make("full", value=1.0, shape=y.shape, dtype=y.dtype)
    expected = jax.vjp(function, *arrays.values())[1](jnp.ones(y.shape))
    for actual, wanted in zip(values(vjp([y], nodes, [one]), arrays), expected, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-15)


def test_edges_where_nothing_flows():
    base, zero = given("x", np.zeros(2)), make("full", value=0.0, shape=(1,), dtype="float64")
    dy = make("full", value=1.0, shape=(2,), dtype="float64")
    for y in (make("abs", base), make("pow", base, zero)):
        np.testing.assert_array_equal(value(*vjp([y], [base], [dy]), {"x": np.zeros(2)}), [0, 0])


def test_a_maximum_reached_twice_is_shared():
    x = np.array([[3.0, 1, 3], [2, 2, 2]])
    node = given("x", x)
    dy = make("full", value=6.0, shape=(2, 1), dtype="float64")
    (dx,) = vjp([make("reduce_max", node, axes=(1,))], [node], [dy])
    np.testing.assert_array_equal(value(dx, {"x": x}), [[3, 0, 3], [2, 2, 2]])


# -- the walk ---------------------------------------------------------------------------------

X, Y = (given(label, numbers(3)) for label in "xy")
ONE = make("full", value=1.0, shape=(3,), dtype="float64")


def test_uses_add_up_and_outputs_too():
    x = numbers(3)
    square = make("mul", X, X)
    (dx,) = vjp([square, X, square], [X], [ONE, ONE, ONE])
    np.testing.assert_allclose(value(dx, {"x": x}), 4 * x + 1)


def test_what_nothing_reaches_gets_zeros():
    steps = make("floor", X)
    for outputs in ([Y], [steps], [make("mul", steps, Y)]):
        (dx,) = vjp(outputs, [X], [ONE])
        assert dx is make("full", value=0.0, shape=(3,), dtype="float64")


def test_integers_get_zeros_of_their_dtype():
    whole = given("i", np.arange(3))
    y = make("mul", make("cast", whole, dtype="float64"), X)
    di, dx = vjp([y], [whole, X], [ONE])
    assert (di["value"], di.dtype) == (0, "int64")
    assert dx.op == "mul"


def test_only_what_lies_on_a_path_is_differentiated(monkeypatch):
    monkeypatch.delitem(RULES, "exp")
    y = make("mul", make("exp", Y), make("tanh", X))
    (dx,) = vjp([y], [X], [ONE])
    check = {"x": numbers(3), "y": numbers(3, seed=1)}
    expected = np.exp(check["y"]) * (1 - np.tanh(check["x"]) ** 2)
    np.testing.assert_allclose(value(dx, check), expected)


def test_intermediate_values_can_be_differentiated_by():
    middle = make("exp", X)
    dmiddle, dx = vjp([make("mul", middle, middle)], [middle, X], [ONE])
    x = numbers(3)
    np.testing.assert_allclose(value(dmiddle, {"x": x}), 2 * np.exp(x))
    np.testing.assert_allclose(value(dx, {"x": x}), 2 * np.exp(2 * x))


def test_a_gradient_remembers_the_layer_that_it_belongs_to():
    with origin("layer"):
        y = make("sin", given("only here", numbers(3)))
    with origin("step"):
        (dx,) = vjp([y], y.inputs, [ONE])
    assert dx.origin == "step/layer"


def test_one_gradient_program_serves_every_length():
    n, length, axes = name("n"), name("length"), (Axis(3, 2, 1, 1, 1),)
    x = make("input", name="x", shape=(n, length, 2), dtype="float64")
    w = make("input", name="w", shape=(3, 2, 3), dtype="float64")
    y = make("tanh", make("conv", x, w, face="y", axes=axes, groups=1, sizes=(length,)))
    pooled = make("pool_max", y, axes=(Axis(2, 2, 1, 0, 1),))
    gradients = vjp([pooled], [x, w], [pooled])
    graph = Graph((x, w), tuple(gradients))
    weights = numbers(3, 2, 3)

    def by_jax(x, w):
        y = jnp.tanh(conv_by_jax(x, w, axes, 1))
        y = jax.lax.pad(y, -jnp.inf, [(0, 0, 0), (0, 1, 0), (0, 0, 0)])
        windows = (1, 2, 1)
        return jax.lax.reduce_window(y, -jnp.inf, jax.lax.max, windows, windows, "VALID")

    for shape in [(1, 5, 2), (3, 6, 2), (2, 9, 2)]:
        data = numbers(*shape)
        out, pullback = jax.vjp(by_jax, data, weights)
        for actual, wanted in zip(
            run(graph, {"x": data, "w": weights}), pullback(out), strict=True
        ):
            assert_close(actual, wanted, 64)
