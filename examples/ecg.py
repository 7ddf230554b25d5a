"""Is an ECG good enough to be read: a trained network of the package ecg-quality, without Keras.

    python examples/ecg.py CNN2s.h5

The file is the package's models/CNN2s.h5, a whole model as Keras 2 saved it: six Conv1D over 500
samples of 250 Hz. A clean heartbeat and one that noise covers more and more are judged; where Keras
is installed, it runs the same file, and the difference is printed.
"""

from __future__ import annotations

import sys
import warnings

import numpy as np

import isoconv as ic
from isoconv import optional
from isoconv.errors import MissingPackageError

RATE, SAMPLES = 250, 500
# Each wave of a beat: its time and width in seconds, and its height.
WAVES = [(-0.2, 0.03, 0.12), (-0.03, 0.01, -0.1), (0, 0.012, 1), (0.03, 0.012, -0.2)]
WAVES += [(0.25, 0.05, 0.3)]
NOISE = (0.0, 0.01, 0.05, 0.2, 1.0)


def heart(noise: float) -> np.ndarray:
    """Two seconds of ECG at 75 beats a minute, in millivolts around their mean."""
    time = np.arange(SAMPLES)[:, None] / RATE
    beats = np.arange(-0.5, 3, 0.8)
    found = sum(h * np.exp(-(((time - beats - at) / w) ** 2) / 2) for at, w, h in WAVES).sum(1)
    found += noise * np.random.default_rng(0).normal(size=SAMPLES)
    return (found - found.mean()).astype("float32")


def main(path: str) -> None:
    model = ic.load_model(path, compile=False)
    x = np.stack([heart(noise) for noise in NOISE])[..., None]
    y = model.predict(x, verbose=0)
    for noise, each in zip(NOISE, y, strict=True):
        print(f"noise of {noise:.2f} mV: {each.item():.3f}, from 0 (good) to 1 (unusable)")
    warnings.filterwarnings("ignore", "Argument `alpha` is deprecated")
    try:
        theirs = optional.keras("test").models.load_model(path, compile=False)
    except MissingPackageError:
        return
    expected = theirs.predict(x, verbose=0)
    apart = np.abs(y - expected).max() / np.abs(expected).max()
    print(f"differs from keras by {apart:.1e} of the largest output")


if __name__ == "__main__":
    main(sys.argv[1])
