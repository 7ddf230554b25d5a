"""Which notes sound: Spotify's basic-pitch, an ONNX network, read and run here.

    python examples/audio_to_notes.py nmp.onnx

The file is in the package basic-pitch 0.4.0, as saved_models/icassp_2022/nmp.onnx. Three notes are
synthesised, one after the other; the network's answer is printed, and beside it how far it is from
onnxruntime's, where that is installed.
"""

from __future__ import annotations

import sys
from importlib import import_module

import numpy as np

import isoconv as ic

SAMPLE_RATE, SAMPLES, LOWEST_KEY = 22050, 43844, 21
NAMES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]
PLAYED = ["A3", "C#4", "E4"]


def frequency(note: str) -> float:
    """In hertz, of a note such as "C#4"."""
    key = 12 * (int(note[-1]) + 1) + NAMES.index(note[:-1])
    return 440.0 * 2 ** ((key - 69) / 12)


def melody() -> np.ndarray:
    """The notes one after the other, as plucked strings: (1, samples, 1)."""
    length = SAMPLES // len(PLAYED)
    time = np.arange(length) / SAMPLE_RATE
    parts = [
        sum(np.sin(2 * np.pi * frequency(note) * k * time) / k for k in range(1, 7))
        * np.exp(-3 * time)
        for note in PLAYED
    ]
    sound = np.concatenate([*parts, np.zeros(SAMPLES - len(PLAYED) * length)])
    return (0.3 * sound).astype("float32")[None, :, None]


def notes(probabilities: np.ndarray) -> list[str]:
    """The note that is most likely in the middle of each of the parts played."""
    frames = len(probabilities)
    middles = [int(frames * (i + 0.3) / len(PLAYED)) for i in range(len(PLAYED))]
    keys = [int(probabilities[middle].argmax()) + LOWEST_KEY for middle in middles]
    return [f"{NAMES[key % 12]}{key // 12 - 1}" for key in keys]


def main(path: str) -> list[str]:
    model = ic.load_model(path)
    sound = melody()
    found = model(sound)
    heard = notes(found[1][0])
    print(f"played {' '.join(PLAYED)}, heard {' '.join(heard)}")
    try:
        session = import_module("onnxruntime").InferenceSession(path)
    except ModuleNotFoundError:
        return heard
    theirs = session.run(None, {session.get_inputs()[0].name: sound})
    pairs = zip(found, theirs, strict=True)
    difference = max(np.abs(a - b).max() / np.abs(b).max() for a, b in pairs)
    print(f"differs from onnxruntime by {difference:.1e} of the largest output")
    return heard


if __name__ == "__main__":
    main(sys.argv[1])
