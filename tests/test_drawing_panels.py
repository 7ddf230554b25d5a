"""Figures of activations, weights and receptive fields hold the numbers of the layers."""

import numpy as np
import pytest

import isoconv as ic
from isoconv import draw, layers, spec
from isoconv.errors import ArgumentError, ShapeError
from isoconv.explaining.alignment import alignment
from isoconv.explaining.tracing import first, traced

RNG = np.random.default_rng(0)


def model(shape, text):
    return ic.Sequential([ic.Input(shape), *spec.layers(text)])


def panels(figure, title):
    """The panel with a title, and those after it."""
    titles = [axes.get_title("left") for axes in figure.axes]
    return figure.axes[titles.index(title) :]


def notes(axes):
    return [text.get_text() for text in axes.texts]


# -- activations ------------------------------------------------------------------------------

# Where output p of the last layer stands along an input of 40: start + p * step.
PLACES = {
    "Conv1D(1, 5)": (2, 1),
    "Conv1D(1, 5, padding='same')": (0, 1),
    "Conv1D(1, 3, padding='causal')": (-1, 1),
    "Conv1D(1, 3, strides=3)": (1, 3),
    "Conv1D(1, 3, dilation_rate=4)": (4, 1),
    "MaxPooling1D(4)": (1.5, 4),
    "Conv1D(1, 3, strides=2) > Conv1D(1, 3, strides=2)": (3, 4),
    "Conv1D(1, 39)": (19.5, 20),
}


@pytest.mark.parametrize("text", PLACES)
def test_outputs_stand_under_the_middle_of_what_they_read(text):
    found = traced(model((40, 1), text), None, 1)
    place = alignment(first(list(found.calls.values())[-1].result), found.inputs[0])
    start, step = PLACES[text]
    # Where all windows touch the ends of the input, outputs are spread evenly.
    assert (place.start, place.step) == ((9.5, 20) if "39" in text else (start, step))


def test_signals_are_lines_and_heat_maps_along_the_input():
    net = model((40, 1), "Conv1D(6, 3, strides=2) > ReLU()")
    x = RNG.normal(size=(3, 40, 1)).astype("float32")
    figure = draw.activations(net, x, sample=2)
    (y,) = ic.activations(net, x, net.layers[0].name).values()
    lines, heat = panels(figure, net.layers[0].name)[:2]
    most = sorted(np.argsort(-y[2].std(0))[:4])
    assert [line.get_label() for line in lines.lines] == [f"channel {c}" for c in most]
    for line, channel in zip(lines.lines, most, strict=True):
        assert np.array_equal(line.get_xdata(), 1 + 2 * np.arange(19))
        assert np.array_equal(line.get_ydata(), y[2, :, channel].astype("float64"))
    (image,) = heat.images
    assert np.array_equal(image.get_array(), y[2].T)
    assert image.get_extent() == [0, 38, 5.5, -0.5]
    assert -image.norm.vmin == image.norm.vmax == np.abs(y[2]).max()
    assert heat.get_xlim() == lines.get_xlim() == (-0.5, 39.5)
    positive = panels(figure, net.layers[1].name)[1]
    assert positive.images[0].norm.vmin == 0
    (line,) = panels(figure, "input")[0].lines
    assert np.array_equal(line.get_ydata(), x[2, :, 0].astype("float64"))


TILES = {
    (7, 6, 2): "Conv2D(10, 3)",
    (4, 5, 6, 2): "Conv3D(3, 2)",
}


@pytest.mark.parametrize("shape", TILES)
def test_images_and_volumes_are_tiles(shape):
    net = model(shape, TILES[shape])
    x = RNG.normal(size=(2, *shape)).astype("float32")
    (y,) = ic.activations(net, x, net.layers[0].name).values()
    *_, height, width, channels = y[0].shape
    planes = np.moveaxis(y[0], -1, 0).reshape(channels, -1, height, width)
    (image,) = panels(draw.activations(net, x), net.layers[0].name)[0].images
    drawn = np.asarray(image.get_array().filled(np.nan))
    for channel in range(channels):
        for depth in range(planes.shape[1]):
            row, column = (channel, depth) if len(shape) > 3 else divmod(channel, 8)
            top, left = row * (height + 1), column * (width + 1)
            tile = drawn[top : top + height, left : left + width]
            assert np.array_equal(tile, planes[channel, depth].astype("float64"))


def test_channels_first_is_turned():
    text = "Conv1D(6, 3, strides=2{0}) > ReLU() > MaxPooling1D(2{0})"
    last = model((40, 3), text.format(""))
    first = model((3, 40), text.format(", data_format='channels_first'"))
    first.set_weights(last.get_weights())
    x = RNG.normal(size=(1, 40, 3)).astype("float32")
    figures = [draw.activations(last, x), draw.activations(first, x.swapaxes(1, 2))]
    for one, other in zip(*(figure.axes for figure in figures), strict=True):
        for a, b in zip(one.images, other.images, strict=True):
            assert np.array_equal(a.get_array(), b.get_array())
            assert a.get_extent() == b.get_extent()
        assert notes(one) == notes(other)


