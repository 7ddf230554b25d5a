"""Layers as text: what is read, how it is written, and where mistakes are marked."""

import numpy as np
import pytest

from isoconv import layers, spec
from isoconv.errors import ArgumentError


def test_a_spec_names_layers_in_order():
    found = spec.layers('Conv1D(64, 3, padding="same") > TimeDistributed(Dense(2)) > Flatten()')
    assert [type(layer) for layer in found] == [
        layers.Conv1D,
        layers.TimeDistributed,
        layers.Flatten,
    ]
    assert (found[0].filters, found[0].kernel_size, found[0].padding) == (64, (3,), "same")


@pytest.mark.parametrize(
    "text",
    [
        "Conv1D(64, 3, padding='same')",
        "Conv2D(4, (3, 2), strides=2, data_format='channels_first')",
        "Dense(3, activation='relu', use_bias=False)",
        "Conv1DTranspose(4, 2, output_padding=0, strides=3)",
        "Flatten()",
    ],
)
def test_what_is_written_is_read_again(text):
    (layer,) = spec.layers(text)
    (again,) = spec.layers(spec.text(layer))
    name = {"name"}
    left, right = layer.get_config(), again.get_config()
    assert {k: v for k, v in left.items() if k not in name} == {
        k: v for k, v in right.items() if k not in name
    }


@pytest.mark.parametrize(
    ("text", "at", "says"),
    [
        ("Conv1D(64, 3", "(", "this bracket is never closed"),
        ("Conv1D(64, 3) > Conb2D(4, 3)", "Conb2D", "did you mean Conv2D?"),
        ("Conv1D(64, 3) < Dense(4)", "Dense", "joined by >"),
        ("Conv1D(64, 3) > 4", "4", "a layer with its arguments is expected"),
        ("Conv1D(64, kernal_size=3)", "kernal_size", "it has kernel_size"),
        ("Conv1D(64, 3, filter=2)", "filter", "no argument 'filter'"),
        ("Conv1D(64)", "Conv1D", "kernel_size"),
        ("Conv1D(64, 3, padding='sane')", "Conv1D", "'valid', 'same', 'causal'"),
        ("Dense(__import__('os').getpid())", "__import__", "a plain value is expected"),
        ("Dense(4 * 10**9)", "4 *", "a plain value is expected"),
        ("Conv1D(4, 3, padding=same)", "same", "a text stands in quotes: 'same'"),
        ("Lambda('x')", "Lambda", "there is no layer 'Lambda'"),
        ("Dense(4).build(3)", "Dense", "a layer with its arguments is expected"),
        ("é > Dense(4)", "é", "a layer with its arguments is expected"),
        ("'é' > Denze(4)", "'é'", "a layer with its arguments is expected"),
        ("", "", "no layer can be read here"),
    ],
)
def test_the_place_of_a_mistake_is_marked(text, at, says):
    with pytest.raises(ArgumentError) as caught:
        spec.layers(text)
    lines = str(caught.value).splitlines()
    mark = next(i for i, line in enumerate(lines) if line.strip() == "^")
    assert says in str(caught.value)
    assert lines[mark - 1][lines[mark].index("^") :].startswith(at)


@pytest.mark.parametrize(
    ("number", "shown"), [(float(np.float32(0.2)), "0.2"), (0.2, "0.2"), (1e300, "1e+300")]
)
def test_numbers_of_32_bits_are_written_short(number, shown):
    assert spec.text(layers.LeakyReLU(number)) == f"LeakyReLU(negative_slope={shown})"
