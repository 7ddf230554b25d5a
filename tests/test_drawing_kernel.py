"""The picture of a kernel: the numbers in its cells are those of the layer, and add up."""

import re
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from PIL import Image

import isoconv as ic
from isoconv import draw, layers, spec
from isoconv.drawing.formula import numeral
from isoconv.drawing.scene import Box, Text
from isoconv.drawing.style import MINUS, STYLES, TIMES
from isoconv.errors import ArgumentError, MissingPackageError, ShapeError

# A layer, its input, and the output that is worked out: (place, filter).
LAYERS = {
    "one axis": ("Conv1D(2, 4, use_bias=False)", (10, 3), ((0,), 0)),
    "strides, both sides": ("Conv1D(3, 3, strides=2, padding='same')", (9, 2), ((4,), 1)),
    "dilated, causal": (
        "Conv1D(2, 3, padding='causal', dilation_rate=2, activation='relu')",
        (8, 2),
        ((3,), 1),
    ),
    "grouped": ("Conv1D(4, 3, groups=2)", (6, 4), ((1,), 3)),
    "depthwise": ("DepthwiseConv1D(3, depth_multiplier=2)", (7, 2), ((2,), 3)),
    "two axes": ("Conv2D(2, (2, 3), strides=(1, 2))", (4, 7, 2), ((1, 2), 0)),
    "channels first": ("Conv2D(2, 2, data_format='channels_first')", (2, 4, 5), ((2, 3), 1)),
    "three axes": ("Conv3D(2, 2)", (2, 3, 4, 1), ((0, 1, 2), 1)),
    "transposed": ("Conv1DTranspose(2, 5, strides=2, padding='same')", (5, 2), ((4,), 1)),
    "transposed groups": ("Conv2DTranspose(2, 2, strides=2, groups=2)", (3, 2, 4), ((3, 1), 1)),
    "separable": ("SeparableConv1D(2, 3, padding='same')", (6, 2), ((5,), 1)),
    "no axis": ("Dense(3)", (5,), ((), 2)),
    "along one axis": ("Dense(2)", (4, 3), ((2,), 1)),
}


def filled(text, shape):
    """The layer with whole numbers for weights, an input, and what it gives with channels last."""
    (layer,) = spec.layers(text)
    rng = np.random.default_rng(3)
    x = rng.integers(-3, 4, shape).astype("float32")
    layer.build((None, *shape))
    for weight in layer.weights:
        weight.assign(rng.integers(-3, 4, weight.shape).astype("float32"))
    y = layer(x[None])[0]
    return layer, x, np.moveaxis(y, 0, -1) if "channels_first" in text else y


def cells(scene, *styles):
    """The texts in the boxes of some styles."""
    texts = [item for item in scene.items if isinstance(item, Text)]
    return [
        [t.text for t in texts if 0 <= t.x - b.x <= b.width and 0 <= t.y - b.y <= b.height]
        for b in scene.items
        if isinstance(b, Box) and b.style in styles and b.width > 20
    ]


def value(text):
    return float(text.strip(f"{TIMES}() ").replace(MINUS, "-"))


def sums(scene):
    """The sums written out: their terms, and the numbers after them."""
    lines = " ".join(t.text for t in scene.items if isinstance(t, Text) and t.style == "line")
    found = []
    for line in re.split(r"(?=output|in between)", lines)[1:]:
        _, terms, after = line.split(" = ")
        products = [term.split(TIMES) for term in terms.split(" + ") if "…" not in term]
        found.append(([value(a) * value(b) for a, b in products], after))
    return found


