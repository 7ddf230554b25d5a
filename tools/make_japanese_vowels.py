"""Makes src/isoconv/data/japanese_vowels.npz from the two .ts files of Japanese Vowels.

The files are those of the package aeon (datasets/data/JapaneseVowels/ in its wheel):

    pip download --no-deps aeon==1.6.0 --dest /tmp/aeon
    unzip /tmp/aeon/aeon-1.6.0-py3-none-any.whl 'aeon/datasets/data/JapaneseVowels/*' -d /tmp/aeon
    python tools/make_japanese_vowels.py /tmp/aeon/aeon/datasets/data/JapaneseVowels
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

TARGET = Path(__file__).parents[1] / "src/isoconv/data/japanese_vowels.npz"
# The source has at most six decimals, so whole millionths hold it without loss; they also
# compress better than floats.
UNIT = 1e-6


def read(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The frames of all utterances after one another, each utterance's length, its speaker 0..8."""
    rows = path.read_text(encoding="utf-8").split("@data\n")[1].splitlines()
    utterances, speakers = [], []
    for row in rows:
        *coefficients, speaker = row.split(":")
        utterances.append(np.array([series.split(",") for series in coefficients], float).T)
        speakers.append(int(speaker) - 1)
    frames = np.concatenate(utterances)
    millionths = np.rint(frames / UNIT).astype(np.int32)
    if not np.array_equal(millionths / 1e6, frames):
        raise ValueError(f"{path} has values with more than six decimals.")
    lengths = np.array([len(utterance) for utterance in utterances], np.uint8)
    return millionths, lengths, np.array(speakers, np.uint8)


def main(folder: Path) -> None:
    arrays = {}
    for part in ("train", "test"):
        frames, lengths, speakers = read(folder / f"JapaneseVowels_{part.upper()}.ts")
        arrays |= {f"frames_{part}": frames, f"lengths_{part}": lengths, f"y_{part}": speakers}
    np.savez_compressed(TARGET, **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