def test_vectors_are_bars_and_several_inputs_are_all_shown():
    a, b = ic.Input((3,), name="a"), ic.Input((5, 2), name="b")
    joined = layers.Concatenate()([a, layers.Flatten()(b)])
    net = ic.Model([a, b], layers.Dense(4, name="end")(joined))
    x = [RNG.normal(size=(2, 3)), RNG.normal(size=(2, 5, 2))]
    figure = draw.activations(net, x, "end", sample=1)
    heights = [bar.get_height() for bar in panels(figure, "end")[0].patches]
    assert heights == ic.activations(net, x, "end")["end"][1].tolist()
    titles = [axes.get_title("left") for axes in figure.axes]
    assert {"input 0", "input 1", "end"} <= set(titles)
    named = draw.activations(net, {"b": x[1], "a": x[0]}, "end", sample=1)
    assert list(map(notes, named.axes)) == list(map(notes, figure.axes))


# -- receptive fields and weights -------------------------------------------------------------

FIELDS = {
    (30, 2): "Conv1D(3, 5) > MaxPooling1D(2) > Conv1D(2, 3, dilation_rate=2)",
    (9, 12, 1): "Conv2D(2, (3, 2)) > Conv2D(1, (1, 3), strides=2)",
    (5, 6, 7, 1): "Conv3D(1, (2, 3, 2))",
}


@pytest.mark.parametrize("shape", FIELDS)
def test_field_is_what_changes_the_middle_output(shape):
    net = model(shape, FIELDS[shape])
    for weight in net.weights:
        weight.assign(np.abs(weight.array) + 0.1)
    x = np.zeros(shape, "float32")
    names = ("steps",) if len(shape) == 2 else ("depth", "height", "width")[4 - len(shape) :]
    for given in (None, x):
        figure = draw.field(net, x=given)
        y = ic.activations(net, x[None], net.layers[-1])[net.layers[-1].name][0]
        middle = tuple(size // 2 for size in y.shape)
        for axis, name in enumerate(names):
            reads = []
            for at in range(shape[axis]):
                changed = x.copy()
                np.moveaxis(changed, axis, 0)[at] = 1
                z = net(changed[None])[0]
                reads += [at] if z[middle] != y[middle] else []
            bar = panels(figure, name)[0].patches[-1]
            assert (bar.get_x() + 0.5, bar.get_width()) == (reads[0], reads[-1] - reads[0] + 1)
            told = notes(panels(figure, name)[0])[-2]
            assert int(told.split()[0]) == len(reads)


def test_layers_that_read_no_more_are_left_out():
    figure = draw.field("Conv1D(2, 3) > ReLU() > Conv1D(2, 1) > MaxPooling1D(2)", (20, 1))
    labels = [label.get_text() for label in panels(figure, "steps")[0].get_yticklabels()]
    assert len(labels) == 2


WEIGHTS = {
    "one axis": (layers.Conv1D(9, 3), (8, 2), (0, 4), lambda k, f, c: k[:, :, f].T),
    "one channel": (layers.Conv1D(9, 3), (8, 1), (0, 0), lambda k, f, c: k[:, 0].T),
    "two axes": (layers.Conv2D(4, (3, 2)), (8, 8, 5), (1, 3), lambda k, f, c: k[:, :, c, f]),
    "no axis": (layers.Dense(4), (6,), (0, 0), lambda k, f, c: k),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_kernels_are_tiles(name):
    layer, shape, (row, column), expected = WEIGHTS[name]
    layer.build((None, *shape))
    (image,) = panels(draw.weights(layer), "kernel")[0].images
    drawn = image.get_array().filled(np.nan)
    tile = expected(layer.kernel.array, column if name == "one axis" else row, column)
    height, width = tile.shape
    top, left = row * (height + 1), column * (width + 1)
    assert np.array_equal(drawn[top : top + height, left : left + width], tile)
    assert len(panels(draw.weights(layer), "bias")[0].patches) == len(layer.bias.array)


WRONG = [
    (lambda: draw.weights(layers.Conv1D(2, 3)), ArgumentError, "built"),
    (lambda: draw.field("Dense(2)", (4,), x=np.ones(3)), ArgumentError, r"shape \(4,\)"),
    (lambda: draw.activations(model((4,), "Dense(2)"), np.ones((3, 4)), sample=3), ShapeError, "3"),
    (
        lambda: draw.activations(model((4,), "Dense(2)"), np.ones((3, 4)), "Dens"),
        ArgumentError,
        "mean",
    ),
    (
        lambda: draw.activations(model((4,), " > ".join(["ReLU()"] * 25)), np.ones((1, 4))),
        ArgumentError,
        "Say which ones",
    ),
]


@pytest.mark.parametrize(("act", "error", "words"), WRONG)
def test_what_cannot_be_drawn_is_told(act, error, words):
    with pytest.raises(error, match=words):
        act()


def test_every_figure_is_saved(tmp_path):
    net = model((12, 2), "Conv1D(3, 3)")
    drawn = [
        draw.activations(net, np.ones((1, 12, 2))),
        draw.field(net),
        draw.weights(net.layers[0]),
    ]
    for number, figure in enumerate(drawn):
        suffix, start = (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF"))[number]
        path = tmp_path / f"{number}.{suffix}"
        draw.save(figure, path)
        assert path.read_bytes().startswith(start)
        assert figure._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(ArgumentError, match=r"\.svg, \.png, \.pdf"):
        draw.save(drawn[0], tmp_path / "a.gif")
