"""The prover on every rule on layers: what a rule makes of drawn layers is what its row says.

The table is that of the rules themselves, in all their directions, so a rule without a proof fails.
"""

import numpy as np
import pytest
from test_rows import CASES, FAULTS, RULES, given_and_found

from isoconv import equivalent, layers
from isoconv.conversion.chain import Chain
from isoconv.conversion.search import applied
from isoconv.rewriting.equations import EQUATIONS

# Rank 3 on short axes: tables of inputs by outputs grow with the sixth power of a length.
SIZES = {1: (6, 9), 2: (5, 7), 3: (5, 6)}


def both_sides(key, rank, seed):
    given, found, x = given_and_found(key, rank, seed, SIZES[rank])
    return given, list(found.layers), x.shape[1:]


def test_every_row_but_the_approximate_one_is_proven():
    exact = {number for number, row in EQUATIONS.items() if row.numeric != "approximate"}
    assert {number for number, *_ in CASES} == exact
    assert set(CASES) == set(RULES)


LOOK_UPS = ("21", "look-ups", 0)


@pytest.mark.parametrize("key", [key for key in CASES if key != LOOK_UPS], ids=str)
def test_a_rule_is_proven_in_its_directions_at_its_ranks(key):
    row = EQUATIONS[key[0]]
    for rank in CASES[key][1]:
        a, b, shape = both_sides(key, rank, rank)
        found = equivalent(a, b, shape)
        # A row of one direction may be one to one where a size leaves nothing out.
        wanted = {"equal"} if row.both_ways else {"equal", "a_within_b"}
        assert found.relation in wanted, found
        assert found.numeric == ("folding" if row.numeric == "folding" else "exact"), found


@pytest.mark.parametrize(("taps", "dilation"), [(1, 1), (2, 1), (3, 2)])
@pytest.mark.parametrize("bias", [False, True])
def test_look_ups_are_proven_and_their_weights_carried_over(taps, dilation, bias):
    """A bias is in one of the tables, which holds only because each row is looked up once."""
    chain = Chain((7,), "float32")
    made = [
        layers.Embedding(9, 2),
        layers.Conv1D(3, taps, dilation_rate=dilation, activation="tanh", use_bias=bias),
    ]
    for layer in made:
        chain.add(layer)
    b = list(applied(RULES[LOOK_UPS], (7,), made).layers)
    found = equivalent(made, b, (7,))
    # One tap of one table is as many weights as there are results, or more.
    assert (found.relation, found.numeric) == ("a_within_b", "folding"), found
    rng = np.random.default_rng(3)
    weights = [rng.normal(size=v.shape).astype("float32") for v in variables(made)]
    new = found.weight_map(weights)
    for chain, arrays in ((made, weights), (b, new)):
        for variable, array in zip(variables(chain), arrays, strict=True):
            variable.assign(array)
    x = rng.integers(0, 9, (4, 7)).astype("int32")
    np.testing.assert_allclose(run(b, x), run(made, x), rtol=1e-5, atol=1e-5)
    assert equivalent(made, b, (7,), weights="given").numeric == "rounded"


@pytest.mark.parametrize(
    ("conv", "fit"),
    [
        pytest.param({"dilation_rate": 2}, layers.ZeroPadding1D((0, 1)), id="dilation"),
        pytest.param({"padding": "same"}, layers.Cropping1D((1, 0)), id="padding"),
        pytest.param({"kernel_size": 3, "padding": "same"}, layers.Cropping1D((0, 1)), id="taps"),
    ],
)
def test_wrong_look_ups_are_not_proven(conv, fit):
    """Look-ups somewhere else, more of them, or a constant where nothing is looked up."""
    chain = Chain((7,), "float32")
    made = [layers.Embedding(9, 2), layers.Conv1D(3, 2)]
    for layer in made:
        chain.add(layer)
    b = list(applied(RULES[LOOK_UPS], (7,), made).layers)
    wrong = [made[0], layers.Conv1D(**{"filters": 3, "kernel_size": 2} | conv), fit]
    assert equivalent(wrong, b, (7,)).relation in ("different", "unknown")


def variables(chain):
    return [variable for layer in chain for variable in layer.weights]


@pytest.mark.parametrize("key", [key for key in CASES if EQUATIONS[key[0]].both_ways], ids=str)
def test_the_weights_a_rule_carried_over_are_proven_as_they_are(key):
    a, b, shape = both_sides(key, 1 if 1 in CASES[key][1] else 2, 0)
    found = equivalent(a, b, shape, weights="given")
    assert found.relation == "equal", found


FOLDING = [key for key in CASES if EQUATIONS[key[0]].numeric == "folding"]


@pytest.mark.parametrize("key", FOLDING, ids=str)
def test_folded_weights_are_those_they_came_from_up_to_rounding(key):
    """Also behind activations of which the prover knows nothing, and for a weight off by more."""
    a, b, shape = both_sides(key, 1, 0)
    found = equivalent(a, b, shape, weights="given")
    assert (found.relation, found.numeric) in {("equal", "rounded"), ("rounding", None)}, found
    last = [layer for layer in b if layer.weights][-1]
    held = last.get_weights()
    held[0].reshape(-1)[0] += 1e-3
    last.set_weights(held)
    assert equivalent(a, b, shape, weights="given").relation == "different"


@pytest.mark.parametrize("key", [("15", "merged", 1), ("15", "merged", 2)], ids=str)
def test_folding_at_rank_3_differs_by_rounding_only(key):
    a, b, shape = both_sides(key, 3, key[2] % 2)
    assert equivalent(a, b, shape, weights="given").relation == "rounding"


@pytest.mark.parametrize(("key", "module", "what", "wrong"), FAULTS)
def test_the_weights_of_a_wrong_rule_are_refuted(key, module, what, wrong, monkeypatch):
    monkeypatch.setattr(module, what, wrong)
    answers = []
    for seed in range(4):
        a, b, shape = both_sides(key, 1, seed)
        answers.append((a, b, equivalent(a, b, shape, weights="given")))
    refuted = [each for each in answers if each[2].relation == "different"]
    assert refuted
    for a, b, found in refuted:
        x = found.counterexample.input[None]
        y, z = (run(side, x).reshape(-1)[found.counterexample.place] for side in (a, b))
        assert abs(y - z) > 1e-9


def run(chain, x):
    for layer in chain:
        x = layer(x)
    return np.asarray(x)
