"""Row 14: channels first costs transposes at the two ends only, and changes no bit."""

from dataclasses import replace

import numpy as np
import pytest

from isoconv import compiler, layers, ops
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph
from isoconv.ir.layout import to_first, to_last
from isoconv.ir.ops import OPS, make
from isoconv.ir.sizes import name
from isoconv.models.sequential import Sequential
from isoconv.ops.program import Spec, trace
from isoconv.ops.recorder import record_into
from isoconv.reference.run import run
from isoconv.rewriting import driver, transposes
from isoconv.rewriting.rules import EXACT

FIRST = {"data_format": "channels_first"}


def drawn(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def meaning(graph: Graph, arrays: list[np.ndarray]) -> list[np.ndarray]:
    names = [node["name"] for node in graph.inputs]
    return run(graph, dict(zip(names, arrays, strict=True)))


def transposes_in(graph: Graph) -> int:
    return sum(node.op == "transpose" for node in graph.nodes)


def network(rank: int, *stack: layers.Layer) -> Sequential:
    model = Sequential(list(stack))
    model.build((None, 3, *(9,) * rank))
    return model


def convolution(rank: int, **options: object) -> layers.Layer:
    return getattr(layers, f"Conv{rank}D")(4, 3, **options, **FIRST)


def stacks(rank: int) -> list[layers.Layer]:
    pooling = getattr(layers, f"MaxPooling{rank}D")
    return [
        convolution(rank, padding="same", activation="relu"),
        layers.BatchNormalization(axis=1),
        getattr(layers, f"ZeroPadding{rank}D")(1, **FIRST),
        pooling(2, padding="same", **FIRST),
        layers.Activation("gelu"),
        getattr(layers, f"UpSampling{rank}D")(2, **FIRST) if rank > 1 else layers.ReLU(),
        convolution(rank, dilation_rate=2),
        getattr(layers, f"AveragePooling{rank}D")(2, padding="same", **FIRST),
        getattr(layers, f"GlobalMaxPooling{rank}D")(**FIRST),
        layers.Dense(2),
    ]


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_chain_has_one_transpose_where_it_begins_and_the_bits_of_its_program(rank: int) -> None:
    model = network(rank, *stacks(rank))
    graph = trace(model, [Spec((name("n"), 3, *(9,) * rank), "float32")]).graph
    rewritten, steps = driver.apply(graph, EXACT)
    assert transposes_in(graph) > 5
    assert transposes_in(rewritten) == 1
    assert {step.rule.number for step in steps} == {"14"}
    x = drawn((2, 3, *(9,) * rank))
    arrays = [x, *(weight.numpy() for weight in trace_weights(model, graph))]
    for before, after in zip(meaning(graph, arrays), meaning(rewritten, arrays), strict=True):
        np.testing.assert_array_equal(before, after)


def trace_weights(model: Sequential, graph: Graph) -> list:
    by_path = {weight.path: weight for weight in model.weights}
    return [by_path[node["name"]] for node in graph.inputs[1:]]


def compiled(graph: Graph, arrays: list[np.ndarray], monkeypatch, rules) -> list[np.ndarray]:
    with monkeypatch.context() as patch:
        patch.setattr(compiler.rules, "EXACT", rules)
        return compiler.compile(graph)(arrays)


@pytest.mark.parametrize("seed", range(8))
def test_drawn_programs_keep_all_bits(seed: int, monkeypatch) -> None:
    graph = program(np.random.default_rng(seed))
    rewritten, _ = driver.apply(graph, EXACT)
    assert transposes_in(rewritten) <= transposes_in(graph)
    arrays = [drawn((2, 3, 4, 5), seed), drawn((2, 5, 3, 4), seed + 1)]
    expected = compiled(graph, arrays, monkeypatch, ())
    for before, after in zip(expected, compiled(graph, arrays, monkeypatch, EXACT), strict=True):
        np.testing.assert_array_equal(before, after)


def program(rng: np.random.Generator) -> Graph:
    """Transposes among all that they may pass, in a drawn order."""
    n = name("n")
    given = [make("input", name=f"x{i}", shape=s, dtype="float32") for i, s in enumerate(SHAPES(n))]
    x, y = given
    x = make("transpose", x, perm=(0, 3, 1, 2))
    for choice in rng.permutation(len(CHOICES)):
        x = CHOICES[choice](x, make("transpose", x, perm=(0, 2, 3, 1)))
    x = make("add", x, make("slice", y, start=(0,) * 4, shape=(n, 1, 1, 1), step=(1,) * 4))
    return Graph(tuple(given), (x, make("reduce_sum", x, axes=(1, 3))))


def SHAPES(n):
    return (n, 3, 4, 5), (n, 5, 3, 4)


def _pad(x, t):
    sides = {"low": (0, 1, -1, 2), "high": (0, 0, 1, 0), "interior": (0, 1, 0, 0)}
    return make("pad", x, value=0.5, **sides)


def _slice(x, t):
    shape = (*x.shape[:3], (x.shape[3] - 1) // 2)
    return make("slice", x, start=(0, 0, 0, 1), shape=shape, step=(1, 1, 1, 2))


def _bias(x, t):
    bias = make("iota", axis=0, shape=(x.shape[1],), dtype="float32")
    return make("add", x, make("reshape", bias, shape=(1, x.shape[1], 1, 1)))


CHOICES = [
    _pad,
    _slice,
    _bias,
    lambda x, t: make("concat", x, x, axis=2),
    lambda x, t: make("reverse", x, axes=(1, 3)),
    lambda x, t: make("mul", x, make("reduce_max", x, axes=(2,))),
    lambda x, t: make("transpose", make("relu", t), perm=(0, 3, 1, 2)),
    lambda x, t: make("reshape", make("reshape", x, shape=(*x.shape[:2], 1, *x.shape[2:])),
                      shape=x.shape),
    lambda x, t: make("where", make("lt", x, make("neg", x)), x,
                      make("full", value=2.0, shape=(1, 1, 1, 1), dtype="float32")),
]  # fmt: skip


def test_training_keeps_all_bits(monkeypatch) -> None:
    def trained(rules) -> list[np.ndarray]:
        monkeypatch.setattr(compiler.rules, "EXACT", rules)
        model = network(2, *stacks(2))
        rng = np.random.default_rng(3)
        model.set_weights([rng.random(w.shape).astype(np.float32) for w in model.weights])
        model.compile("sgd", "mse")
        model.fit(drawn((8, 3, 9, 9)), drawn((8, 2)), batch_size=4, verbose=0, shuffle=False)
        return model.get_weights()

    for before, after in zip(trained(()), trained(EXACT), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_residual_block_has_one_transpose_at_each_end() -> None:
    first, second = convolution(2, padding="same"), convolution(2, padding="same")

    def block(x):
        return ops.relu(second(ops.relu(first(x))) + first(x))

    with record_into(None):
        first.build((None, 4, 9, 9))
        second.build((None, 4, 9, 9))
    graph = trace(block, [Spec((name("n"), 4, 9, 9), "float32")]).graph
    assert transposes_in(driver.apply(graph, EXACT)[0]) == 2


def residual_program(rng: np.random.Generator) -> Graph:
    """Convolutions and poolings with channels first, and sums and joins of what came before."""
    x = make("input", name="x", shape=(2, 4, 8, 8), dtype="float32")
    values, inputs = [x], [x]
    axes = (Axis(3, low=1, high=1),) * 2
    for number in range(rng.integers(2, 9)):
        kind = rng.choice(["conv", "conv", "add", "where", "concat", "pool_max", "relu"])
        one, other = values[-rng.integers(1, 3) :][0], values[rng.integers(len(values))]
        if kind == "conv":
            inputs.append(make("input", name=f"w{number}", shape=(3, 3, 4, 4), dtype="float32"))
            attrs = {"face": "y", "axes": axes, "groups": 1, "sizes": (8, 8)}
            values.append(to_first(make("conv", to_last(one), inputs[-1], **attrs)))
        elif kind == "pool_max":
            values.append(to_first(make("pool_max", to_last(one), axes=axes)))
        elif kind == "where":
            values.append(make("where", make("lt", one, other), one, values[0]))
        elif kind == "concat":
            whole = make("concat", one, other, axis=1)
            part = {"start": (0, 2, 0, 0), "shape": x.shape, "step": (1,) * 4}
            values.append(make("slice", whole, **part))
        else:
            values.append(make(kind, *(one, other)[: OPS[kind].arity]))
    return Graph(tuple(inputs), (values[-1],))


def test_rules_come_to_an_end_with_fewer_transposes_whatever_is_summed() -> None:
    """x + convolution(x) once went round in a circle: what one rule moved, it moved back."""
    before = after = 0
    for seed in range(150):
        graph = residual_program(np.random.default_rng(seed))
        rewritten, _ = driver.apply(graph, EXACT)
        before, after = before + transposes_in(graph), after + transposes_in(rewritten)
        if seed < 20:
            arrays = [drawn(node.shape, place) for place, node in enumerate(graph.inputs)]
            np.testing.assert_array_equal(*(meaning(g, arrays)[0] for g in (graph, rewritten)))
    assert after < 0.6 * before


@pytest.mark.parametrize(
    ("what", "wrong"),
    [
        ("inverse", lambda perm: perm),
        ("back", lambda values, perm: tuple(values[axis] for axis in perm)),
    ],
)
def test_a_wrong_order_of_axes_is_caught(what: str, wrong, monkeypatch) -> None:
    """The tests above would see a permutation taken the wrong way round."""
    monkeypatch.setattr(transposes, what, wrong)
    found = []
    for seed in range(8):
        graph = program(np.random.default_rng(seed))
        arrays = [drawn((2, 3, 4, 5), seed), drawn((2, 5, 3, 4), seed + 1)]
        try:
            rewritten, _ = driver.apply(graph, EXACT)
            pairs = zip(meaning(graph, arrays), meaning(rewritten, arrays), strict=True)
            found.append(all(np.array_equal(a, b) for a, b in pairs))
        except Exception:  # shapes that contradict each other
            found.append(False)
    assert not all(found)


def test_rules_that_go_in_a_circle_are_an_error() -> None:
    circle = replace(EXACT[0], at=frozenset({"neg", "abs"}), apply=_turn)
    x = make("input", name="x", shape=(2,), dtype="float32")
    with pytest.raises(Exception, match="in a circle"):
        driver.apply(Graph((x,), (make("neg", x),)), [circle])


def _turn(node, facts):
    return make("abs" if node.op == "neg" else "neg", *node.inputs)
