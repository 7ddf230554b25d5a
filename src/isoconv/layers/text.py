"""Words to numbers: the layer that takes text, works in Python, and stands before all others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from isoconv import registry
from isoconv.errors import ArgumentError, explain
from isoconv.layers.base import Layer
from isoconv.ops.recorder import Array

MODES = ("int", "multi_hot", "count", "tf_idf")
STANDARDS = ("lower_and_strip_punctuation", "lower", "strip_punctuation", None)
SPLITS = ("whitespace", "character", None)
UNKNOWN = "[UNK]"

_PUNCTUATION = re.compile(r"""[!"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~']""")

Texts = Any
"""Strings: an array or list of them, (batch,) or (batch, 1)."""


class TextVectorization(Layer):
    """Turns texts into numbers of words, or into one row of numbers a text.

    It is called on arrays or lists of strings, (batch,) or (batch, 1), and may be the first layer
    of a `Sequential`, which then takes strings; on numbers it does nothing. Its words come from
    `adapt`, `set_vocabulary` or vocabulary, and are saved with the model.

    Args:
        max_tokens: the most words, those for padding and for unknown ones included.
        standardize: "lower_and_strip_punctuation", "lower", "strip_punctuation", None, or a
            function of one text.
        split: "whitespace", "character", None (a text is a word), or a function of one text that
            gives its words.
        ngrams: up to so many words after one another are words too; or a tuple of exact numbers.
        output_mode: "int" gives (batch, length) int64 with 0 for padding and 1 for unknown words;
            "multi_hot", "count" and "tf_idf" give (batch, words) floats, where place 0 is for
            unknown words: whether a word is there, how often, or that times its weight.
        output_sequence_length: the length in mode "int"; that of the longest text if left out.
        pad_to_max_tokens: whether rows have max_tokens places, however many words there are.
        vocabulary: the words, without those for padding and unknown ones.
        idf_weights: in mode "tf_idf", the weight of each of these.
        encoding: of texts given as bytes.
        sparse, ragged: must be False.
    """

    preprocesses = True

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: Any = "lower_and_strip_punctuation",
        split: Any = "whitespace",
        ngrams: int | Sequence[int] | None = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Iterable[str] | None = None,
        idf_weights: Sequence[float] | None = None,
        sparse: bool = False,
        ragged: bool = False,
        encoding: str = "utf-8",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if sparse or ragged:
            raise ArgumentError(explain(self.where(), "sparse or ragged", "dense output"))
        self.output_mode = _known(output_mode, MODES, self.where("output_mode"))
        self.standardize = _known(standardize, STANDARDS, self.where("standardize"))
        self.split = _known(split, SPLITS, self.where("split"))
        least = 3 if output_mode == "int" else 2
        self.max_tokens = _whole(max_tokens, least, self.where("max_tokens"))
        where = self.where("output_sequence_length")
        self.output_sequence_length = _whole(output_sequence_length, 1, where)
        if output_sequence_length is not None and output_mode != "int":
            wanted = f"None in mode {output_mode!r}"
            raise ArgumentError(explain(where, output_sequence_length, wanted))
        if pad_to_max_tokens and (max_tokens is None or output_mode == "int"):
            wanted = "False, but for rows and with max_tokens"
            raise ArgumentError(explain(self.where("pad_to_max_tokens"), True, wanted))
        self.ngrams = _widths(ngrams, self.where("ngrams"))
        self.pad_to_max_tokens = pad_to_max_tokens
        self.encoding = encoding
        self._words: list[str] = []
        self._weights: Array | None = None
        self._numbers: dict[str, int] = {}
        self._note_shape()
        self.built = True
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)

    # -- the vocabulary ------------------------------------------------------------------------

    def adapt(
        self, data: Iterable[Any], batch_size: int | None = None, steps: int | None = None
    ) -> None:
        """Takes the words of these texts as vocabulary, the most frequent first.

        data: texts, or an iterable of batches of them. steps: how many batches, all if left out;
        batch_size is taken for Keras' sake.
        """
        counts: Counter[str] = Counter()
        holding: Counter[str] = Counter()
        texts = 0
        for number, item in enumerate(data):
            if number == steps:
                break
            for text in [item] if isinstance(item, str | bytes) else self._texts(item):
                words = self._words_of(self._decoded(text))
                counts.update(words)
                holding.update(set(words))
                texts += 1
        if not texts:
            raise ArgumentError(explain(self.where("adapt: data"), "no texts", "at least one"))
        places = None if self.max_tokens is None else self.max_tokens - self._special
        # Among words as frequent, Keras has those later in the alphabet first.
        words = sorted(counts, key=lambda word: (counts[word], word), reverse=True)[:places]
        inverse = [np.log(1 + texts / (1 + holding[word])) for word in words]
        self.set_vocabulary(words, inverse if self.output_mode == "tf_idf" else None)

    def set_vocabulary(
        self, vocabulary: Iterable[str], idf_weights: Sequence[float] | None = None
    ) -> None:
        """Takes these words; those for padding and unknown ones may lead them, or be left out.

        idf_weights: in mode "tf_idf", a weight for each; ArgumentError where they are missing.
        """
        words = list(vocabulary)
        special = self._special_words
        leading = len(special) if words[: len(special)] == special else 0
        words = words[leading:]
        where = self.where("vocabulary")
        strange = [word for word in words if not isinstance(word, str) or word in special]
        if strange or not words:
            given = repr(strange[0]) if strange else "no words"
            raise ArgumentError(explain(where, given, "words, as strings"))
        if len(set(words)) < len(words):
            twice = next(word for word, count in Counter(words).items() if count > 1)
            raise ArgumentError(explain(where, f"{twice!r} twice", "each word once"))
        if self.max_tokens is not None and len(words) > self.max_tokens - self._special:
            wanted = f"at most {self.max_tokens - self._special}, as max_tokens says"
            raise ArgumentError(explain(where, f"{len(words)} words", wanted))
        weights = None
        if (self.output_mode == "tf_idf") != (idf_weights is not None):
            wanted = "weights in mode 'tf_idf', and there only"
            raise ArgumentError(explain(self.where("idf_weights"), idf_weights, wanted))
        if idf_weights is not None:
            weights = np.asarray(idf_weights, "float32")[leading:]
            if weights.shape != (len(words),):
                wanted = f"{len(words)} numbers, one a word"
                raise ArgumentError(explain(self.where("idf_weights"), weights.shape, wanted))
        self._words, self._weights = words, weights
        self._numbers = {word: place for place, word in enumerate(words, self._special)}
        self._note_shape()

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The words by number.

        include_special_tokens: with those for padding ("") and unknown ones ("[UNK]") or not.
        """
        return [*(self._special_words if include_special_tokens else ()), *self._words]

    def vocabulary_size(self) -> int:
        """How many words there are, special ones included."""
        return len(self._words) + self._special

    @property
    def _special_words(self) -> list[str]:
        return ["", UNKNOWN] if self.output_mode == "int" else [UNKNOWN]

    @property
    def _special(self) -> int:
        """How many words are special."""
        return len(self._special_words)

    # -- texts to numbers ----------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """On texts: numbers, as an array. On numbers, and inside a model: what it was given."""
        return super().__call__(*(self.preprocess(each) for each in args), **kwargs)

    def call(self, inputs: Any) -> Any:
        return inputs

    def preprocess(self, given: Any) -> Any:
        """Texts as numbers; everything else as it is."""
        if isinstance(given, str | bytes):
            raise ArgumentError(explain(self.where("input"), "one text", "an array of texts"))
        kind = getattr(getattr(given, "dtype", None), "kind", "O")
        return self._numbered(given) if kind in "USOT" and _holds_text(given) else given

    def _numbered(self, given: Texts) -> Array:
        if not self._words:
            remedy = "Call adapt on texts, or give a vocabulary."
            raise ArgumentError(explain(self.where(), "no vocabulary", "one", remedy))
        texts = [self._words_of(self._decoded(text)) for text in self._texts(given)]
        unknown = self._special - 1
        rows = [[self._numbers.get(word, unknown) for word in words] for words in texts]
        return self._sequences(rows) if self.output_mode == "int" else self._counted(rows)

    def _sequences(self, rows: list[list[int]]) -> Array:
        longest = max((len(row) for row in rows), default=0)
        length = self.output_sequence_length or max(longest, 1)
        found = np.zeros((len(rows), length), "int64")
        for place, row in enumerate(rows):
            found[place, : len(row)] = row[:length]
        return found

    def _counted(self, rows: list[list[int]]) -> Array:
        found = np.zeros((len(rows), self._width or 0), self.compute_dtype)
        for place, row in enumerate(rows):
            np.add.at(found[place], row, 1)
        if self.output_mode == "multi_hot":
            return np.minimum(found, 1)
        if self._weights is not None:
            # An unknown word weighs as much as the others do on average.
            found[:, 0] *= self._weights.mean()
            found[:, 1 : len(self._words) + 1] *= self._weights
        return found

    @property
    def _width(self) -> int | None:
        """The places of a row; None before there are words."""
        if self.pad_to_max_tokens:
            return self.max_tokens
        return self.vocabulary_size() if self._words else None

    @property
    def input_dtype(self) -> str:
        """The dtype of what texts become, which is what a model sees."""
        return "int64" if self.output_mode == "int" else self.compute_dtype

    def _note_shape(self) -> None:
        """Notes the shape of what texts become, so that a model that begins here knows it."""
        if self.output_mode == "int":
            self._input_shape_argument = (self.output_sequence_length,)
        elif self._width is not None:
            self._input_shape_argument = (self._width,)

    def _texts(self, given: Texts) -> list[Any]:
        """The texts in an array of shape (batch,) or (batch, 1)."""
        array = np.asarray(given, dtype=object)
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim != 1:
            where = self.where("input")
            raise ArgumentError(explain(where, f"shape {array.shape}", "(batch,) or (batch, 1)"))
        return list(array)

    def _decoded(self, text: Any) -> str:
        if isinstance(text, bytes):
            return text.decode(self.encoding, "replace")
        if not isinstance(text, str):
            raise ArgumentError(explain(self.where("input"), repr(text), "texts only"))
        return text

    def _words_of(self, text: str) -> list[str]:
        words = self._split(self._standardized(text))
        return words if self.ngrams is None else list(_joined(words, self.ngrams))

    def _standardized(self, text: str) -> str:
        if callable(self.standardize):
            return str(self.standardize(text))
        if self.standardize in ("lower", "lower_and_strip_punctuation"):
            text = text.lower()
        strips = self.standardize in ("strip_punctuation", "lower_and_strip_punctuation")
        return _PUNCTUATION.sub("", text) if strips else text

    def _split(self, text: str) -> list[str]:
        if callable(self.split):
            return list(self.split(text))
        if self.split is None:
            return [text]
        return text.split() if self.split == "whitespace" else list(text)

    # -- configuration -------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        weights = None if self._weights is None else [float(each) for each in self._weights]
        return super().get_config() | {
            "max_tokens": self.max_tokens,
            "standardize": registry.serialize(self.standardize),
            "split": registry.serialize(self.split),
            "ngrams": None if self.ngrams is None else list(self.ngrams),
            "output_mode": self.output_mode,
            "output_sequence_length": self.output_sequence_length,
            "pad_to_max_tokens": self.pad_to_max_tokens,
            "vocabulary": list(self._words) or None,
            "idf_weights": weights,
            "sparse": False,
            "ragged": False,
            "encoding": self.encoding,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TextVectorization:
        own = {name: registry.deserialize(config.get(name)) for name in ("standardize", "split")}
        return super().from_config(config | {k: v for k, v in own.items() if k in config})


def _joined(words: list[str], widths: Sequence[int]) -> Iterator[str]:
    """All runs of these numbers of words, the first number's first."""
    for width in widths:
        for start in range(len(words) - width + 1):
            yield " ".join(words[start : start + width])


def _holds_text(given: Any) -> bool:
    """Whether an array or list holds texts; judged by its first element."""
    while isinstance(given, list | tuple | np.ndarray) and len(given):
        given = given[0]
    return isinstance(given, str | bytes)


def _known(value: Any, known: Sequence[Any], where: str) -> Any:
    if not callable(value) and value not in known:
        wanted = f"one of {', '.join(map(repr, known))}"
        raise ArgumentError(explain(where, repr(value), wanted))
    return value


def _whole(value: int | None, least: int, where: str) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise ArgumentError(explain(where, repr(value), "None or an integer"))
    if value is not None and value < least:
        raise ArgumentError(explain(where, value, f"at least {least}"))
    return value


def _widths(ngrams: int | Sequence[int] | None, where: str) -> tuple[int, ...] | None:
    if ngrams is None:
        return None
    widths = tuple(range(1, ngrams + 1)) if isinstance(ngrams, int) else tuple(ngrams)
    if not widths or not all(isinstance(each, int) and each > 0 for each in widths):
        raise ArgumentError(explain(where, repr(ngrams), "a number from 1, or several"))
    return widths
