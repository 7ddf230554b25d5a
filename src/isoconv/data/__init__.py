"""Data sets that come with the package, each a small file beside its licence."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]


class Sequences(NamedTuple):
    """Labelled sequences of several lengths, zero-padded at the end to the longest of them.

    x_*: float32 (sequences, longest length, channels); lengths_*: int64 (sequences,), the frames
    that are not padding; y_*: int64 (sequences,), the classes from 0.
    """

    x_train: Array
    lengths_train: Array
    y_train: Array
    x_test: Array
    lengths_test: Array
    y_test: Array


def japanese_vowels() -> Sequences:
    """Nine speakers saying /ae/: 270 utterances to train, 370 to test; which speaker is it?

    x_train is (270, 29, 12) and x_test (370, 29, 12): 12 LPC cepstrum coefficients a frame, 7 to
    29 frames an utterance. One nearest neighbour by dynamic time warping reaches 0.949 on the test
    utterances, by Euclidean distance of the padded utterances 0.916.

    Source: Kudo, Toyama, Shimbo, "Multidimensional curve classification using passing-through
    regions", Pattern Recognition Letters 20 (1999); UCI repository, CC BY 4.0.
    """
    with (files(__name__) / "japanese_vowels.npz").open("rb") as file, np.load(file) as arrays:
        parts = {name: arrays[name] for name in arrays.files}
    longest = max(int(parts[f"lengths_{part}"].max()) for part in ("train", "test"))
    return Sequences(*_padded(parts, "train", longest), *_padded(parts, "test", longest))


def _padded(arrays: dict[str, Array], part: str, longest: int) -> tuple[Array, Array, Array]:
    # The file holds all utterances' frames after one another, in millionths.
    frames = arrays[f"frames_{part}"]
    lengths = arrays[f"lengths_{part}"].astype(np.int64)
    x = np.zeros((len(lengths), longest, frames.shape[1]), np.float32)
    x[np.arange(longest) < lengths[:, None]] = frames / 1e6
    return x, lengths, arrays[f"y_{part}"].astype(np.int64)
