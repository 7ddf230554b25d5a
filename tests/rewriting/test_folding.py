"""Rows 15 to 21: programs with prepared weights are the same functions, within rounding."""

import numpy as np
import pytest

import isoconv
from isoconv import compiler, layers
from isoconv.errors import RuntimeCheckError
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph, rebuild, rewrite
from isoconv.ir.ops import make
from isoconv.ir.sizes import name
from isoconv.ops.program import Spec, trace
from isoconv.reference.run import run
from isoconv.rewriting import branches, driver, lookups, normalization, prepare, products, weights
from isoconv.rewriting.rules import EXACT, PREDICTION

SEEDS = range(12)


class Case:
    """A drawn network in float64, as a graph, and arrays for it. rank: of its convolutions."""

    def __init__(self, draw, seed: int, dtype: str = "float64") -> None:
        self.rng = np.random.default_rng(seed)
        self.rank = seed % 3 + 1
        self.dtype = dtype
        self.shape = (*self.rng.integers(7, 10, self.rank).tolist(), 4)
        self.integers = draw is embedded
        shape, dtype = (self.shape[:-1], "int32") if self.integers else (self.shape, dtype)
        given = isoconv.Input(shape, dtype=dtype)
        self.model = isoconv.Model(given, draw(self, given))
        self.model.set_weights([self.weight(w) for w in self.model.weights])
        sizes = tuple(name(f"l{i}") for i in range(len(shape)))[: self.rank]
        dims = (name("n"), *sizes, *shape[self.rank :])
        found = trace(lambda x: self.model(x, training=False), [Spec(dims, dtype)])
        self.graph = found.graph
        self.weights = self.graph.inputs[1:]
        size = (2, *shape)
        self.x = self.rng.integers(0, 9, size, "int32") if self.integers else self.values(size)
        names = [node["name"] for node in self.graph.inputs]
        self.feeds = dict(zip(names, [self.x, *(v.numpy() for v in found.captured)], strict=True))

    def values(self, shape) -> np.ndarray:
        return self.rng.normal(size=shape).astype(self.dtype)

    def weight(self, variable) -> np.ndarray:
        drawn = self.values(variable.shape)
        return np.abs(drawn) + 0.5 if "variance" in variable.path else drawn

    def layer(self, kind: str, *args, **options):
        cls = getattr(layers, kind.replace("Conv", f"Conv{self.rank}D", 1), None)
        cls = cls or getattr(layers, f"{kind}{self.rank}D", None) or getattr(layers, kind)
        return cls(*args, dtype=self.dtype, **options)

    def pick(self, *values):
        return values[self.rng.integers(len(values))]

    def folded(self) -> tuple[Graph, list[str]]:
        result, steps = driver.apply(self.graph, (*EXACT, *PREDICTION), self.weights)
        return result, [step.rule.number for step in steps]


def scaled(case: Case, x):
    """Row 15: each kind of convolution under BatchNormalization."""
    kind = case.pick("Conv", "Conv", "DepthwiseConv", "SeparableConv", "transposed", "Dense")
    pad = case.pick("valid", "same")
    if kind == "transposed":
        x = layer_named(case, "Transpose", 4, 3, strides=2, groups=case.pick(1, 2))(x)
    elif kind == "Dense":
        x = case.layer("Dense", 6)(x)
    elif kind == "Conv":
        moves = {"strides": 2} if case.pick(0, 1) else {"dilation_rate": 2}
        x = case.layer("Conv", 6, 3, padding=pad, groups=case.pick(1, 2), **moves)(x)
    else:
        args = (6, 3) if kind == "SeparableConv" else (3,)
        x = case.layer(kind, *args, padding=pad, depth_multiplier=2)(x)
    x = case.layer("BatchNormalization", scale=case.pick(True, False))(x)
    return case.layer("ReLU")(x)


def layer_named(case: Case, ending: str, *args, **options):
    return getattr(layers, f"Conv{case.rank}D{ending}")(*args, dtype=case.dtype, **options)


def scaled_before(case: Case, x):
    """Row 16."""
    x = case.layer("BatchNormalization", center=case.pick(True, False))(x)
    options = {"groups": case.pick(1, 2), "strides": case.pick(1, 2)}
    return case.layer("Conv", 4, case.pick(1, 2, 3), padding="valid", **options)(x)


