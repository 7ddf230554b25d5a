"""Every rule on layers, in its direction, at ranks 1 to 3: the same function, within its class."""

import numpy as np
import pytest

import isoconv
from isoconv import compiler, layers, reference
from isoconv.conversion import groups, merging, steps
from isoconv.conversion.chain import Chain, of_rank
from isoconv.conversion.rules import ALL
from isoconv.conversion.search import applied
from isoconv.layers.parts import Patches
from isoconv.rewriting import branches
from isoconv.rewriting.equations import EQUATIONS

RANKS = (1, 2, 3)


class Draw:
    """Geometry of a rank, drawn."""

    def __init__(self, rank: int, seed: int, sizes: tuple[int, int] = (6, 9)) -> None:
        self.rank = rank
        self.rng = np.random.default_rng([rank, seed])
        self.lengths = tuple(self.rng.integers(*sizes, rank).tolist())
        self.channels = 4
        self.shape = (*self.lengths, self.channels)

    def pick(self, *values):
        return values[self.rng.integers(len(values))]

    def each(self, *values):
        return tuple(self.pick(*values) for _ in range(self.rank))

    def conv(self, family="Conv", ending="", filters=6, size=None, **options):
        size = self.each(1, 2, 3) if size is None else size
        args = (size,) if family == "DepthwiseConv" else (filters, size)
        given = {"activation": "tanh", "dtype": "float64"} | options
        return of_rank(family, self.rank, ending)(*args, **given)

    def moved(self, **options):
        """Strides or dilation, and padding."""
        modes = ("valid", "same", "causal") if self.rank == 1 else ("valid", "same")
        moves = {"strides": self.pick(1, 2)}
        if moves["strides"] == 1:
            moves["dilation_rate"] = self.pick(1, 2)
        return moves | {"padding": self.pick(*modes)} | options

    def whole(self, family, *args, **options):
        return of_rank(family, self.rank)(*args, dtype="float64", **options)

    def norm(self):
        return layers.BatchNormalization(dtype="float64", center=self.pick(True, False))

    def branches(self, joint, *given, source=False):
        x = isoconv.Input(self.shape, dtype="float64")
        parts = [each(x) for each in given] + [x] * source
        return isoconv.Model(x, joint(parts))


def dense(units, **options):
    return layers.Dense(units, dtype="float64", activation="tanh", **options)


def patches(d, size, strides):
    return Patches(size, strides, (1,) * d.rank, dtype="float64")


def split(d):
    """The right side of row 7: what the rule itself makes."""
    layer = d.conv(groups=2, **d.moved())
    layer.build((None, *d.shape))
    return groups._split(d.shape, layer).layers


def to_batch(d, family="Conv"):
    layer = d.conv(family, dilation_rate=2, size=2)
    layer.build((None, *d.shape))
    return steps._to_batch(d.shape, layer).layers


def stuffed(d):
    layer = d.conv("Conv", "Transpose", size=3, strides=2, groups=d.pick(1, 2))
    layer.build((None, *d.shape))
    return steps._zeros_between(d.shape, layer).layers


def explicit(d, family):
    layer = d.conv(family, size=3, padding="same", dilation_rate=d.pick(1, 2))
    layer.build((None, *d.shape))
    return steps._explicit(d.shape, layer).layers


def unit(d):
    """Rank 2 or 3 with an axis of size 1."""
    d.lengths = (1, *d.lengths[1:])
    d.shape = (*d.lengths, d.channels)
    size = (1, *(2 for _ in d.lengths[1:]))
    return [d.conv(size=size, padding=d.pick("valid", "same"))]


def one_channel(d):
    d.shape = (*d.lengths, 1)
    return [d.conv(size=(*(2 for _ in d.lengths[1:]), d.lengths[-1]))]


def framed(d, family="Conv"):
    size = d.each(2, 3)
    return d.conv(family, size=size, strides=size)


def joined(d):
    same = d.moved(size=2)
    return [
        d.branches(
            layers.Concatenate(dtype="float64"), *(d.conv(filters=f, **same) for f in (1, 3))
        )
    ]


def added(d, source=True):
    same = {"activation": None, "padding": "same", "filters": 4, "groups": d.pick(1, 2)}
    parts = d.conv(size=d.pick(2, 3, 4), **same), d.conv(size=d.pick(1, 2), **same)
    return [d.branches(layers.Add(dtype="float64"), *parts, d.norm(), source=source)]


