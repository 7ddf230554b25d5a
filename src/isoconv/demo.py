"""The demonstration: who is speaking, from recordings that come with the package, and the same
network written with Conv2D, which gives the same bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isoconv import layers
from isoconv.data import Sequences, japanese_vowels
from isoconv.errors import InternalError
from isoconv.models.sequential import Sequential
from isoconv.training.optimizers import Adam
from isoconv.utils import set_random_seed

Array = np.ndarray[Any, Any]

EPOCHS = 20
SEEDS = (0, 1, 2, 3, 4)
_BATCH, _RATE = 32, 3e-3
_FILTERS, _KERNEL = 64, 5
_SHOWN = 6

# One nearest neighbour, by the source's rule and by dynamic time warping (isoconv.data).
_NEIGHBOUR = 0.951


@dataclass(frozen=True)
class Outcome:
    """What the demonstration found: the accuracy on the test utterances for each seed."""

    accuracies: tuple[float, ...]

    @property
    def mean(self) -> float:
        return sum(self.accuracies) / len(self.accuracies)


def run(
    show: Callable[[str], None] = print, seeds: Sequence[int] = SEEDS, epochs: int = EPOCHS
) -> Outcome:
    """Trains a Conv1D network once for each seed and shows what it does.

    show: takes lines of text. The first training shows its progress, as `fit` does.
    """
    vowels = japanese_vowels()
    x_train, x_test = scaled(vowels)
    show("Japanese Vowels (Kudo et al. 1999, CC BY 4.0): who of nine said /ae/?")
    counts = f"{len(x_train)} utterances to train, {len(x_test)} to test"
    show(f"{counts}; 12 numbers a frame, 7 to 29 frames.\n")
    accuracies = []
    model = None
    for seed in seeds:
        trained = _trained(x_train, vowels.y_train, seed, epochs, show if model is None else None)
        probabilities = trained.predict(x_test)
        accuracies.append(float((probabilities.argmax(1) == vowels.y_test).mean()))
        show(f"seed {seed}: test accuracy {accuracies[-1]:.4f}")
        model = trained if model is None else model
    outcome = Outcome(tuple(accuracies))
    show(f"mean of {len(accuracies)} seeds: {outcome.mean:.4f}; nearest neighbour: {_NEIGHBOUR}\n")
    if model is not None:
        _show_predictions(model, x_test, vowels, show)
        _show_same_bits(model, x_test, show)
    return outcome


def scaled(vowels: Sequences) -> tuple[Array, Array]:
    """The utterances, each coefficient with mean 0 and deviation 1 over all frames to train on.

    Frames that only pad are the mean, 0.
    """
    longest = vowels.x_train.shape[1]
    present = np.arange(longest) < vowels.lengths_train[:, None]
    frames = vowels.x_train[present]
    mean, deviation = frames.mean(0), frames.std(0)
    parts = []
    for x, lengths in (
        (vowels.x_train, vowels.lengths_train),
        (vowels.x_test, vowels.lengths_test),
    ):
        padding = np.arange(longest) >= lengths[:, None]
        parts.append(np.where(padding[..., None], 0, (x - mean) / deviation).astype(np.float32))
    return parts[0], parts[1]


def network(rank: int = 1) -> Sequential:
    """The network, of Conv1D on (frames, 12) or of Conv2D on (frames, 1, 12)."""
    conv = getattr(layers, f"Conv{rank}D")
    pooling = getattr(layers, f"GlobalMaxPooling{rank}D")
    flat = [1] * (rank - 1)

    def convolution() -> Any:
        return conv(_FILTERS, (_KERNEL, *flat), padding="same", activation="relu")

    return Sequential(
        [
            layers.Input((29, *flat, 12)),
            convolution(),
            convolution(),
            pooling(),
            layers.Dropout(0.5),
            layers.Dense(9, activation="softmax"),
        ],
        name=f"speakers_{rank}d",
    )


def _trained(
    x: Array, y: Array, seed: int, epochs: int, show: Callable[[str], None] | None
) -> Sequential:
    """A network trained from a seed; shown where `show` is given."""
    set_random_seed(seed)
    model = network()
    model.compile(
        optimizer=Adam(_RATE),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    if show is not None:
        model.summary(print_fn=show)
    verbose = "auto" if show is not None else 0
    model.fit(x, y, batch_size=_BATCH, epochs=epochs, verbose=verbose)
    return model


def _show_predictions(
    model: Sequential, x: Array, vowels: Sequences, show: Callable[[str], None]
) -> None:
    """A few utterances, spread over the test set."""
    chosen = np.linspace(0, len(x) - 1, _SHOWN).astype(int)
    show("utterance  frames  speaker  predicted  with probability")
    for index, row in zip(chosen, model.predict(x[chosen]), strict=True):
        frames, speaker = vowels.lengths_test[index], vowels.y_test[index] + 1
        guess, sure = row.argmax() + 1, row.max()
        show(f"{index:>9}  {frames:>6}  {speaker:>7}  {guess:>9}  {sure:>16.3f}")


def _show_same_bits(model: Sequential, x: Array, show: Callable[[str], None]) -> None:
    """The same network written with Conv2D: InternalError unless it gives the same bits."""
    other = network(rank=2)
    weights = zip(model.get_weights(), other.get_weights(), strict=True)
    other.set_weights([ours.reshape(theirs.shape) for ours, theirs in weights])
    first, second = model.predict(x), other.predict(x[:, :, None])
    if first.tobytes() != second.tobytes():
        raise InternalError("the demo's network gives other bits when written with Conv2D")
    before, after = (each.get_weights()[0].shape for each in (model, other))
    show("\nThe same network written with Conv2D, on (29, 1, 12) instead of (29, 12),")
    show(f"its first kernel {after} instead of {before}:")
    show(f"all {first.size} test probabilities are equal, bit for bit.")