@pytest.mark.parametrize("name", LAYERS)
def test_numbers_in_cells_are_those_of_the_layer_and_add_up(name):
    text, shape, (place, filter_) = LAYERS[name]
    layer, x, y = filled(text, shape)
    before = [weight.array.copy() for weight in layer.weights]
    (scene,) = draw.kernel(layer, shape, x=x, position=place, filter=filter_).scenes
    *_, (number,) = cells(scene, "result")
    assert number == numeral(y[(*place, filter_)])
    # The output's block is complete, cell by cell.
    shown = sorted(each[0] for each in cells(scene, "cell", "result") if each)
    assert not [n for n in map(numeral, y.ravel()) if n not in shown]
    *_, (terms, after) = sums(scene)
    total = value(after.partition(";")[0])
    bias = 0.0 if getattr(layer, "bias", None) is None else layer.bias.array[filter_]
    assert np.maximum(total + bias, 0 if "relu" in text else -np.inf) == y[(*place, filter_)]
    # What the cells that are read say, each input times the weight in its corner, is that sum.
    products = [value(n) * value(weight) for n, weight in cells(scene, "read")]
    if name != "separable":
        assert sum(products) == total
    if len(terms) < 12:
        assert sum(terms) == total
    assert all(np.array_equal(a, w.array) for a, w in zip(before, layer.weights, strict=True))


def test_separable_is_two_stages_the_second_of_which_reads_the_first():
    layer, x, y = filled("SeparableConv1D(2, 3, padding='same')", (6, 2))
    (scene,) = draw.kernel(layer, x=x).scenes
    (first, after), (_, last) = sums(scene)
    assert sum(first) == value(after)
    assert value(last.rpartition(": ")[2]) == y[0, 0]
    heads = [t.text for t in scene.items if isinstance(t, Text) and t.style == "head"]
    assert heads[0] == "1. depthwise convolution"
    assert "2. pointwise convolution" in heads


# Absent cells: around the input, and between the inputs of a transposed layer.
ABSENT = {
    "none": ("Conv1D(1, 3)", (6, 2), 0),
    "both sides": ("Conv1D(1, 3, padding='same')", (6, 2), 2 * 2),
    "before": ("Conv1D(1, 3, padding='causal', dilation_rate=2)", (6, 2), 4 * 2),
    "around": ("Conv2D(1, 3, padding='same')", (3, 4, 1), 5 * 6 - 3 * 4),
    "between": ("Conv1DTranspose(1, 2, strides=3)", (3, 1), 1 + 2 + 2 + 1 + 1),
}


@pytest.mark.parametrize("name", ABSENT)
def test_absent_cells_are_there_and_empty(name):
    text, shape, count = ABSENT[name]
    found = cells(draw.kernel(text, shape).scenes[0], "absent", "read absent")
    assert found == [[]] * len(found)
    assert len(found) == count


def test_pooling_says_which_number_is_the_largest():
    x = np.array([[1.0], [5], [2], [7]])
    (scene,) = draw.kernel(layers.MaxPooling1D(2), x=x, position=1).scenes
    assert cells(scene, "result") == [["7"]]
    assert [t.text for t in scene.items if t.style == "line"] == [
        "output [1] of channel 0 = max(2, 7) = 7"
    ]


def test_large_layers_show_the_cells_around_the_output_and_the_true_sum():
    layer, x, y = filled("Conv1D(64, 3)", (600, 300))
    (scene,) = draw.kernel(layer, x=x, position=400, filter=50).scenes
    assert cells(scene, "result") == [[numeral(y[400, 50])]]
    assert scene.width < 1200
    assert scene.height < 1200
    assert "(900 products)" in " ".join(t.text for t in scene.items if isinstance(t, Text))
    assert {"400", "401", "402"} <= {t.text for t in scene.items if isinstance(t, Text)}


def test_layers_that_are_not_built_stay_so_and_show_whole_numbers():
    layer = layers.Conv1D(2, 3)
    (scene,) = draw.kernel(layer, (5, 2)).scenes
    assert not layer.built
    assert {float(n) % 1 for n in (value(each[0]) for each in cells(scene, "tap"))} == {0.0}


def test_a_layer_of_a_model_needs_no_shape():
    model = ic.Sequential([ic.Input((7, 2)), layers.Conv1D(2, 3)])
    assert "on (7, 2) gives (5, 2)" in draw.kernel(model.layers[0]).scenes[0].title


