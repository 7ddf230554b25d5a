"""Draws the pictures of docs/pictures: python tools/make_pictures.py [FOLDER]"""

import sys
from pathlib import Path

import isoconv as ic
from isoconv import draw, layers

TARGET = Path(__file__).parents[1] / "docs/pictures"


def network():
    """Two branches over one signal, one of them a model within the model."""
    start = ic.Input((200, 2), name="signal")
    fine = layers.Conv1D(16, 3, padding="same", activation="relu", name="fine")(start)
    block = ic.Sequential(
        [
            ic.Input((None, 2), name="any length"),
            layers.Conv1D(16, 9, padding="same", name="wide"),
            layers.BatchNormalization(name="norm"),
        ],
        name="coarse",
    )
    both = layers.Concatenate(name="both")([fine, block(start)])
    end = layers.Dense(3, activation="softmax", name="kind")(
        layers.GlobalMaxPooling1D(name="most")(both)
    )
    return ic.Model(start, end, name="two_scales")


PICTURES = {
    "kernel": lambda: draw.kernel_animation("Conv1D(2, 4, use_bias=False)", (10, 3)),
    "causal": lambda: draw.kernel(
        'Conv1D(2, 3, padding="causal", dilation_rate=2)', (8, 2), position=1
    ),
    "transposed": lambda: draw.kernel("Conv2DTranspose(1, 3, strides=2)", (3, 3, 1)),
    "separable": lambda: draw.kernel("SeparableConv2D(2, 3)", (5, 5, 2)),
    "model": lambda: draw.model(network()),
}


def main(folder):
    """Writes all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in PICTURES.items():
        draw.save(make(), folder / f"{name}.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
