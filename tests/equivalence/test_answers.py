"""Given weights, open sizes, wrong rules, mistakes, and how answers read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import isoconv
from isoconv import equivalent, layers, ops
from isoconv.errors import ArgumentError, ShapeError


def built(shape, *chain):
    model = isoconv.Sequential([isoconv.Input(shape), *chain])
    rng = np.random.default_rng(3)
    model.set_weights([rng.normal(size=w.shape).astype("float32") for w in model.get_weights()])
    return model


# -- given weights ----------------------------------------------------------------------------


def test_given_weights_are_compared_as_the_fractions_they_are():
    a = built((12, 3), layers.Conv1D(4, 3))
    b = built((12, 1, 3), layers.Conv2D(4, (3, 1)))
    kernel, bias = a.get_weights()
    b.set_weights([kernel[:, None], bias])
    assert equivalent(a, b, weights="given")
    kernel[1, 2, 3] = np.nextafter(kernel[1, 2, 3], 9)
    b.set_weights([kernel[:, None], bias])
    found = equivalent(a, b, weights="given")
    assert found.relation == "rounding"
    assert not found
    kernel[1, 2, 3] += 0.5
    b.set_weights([kernel[:, None], bias])
    found = equivalent(a, b, weights="given")
    assert found.relation == "different"
    example = found.counterexample
    assert not np.array_equal(a(example.input[None]), b(example.input[None, :, None]))


def test_a_folded_normalization_differs_only_by_rounding():
    a = built((9, 3), layers.Conv1D(4, 3, use_bias=False), layers.BatchNormalization())
    kernel, gamma, beta, mean, variance = a.get_weights()
    variance = np.abs(variance) + 1
    a.set_weights([kernel, gamma, beta, mean, variance])
    factor = gamma / np.sqrt(variance + np.float32(1e-3))
    b = built((9, 3), layers.Conv1D(4, 3))
    b.set_weights([kernel * factor, beta - mean * factor])
    assert equivalent(a, b, weights="given").relation == "rounding"
    b.set_weights(equivalent(a, b).weight_map(a.get_weights()))
    found = equivalent(a, b, weights="given")
    assert (found.relation, found.numeric) == ("equal", "rounded")


@pytest.mark.parametrize(
    "reorder",
    [
        pytest.param(lambda k: k.reshape(3, 1, 2, 3).swapaxes(2, 3).reshape(3, 1, 6), id="m*C + c"),
        pytest.param(lambda k: np.roll(k, 1, 0).reshape(3, 1, 6), id="tap off by one"),
        pytest.param(lambda k: k.reshape(3, 1, 6)[..., ::-1], id="groups swapped"),
    ],
)
def test_a_depthwise_kernel_in_another_order_is_another_function(reorder):
    a = built((7, 3), layers.DepthwiseConv1D(3, depth_multiplier=2, use_bias=False))
    b = built((7, 3), layers.Conv1D(6, 3, groups=3, use_bias=False))
    (kernel,) = a.get_weights()
    b.set_weights([kernel.reshape(3, 1, 6)])
    assert equivalent(a, b, weights="given")
    b.set_weights([np.ascontiguousarray(reorder(kernel))])
    found = equivalent(a, b, weights="given")
    assert found.relation == "different"
    x = found.counterexample.input[None].astype("float32")
    assert not np.allclose(a(x), b(x))


def test_flatten_of_either_data_format_is_equal_with_free_weights_only():
    a = built(
        (3, 6), layers.Conv1D(2, 3, data_format="channels_first"), layers.Flatten(), layers.Dense(2)
    )
    b = built(
        (3, 6), layers.Permute((2, 1)), layers.Conv1D(2, 3), layers.Flatten(), layers.Dense(2)
    )
    b.set_weights(a.get_weights())
    assert equivalent(a, b)
    assert equivalent(a, b, weights="given").relation == "different"
    b.set_weights(equivalent(a, b).weight_map(a.get_weights()))
    assert equivalent(a, b, weights="given")


def test_activations_are_compared_piece_by_piece_with_given_weights():
    a = built((7, 3), layers.Conv1D(4, 3, activation="gelu"), layers.Dense(2, activation="softmax"))
    b = built(
        (7, 3), layers.Conv1D(4, 3), layers.Activation("gelu"), layers.Dense(2), layers.Softmax()
    )
    b.set_weights(a.get_weights())
    assert equivalent(a, b, weights="given")
    b.set_weights([w * 2 for w in a.get_weights()])
    assert equivalent(a, b, weights="given").relation == "different"


def test_look_ups_with_given_weights_are_run_on_numbers_of_rows():
    chains = [[layers.Embedding(9, 2), layers.Conv1D(3, 2, activation="tanh")] for _ in "ab"]
    a, b = (built((7,), *chain) for chain in chains)
    assert equivalent(a, b, weights="given")
    weights = b.get_weights()
    weights[0] = weights[0] + 1
    b.set_weights(weights)
    found = equivalent(a, b, weights="given")
    assert found.relation == "different"
    x = found.counterexample.input[None].astype("int32")
    assert not np.array_equal(a(x), b(x))


# -- open sizes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("relation", "a", "b", "shape", "other"),
    [
        ("equal", "Conv1D(4, 3)", "Conv2D(4, (1, 3))", (None, 3), (1, None, 3)),
        (
            "equal",
            "Conv2D(2, 3, padding='same')",
            "ZeroPadding2D(1) > Conv2D(2, 3)",
            (None, None, 3),
            None,
        ),
        ("a_within_b", "Conv1D(4, 2, dilation_rate=2)", "Conv1D(4, 3)", (None, 3), None),
        (
            "equal",
            "Cropping2D(1, data_format='channels_first')",
            "Cropping2D(((1, 1), (1, 1)), data_format='channels_first')",
            (1, None, None),
            None,
        ),
        ("different", "UpSampling2D((2, 1))", "UpSampling2D((2, 2))", (None, None, 1), None),
        (
            "different",
            "Conv3D(2, 3, dilation_rate=3, padding='same')",
            "Conv3D(2, 2, dilation_rate=3, padding='same')",
            (None, None, None, 1),
            None,
        ),
        (
            "different",
            "Conv1D(4, 3, padding='same')",
            "Conv1D(4, 3, padding='causal')",
            (None, 3),
            None,
        ),
        (
            "different",
            "Conv1D(4, 3, padding='same', strides=2)",
            "ZeroPadding1D(1) > Conv1D(4, 3, strides=2)",
            (None, 3),
            None,
        ),
    ],
)
def test_open_sizes_are_decided_for_all(relation, a, b, shape, other):
    found = equivalent(a, b, shape, other)
    assert found.relation == relation, found
    if relation != "different":
        assert "everything repeats" in " ".join(found.proof.split())


def _shifted(x, axis, by):
    """The values `by` positions further on, zeros where none come."""
    widths = [[0, 0] for _ in range(x.ndim)]
    widths[axis] = [max(by, 0), max(-by, 0)]
    wide = ops.pad(x, widths)
    kept = slice(None, -by) if by > 0 else slice(-by, None)
    return wide[(slice(None),) * axis + (kept,)]


def _first(x, axis):
    """Zeros but at the first position."""
    return x - _shifted(_shifted(x, axis, -1), axis, 1)


def _last(x, axis):
    return x - _shifted(_shifted(x, axis, 1), axis, -1)


def _one_row_of_two(x):
    """Not zero on inputs of one row and two columns alone."""
    row = _first(_last(x, 1), 1)
    return _last(_shifted(_first(row, 2), 2, 1), 2)


def test_a_difference_at_one_pair_of_small_sizes_is_found():
    zero = layers.Lambda(lambda x: x * 0)
    found = equivalent(layers.Lambda(_one_row_of_two), zero, (None, None, 1))
    assert found.relation == "different"
    assert np.shape(found.counterexample.input) == (1, 2, 1)


def _times(count):
    def function(x):
        size = ops.cast(ops.shape(x)[1], "float32")
        for k in range(1, count + 1):
            x = x * (size - k)
        return x

    return function


@pytest.mark.parametrize(
    ("relation", "function", "other", "shape"),
    [
        ("different", _times(7), lambda x: x * 0, (None, 2)),
        ("different", lambda x: ops.mean(x, 1), lambda x: ops.sum(x, 1) / 7, (None, 2)),
        ("different", lambda x: x[:, :9], lambda x: x[:, :8], (None, 2)),
        ("equal", lambda x: x[:, -2:], lambda x: x[:, ::-1][:, :2][:, ::-1], (None, 2)),
        ("equal", lambda x: x[:, ::-1], lambda x: ops.flip(x, 1), (None, 2)),
        ("unknown", lambda x: x[:, : ops.shape(x)[1] // 2], lambda x: x * 0, (None, 2)),
        ("unknown", lambda x: ops.concatenate([x, x], 1), lambda x: x * 0, (None, 2)),
        ("unknown", lambda x: x + ops.transpose(x, (0, 2, 1)), lambda x: x * 2, (None, None)),
        ("unknown", lambda x: ops.argmax(x, 1), lambda x: x * 0, (None, 2)),
        ("unknown", lambda x: ops.reshape(x, (-1, 2, 3)), lambda x: x * 0, (3, None, 2)),
    ],
)
def test_what_open_sizes_do_beyond_windows_is_counted_or_not_understood(
    relation, function, other, shape
):
    found = equivalent(layers.Lambda(function), layers.Lambda(other), shape)
    assert found.relation == relation, found


# -- wrong rules ------------------------------------------------------------------------------

SIZES = st.integers(1, 5)


@settings(max_examples=25, deadline=None)
@given(taps=SIZES, stride=st.integers(1, 3), dilation=st.integers(1, 2), more=st.integers(0, 6))
def test_same_padding_written_out_holds_and_its_wrong_side_is_refuted(taps, stride, dilation, more):
    length = (taps - 1) * dilation + 1 + more
    total = max((-(-length // stride) - 1) * stride + (taps - 1) * dilation + 1 - length, 0)
    low, high = total // 2, total - total // 2
    a = layers.Conv1D(2, taps, stride, "same", dilation_rate=dilation)

    def written(*sides):
        plain = layers.Conv1D(2, taps, stride, dilation_rate=dilation)
        return [layers.ZeroPadding1D(sides), plain]

    assert equivalent(a, written(low, high), (length, 1))
    wrong = equivalent(a, written(high, low), (length, 1))
    assert bool(wrong) == (low == high), wrong


@pytest.mark.parametrize(
    ("taps", "holds"), [(1, True), (2, False), (3, True), (4, False), (5, True)]
)
def test_a_rule_valid_only_for_odd_kernels_is_refuted_for_even_ones(taps, holds):
    half = taps // 2
    wrong = [layers.ZeroPadding1D((half, half)), layers.Conv1D(2, taps), layers.Cropping1D((0, 0))]
    if not holds:
        wrong[2] = layers.Cropping1D((0, 1))
    found = equivalent(layers.Conv1D(2, taps, padding="same"), wrong, (9, 2))
    assert bool(found) is holds


@settings(max_examples=15, deadline=None)
@given(
    rank=st.integers(1, 3), taps=st.integers(1, 3), groups=st.sampled_from([1, 2]), data=st.data()
)
def test_a_unit_axis_more_is_equal_at_every_rank(rank, taps, groups, data):
    place = data.draw(st.integers(0, rank - 1)) if rank < 3 else 0
    kinds = [layers.Conv1D, layers.Conv2D, layers.Conv3D]
    size, shape = (taps,) * rank, (4,) * rank
    low = kinds[rank - 1](4, size, groups=groups, padding="same")
    if rank == 3:
        assert equivalent(low, kinds[2](4, size, groups=groups, padding="same"), (*shape, 2))
        return
    wide = kinds[rank](4, (*size[:place], 1, *size[place:]), groups=groups, padding="same")
    longer = (*shape[:place], 1, *shape[place:])
    assert equivalent(low, wide, (*shape, 2), (*longer, 2))


# -- mistakes and words -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (("Conv1D(4, 3)", "Conv1D(4, 3)"), ShapeError, "input_shape"),
        (("Conv1D(4, 3)", "Conv1D(4, 3)", (7, 3), (7, 4)), ShapeError, "as many elements"),
        (("Conv1D(4, 3)", 5, (7, 3)), ArgumentError, "equivalent: b"),
        (("Conv1D(4, 3)", [], (7, 3)), ArgumentError, "at least one"),
        (("Conv1D(4, 3)", "Conv1D(4, 3)", (7, 0)), ShapeError, "positive sizes"),
        (("Conv1D(4, 9)", "Conv1D(4, 3)", (7, 3)), ShapeError, "at least 9"),
        (("Flatten() > Dense(2)", "Dense(2)", (None, 3)), ShapeError, "known number of channels"),
        (("Dense(2)", "Dense(2)", (3,), None, "held"), ArgumentError, "'free' or 'given'"),
        (("Dense(2)", "Dense(2)", (3,), None, "given"), ArgumentError, "its weights"),
    ],
)
def test_mistakes_say_which_side_and_what_to_do(arguments, error, says):
    with pytest.raises(error, match=says):
        equivalent(*arguments)


def test_random_and_changing_layers_are_refused_in_training_mode():
    inputs = isoconv.Input((5,))
    for layer, says in (
        (layers.Dropout(0.5), "draws random"),
        (layers.BatchNormalization(), "state"),
    ):
        model = isoconv.Model(inputs, layer(inputs, training=True))
        with pytest.raises(ArgumentError, match=says):
            equivalent(model, layers.Identity(), (5,))
        assert equivalent(layers.Dropout(0.5), layers.Identity(), (5,))


def test_asking_builds_no_layer_and_changes_no_weight():
    a, b = layers.Conv1D(4, 3), built((7, 3), layers.Conv1D(4, 3))
    before = b.get_weights()
    assert equivalent(a, b, (7, 3))
    assert not a.built
    assert all(np.array_equal(x, y) for x, y in zip(before, b.get_weights(), strict=True))


def test_an_answer_fits_80_columns_and_reads_as_data():
    found = equivalent("Conv1D(4, 3, padding='same')", "Conv1D(4, 3, padding='causal')", (12, 3))
    assert max(map(len, str(found).splitlines())) <= 80
    assert found.as_dict()["relation"] == "different"
    assert "never depends on input" in str(found).replace("\n", " ")


def test_chains_of_ten_are_compared_layer_by_layer():
    """From one activation to the next, whatever number of layers makes up what is between."""
    shape = (12, 4)
    separable = "SeparableConv1D(4, 3, padding='same', activation='relu')"
    conv = "Conv1D(4, 3, padding='same', activation='relu')"
    chains = [" > ".join([each] * 10) for each in (separable, conv)]
    found = equivalent(*chains, shape)
    assert (found.relation, found.numeric) == ("a_within_b", "folding")
    cut = chains[1].removesuffix(", activation='relu')") + ")"
    found = equivalent(chains[1], cut, shape)
    assert found.relation == "different"
    assert found.counterexample is not None
