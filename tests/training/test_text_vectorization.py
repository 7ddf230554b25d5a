"""Words to numbers: against counting by hand, in models, in files; padding and one-hot."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import isoconv
from isoconv import layers
from isoconv.errors import ArgumentError, ShapeError
from isoconv.utils import pad_sequences, to_categorical

TEXTS = ["The cat sat, the cat ate!", "A dog ate the CAT.", "Birds sing"]
WORDS = ["cat", "the", "ate"]


def adapted(**options):
    layer = layers.TextVectorization(**options)
    layer.adapt(TEXTS)
    return layer


def test_words_by_how_often_they_come():
    layer = adapted()
    # Of words as frequent, the last in the alphabet comes first.
    assert layer.get_vocabulary()[:5] == ["", "[UNK]", "the", "cat", "ate"]
    assert layer.get_vocabulary()[5:] == ["sing", "sat", "dog", "birds", "a"]
    assert layer.vocabulary_size() == 10
    assert adapted(max_tokens=4).get_vocabulary() == ["", "[UNK]", "the", "cat"]
    batches = layers.TextVectorization()
    batches.adapt(iter([TEXTS[:2], np.array(TEXTS[2:])]), steps=5)
    assert batches.get_vocabulary() == layer.get_vocabulary()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [[3, 1, 2], [4, 0, 0]]),
        ({"output_sequence_length": 2}, [[3, 1], [4, 0]]),
        ({"output_sequence_length": 4}, [[3, 1, 2, 0], [4, 0, 0, 0]]),
        ({"output_mode": "multi_hot"}, [[1, 0, 1, 1], [0, 0, 0, 0]]),
        ({"split": "character", "vocabulary": ["t"]}, None),
        ({"standardize": "lower"}, [[3, 1, 2], [1, 0, 0]]),
        ({"standardize": None}, [[1, 1, 1], [1, 0, 0]]),
        ({"standardize": str.upper, "vocabulary": ["ATE?"]}, [[1, 1, 1], [2, 0, 0]]),
        ({"ngrams": 2, "vocabulary": ["cat", "owl the"]}, [[2, 1, 1, 1, 3], [1, 0, 0, 0, 0]]),
        ({"ngrams": (2,), "vocabulary": ["owl the"]}, [[1, 2], [0, 0]]),
        ({"split": None, "vocabulary": ["ate"]}, [[1], [2]]),
        ({"split": lambda text: text.split("a"), "vocabulary": ["c"]}, [[2, 1], [1, 1]]),
    ],
)
def test_numbers(options, expected):
    own = {"vocabulary": ["the", "cat", "ate"]} | options
    if options.get("output_mode") == "multi_hot":
        own["vocabulary"], expected = ["the", "cat"], [[1, 1, 1], [1, 0, 0]]
    layer = layers.TextVectorization(**own)
    found = layer(["Cat owl THE", "ate?"])
    if expected is not None:
        np.testing.assert_array_equal(found, expected)
    else:
        assert (found[0] == 2).tolist() == [False, False, True] + [False] * 5 + [True] + [False] * 2
    np.testing.assert_array_equal(layer(np.array([["Cat owl THE"], ["ate?"]])), found)
    np.testing.assert_array_equal(layer([b"Cat owl THE", b"ate?"]), found)


def test_rows():
    counts = adapted(output_mode="count", max_tokens=4)
    assert counts.get_vocabulary() == ["[UNK]", "the", "cat", "ate"]
    np.testing.assert_array_equal(counts(TEXTS), [[1, 2, 2, 1], [2, 1, 1, 1], [2, 0, 0, 0]])
    weighted = adapted(output_mode="tf_idf", max_tokens=4)
    # Three texts, and words that are in two of them.
    np.testing.assert_allclose(weighted(TEXTS), counts(TEXTS) * np.log(1 + 3 / 3), rtol=1e-6)
    given = layers.TextVectorization(
        output_mode="tf_idf", vocabulary=["cat", "the"], idf_weights=[2.0, 1.0]
    )
    np.testing.assert_array_equal(given(["cat cat owl"]), [[1.5, 4.0, 0.0]])
    padded = adapted(output_mode="multi_hot", max_tokens=20, pad_to_max_tokens=True)
    assert padded(TEXTS).shape == (3, 20)


@pytest.mark.parametrize("mode", ["int", "tf_idf"])
def test_first_in_a_model_and_in_files(tmp_path, mode):
    text = adapted(output_mode=mode)
    inner = [layers.Embedding(10, 4), layers.GlobalAveragePooling1D()] if mode == "int" else []
    model = isoconv.Sequential([text, *inner, layers.Dense(1)])
    model.compile("adam", "mse")
    labels = np.arange(3.0)
    history = model.fit(np.array(TEXTS), labels, epochs=20, verbose=0).history["loss"]
    assert history[-1] < history[0]
    found = model.predict(TEXTS)
    np.testing.assert_array_equal(found, model.predict(text(TEXTS)))
    model.save(tmp_path / "model.keras")
    again = isoconv.load_model(tmp_path / "model.keras")
    assert again.layers[0].get_vocabulary() == text.get_vocabulary()
    np.testing.assert_array_equal(again.predict(TEXTS), found)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.TextVectorization(output_mode="float"), "output_mode: expected one of"),
        (lambda: layers.TextVectorization(split="words"), "split: expected one of 'whitespace'"),
        (lambda: layers.TextVectorization(max_tokens=2), "max_tokens: expected at least 3"),
        (lambda: layers.TextVectorization(ngrams=0), "ngrams: expected a number from 1"),
        (lambda: layers.TextVectorization(vocabulary=["a", "a"]), "'a' twice"),
        (lambda: layers.TextVectorization(max_tokens=3, vocabulary=["a", "b"]), "at most 1"),
        (lambda: layers.TextVectorization(vocabulary=[3]), "expected words, as strings; got 3"),
        (
            lambda: layers.TextVectorization(output_mode="tf_idf", vocabulary=["a"]),
            "weights in mode 'tf_idf'",
        ),
        (lambda: layers.TextVectorization()(["a"]), "expected one; got no vocabulary. Call adapt"),
        (lambda: layers.TextVectorization().adapt([]), "expected at least one; got no texts"),
        (lambda: adapted()("a text"), "expected an array of texts; got one text"),
        (lambda: adapted()([["a", "b"]]), r"expected \(batch,\) or \(batch, 1\)"),
        (lambda: adapted()(["a", 3]), "expected texts only; got 3"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


# -- arrays -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "options"),
    [
        ([0, 2, 1], {}),
        ([[0], [2]], {}),
        ([[0, 1], [2, 2]], {"num_classes": 5}),
        ([1.0, 0.0], {}),
    ],
)
def test_one_hot_is_that_of_keras(x, options):
    found, theirs = to_categorical(x, **options), keras.utils.to_categorical(x, **options)
    np.testing.assert_array_equal(found, theirs)
    assert found.dtype == theirs.dtype


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"maxlen": 2},
        {"maxlen": 5, "padding": "post", "value": -1.0, "dtype": "float32"},
        {"maxlen": 2, "truncating": "post", "padding": "post"},
    ],
)
@pytest.mark.parametrize("sequences", [[[1], [2, 3, 4], []], [[[1, 2]], [[3, 4], [5, 6], [7, 8]]]])
def test_padding_is_that_of_keras(sequences, options):
    found = pad_sequences(sequences, **options)
    theirs = keras.utils.pad_sequences(sequences, **options)
    np.testing.assert_array_equal(found, theirs)
    assert found.dtype == theirs.dtype


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: to_categorical([0, 3], 3), "integers from 0 to 2; got numbers from 0 to 3"),
        (lambda: to_categorical([-1, 3]), "got numbers from -1 to 3"),
        (lambda: to_categorical([0.5]), "expected whole numbers"),
        (lambda: to_categorical(["a"]), "expected whole numbers"),
        (lambda: pad_sequences([1, 2]), "expected lists within; got 1"),
        (lambda: pad_sequences("ab"), "expected a list of lists"),
        (lambda: pad_sequences([[1]], padding="left"), "padding: expected 'pre' or 'post'"),
        (lambda: pad_sequences([[[1, 2]], [[1]]]), r"expected shape \(2,\), as first"),
    ],
)
def test_bad_arrays(make, message):
    with pytest.raises((ArgumentError, ShapeError), match=message):
        make()