WIDE = {
    "Conv1D(64, 3)": (600, 300),
    "Conv2D(8, 1)": (10, 10, 30),
    "Conv3DTranspose(2, 3, strides=2)": (4, 4, 4, 2),
    "SeparableConv2D(16, 3)": (32, 32, 16),
    "Dense(1000)": (2048,),
}


def extent(text):
    """Left, top, right and bottom of a text, as its font has it."""
    style = STYLES[text.style]
    font = FontProperties(family="DejaVu Sans", weight="bold" if style.bold else "normal")
    box = TextPath((0, 0), text.text, size=style.size, prop=font).get_extents()
    left = text.x - {"start": 0, "middle": 0.5, "end": 1}[style.anchor] * box.width
    base = text.y + 0.35 * style.size
    return left, base - box.y1, left + box.width, base - box.y0


@pytest.mark.parametrize("text", WIDE)
def test_no_text_lies_on_another_or_outside(text):
    (scene,) = draw.kernel(text, WIDE[text]).scenes
    texts = [item for item in scene.items if isinstance(item, Text) and item.text]
    boxes = np.array([extent(item) for item in texts])
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= (scene.width, scene.height)).all()
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    over = np.argwhere(np.triu((high - low > 0.5).all(2), 1))
    assert [(texts[a].text, texts[b].text) for a, b in over] == []


# -- animations and files ---------------------------------------------------------------------


def visible(svg, frame):
    """The texts of a page at a step."""
    found = []
    for group in ElementTree.fromstring(svg):
        runs = group.get("data-frames")
        seen = runs is None or any(
            int(a) <= frame <= int(b) for a, b in (run.split("-") for run in runs.split())
        )
        if seen:
            found += [each.text or "" for each in group if each.tag.endswith("text")]
    return sorted(found)


@pytest.mark.parametrize(
    ("name", "frames"), [("one axis", 14), ("separable", 24), ("two axes", 18)]
)
def test_animation_works_out_every_output_once(name, frames):
    text, shape, _ = LAYERS[name]
    layer, x, y = filled(text, shape)
    picture = draw.kernel_animation(layer, x=x)
    assert len(picture.scenes) == frames
    results = [cells(scene, "result")[0][0] for scene in picture.scenes]
    last = np.moveaxis(y, -1, 0).ravel()
    assert results[-last.size :] == list(map(numeral, last))
    assert cells(picture.scenes[-1], "pending") == []
    page = picture.html()
    assert not re.search(r'(src|href)="|url\(|@import', page)
    (drawing,) = re.findall(r"<svg.*</svg>", page, re.DOTALL)
    for number in (0, frames // 2, frames - 1):
        expected = sorted(i.text for i in picture.scenes[number].items if isinstance(i, Text))
        assert visible(drawing, number) == expected


def test_moving_svg_turns_each_group_on_and_off_in_time():
    picture = draw.kernel_animation("Conv1D(1, 2, use_bias=False)", (4, 1), seconds=0.5)
    space = "{http://www.w3.org/2000/svg}"
    root = ElementTree.fromstring(picture.svg())
    times = [
        (each.get("values").split(";"), each.get("keyTimes"), each.get("dur"))
        for each in root.iter(f"{space}animate")
    ]
    assert (["visible", "hidden"], "0;0.33333", "1.5s") in times
    assert (["hidden", "visible"], "0;0.66667", "1.5s") in times
    assert all(float(t.split(";")[0]) == 0 for _, t, _ in times)


def test_gif_has_a_frame_a_step_and_files_are_of_their_kind(tmp_path):
    picture = draw.kernel_animation("Conv1D(1, 2)", (4, 1), filter=0, seconds=0.3)
    seen = []
    picture.save(tmp_path / "a.gif", on_frame=lambda *each: seen.append(each))
    with Image.open(BytesIO((tmp_path / "a.gif").read_bytes())) as image:
        assert (image.n_frames, image.info["duration"], image.info["loop"]) == (3, 300, 0)
        assert image.convert("RGB").getpixel((3, 3)) == (255, 255, 255)
        image.seek(0)
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 20)}
    assert {(0xCF, 0xE4, 0xF3), (0xBF, 0xE7, 0xDB)} <= colours
    assert seen == [(1, 3), (2, 3), (3, 3)]
    starts = {"svg": b"<svg", "html": b"<!DOCTYPE", "png": b"\x89PNG", "pdf": b"%PDF"}
    for suffix, start in starts.items():
        draw.save(picture, tmp_path / f"a.{suffix}")
        assert (tmp_path / f"a.{suffix}").read_bytes().startswith(start)
    assert picture._repr_html_().startswith("<div><svg")
    assert re.fullmatch(r"<Picture of .* in 3 scenes: \.save\(path\) writes it>", repr(picture))


