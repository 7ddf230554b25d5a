"""isoconv.explain: its numbers against the layers themselves, its text, its data."""

import json
import math

import numpy as np
import pytest

import isoconv as ic
from isoconv import demo, layers
from isoconv.errors import ArgumentError, ShapeError
from isoconv.explaining.facts import AxisFacts
from isoconv.explaining.kernels import planned
from isoconv.explaining.operations import _pairs
from isoconv.explaining.reach import BACK, element, reach
from isoconv.explaining.tracing import traced
from isoconv.ir.ops import OPS
from isoconv.ir.sizes import number
from isoconv.sections import Section, as_text

# -- what an output reads ---------------------------------------------------------------------


def test_every_operation_has_its_way_back():
    assert set(BACK) == set(OPS)


def read_by_trying(layer, shape, position):
    """For each axis: the positions whose change changes one element of the output."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, *shape)).astype("float32")
    before = np.asarray(layer(x))[(0, *position)]
    changed = np.zeros(shape, bool)
    for index in np.ndindex(*shape):
        for change in (100.0, -100.0):
            other = x.copy()
            other[(0, *index)] += change
            changed[index] |= np.asarray(layer(other))[(0, *position)] != before
    return [
        changed.any(axis=tuple(a for a in range(len(shape)) if a != axis))
        for axis in range(len(shape))
    ]


class Turned(layers.Layer):
    """Views that layers use seldom."""

    def call(self, x):
        y = ic.ops.flip(ic.ops.transpose(x, (0, 2, 1)), 1)
        y = ic.ops.concatenate(
            [y[:, 1:, ::2], ic.ops.pad(y, ((0, 0), (2, 0), (1, 0)))[:, 2:, :4]], 1
        )
        return ic.ops.reshape(y[:, :4], (-1, 2, 2, 4))


READINGS = [
    (layers.Conv1D(2, 3), (9, 3)),
    (layers.Conv1D(2, 3, strides=2, dilation_rate=2, padding="same"), (11, 2)),
    (layers.Conv1D(4, 3, padding="causal", groups=2), (8, 4)),
    (layers.Conv1D(2, 3, data_format="channels_first"), (3, 9)),
    (layers.Conv2D(2, (2, 3), strides=(2, 1), padding="same"), (5, 4, 2)),
    (layers.DepthwiseConv1D(3, depth_multiplier=2), (7, 2)),
    (layers.SeparableConv1D(3, 3, strides=2), (9, 2)),
    (layers.Conv1DTranspose(2, 4, strides=3), (5, 2)),
    (layers.Conv2DTranspose(2, 3, strides=2, padding="same"), (3, 4, 2)),
    (layers.MaxPooling1D(3, 2), (9, 2)),
    (layers.AveragePooling1D(3, 2, padding="same"), (8, 2)),
    (layers.GlobalMaxPooling1D(), (6, 2)),
    (layers.Dense(3), (4, 5)),
    (layers.Flatten(), (4, 3)),
    (layers.ZeroPadding1D((2, 1)), (5, 2)),
    (layers.Cropping1D((1, 2)), (7, 2)),
    (layers.UpSampling1D(3), (4, 2)),
    (layers.Softmax(), (4, 3)),
    (Turned(), (7, 3)),
]


@pytest.mark.parametrize(("layer", "shape"), READINGS, ids=lambda x: getattr(x, "name", ""))
def test_readings_are_what_changes_the_output(layer, shape):
    layer(np.zeros((1, *shape), "float32"))
    found = traced(layer, shape, 1)
    (output,) = found.graph.outputs
    sizes = [number(size) for size in output.shape]
    for place in ([0] * len(sizes), [s // 2 for s in sizes], [s - 1 for s in sizes]):
        masks = reach(output, element(output, [0, *place[1:]])).get(found.inputs[0])
        expected = read_by_trying(layer, shape, place[1:])
        if masks is None or not all(mask.any() for mask in masks):
            assert not any(each.any() for each in expected)
            continue
        for found_axis, axis in zip(masks[1:], expected, strict=True):
            assert np.array_equal(found_axis, axis)


def test_the_readings_test_can_fail():
    layer = layers.Conv1D(2, 3, padding="causal")
    layer(np.zeros((1, 9, 3), "float32"))
    expected = read_by_trying(layer, (9, 3), (4, 0))
    assert np.flatnonzero(expected[0]).tolist() == [2, 3, 4]
    same = ic.explain("Conv1D(2, 3, padding='same')", (9, 3)).layers[0]
    assert same.axes[0].inputs_of(4) == [3, 4, 5]


# -- numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "shape", "output", "parameters", "multiply_adds"),
    [
        ("Conv1D(64, 3)", (600, 300), (598, 64), 3 * 300 * 64 + 64, 598 * 64 * 900),
        ("Conv2D(64, (3, 300))", (600, 300, 1), (598, 1, 64), 57664, 598 * 64 * 900),
        ("Conv1D(2, 4, use_bias=False)", (10, 3), (7, 2), 24, 7 * 2 * 12),
        ("Conv1D(256, 80)", (80, 1), (1, 256), 20480 + 256, 20480),
        ("Dense(256)", (80,), (256,), 20480 + 256, 20480),
        ("Conv2D(8, 3, groups=2)", (9, 9, 4), (7, 7, 8), 9 * 2 * 8 + 8, 49 * 8 * 18),
        ("DepthwiseConv2D(3)", (9, 9, 4), (7, 7, 4), 9 * 4 + 4, 49 * 4 * 9),
        ("SeparableConv1D(8, 3)", (12, 4), (10, 8), 12 + 32 + 8, 10 * 12 + 10 * 32),
        ("Conv1DTranspose(8, 4, strides=2)", (5, 3), (12, 8), 4 * 8 * 3 + 8, 5 * 3 * 4 * 8),
        ("MaxPooling2D(2)", (8, 6, 3), (4, 3, 3), 0, 0),
        ("AveragePooling1D(4)", (8, 3), (2, 3), 0, 0),
        ("Embedding(10, 4)", (6,), (6, 4), 40, 0),
        ("ReLU()", (6, 2), (6, 2), 0, 0),
    ],
)
def test_counts(spec, shape, output, parameters, multiply_adds):
    facts = ic.explain(spec, shape, batch=3).layers[0]
    assert (facts.output, facts.parameters, facts.multiply_adds) == (
        output,
        parameters,
        multiply_adds,
    )
    assert facts.memory["output"] == math.prod(output) * 4


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 3), (3, 2)])
def test_absent_products_are_counted(padding, stride, dilation):
    layer = layers.Conv1D(1, 4, stride, padding, None, dilation, kernel_initializer="ones")
    facts = ic.explain(layer, (17, 1)).layers[0]
    # The sum of all outputs counts the products that met an input.
    live = layer(np.ones((1, 17, 1), "float32")).sum()
    assert facts.multiply_adds - facts.operations[0].absent == live
    (axis,) = facts.axes
    later = max(max(axis.inputs_of(o)) - o * stride for o in range(axis.output))
    assert axis.later == max(later, 0)
    assert facts.causal == (padding == "causal")


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("stride", [1, 2, 5])
def test_transposed_windows_are_turned_round(padding, stride):
    layer = layers.Conv1DTranspose(1, 4, stride, padding, kernel_initializer="ones")
    (axis,) = ic.explain(layer, (6, 1)).layers[0].axes
    found = layer(np.ones((1, 6, 1), "float32"))[0, :, 0]
    assert [len(axis.inputs_of(o)) for o in range(axis.output)] == found.tolist()


# -- models -----------------------------------------------------------------------------------


def model():
    start = ic.Input((20, 3), name="start")
    conv = layers.Conv1D(4, 3, name="conv")(start)
    cut = layers.ReLU(name="cut")(conv)
    shared = layers.Conv1D(4, 3, padding="same", dilation_rate=2, name="shared")
    both = layers.Add(name="both")([shared(cut), shared(shared(cut))])
    inner = ic.Sequential(
        [layers.MaxPooling1D(2, name="pool"), layers.Flatten(name="flat")], name="inner"
    )
    return ic.Model(start, layers.Dense(2, name="end")(inner(both)), name="whole")


def test_a_model_is_told_layer_by_layer():
    whole = ic.explain(model())
    names = [layer.name for layer in whole.layers]
    assert names[:2] == ["conv", "cut"]
    assert set(names[2:6]) == {"shared", "shared#2", "shared#3", "both"}
    assert names[6:] == ["inner/pool", "inner/flat", "end"]
    fields = {layer.name: layer.field.count[0] for layer in whole.layers}
    assert fields["conv"] == fields["cut"] == 3
    assert fields["both"] == 3 + 2 * 4
    assert fields["inner/pool"] == 3 + 2 * 4 + 1
    assert fields["end"] == 20
    assert whole.parameters == model().count_params()
    expected = 18 * 36 + 3 * 18 * 4 * 12 + 36 * 2
    assert whole.multiply_adds == expected == sum(layer.multiply_adds for layer in whole.layers)
    assert whole.seconds > 0
    times = [layer.seconds for layer in whole.layers if layer.seconds]
    assert math.isclose(sum(times), whole.seconds)
    merged = {layer.name: layer.merged for layer in whole.layers if layer.merged}
    assert merged["cut"] == "conv"


@pytest.mark.parametrize("form", ["channels_last", "channels_first"])
def test_joined_channels_read_what_the_widest_of_them_reads(form):
    last = form == "channels_last"
    start = ic.Input((20, 3) if last else (3, 20))
    narrow = layers.Conv1D(8, 3, padding="same", data_format=form)(start)
    wide = layers.Conv1D(8, 3, padding="same", data_format=form)(narrow)
    joined = layers.Concatenate(axis=-1 if last else 1)([wide, narrow])
    end = layers.MaxPooling1D(2, data_format=form)(layers.ReLU()(joined))
    told = ic.explain(ic.Model(start, end), measure=False).layers
    assert [layer.field.count[0 if last else 1] for layer in told] == [3, 5, 5, 5, 6]


def test_kernels_are_those_of_the_plan():
    whole = ic.explain(model(), measure=False)
    found = traced(model(), None, 1)
    program, _ = planned(found.graph, range(1, len(found.graph.inputs)), "whole")
    steps = program.steps
    assert [kernel.kind for kernel in whole.kernels] == [step.kernel.kind for step in steps]
    assert all(kernel.layers and kernel.work > 0 for kernel in whole.kernels)
    assert whole.seconds is None


def test_the_equal_forms_of_a_layer_are_told():
    found = ic.explain("SeparableConv1D(6, 3)", (9, 4))
    forms = {form.name: form for form in found.forms}
    assert forms["Conv1D(6, 3)"].numeric == "folding"
    halves = forms["DepthwiseConv1D(3) > Conv1D(6, 1)"]
    assert (halves.numeric, halves.rows) == ("exact", ("8",))
    assert halves.parameters == found.parameters
    assert halves.multiply_adds == found.multiply_adds
    assert "DepthwiseConv1D(3) > Conv1D(6, 1)" in str(found)
    assert not ic.explain("Dropout(0.5)", (9,)).forms
    within = ic.explain("Conv1D(8, 3, activation='relu', name='first') > Flatten()", (9, 4))
    names = [form.name for form in within.of_layer("first").forms]
    assert "Patches(3, 1) > Dense(8, activation='relu')" in names
    assert names == [form.name for form in ic.explain(within.layers[0].spec, (9, 4)).forms]


def test_what_is_folded_for_prediction_is_told():
    whole = ic.explain("Conv1D(4, 3) > BatchNormalization() > ReLU()", (9, 2), measure=False)
    conv, norm, cut = whole.layers
    assert {rule.layer for rule in whole.rules} == {norm.name}
    assert all(rule.numeric == "folding" for rule in whole.rules)
    assert "Rewritten for prediction" in str(whole)
    # The convolution's, though its scale was moved into it by a rule.
    assert [kernel.layers for kernel in whole.kernels] == [(conv.name, norm.name, cut.name)]
    assert (norm.merged, cut.merged) == (conv.name, conv.name)


def test_explaining_changes_nothing():
    layer = layers.Conv1D(4, 3)
    ic.explain(layer, (10, 2))
    assert not layer.built
    ic.explain(layer, (10, 5))
    demonstration = demo.network()
    weights = demonstration.get_weights()
    ic.explain(demonstration)
    assert all(map(np.array_equal, weights, demonstration.get_weights()))


def test_it_is_data_and_html():
    whole = ic.explain(model(), measure=False)
    data = json.loads(json.dumps(whole.as_data()))
    assert data["layers"][0]["operations"][0]["axes"][0]["span"] == 3
    assert data["layers"][0]["parameters"] == 40
    page = whole._repr_html_()
    assert page.count("<tr>") == page.count("</tr>") > len(whole.layers)
    end = whole.of_layer("end")
    assert (end.parameters, end.inputs, end.layers[0].name) == (74, ((36,),), "end")
    assert str(end).startswith("Dense(2) on (36,) gives (2,)")
    with pytest.raises(ArgumentError, match="one of conv, cut"):
        whole.of_layer("nothing")


# -- words ------------------------------------------------------------------------------------


def test_the_text_fills_in_the_numbers():
    told = str(ic.explain("Conv1D(64, 3)", (600, 300)))
    assert "(600 + 0 + 0 - 3) // 1 + 1  = 598" in told
    assert "A kernel spans 3 taps and all 300 channels: 3 x 300 = 900 products" in told
    assert "3 taps x 300 channels x 64 filters  57,600" in told
    assert "output i reads inputs i, i + 1, i + 2" in told
    assert "Receptive field: 3 of 600" in told
    causal = str(ic.explain("Conv1D(2, 3, strides=2, padding='causal')", (9, 3)))
    assert "output i reads inputs 2i - 2, 2i - 1, 2i" in causal
    assert "No position after 2i is read: causal." in causal
    assert "Padding: steps 2 before and 0 after." in causal
    turned = str(ic.explain("Conv1DTranspose(2, 3, strides=2)", (5, 1)))
    assert "(5 - 1) * 2 + 3 - 0 - 0  = 11" in turned
    assert "input i adds to outputs 2i, 2i + 1, 2i + 2" in turned


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        ("Conv3D(8, (3, 30, 300), dilation_rate=(1, 2, 3))", (60, 1000, 2000, 3)),
        ("SeparableConv2D(128, 7, padding='same', depth_multiplier=4)", (224, 224, 64)),
        ("Conv1D(64, 3) > ReLU() > MaxPooling1D(2) > Flatten() > Dense(1000)", (100, 300)),
        ("BatchNormalization()", (100, 300)),
    ],
)
def test_the_text_fits_80_columns(spec, shape):
    told = str(ic.explain(spec, shape, measure=False))
    assert max(map(len, told.splitlines())) <= 80


@pytest.mark.parametrize(
    ("target", "shape", "error", "message"),
    [
        ("Conv1D(64, 3)", None, ShapeError, "Say what goes in, without the batch"),
        ("Conv1D(64, 3)", (2, 300), ShapeError, r"\(2 \+ 0 \+ 0 - 3\) // 1 \+ 1 = 0"),
        ("Conv1D(64, 3)", (300,), ShapeError, "3 dimensions"),
        ("Conv1D(64, 3)", "300", ShapeError, "a tuple of sizes"),
        ("Conv1D(64, 3)", (None, 3), ShapeError, "known sizes"),
        ("Conv1d(64, 3)", (9, 3), ArgumentError, "Conv1D"),
        (3, (9, 3), ArgumentError, "a layer, a model, or text"),
        ([], (9, 3), ArgumentError, "a layer, a model, or text"),
    ],
)
def test_mistakes_are_explained(target, shape, error, message):
    with pytest.raises(error, match=message):
        ic.explain(target, shape)
    with pytest.raises(ShapeError, match=r"shape \(29, 12\); got shape \(9, 13\)"):
        ic.explain(demo.network(), (9, 13))


def test_long_names_keep_their_ends_and_the_table_its_width():
    x = ic.Input((64, 3), name="x")
    y = x
    for step in range(3):
        y = layers.Conv1D(4, 3, activation="relu", name=f"{'block.' * 9}step_{step}")(y)
        y = layers.BatchNormalization(name=f"{'block.' * 9}norm_{step}")(y)
    text = str(ic.explain(ic.Model(x, y)))
    assert max(map(len, text.splitlines())) <= 80
    table = text.partition("Totals")[0]
    for step in range(3):
        assert f"step_{step} " in table
        assert f"norm_{step} " in table


def test_fields_of_tables_break_at_joints():
    row = ("Conv1D(256, data_format='channels_first')", "batch_normalization_1/moving_mean")
    first, second = as_text([Section("", (), [(*row, "x" * 34)])]).splitlines()
    assert first.split("  ")[1] == "Conv1D(256, data_format="
    assert "  batch_normalization_1/  " in first
    assert second.split()[:2] == ["'channels_first')", "moving_mean"]


def test_facts_of_axes_are_those_of_all_outputs_one_by_one():
    rng = np.random.default_rng(0)
    for _ in range(300):
        length, output, taps, stride, dilation = map(int, rng.integers(1, 9, 5))
        before, transposed = int(rng.integers(-4, 9)), bool(rng.integers(2))
        sizes = (length, output, taps, stride, dilation, 1, before, 0, transposed, 0, 0)
        axis = AxisFacts("steps", *sizes)
        read = [axis.inputs_of(o) for o in range(output)]
        there, here = (stride, 1) if transposed else (1, stride)
        apart = {i * there - o * here for o in range(output) for i in read[o]}
        assert {ahead for ahead, _ in axis.meetings()} == apart
        counts = [len(each) for each in read]
        assert _pairs(axis) == (sum(counts), max(counts))


def test_long_inputs_are_explained_at_once():
    found = ic.explain("Conv1D(2, 9, padding='same')", (10**7, 1), measure=False)
    (layer,) = found.layers
    assert layer.operations[0].absent == 2 * 2 * (1 + 2 + 3 + 4)
    assert "gives (10000000, 2)" in str(found)