def scaled_before_padding(case: Case, x):
    """Row 16 does not hold: the zeros of the padding are not shifted."""
    x = case.layer("BatchNormalization")(x)
    return case.layer("Conv", 4, 3, padding="same")(x)


def chained(case: Case, x):
    """Row 17: many channels between the two."""
    moves = {"strides": 2} if case.pick(0, 1) else {"dilation_rate": case.pick(1, 2)}
    x = case.layer("Conv", 40, case.pick(1, 2, 3), padding=case.pick("valid", "same"), **moves)(x)
    return case.layer("Conv", 2, case.pick(1, 2), dilation_rate=case.pick(1, 2))(x)


def chained_groups(case: Case, x):
    """Row 17 where both have groups: as many, or multiples of each other, depthwise too."""
    one, two = case.pick((2, 2), (4, 2), (2, 4), (4, 4), (1, 2), (2, 1))
    taps = {1: 40, 2: 80, 4: 160}[max(one, two)]
    moves = {"strides": 2} if case.pick(0, 1) else {"dilation_rate": case.pick(1, 2)}
    x = case.layer("Conv", taps, case.pick(2, 3), padding="same", groups=one, **moves)(x)
    return case.layer("Conv", 4, case.pick(1, 2), groups=two)(x)


def separable(case: Case, x):
    """Row 8b: fewer filters than the multiplier saves."""
    moves = {"strides": 2} if case.pick(0, 1) else {"dilation_rate": case.pick(1, 2)}
    options = {"padding": case.pick("valid", "same"), "depth_multiplier": case.pick(2, 3), **moves}
    return case.layer("SeparableConv", 1, case.pick(2, 3), **options)(x)


def summed(case: Case, x):
    """Row 18: a RepVGG block, with even and odd kernels and groups."""
    groups = case.pick(1, 2, 4)
    big = case.pick(2, 3, 4, 5)
    dilation = case.pick(1, 2)
    parts = []
    for taps in (big, case.pick(1, max(big - 1, 1))):
        options = {"groups": groups, "padding": "same"}
        if taps > 1:
            options["dilation_rate"] = dilation
        parts.append(case.layer("Conv", 4, taps, **options)(x))
    parts.append(case.pick(x, case.layer("BatchNormalization")(x)))
    return case.layer("ReLU")(case.layer("Add")(parts))


def joined(case: Case, x):
    """Row 19, between others: exact."""
    same = {"padding": "same", "activation": "relu"}
    parts = [case.layer("Conv", filters, 2, **same)(x) for filters in (3, 1, 4)]
    other = case.layer("Conv", 2, 3, **same)(x)
    return case.layer("Concatenate")([other, *parts, x] if case.pick(0, 1) else [*parts, other])


def embedded(case: Case, x):
    """Row 21."""
    x = case.layer("Embedding", 9, 8)(x)
    pads = ("valid", "same", "causal") if case.rank == 1 else ("valid", "same")
    return case.layer("Conv", 5, case.pick(1, 2, 3, 4), padding=case.pick(*pads))(x)


ROWS = {"15": scaled, "16": scaled_before, "17": chained, "18": summed, "19": joined}
ROWS |= {"21": embedded, "8b": separable}


def magnitude(graph: Graph) -> Graph:
    """The sum of the absolute values of all that a program of sums and products adds."""

    def change(node, inputs):
        if node.op == "sub":
            return make("add", *inputs)
        return inputs[0] if node.op == "neg" else rebuild(node, inputs)

    return Graph(graph.inputs, tuple(rewrite(graph.outputs, change)))


def bound(case: Case, terms: int) -> list[np.ndarray]:
    """4 eps sqrt(K) sum |x||w| of each output."""
    feeds = {key: np.abs(value) for key, value in case.feeds.items()}
    eps = np.finfo(case.dtype).eps
    return [4 * eps * np.sqrt(terms) * each for each in run(magnitude(case.graph), feeds)]


def agree(case: Case, result: Graph) -> bool:
    limit = bound(case, 1000)
    pairs = zip(run(case.graph, case.feeds), run(result, case.feeds), limit, strict=True)
    return all(a.shape == b.shape and np.all(np.abs(a - b) <= c) for a, b, c in pairs)


@pytest.mark.parametrize("number", ROWS)
def test_each_row_is_found_and_gives_the_same_function(number: str) -> None:
    for seed in SEEDS:
        case = Case(ROWS[number], seed)
        result, steps = case.folded()
        assert number in steps, (seed, steps)
        assert agree(case, result), seed