def test_vector_pictures_need_no_matplotlib_and_others_say_so(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    picture = draw.kernel("Conv1D(1, 2)", (4, 1))
    picture.save(tmp_path / "a.svg")
    for suffix in ("png", "gif"):
        with pytest.raises(MissingPackageError, match=r"pip install 'isoconv\[plot\]'"):
            picture.save(tmp_path / f"a.{suffix}")
    assert [path.name for path in tmp_path.iterdir()] == ["a.svg"]


WRONG = [
    (lambda: draw.kernel("ReLU()", (4, 1)), ArgumentError, "a layer of windows or products"),
    (lambda: draw.kernel("Conv1D(1, 2) > ReLU()", (4, 1)), ArgumentError, "one layer"),
    (lambda: draw.kernel(3, (4, 1)), ArgumentError, "text that names one"),
    (lambda: draw.kernel("Conv1D(1, 2)", (4, 1), position=3), ArgumentError, r"within \(3,\)"),
    (lambda: draw.kernel("Conv1D(1, 2)", (4, 1), filter=1), ArgumentError, "from 0 to 0"),
    (lambda: draw.kernel("Conv1D(1, 5)", (4, 1)), ShapeError, "4"),
    (lambda: draw.kernel("Conv1D(1, 2)", (4, 1), x=np.ones((5, 1))), ShapeError, r"\(4, 1\)"),
    (lambda: draw.kernel("Conv1D(1, 2)"), ShapeError, "input_shape"),
    (lambda: draw.kernel("Conv1D(1, 2)", (4, 1)).save("a.bmp"), ArgumentError, r"\.svg, \.html"),
    (lambda: draw.kernel_animation("Conv1D(1, 2)", (4, 1), seconds=0), ArgumentError, "above 0"),
]


@pytest.mark.parametrize(("act", "error", "words"), WRONG)
def test_what_cannot_be_drawn_is_told(act, error, words):
    with pytest.raises(error, match=words):
        act()


NUMERALS = {
    3.0: "3",
    -12.0: "-12",
    0.25: "0.25",
    -1.234: "-1.23",
    12.34: "12.3",
    123.4: "123",
    0.0004: "4e-4",
    1e6: "1e6",
    9999.5: "1e4",
    float("inf"): "inf",
}


@pytest.mark.parametrize("number", NUMERALS)
def test_numbers_fit_their_cells(number):
    assert numeral(number) == NUMERALS[number].replace("-", MINUS)


def test_documented_pictures_are_those_that_the_tool_makes(tmp_path):
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, root / "tools/make_pictures.py", tmp_path], check=True)
    kept = {path.name: path.read_text("utf-8") for path in (root / "docs/pictures").iterdir()}
    assert {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()} == kept
    page = (root / "docs/pictures.md").read_text("utf-8")
    assert set(re.findall(r"\(pictures/(.*?)\)", page)) == set(kept)


@pytest.mark.parametrize(
    ("layer", "shape", "count"),
    [
        (layers.SeparableConv2D(4, 3), (6, 6, 2), 4 * 4 * (2 + 4)),
        (layers.SeparableConv1D(3, 3), (8, 2), 6 * (2 + 3)),
        (layers.Conv2D(3, 2), (7, 7, 1), 3 * 6 * 6),
    ],
    ids=repr,
)
def test_an_animation_of_few_outputs_ends_with_the_last(layer, shape, count):
    assert len(draw.kernel_animation(layer, shape).scenes) == count
