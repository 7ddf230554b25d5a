"""Six data sets of time series from the UCR archive, each by the same small convolution network.

python examples/series.py [NAME ...] [--seeds 5]
"""

from __future__ import annotations

import argparse

import numpy as np

import isoconv as ic
import real
from isoconv import layers, optimizers

# What one nearest neighbour by Euclidean distance reaches, and the epochs of training.
SETS = {
    "GunPoint": (0.913, 200),
    "ArrowHead": (0.800, 200),
    "BasicMotions": (0.600, 60),
    "ItalyPowerDemand": (0.955, 150),
    "OSULeaf": (0.521, 60),
    "ACSF1": (0.540, 60),
}


def network(length: int, channels: int, classes: int) -> ic.Model:
    """Three convolutions with normalization (Wang, Yan, Oates 2017, with fewer filters)."""
    parts = [ic.Input((length, channels))]
    for filters, size in ((32, 16), (64, 9), (64, 5)):
        parts += [
            layers.Conv1D(filters, size, padding="same", use_bias=False),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
        ]
    parts += [layers.GlobalAveragePooling1D(), layers.Dropout(0.3)]
    return ic.Sequential([*parts, layers.Dense(classes, activation="softmax")])


def train(name: str, seed: int, epochs: int) -> float:
    """The accuracy on the test series."""
    ic.utils.set_random_seed(seed)
    x, y, x_test, y_test = real.series(name)
    model = network(*x.shape[1:], int(y.max()) + 1)
    rate = optimizers.schedules.CosineDecay(2e-3, epochs * -(-len(x) // 16))
    loss = "sparse_categorical_crossentropy"
    model.compile(optimizers.Adam(rate), loss, metrics=["accuracy"])
    model.fit(x, y, batch_size=16, epochs=epochs, verbose=0)
    return float(model.evaluate(x_test, y_test, batch_size=64, verbose=0)[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(SETS))
    parser.add_argument("--seeds", type=int, default=5)
    chosen = parser.parse_args()
    print(f"{'set':18}{'1-NN':>7}{'mean':>8}   each seed")
    for name in chosen.names:
        baseline, epochs = SETS[name]
        found = [train(name, seed, epochs) for seed in range(chosen.seeds)]
        each = " ".join(f"{value:.3f}" for value in found)
        print(f"{name:18}{baseline:7.3f}{np.mean(found):8.3f}   {each}", flush=True)


if __name__ == "__main__":
    main()
