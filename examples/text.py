"""Texts sorted by their n-grams: spam among e-mails, and twenty newsgroups where they are there.

    python examples/text.py [spam] [newsgroups] [--seeds 3]

A text is its first 600 words, each a vector of 300 numbers; convolutions over 2, 3 and 4 words find
phrases, and the strongest match of each counts. Spam learns the vectors with the rest; newsgroups
start from those of English words.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import isoconv as ic
import real
from isoconv import callbacks, layers

Array = np.ndarray[Any, Any]
WORDS, DIMENSIONS = 600, 300


def network(vectors: Array, classes: int, filters: int, dropout: float) -> ic.Model:
    """N-grams of words by convolution (Kim 2014)."""
    numbers = ic.Input((WORDS,), dtype="int64")
    table = layers.Embedding(*vectors.shape, embeddings_initializer="zeros")
    x = layers.SpatialDropout1D(dropout)(table(numbers))
    table.set_weights([vectors])
    found = [
        layers.GlobalMaxPooling1D()(layers.Conv1D(filters, size, activation="relu")(x))
        for size in (2, 3, 4)
    ]
    x = layers.Dropout(0.5)(layers.Concatenate()(found))
    return ic.Model(numbers, layers.Dense(classes, activation="softmax")(x))


def train(
    texts: tuple[list[str], list[str]],
    labels: tuple[Array, Array],
    vectors_of: Callable[[list[str]], Array],
    filters: int,
    epochs: int,
    seed: int,
) -> float:
    """The accuracy on the second texts of what is trained on the first."""
    ic.utils.set_random_seed(seed)
    words = layers.TextVectorization(30_000, output_sequence_length=WORDS)
    words.adapt(texts[0])
    x, x_test = words(texts[0]), words(texts[1])
    vectors = vectors_of(words.get_vocabulary())
    model = network(vectors, int(labels[0].max()) + 1, filters, 0.3)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    halving = callbacks.LearningRateScheduler(lambda epoch: 1e-3 * 0.7**epoch)
    model.fit(x, labels[0], epochs=epochs, callbacks=halving, verbose=0)
    return float(model.evaluate(x_test, labels[1], verbose=0)[1])


def learned(vocabulary: list[str]) -> Array:
    """Small random vectors, to be learned."""
    rng = np.random.default_rng(0)
    return rng.uniform(-0.05, 0.05, (len(vocabulary), DIMENSIONS)).astype("float32")


def spam(seed: int) -> float:
    """Four fifths of the e-mails to train, the rest to test."""
    texts, labels = real.spam()
    order = np.random.default_rng(seed).permutation(len(texts))
    cut = len(texts) * 4 // 5
    parts = [[texts[i] for i in chosen] for chosen in (order[:cut], order[cut:])]
    both = labels[order[:cut]], labels[order[cut:]]
    return train((parts[0], parts[1]), both, learned, 64, 4, seed)


def newsgroups(seed: int) -> float:
    """The split by date."""
    (texts, labels), (texts_test, labels_test) = real.newsgroups()
    return train((texts, texts_test), (labels, labels_test), real.word_vectors(), 128, 8, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=["spam"])
    parser.add_argument("--seeds", type=int, default=3)
    chosen = parser.parse_args()
    print(f"{'texts':12}{'mean':>8}{'seconds':>9}   each seed")
    for name in chosen.names:
        start = time.perf_counter()
        run = {"spam": spam, "newsgroups": newsgroups}[name]
        found = [run(seed) for seed in range(chosen.seeds)]
        each = " ".join(f"{value:.4f}" for value in found)
        taken = (time.perf_counter() - start) / chosen.seeds
        print(f"{name:12}{np.mean(found):8.4f}{taken:9.0f}   {each}", flush=True)


if __name__ == "__main__":
    main()
