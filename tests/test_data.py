"""The data sets in the package are whole and learnable."""

import numpy as np
import pytest

from isoconv.data import Sequences, japanese_vowels


@pytest.fixture(scope="module")
def vowels() -> Sequences:
    return japanese_vowels()


def test_japanese_vowels_shapes(vowels):
    assert vowels.x_train.shape == (270, 29, 12)
    assert vowels.x_test.shape == (370, 29, 12)
    assert vowels.x_train.dtype == vowels.x_test.dtype == np.float32
    # The numbers of utterances by speaker that the source states.
    assert np.bincount(vowels.y_train).tolist() == [30] * 9
    assert np.bincount(vowels.y_test).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]


def test_japanese_vowels_lengths(vowels):
    for x, lengths, longest in (
        (vowels.x_train, vowels.lengths_train, 26),
        (vowels.x_test, vowels.lengths_test, 29),
    ):
        assert lengths.min() == 7
        assert lengths.max() == longest
        padding = np.arange(29) >= lengths[:, None]
        assert not x[padding].any()
        assert x[~padding].any(axis=1).all()


def test_japanese_vowels_values(vowels):
    # The first frame of the first utterance, and the last of the last, as in the source.
    first, last = vowels.x_train[0, 0], vowels.x_test[-1, vowels.lengths_test[-1] - 1]
    np.testing.assert_array_equal(first[:3], np.float32([1.860936, -0.207383, 0.261557]))
    assert vowels.lengths_train[0] == 20
    assert last[-1] == np.float32(0.224688)


def test_japanese_vowels_nearest_neighbour(vowels):
    train = vowels.x_train.reshape(270, -1)
    test = vowels.x_test.reshape(370, -1)
    distances = (train**2).sum(1) - 2 * test @ train.T
    accuracy = np.mean(vowels.y_train[distances.argmin(1)] == vowels.y_test)
    assert accuracy == pytest.approx(0.916, abs=0.005)