def test_two_grouped_convolutions_are_one_of_the_groups_both_keep() -> None:
    for seed in SEEDS:
        case = Case(chained_groups, seed)
        result, steps = case.folded()
        assert "17" in steps, (seed, steps)
        assert agree(case, result), seed


@pytest.mark.parametrize(
    ("layer", "wanted"),
    [
        (layers.SeparableConv1D(1, 3), ["8b"]),
        (layers.SeparableConv1D(8, 3), []),
        (layers.Conv1D(8, 3, groups=4), []),
        (layers.DepthwiseConv1D(3), []),
        (layers.Conv1D(8, 3, dilation_rate=2), []),
    ],
    ids=str,
)
def test_a_form_is_chosen_by_its_multiply_adds_and_proven_equal(layer, wanted) -> None:
    model = isoconv.Sequential([isoconv.Input((9, 8)), layer])
    graph = trace(lambda x: model(x, training=False), [Spec((2, 9, 8), "float32")]).graph
    _, steps = driver.apply(graph, (*EXACT, *PREDICTION), graph.inputs[1:])
    # Row 14 moves transposes of the weights.
    assert [step.rule.number for step in steps if step.rule.number != "14"] == wanted
    if wanted:
        other = isoconv.Sequential([isoconv.Input((9, 8)), layers.Conv1D(1, 3)])
        assert isoconv.equivalent(model, other).relation == "a_within_b"


def test_a_shift_does_not_go_through_padding() -> None:
    for seed in SEEDS:
        case = Case(scaled_before_padding, seed)
        assert "16" not in case.folded()[1]


@pytest.mark.parametrize("number", ROWS)
def test_compiled_predictions_are_within_the_bound_of_their_class(number: str) -> None:
    case = Case(ROWS[number], 3, "float32")
    x = case.x
    exact, folded = case.model.predict(x, rewrite=False), case.model.predict(x)
    np.testing.assert_array_equal(exact, case.model(x))
    (limit,) = bound(case, 200)
    assert np.all(np.abs(exact - folded) <= limit)
    if number == "19":
        np.testing.assert_array_equal(exact, folded)
    np.testing.assert_array_equal(folded, isoconv.jit(case.model)(x))
    np.testing.assert_array_equal(exact, isoconv.jit(case.model, rewrite=False)(x))