def scaled(family, ending="", **options):
    def draw(d):
        layer = d.conv(family, ending, activation=None, use_bias=d.pick(True, False), **options)
        return [layer, d.norm()]

    return draw


# By row, word and class taken: what the rule is given. Ranks where it makes no sense are left out.
CASES = {
    ("1", "another rank", 0): (lambda d: [d.conv(**plain(d))], (1, 2)),
    ("1", "another rank, at the end", 0): (lambda d: [d.conv(**plain(d))], (1, 2)),
    ("1", "a lower rank", 0): (unit, (2, 3)),
    ("2", "channels as an axis", 0): (lambda d: [d.conv(**d.moved(padding="valid"))], (1, 2)),
    ("2", "an axis as channels", 0): (one_channel, (2, 3)),
    ("3", "dense", 0): (lambda d: [d.conv(size=1, strides=d.pick(1, 2))], RANKS),
    ("3", "time distributed", 0): (lambda d: [d.conv(size=1)], (1,)),
    ("3", "convolution", 0): (lambda d: [dense(5)], RANKS),
    ("4", "dense", 0): (lambda d: [d.conv(size=d.lengths)], RANKS),
    ("4", "convolution", 0): (lambda d: [layers.Flatten(dtype="float64"), dense(5)], RANKS),
    ("5", "frames", 0): (lambda d: [framed(d)], RANKS),
    ("5", "frames in the batch", 0): (lambda d: [framed(d)], (1,)),
    ("5", "convolution", 0): (
        lambda d: [patches(d, (2,) * d.rank, (2,) * d.rank), dense(5)], RANKS),
    ("6", "grouped", 0): (
        lambda d: [d.conv("DepthwiseConv", depth_multiplier=2, **d.moved())], RANKS),
    ("6", "depthwise", 0): (lambda d: [d.conv(groups=4, filters=8, **d.moved())], RANKS),
    ("6b", "block diagonal", 0): (
        lambda d: [d.conv("DepthwiseConv", depth_multiplier=2, **d.moved())], RANKS),
    ("7", "split", 0): (lambda d: [d.conv(groups=2, **d.moved())], RANKS),
    ("7", "grouped", 0): (split, RANKS),
    ("7b", "block diagonal", 0): (lambda d: [d.conv(groups=2, **d.moved())], RANKS),
    ("8", "depthwise, pointwise", 0): (
        lambda d: [d.conv("SeparableConv", depth_multiplier=2, **d.moved())], RANKS),
    ("8", "separable", 0): (
        lambda d: [d.conv("DepthwiseConv", activation=None, use_bias=False, **d.moved()),
                   d.conv(size=1)], RANKS),
    ("8b", "product", 0): (
        lambda d: [d.conv("SeparableConv", depth_multiplier=2, **d.moved())], RANKS),
    ("9", "undilated", 0): (lambda d: [d.conv(size=3, dilation_rate=2)], RANKS),
    ("9", "undilated", 1): (
        lambda d: [d.conv("SeparableConv", size=3, dilation_rate=2, padding="same")], RANKS),
    ("9b", "space to batch", 0): (lambda d: [d.conv(size=2, dilation_rate=2)], RANKS),
    ("9b", "space to batch", 1): (
        lambda d: [d.conv("DepthwiseConv", size=2, dilation_rate=3)], RANKS),
    ("9b", "dilated", 0): (to_batch, RANKS),
    ("9b", "dilated", 1): (lambda d: to_batch(d, "DepthwiseConv"), RANKS),
    ("10", "unstrided", 0): (lambda d: [d.conv(strides=2)], RANKS),
    ("10", "unstrided", 1): (lambda d: [d.conv("DepthwiseConv", strides=3)], RANKS),
    ("10", "strided", 0): (lambda d: [d.conv(), d.whole("MaxPooling", 1, strides=2)], RANKS),
    ("10", "strided", 1): (
        lambda d: [d.conv("SeparableConv"), d.whole("MaxPooling", 1, strides=2)], RANKS),
    ("10b", "space to depth", 0): (lambda d: [d.conv(strides=d.pick(2, 3))], RANKS),
    ("11", "valid", 0): (lambda d: [d.conv(size=3, **padded(d))], RANKS),
    ("11", "valid", 1): (lambda d: [d.conv("SeparableConv", size=2, **padded(d))], RANKS),
    ("11", "same or causal", 0): (lambda d: explicit(d, "Conv"), RANKS),
    ("11", "same or causal", 1): (lambda d: explicit(d, "DepthwiseConv"), RANKS),
    ("12", "zeros between", 0): (
        lambda d: [d.conv("Conv", "Transpose", strides=d.pick(1, 2, 3), groups=d.pick(1, 2),
                          padding=d.pick("valid", "same"))], RANKS),
    ("12", "transposed", 0): (stuffed, RANKS),
    ("12b", "depth to space", 0): (
        lambda d: [d.conv("Conv", "Transpose", size=d.pick(2, 3, 4), strides=2,
                          padding=d.pick("valid", "same"))], RANKS),
    ("13", "patches", 0): (lambda d: [d.conv(**d.moved(padding="valid"))], RANKS),
    ("13", "convolution", 0): (
        lambda d: [patches(d, d.each(2, 3), (1,) * d.rank), dense(5)], RANKS),
    ("13b", "toeplitz", 0): (lambda d: [d.conv(**d.moved(activation="softmax"))], RANKS),
    ("14", "channels_first", 0): (lambda d: [d.conv(**d.moved(activation="softmax"))], RANKS),
    ("14", "channels_first", 1): (lambda d: [d.conv("Conv", "Transpose", strides=2)], RANKS),
    ("14", "channels_last", 0): (
        lambda d: [d.pick(d.conv("SeparableConv", **first(d)),
                          d.whole("MaxPooling", 2, **first(d)),
                          d.whole("GlobalAveragePooling", **first(d)))], RANKS),
    ("14", "channels_last", 1): (
        lambda d: [d.conv("Conv", "Transpose", strides=2, **first(d))], RANKS),
    ("15", "merged", 0): (scaled("Conv", groups=2), RANKS),
    ("15", "merged", 1): (scaled("Conv", "Transpose", groups=2), RANKS),
    ("15", "merged", 2): (scaled("DepthwiseConv", depth_multiplier=2), RANKS),
    ("15", "merged", 3): (scaled("SeparableConv"), RANKS),
    ("15", "merged", 4): (lambda d: [layers.Dense(5, dtype="float64"), d.norm()], RANKS),
    ("16", "merged", 0): (lambda d: [d.norm(), d.conv(groups=2)], RANKS),
    ("17", "merged", 0): (
        lambda d: [d.conv(activation=None, **d.moved()), d.conv(size=2)], RANKS),
    ("18", "merged", 0): (added, RANKS),
    ("19", "merged", 0): (joined, RANKS),
    ("19", "halves of the filters", 0): (lambda d: [d.conv(**d.moved())], RANKS),
    ("20", "depthwise", 0): (
        lambda d: [d.whole("AveragePooling", d.each(1, 2, 3), strides=2)], RANKS),
    ("21", "look-ups", 0): (
        lambda d: [layers.Embedding(9, 4, dtype="float64"),
                   d.conv(size=d.pick(1, 2, 3), dilation_rate=d.pick(1, 2))], (1,)),
}  # fmt: skip


