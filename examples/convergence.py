"""One network of frames in three forms: the loss is the same, time and memory are not.

    python examples/convergence.py [--epochs 12] [--plot convergence.png]

A sequence of 96 steps of 12 numbers is cut into frames of 8 steps, one every 2 steps; each frame
goes through the same 32 filters, and what they give is averaged and classified. The filters are

- method 1: Conv1D of the sequence, with kernels as long as a frame and strides of 2;
- method 2: Conv1D of kernel size 1 on frames cut beforehand, (45 frames, 96 numbers);
- Dense on the same frames.

All start from the same weights and see the same batches.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import isoconv as ic
from isoconv import layers, optional

STEPS, CHANNELS, FRAME, HOP, FILTERS, CLASSES = 96, 12, 8, 2, 32, 4
FRAMES = (STEPS - FRAME) // HOP + 1


def network(method: str) -> ic.Model:
    """The network in one form, its weights not yet set."""
    shape = (STEPS, CHANNELS) if method == METHODS[0] else (FRAMES, FRAME * CHANNELS)
    first = {
        "Conv1D, method 1": layers.Conv1D(FILTERS, FRAME, strides=HOP, activation="relu"),
        "Conv1D, method 2": layers.Conv1D(FILTERS, 1, activation="relu"),
        "Dense": layers.Dense(FILTERS, activation="relu"),
    }[method]
    last = [layers.GlobalAveragePooling1D(), layers.Dense(CLASSES, activation="softmax")]
    return ic.Sequential([ic.Input(shape), first, *last])


METHODS = ("Conv1D, method 1", "Conv1D, method 2", "Dense")


def data() -> tuple[np.ndarray, np.ndarray]:
    """Four patterns of one frame, each somewhere in noise."""
    rng = np.random.default_rng(0)
    y = rng.integers(CLASSES, size=2048)
    patterns = rng.normal(size=(CLASSES, FRAME, CHANNELS))
    x = rng.normal(size=(len(y), STEPS, CHANNELS))
    for sample, place in enumerate(rng.integers(FRAMES, size=len(y)) * HOP):
        x[sample, place : place + FRAME] += patterns[y[sample]]
    return x.astype("float32"), y


def framed(x: np.ndarray) -> np.ndarray:
    """The frames of sequences, each as one row: (samples, frames, steps of a frame * channels)."""
    windows = np.lib.stride_tricks.sliding_window_view(x, FRAME, axis=1)[:, ::HOP]
    return np.ascontiguousarray(windows.swapaxes(2, 3)).reshape(len(x), FRAMES, -1)


def train(method: str, start: list[np.ndarray], epochs: int) -> tuple[list[float], float, int]:
    """The loss of each epoch, microseconds a step, and the bytes of a batch and a step."""
    x, y = data()
    x = x if method == METHODS[0] else framed(x)
    ic.utils.set_random_seed(0)
    model = network(method)
    own = [weight.shape for weight in model.weights]
    model.set_weights([array.reshape(shape) for array, shape in zip(start, own, strict=True)])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.train_on_batch(x[:32], y[:32])
    model.set_weights([array.reshape(shape) for array, shape in zip(start, own, strict=True)])
    model.compile("adam", "sparse_categorical_crossentropy")
    ic.utils.set_random_seed(0)
    begin = time.perf_counter()
    history = model.fit(x, y, epochs=epochs, verbose=0).history["loss"]
    taken = (time.perf_counter() - begin) / (epochs * len(x) // 32)
    return history, taken * 1e6, model.step_bytes + x[:32].nbytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--plot", help="a file for the curves (needs matplotlib)")
    chosen = parser.parse_args()
    ic.utils.set_random_seed(0)
    start = network(METHODS[0]).get_weights()
    found = {method: train(method, start, chosen.epochs) for method in METHODS}
    reference = np.array(found[METHODS[0]][0])
    print(f"{'form':18}{'first loss':>11}{'last loss':>11}{'apart by':>10}{'us/step':>9}{'kB':>8}")
    for method, (losses, step, size) in found.items():
        apart = float(np.abs(np.array(losses) - reference).max())
        row = f"{losses[0]:11.6f}{losses[-1]:11.6f}{apart:10.1e}{step:9.0f}{size / 1e3:8.1f}"
        print(f"{method:18}{row}")
    if chosen.plot:
        plot(chosen.plot, {method: losses for method, (losses, _, _) in found.items()})


def plot(path: str, curves: dict[str, list[float]]) -> None:
    """The losses by epoch, each form's points larger than the next one's."""
    pyplot = optional.require("matplotlib.pyplot", "plot")
    figure, axes = pyplot.subplots()
    for size, (method, losses) in zip((14, 9, 4), curves.items(), strict=True):
        axes.plot(range(1, len(losses) + 1), losses, "o-", markersize=size, label=method)
    axes.set(xlabel="epoch", ylabel="loss", title="The same network in three forms")
    axes.legend()
    figure.savefig(path)


if __name__ == "__main__":
    main()
