"""The training that tests of resuming stop, kill and start again."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import isoconv
from isoconv import callbacks, layers

RNG = np.random.default_rng(2)
X = RNG.normal(size=(60, 6)).astype("float32")
Y = (X.sum(1) > 0).astype("float32")
EPOCHS = 8


def network():
    """With all that a step changes: weights, statistics, random masks, and a falling rate."""
    isoconv.utils.set_random_seed(3)
    parts = [
        layers.Dense(8, activation="tanh"),
        layers.BatchNormalization(),
        layers.Dropout(0.3),
        layers.Dense(1, activation="sigmoid"),
    ]
    model = isoconv.Sequential([isoconv.Input((6,)), *parts])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


def watchers():
    return [
        callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=0.02),
        callbacks.EarlyStopping("val_loss", patience=6, restore_best_weights=True),
    ]


def train(model, more=(), **options):
    """The history, of the whole training where it is resumed."""
    options = {"batch_size": 8, "epochs": EPOCHS, "validation_split": 0.2, "verbose": 0} | options
    return model.fit(X, Y, callbacks=[*watchers(), *more], **options).history


def bits(model):
    """All that the training has made, as bytes."""
    variables = [*model.variables, *model.optimizer.variables]
    return b"".join(variable.numpy().tobytes() for variable in variables)


def main(folder: Path) -> None:
    """Trains, slowly enough to be killed, and writes the bits; notes when epochs begin."""

    def begin(epoch, logs=None):
        with (folder / "log").open("a") as file:
            file.write(f"{epoch}\n")

    model = network()
    backup = callbacks.BackupAndRestore(folder / "backup")
    checkpoint = callbacks.ModelCheckpoint(folder / "model.keras")
    noting = callbacks.LambdaCallback(on_epoch_begin=begin)
    train(model, [backup, checkpoint, noting])
    (folder / "bits").write_bytes(bits(model))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