def plain(d):
    return d.moved(padding=d.pick("valid", "same"))


def padded(d):
    return d.moved(padding="causal" if d.rank == 1 and d.pick(0, 1) else "same")


def first(d):
    d.shape = (d.channels, *d.lengths)
    return {"data_format": "channels_first"}


def keyed():
    """The rules under their row, word and number among those of one row and word."""
    found, count = {}, {}
    for rule in ALL:
        number = count.setdefault((rule.number, rule.to), 0)
        count[rule.number, rule.to] += 1
        found[rule.number, rule.to, number] = rule
    return found


RULES = keyed()


def test_every_rule_has_a_case_and_every_row_that_can_has_rules() -> None:
    assert set(CASES) == set(RULES)
    assert {rule.number for rule in ALL} == set(EQUATIONS) - {"22"}
    both = {rule.number for rule in ALL if rule.backwards}
    assert both == {number for number, row in EQUATIONS.items() if row.both_ways}


def given_and_found(key, rank: int, seed: int, sizes=(6, 9)):
    """The layers of a case with drawn weights, the other side, and an input."""
    draw = Draw(rank, seed, sizes)
    given = CASES[key][0](draw)
    shape = draw.shape[:-1] if key[0] == "21" else draw.shape
    chain = Chain(shape, "float64")
    for layer in given:
        if not layer.built:
            layer.build((None, *chain.shape))
        for weight in layer.weights:
            drawn = draw.rng.normal(size=weight.shape)
            weight.assign(np.abs(drawn) + 0.5 if "variance" in weight.path else drawn)
        chain.add(layer)
    x = (
        draw.rng.normal(size=(2, *shape))
        if key[0] != "21"
        else draw.rng.integers(0, 9, (2, *shape))
    )
    return given, applied(RULES[key], shape, given), x