def test_prepared_weights_follow_assign_and_fit() -> None:
    case = Case(summed, 1, "float32")
    model, x = case.model, case.x
    fast = isoconv.jit(model)
    first = before = fast(x)
    model.compile("sgd", "mse")
    for change in (
        lambda: model.weights[0].assign(model.weights[0] * 2),
        lambda: model.fit(x, first, verbose=0),
    ):
        change()
        new = fast(x)
        assert not np.array_equal(new, before)
        np.testing.assert_allclose(new, model(x), rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(new, model.predict(x))
        before = new


def test_weights_are_prepared_once_a_version(monkeypatch) -> None:
    case = Case(scaled, 1, "float32")
    program = case.model.program([case.x], (case.x,), {}, folding=True)
    calls = []
    inner = program._weights._prepare
    monkeypatch.setattr(program._weights, "_prepare", lambda f: calls.append(1) or inner(f))
    for _ in range(3):
        program([case.x])
    case.model.weights[0].assign(case.model.weights[0] + 1)
    for _ in range(3):
        program([case.x])
    assert len(calls) == 2


def test_training_and_plain_calls_never_fold(monkeypatch) -> None:
    def refuse(*args, **kwargs):
        raise AssertionError("folded")

    monkeypatch.setattr(compiler, "compile_prediction", refuse)
    case = Case(summed, 2, "float32")
    case.model(case.x)
    case.model.compile("sgd", "mse")
    case.model.fit(case.x, case.model(case.x), verbose=0)
    case.model.evaluate(case.x, case.model(case.x), verbose=0)
    with pytest.raises(AssertionError, match="folded"):
        case.model.predict(case.x)


def test_a_word_outside_the_table_is_still_an_error() -> None:
    model = isoconv.Sequential(
        [isoconv.Input((None,), dtype="int32"), layers.Embedding(9, 8), layers.Conv1D(5, 3)]
    )
    x = np.zeros((1, 6), "int32")
    assert model.predict(x).shape == (1, 4, 5)
    for place in range(6):
        wrong = x.copy()
        wrong[0, place] = 9
        with pytest.raises(RuntimeCheckError):
            model.predict(wrong)


def test_tables_above_the_bound_are_not_made(monkeypatch) -> None:
    monkeypatch.setattr(lookups, "MOST_BYTES", 100)
    assert "21" not in Case(embedded, 0).folded()[1]


def test_a_value_read_elsewhere_too_is_not_computed_twice() -> None:
    given = isoconv.Input((8, 4))
    x = layers.Conv1D(4, 3)(given)
    model = isoconv.Model(given, [x, layers.BatchNormalization()(x)])
    program = model.program([np.ones((1, 8, 4), "float32")], (np.ones((1, 8, 4), "f4"),), {}, True)
    assert program.steps == ()


def test_steps_say_rule_place_and_both_sides() -> None:
    case = Case(scaled, 1)
    _, steps = driver.apply(case.graph, PREDICTION, case.weights)
    assert steps[0].rule.equation.title == "Conv, BatchNormalization -> Conv"
    assert "batch_normalization" in steps[0].where
    assert "mul" in str(steps[0])
    assert "->" in str(steps[0])


def test_nothing_is_prepared_where_nothing_follows_from_weights() -> None:
    case = Case(lambda case, x: case.layer("Dense", 3)(x), 0)
    assert prepare.split(driver.apply(case.graph, EXACT)[0], case.weights) is None


# -- planted faults ---------------------------------------------------------------------------


def _centred(left, right):
    """Smaller kernels in the middle of larger ones: right for odd ones only."""
    found = _joint(left, right)
    middle = [(found.axis.taps - each.taps) // 2 for each in (left, right)]
    return branches.Joint(found.axis, *middle)


def _swapped_starts(left, right):
    found = _joint(left, right)
    return branches.Joint(found.axis, found.right, found.left)


def _unturned(values, w, groups):
    inner, filters = w.shape[-2:]
    rows = make("reshape", weights.vector(values, inner * groups), shape=(inner, groups, 1))
    spread = make("broadcast", rows, shape=(inner, groups, filters // groups))
    return make("reshape", spread, shape=(*(1,) * (w.rank - 2), inner, filters))


def _late(table, rows, w, axes, taps, lengths):
    return _tap(table, rows, w, axes, tuple(max(t - 1, 0) for t in taps), lengths)


def _no_left(first, second):
    axes = _product_axes(first, second)
    return tuple(Axis(a.taps, a.stride, a.dilation, a.high, a.low) for a in axes)


def _first_group(w, own, groups):
    """All groups read the channels of the first."""
    found = _in_groups(w, own, groups)
    zeros = [0] * found.rank
    own_channels = make("slice", found, start=zeros, shape=w.shape, step=[1] * found.rank)
    high = [f - o for f, o in zip(found.shape, w.shape, strict=True)]
    return make("pad", own_channels, low=zeros, high=high, interior=zeros, value=0.0)


_in_groups = products.in_groups
_joint, _tap, _product_axes = branches.joint_axis, lookups._tap, products.product_axes

FAULTS = [
    ("18", branches, "joint_axis", _centred),
    ("18", branches, "joint_axis", _swapped_starts),
    ("15", normalization, "along_channels", _unturned),
    ("16", normalization, "along_channels", _unturned),
    ("21", lookups, "_tap", _late),
    ("17", products, "product_axes", _no_left),
    ("8b", products, "product_axes", _no_left),
    ("8b", products, "in_groups", _first_group),
]


@pytest.mark.parametrize(("number", "module", "what", "wrong"), FAULTS)
def test_a_planted_fault_is_found(number, module, what, wrong, monkeypatch) -> None:
    """Off by one tap, groups in the wrong order, the wrong side, right for odd kernels only."""
    monkeypatch.setattr(module, what, wrong)
    assert not all(agrees(Case(ROWS[number], seed)) for seed in SEEDS)


def agrees(case: Case) -> bool:
    try:
        return agree(case, case.folded()[0])
    except Exception:  # sizes that contradict each other are found as well
        return False


def test_a_shift_through_padding_would_be_found(monkeypatch) -> None:
    monkeypatch.setattr(normalization, "is_unpadded", lambda axes: True)
    assert not any(agrees(Case(scaled_before_padding, seed)) for seed in SEEDS)
