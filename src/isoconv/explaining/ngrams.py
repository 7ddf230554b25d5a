"""The word n-grams that excite the filters of a text convolution most, and where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.explaining.activations import stream
from isoconv.explaining.highlight import Highlight
from isoconv.explaining.reach import element, reach
from isoconv.explaining.tracing import first, traced
from isoconv.ir.sizes import number
from isoconv.layers.base import Layer
from isoconv.models.model import Model
from isoconv.ops.recorder import Array
from isoconv.sections import Section, as_html, as_text

_BATCH = 32
_WORD = re.compile(r"[\w']+")
_UNKNOWN = "[UNK]"


@dataclass(frozen=True)
class NGram:
    """Words; the filter's answer to them; the text and the word in it where they stand."""

    words: tuple[str, ...]
    score: float
    text: int
    position: int


@dataclass(frozen=True)
class Window:
    """Which words output p reads: those at p * step + each of the offsets."""

    step: int
    offsets: tuple[int, ...]

    def places(self, outputs: int) -> Array:
        """(outputs, words): the places, also those outside the text."""
        found: Array = np.arange(outputs)[:, None] * self.step + np.array(self.offsets)
        return found


@dataclass(frozen=True)
class NGrams:
    """For each filter of a layer its n-grams, those that excite it most first.

    Printed it is a table, in a notebook too. `highlight(text, filter)` shows one text with the
    words that excite a filter.
    """

    layer: str
    filters: tuple[tuple[NGram, ...], ...]
    window: Window
    _model: Model
    _ids: Array
    _words: Sequence[str]

    def highlight(self, text: int = 0, filter: int = 0) -> Highlight:
        """A text with its words shaded by how much they excite a filter at their best."""
        if not 0 <= text < len(self._ids):
            expected = f"an integer from 0 to {len(self._ids) - 1}"
            raise ArgumentError(explain("highlight: text", repr(text), expected))
        if not 0 <= filter < len(self.filters):
            expected = f"an integer from 0 to {len(self.filters) - 1}"
            raise ArgumentError(explain("highlight: filter", repr(filter), expected))
        ids = self._ids[text : text + 1]
        (results,) = stream(self._model, ids, self.layer, 1)
        answers = results[self.layer][0, :, filter]
        scores = np.zeros(ids.shape[1])
        places = self.window.places(len(answers))
        for place, answer in zip(places, answers, strict=True):
            inside = place[(place >= 0) & (place < len(scores))]
            scores[inside] = np.maximum(scores[inside], answer)
        kept = [i for i, number_ in enumerate(ids[0]) if number_ != 0]
        words = [_word(self._words, int(ids[0, i])) for i in kept]
        return Highlight(words, [float(scores[i]) for i in kept])

    def sections(self) -> list[Section]:
        """One table: filter by filter."""
        rows = [("filter", "score", "words", "text", "word")]
        for index, ngrams in enumerate(self.filters):
            for place, ngram in enumerate(ngrams):
                name = str(index) if place == 0 else ""
                told = (f"{ngram.score:.4g}", " ".join(ngram.words))
                rows.append((name, *told, str(ngram.text), str(ngram.position)))
        return [Section(f"What excites the filters of {self.layer}", (), rows, True, (0, 1, 3, 4))]

    def as_data(self) -> dict[str, Any]:
        """All of it as JSON data."""
        filters = [[vars(ngram) for ngram in ngrams] for ngrams in self.filters]
        return {"layer": self.layer, "filters": filters}

    def __str__(self) -> str:
        return as_text(self.sections())

    def _repr_html_(self) -> str:
        return as_html(self.sections())


