"""Models as graphs: every call is a box, every tensor an arrow, and nothing lies on anything."""

from itertools import combinations, pairwise

import numpy as np
import pytest

import isoconv as ic
from isoconv import draw, layers
from isoconv.drawing.layered import layered
from isoconv.drawing.scene import Box, Line, Text
from isoconv.drawing.style import TIMES
from isoconv.errors import ArgumentError


def branches():
    x = ic.Input((8, 2), name="x")
    a = layers.Conv1D(3, 3, padding="same", name="a")(x)
    b = layers.Conv1D(3, 1, name="b")(x)
    return ic.Model(x, layers.Add(name="sum")([a, ic.ops.relu(b)]), name="m")


def shared():
    x, y = ic.Input((4,), name="x"), ic.Input((4,), name="y")
    dense = layers.Dense(2, name="d")
    return ic.Model([x, y], layers.Subtract(name="less")([dense(x), dense(y)]))


def nested():
    inner = ic.Sequential([ic.Input((None, 2)), layers.Conv1D(2, 3, name="conv")], name="inner")
    x = ic.Input((9, 2), name="x")
    return ic.Model(x, layers.Flatten(name="flat")(inner(x)))


class Written(ic.Model):
    def __init__(self):
        super().__init__(name="written")
        self.first, self.second = layers.Conv1D(2, 3, name="first"), layers.Dense(2, name="second")

    def call(self, x):
        y = self.first(x)
        return y + self.second(y)


# What is drawn: the lines of the boxes, and the arrows by the first words of their ends.
MODELS = {
    "branches": (
        branches,
        None,
        [f"x: 8 {TIMES} 2", "Conv1D(3, 3, padding='same')", f"a: 8 {TIMES} 3", "21 parameters"],
        {("Input", "Conv1D(3, 3, padding='same')"), ("Input", "Conv1D(3, 1)"),
         ("Conv1D(3, 1)", "relu"), ("relu", "Add"), ("Conv1D(3, 3, padding='same')", "Add")},
    ),
    "shared": (
        shared,
        None,
        ["call 1 of 2, same weights", "call 2 of 2, same weights", "less: 2"],
        {("Input", "Dense(2)"), ("Dense(2)", "Subtract")},
    ),
    "nested": (
        nested,
        None,
        [f"inner: Sequential - 7 {TIMES} 2", f"conv: ? {TIMES} 2", "14 parameters"],
        {("Input", f"inner: Sequential - 7 {TIMES} 2"), ("Input", "Conv1D(2, 3)"),
         (f"inner: Sequential - 7 {TIMES} 2", "Flatten")},
    ),
    "a call of its own": (
        Written,
        (6, 2),
        [f"6 {TIMES} 2", f"first: 4 {TIMES} 2"],
        {("Input", "Conv1D(2, 3)"), ("Conv1D(2, 3)", "Dense(2)")},
    ),
}  # fmt: skip


def inside(box, x, y):
    return box.x <= x <= box.x + box.width and box.y - 0.1 <= y <= box.y + box.height + 0.1


def name_at(scene, x, y):
    """The first line of the smallest box whose edge a point is on."""
    boxes = [b for b in scene.items if isinstance(b, Box) and inside(b, x, y)]
    box = min(boxes, key=lambda b: b.width * b.height)
    texts = [t for t in scene.items if isinstance(t, Text) and inside(box, t.x, t.y)]
    return min(texts, key=lambda t: t.y).text


@pytest.mark.parametrize("name", MODELS)
def test_boxes_and_arrows(name):
    make, shape, lines, arrows = MODELS[name]
    picture = draw.model(make(), shape)
    (scene,) = picture.scenes
    texts = [item.text for item in scene.items if isinstance(item, Text)]
    assert [line for line in lines if line not in texts] == []
    drawn = [item.points for item in scene.items if isinstance(item, Line)]
    assert {(name_at(scene, *points[0]), name_at(scene, *points[-1])) for points in drawn} == arrows
    svg = picture.svg()
    assert svg.count("<polyline") == len(drawn)
    assert all(line.replace("'", "&#x27;") in svg for line in lines)


def test_nested_models_lie_within_their_frames():
    (scene,) = draw.model(nested()).scenes
    (frame,) = [item for item in scene.items if isinstance(item, Box) and item.style == "group"]
    (conv,) = [
        item for item in scene.items if isinstance(item, Box) and item.style == "convolution"
    ]
    assert inside(frame, conv.x, conv.y)
    assert inside(frame, conv.x + conv.width, conv.y + conv.height)


@pytest.mark.parametrize("seed", range(8))
def test_nothing_lies_on_anything(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 24))
    sizes = [(float(w), float(h)) for w, h in rng.integers(20, 200, (count, 2))]
    edges = [(a, b) for a, b in combinations(range(count), 2) if rng.random() < 2 / count]
    found = layered(sizes, edges)
    places = zip(found.centres, sizes, strict=True)
    boxes = [Box(x - w / 2, y, w, h, "cell") for (x, y), (w, h) in places]
    for a, b in combinations(boxes, 2):
        apart = a.x + a.width <= b.x or b.x + b.width <= a.x
        assert apart or a.y + a.height <= b.y or b.y + b.height <= a.y
    assert all(b.x > -1e-6 and b.x + b.width <= found.width + 1e-6 for b in boxes)
    assert max(b.y + b.height for b in boxes) <= found.height + 1e-6
    for (start, end), route in zip(edges, found.routes, strict=True):
        assert all(y0 <= y1 for (_, y0), (_, y1) in pairwise(route))
        places = [p for a, b in pairwise(route) for p in np.linspace(a, b, 30)]
        others = [box for i, box in enumerate(boxes) if i not in (start, end)]
        crossed = [
            box for box in others for x, y in places
            if box.x < x < box.x + box.width and box.y + 0.1 < y < box.y + box.height - 0.1
        ]  # fmt: skip
        assert crossed == []


def test_what_is_no_model_is_told():
    with pytest.raises(ArgumentError, match="a model"):
        draw.model(layers.Dense(2))
    with pytest.raises(ArgumentError, match="Give input_shape"):
        draw.model(Written())


def test_functions_in_a_row_are_one_box_up_to_where_they_part():
    x = ic.Input((4, 3), name="x")
    y = ic.ops.exp(ic.ops.relu(ic.ops.absolute(x)))
    model = ic.Model(x, layers.Add(name="sum")([ic.ops.exp(y), ic.ops.sqrt(ic.ops.exp(y))]))
    (scene,) = draw.model(model).scenes
    boxes = [item for item in scene.items if isinstance(item, Box)]
    names = {name_at(scene, box.x, box.y) for box in boxes}
    assert names == {"Input", "absolute, relu, exp", "exp", "exp, sqrt", "Add"}


def test_a_wide_graph_is_not_made_too_small_to_read():
    x = ic.Input((8, 2), name="x")
    model = ic.Model(x, layers.Concatenate()([layers.Conv1D(2, 1)(x) for _ in range(12)]))
    wide, narrow = draw.model(model), draw.model(branches())
    assert f"max(100%, {0.7 * wide.scenes[0].width:.0f}px)" in wide.svg()
    assert "max-width: 100%" in narrow.svg()