def through(chain, x):
    for layer in chain:
        x = layer(x)
    return np.asarray(x)


def agrees(key, rank: int, seed: int) -> bool:
    given, found, x = given_and_found(key, rank, seed)
    assert found is not None, (key, rank, seed)
    expected, got = through(given, x), through(found.layers, x)
    return got.shape == expected.shape and bool(np.allclose(got, expected, rtol=1e-11, atol=1e-11))


@pytest.fixture
def by_meaning(monkeypatch):
    """Programs run as the meanings of their operations say, in NumPy; nothing is compiled."""

    def run(graph, *_):
        names = [node["name"] for node in graph.inputs]

        def by_reference(arrays, *_):
            return reference.run(graph, dict(zip(names, arrays, strict=True)))

        def ready(feeds, given, since):
            def call(*arrays):
                outputs = by_reference([*arrays, *feeds[len(given) :]])
                return outputs if len(outputs) > 1 else outputs[0]

            return call

        by_reference.ready = ready
        return by_reference

    monkeypatch.setattr(compiler, "compile", run)


@pytest.mark.parametrize("key", CASES, ids=str)
def test_both_sides_are_the_same_function(key, by_meaning) -> None:
    for rank in CASES[key][1]:
        for seed in range(3):
            assert agrees(key, rank, seed), (rank, seed)


# Zeros between the terms, or terms in another order, meet other lanes of a blocked sum.
REORDERED = ("6b", "7b", "9", "10b", "12", "12b", "13b", "14", "20")
SAME_SUMS = [k for k in CASES if RULES[k].numeric == "exact" and k[0] not in REORDERED]


@pytest.mark.parametrize("key", SAME_SUMS, ids=str)
def test_the_same_sums_give_the_same_bits_when_compiled(key) -> None:
    rank = CASES[key][1][0]
    given, found, x = given_and_found(key, rank, 0)
    np.testing.assert_array_equal(through(given, x), through(found.layers, x))


# -- planted faults ---------------------------------------------------------------------------


def _late_tap(w, taps, moves):
    return np.roll(_blocked(w, taps, moves), 1, axis=0)


def _swapped_groups(w, count):
    full = _block_diagonal(w, count)
    return np.roll(full, full.shape[-2] // count, axis=-2)


def _other_side(layer, shape):
    found = _amounts(layer, shape)
    return found and [(after, before) for before, after in found]


def _not_turned(w, count):
    return np.flip(_turned(w, count), tuple(range(w.ndim - 2)))


def _centred(left, right):
    found = _joint(left, right)
    middle = [(found.axis.taps - each.taps) // 2 for each in (left, right)]
    return merging_joint(found.axis, *middle)


_blocked, _block_diagonal, _amounts = steps._blocked, groups.block_diagonal, steps.amounts
_turned, _joint, merging_joint = steps.turned, merging.joint_axis, branches.Joint

FAULTS = [
    (("10b", "space to depth", 0), steps, "_blocked", _late_tap),
    (("7b", "block diagonal", 0), groups, "block_diagonal", _swapped_groups),
    (("11", "valid", 0), steps, "amounts", _other_side),
    (("12", "zeros between", 0), steps, "turned", _not_turned),
    (("18", "merged", 0), merging, "joint_axis", _centred),
]


@pytest.mark.parametrize(("key", "module", "what", "wrong"), FAULTS)
def test_a_planted_fault_is_found(key, module, what, wrong, monkeypatch, by_meaning) -> None:
    """Off by one tap, groups in the wrong order, the wrong side, right for odd kernels only."""
    monkeypatch.setattr(module, what, wrong)
    found = [agrees(key, rank, seed) for rank in CASES[key][1] for seed in range(6)]
    assert not all(found)