def top_ngrams(model: Model, layer: Any, texts: Any, vocabulary: Any = None, k: int = 10) -> NGrams:
    """The k n-grams of words that excite each filter of a text network's Conv1D most.

    Args:
        model: a network on numbers of words, (length,), whose layer gives (positions, filters).
        layer: the convolution, or its name.
        texts: strings, or numbers of words (texts, length) where 0 only pads.
        vocabulary: the words by their numbers: a list, or a dict of numbers by word. That of the
            model's TextVectorization if left out.
        k: n-grams a filter, each named once, with the place of its best score.

    Which words an answer comes from is read off the network: strides, dilation, padding and layers
    before the convolution included. N-grams of padding alone are left out.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ArgumentError(explain("top_ngrams: k", repr(k), "an integer of at least 1"))
    if not isinstance(model, Model):
        raise ArgumentError(explain("top_ngrams: model", repr(model), "a model"))
    words = _vocabulary(model, vocabulary)
    ids = _numbers(model, texts, words)
    name = layer.name if isinstance(layer, Layer) else layer
    name, window = _window(model, name, ids.shape[1])
    best: list[dict[tuple[int, ...], tuple[float, int, int]]] = []
    start = 0
    for results in stream(model, ids, name, _BATCH):
        answers = results[name]
        part = ids[start : start + len(answers)]
        for filter_, found in enumerate(_best_of_batch(answers, part, window, k)):
            if filter_ == len(best):
                best.append({})
            for ngram, (score, text, place) in found:
                if score > best[filter_].get(ngram, (-np.inf,))[0]:
                    best[filter_][ngram] = (score, start + text, place)
        for filter_, kept in enumerate(best):
            best[filter_] = dict(sorted(kept.items(), key=lambda item: -item[1][0])[:k])
        start += len(answers)
    filters = tuple(
        tuple(
            NGram(tuple(_word(words, each) for each in ngram), score, text, place)
            for ngram, (score, text, place) in kept.items()
        )
        for kept in best
    )
    return NGrams(name, filters, window, model, ids, words)


def _best_of_batch(
    answers: Array, ids: Array, window: Window, k: int
) -> Iterator[list[tuple[tuple[int, ...], tuple[float, int, int]]]]:
    """For each filter its k best n-grams of some texts, with score, text and first word."""
    count, outputs, filters = answers.shape
    places = window.places(outputs)
    inside = (places >= 0) & (places < ids.shape[1])
    ngrams = np.where(inside, ids[:, np.clip(places, 0, ids.shape[1] - 1)], 0)
    flat = ngrams.reshape(count * outputs, -1)
    present = np.flatnonzero(flat.any(1))
    unique, member = np.unique(flat[present], axis=0, return_inverse=True)
    order = np.argsort(member, kind="stable")
    starts = np.searchsorted(member[order], np.arange(len(unique)))
    scores = answers.reshape(count * outputs, filters)[present]
    first_word = np.where(inside, places, ids.shape[1]).min(1)
    for filter_ in range(filters):
        mine = scores[order, filter_]
        top = np.maximum.reduceat(mine, starts) if len(unique) else np.empty(0)
        chosen = np.argsort(-top, kind="stable")[:k]
        found = []
        for index in chosen:
            end = starts[index + 1] if index + 1 < len(starts) else len(order)
            group = order[starts[index] : end]
            row = present[group[np.argmax(scores[group, filter_])]]
            place = (float(top[index]), int(row // outputs), int(first_word[row % outputs]))
            found.append((tuple(int(each) for each in unique[index]), place))
        yield found


def _window(model: Model, name: Any, length: int) -> tuple[str, Window]:
    """The layer's full name, and which words its outputs read, from the network itself."""
    found = traced(model, (length,), 1)
    matching = [path for path, call in found.calls.items() if name in (path, call.target.name)]
    if not matching:
        known = ", ".join(found.calls)
        raise ArgumentError(explain("top_ngrams: layer", repr(name), f"one of {known}"))
    output = first(found.calls[matching[0]].result)
    if output.rank != 3:
        given = f"outputs of shape {output.shape[1:]}"
        raise ShapeError(explain(f"top_ngrams: {name}", given, "(positions, filters)"))
    middle = number(output.shape[1]) // 2
    near = [place for place in (middle, middle + 1) if place < number(output.shape[1])]
    read = []
    for place in near:
        masks = reach(output, element(output, (0, place, 0))).get(found.inputs[0])
        read.append(np.flatnonzero(masks[1]) if masks is not None else np.empty(0, int))
    if any(len(each) == 0 for each in read):
        raise ShapeError(explain(f"top_ngrams: {name}", "outputs that read no words", "some words"))
    step = int(read[-1][0] - read[0][0]) if len(read) > 1 else 0
    return matching[0], Window(step, tuple(int(each) - middle * step for each in read[0]))


# -- words and numbers ------------------------------------------------------------------------


def _vectorizer(model: Model) -> Any:
    return next((each for each in model.layers if hasattr(each, "get_vocabulary")), None)


def _vocabulary(model: Model, given: Any) -> Sequence[str]:
    """The words by their numbers."""
    if given is None:
        layer = _vectorizer(model)
        if layer is None:
            remedy = "Give the words in the order of their numbers."
            raise ArgumentError(explain("top_ngrams: vocabulary", "None", "words", remedy))
        return list(layer.get_vocabulary())
    if isinstance(given, Mapping):
        words = [""] * (1 + max(given.values(), default=-1))
        for word, place in given.items():
            words[place] = word
        return words
    return list(given)


def _numbers(model: Model, texts: Any, words: Sequence[str]) -> Array:
    """(texts, length): numbers of words, padded with 0."""
    if isinstance(texts, str):
        raise ArgumentError(explain("top_ngrams: texts", "one string", "a list of them"))
    array = np.asarray(texts) if not _holds_text(texts) else None
    if array is not None:
        if array.ndim != 2 or array.dtype.kind not in "iuf":
            given = f"an array of shape {array.shape} and dtype {array.dtype}"
            raise ArgumentError(explain("top_ngrams: texts", given, "strings, or (texts, length)"))
        return array.astype(np.int64)
    layer = _vectorizer(model)
    if layer is not None:
        return np.asarray(layer(list(texts)), np.int64)
    return _looked_up(model, [_WORD.findall(text.lower()) for text in texts], words)


def _holds_text(texts: Any) -> bool:
    if isinstance(texts, np.ndarray):
        return texts.dtype.kind in "UO"
    return len(texts) > 0 and isinstance(texts[0], str)


def _looked_up(model: Model, texts: Sequence[Sequence[str]], words: Sequence[str]) -> Array:
    """Words by their numbers; what is not among them is the unknown word, or nothing."""
    numbers = {word: place for place, word in enumerate(words)}
    unknown = numbers.get(_UNKNOWN, 0)
    wanted = model.inputs[0].shape[1] if model.network is not None else None
    length = wanted or max(1, *map(len, texts))
    found = np.zeros((len(texts), length), np.int64)
    for row, text in zip(found, texts, strict=True):
        kept = [numbers.get(word, unknown) for word in text[:length]]
        row[: len(kept)] = kept
    return found


def _word(words: Sequence[str], place: int) -> str:
    if place == 0:
        return "_"
    return words[place] if 0 < place < len(words) else f"[{place}]"
