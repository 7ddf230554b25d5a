"""Handwritten digits (MNIST) with Conv2D and with SeparableConv2D.

python examples/mnist.py [--epochs 6]
"""

from __future__ import annotations

import argparse
import time

import isoconv as ic
import real
from isoconv import layers, optimizers

# Separable convolutions are cheap: they get twice the filters.
KINDS = {layers.Conv2D: 64, layers.SeparableConv2D: 128}


def network(convolution: type[layers.Layer], filters: int) -> ic.Model:
    """Three convolutions, an ordinary one and two of one kind, with more and more filters."""
    return ic.Sequential(
        [
            ic.Input((28, 28, 1)),
            layers.Conv2D(32, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            convolution(filters, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            convolution(2 * filters, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--verbose", type=int, default=0)
    chosen = parser.parse_args()
    x, y, x_test, y_test = real.mnist()
    print(f"{'layer':18}{'weights':>9}{'seconds':>9}{'accuracy':>10}")
    for kind, filters in KINDS.items():
        ic.utils.set_random_seed(0)
        model = network(kind, filters)
        steps = chosen.epochs * -(-len(x) // 128)
        rate = optimizers.schedules.CosineDecay(3e-3, steps)
        loss = "sparse_categorical_crossentropy"
        model.compile(optimizers.Adam(rate), loss, metrics=["accuracy"])
        start = time.perf_counter()
        model.fit(x, y, batch_size=128, epochs=chosen.epochs, verbose=chosen.verbose)
        taken = time.perf_counter() - start
        accuracy = model.evaluate(x_test, y_test, batch_size=500, verbose=0)[1]
        row = f"{kind.__name__:18}{model.count_params():9}{taken:9.0f}{accuracy:10.4f}"
        print(row, flush=True)


if __name__ == "__main__":
    main()
