"""The table of weights: what it does to them, both ways, and how it reads."""

import numpy as np
import pytest

from isoconv.errors import ShapeError
from isoconv.interop.weight_map import WeightMap, WeightRow

ROWS = [
    WeightRow("conv.weight", (4, 3, 5, 2), "conv/kernel", (5, 2, 3, 4), (2, 3, 1, 0)),
    WeightRow("deep.weight", (6, 1, 5), "deep/kernel", (5, 3, 2), (2, 0, 1), (3, 2, 5)),
    WeightRow("flat.weight", (5, 1, 3, 2), "flat/kernel", (5, 3, 2), None, (5, 3, 2)),
    WeightRow("bias", (4,), "conv/bias", (4,)),
    WeightRow("scalar", (), "scalar", ()),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.source)
def test_backward_undoes_forward(row):
    array = np.arange(np.prod(row.source_shape)).reshape(row.source_shape)
    there = row.forward(array)
    assert there.shape == row.target_shape
    np.testing.assert_array_equal(row.backward(there), array)
    with pytest.raises(ShapeError, match=row.source):
        row.forward(np.zeros((7, *row.source_shape)))


def test_elements_go_where_the_axes_say():
    array = np.arange(120).reshape(4, 3, 5, 2)
    assert ROWS[0].forward(array)[4, 1, 2, 3] == array[3, 2, 4, 1]
    deep = np.arange(30).reshape(6, 1, 5)
    assert ROWS[1].forward(deep)[4, 2, 1] == deep[2 * 2 + 1, 0, 4]


def test_shapes_that_cannot_fit_are_refused():
    for wrong in ((4, 3, 5, 3), (4, 3, 5)):
        with pytest.raises(ShapeError, match=r"conv\.weight"):
            WeightRow("conv.weight", wrong, "conv/kernel", (5, 2, 3, 4), (2, 3, 1, 0))


def test_a_person_can_read_it():
    text = str(WeightMap(ROWS, "net.pth", "model"))
    assert text.splitlines()[0].split() == ["net.pth", "shape", "model", "shape", "transposition"]
    assert "conv.weight  (4, 3, 5, 2)  conv/kernel  (5, 2, 3, 4)  axes (2, 3, 1, 0)" in text
    assert "as (3, 2, 5), axes (2, 0, 1)" in text
