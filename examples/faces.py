"""Is this a face: the three networks of facenet-pytorch, from PyTorch's weights without PyTorch.

    python examples/faces.py

The weights are the package's data/pnet.pt, rnet.pt and onet.pt, below ISOCONV_REAL_INPUTS. They are
read into Keras' layers. A drawn face and a drawn house are judged; where torch is installed, it
runs the same networks, and the largest difference is printed. Zhang et al. 2016, "Joint face
detection and alignment using multitask cascaded convolutional networks", figure 2.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import numpy as np

import isoconv as ic
from isoconv import layers
from isoconv.interop.torch import load_state_dict
from real import folder

Rows = list[tuple[int, int, int | None]]

# Filters and size of each convolution, and of the pooling behind it; then the units of dense
# layers; then the ends, as the module returns them.
NETWORKS: dict[str, tuple[int, Rows, int, list[int]]] = {
    "P-Net": (12, [(10, 3, 2), (16, 3, None), (32, 3, None)], 0, [4, 2]),
    "R-Net": (24, [(28, 3, 3), (48, 3, 3), (64, 2, None)], 128, [4, 2]),
    "O-Net": (48, [(32, 3, 3), (64, 3, 3), (64, 3, 2), (128, 2, None)], 256, [4, 10, 2]),
}


def network(name: str) -> ic.Model:
    """One of the three, with the names of PyTorch's weights."""
    side, rows, units, ends = NETWORKS[name]
    x = inputs = ic.Input((side, side, 3))
    for number, (filters, size, pool) in enumerate(rows, 1):
        x = layers.Conv2D(filters, size, name=f"conv{number}")(x)
        x = layers.PReLU(shared_axes=[1, 2], name=f"prelu{number}")(x)
        if pool:
            x = layers.MaxPooling2D(pool, 2, ceil_mode=True)(x)
    number = len(rows) + 1
    if units:
        # The module turns rows and columns before it flattens.
        x = layers.Flatten()(layers.Permute((2, 1, 3))(x))
        x = layers.Dense(units, name=f"dense{number}")(x)
        x = layers.PReLU(name=f"prelu{number}")(x)
        number += 1
    kind = "dense" if units else "conv"
    # The weights number the ends otherwise than the module returns them; number 1 is the softmax.
    made = {}
    for place, size in zip((2, 3, 1) if len(ends) == 3 else (2, 1), ends, strict=True):
        label = f"{kind}{number}_{place}"
        end = layers.Dense(size, name=label) if units else layers.Conv2D(size, 1, name=label)
        made[place] = end(x) if place > 1 else layers.Softmax()(end(x))
    return ic.Model(inputs, list(made.values()), name=name)


def images(side: int) -> np.ndarray:
    """A face and a house, of `side` pixels, from -1 to 1."""
    y, x = np.mgrid[0:side, 0:side] / (side - 1) * 2 - 1
    skin, dark, wall = (
        np.array(c) for c in ((0.5, 0.1, -0.1), (-0.8, -0.9, -0.9), (0.1, 0.2, 0.3))
    )
    face, house = (np.zeros((side, side, 3)) for _ in range(2))
    face[:] = wall - 0.6
    face[(x / 0.75) ** 2 + (y / 0.95) ** 2 < 1] = skin
    face[((x / 0.8) ** 2 + (y / 1.0) ** 2 < 1) & (y < -0.55)] = dark
    for middle in (-0.33, 0.33):
        face[((x - middle) / 0.16) ** 2 + ((y + 0.15) / 0.08) ** 2 < 1] = dark
        face[(abs(x - middle) < 0.2) & (abs(y + 0.35) < 0.04)] = dark
    face[(abs(x) < 0.08) & (abs(y - 0.12) < 0.2)] = skin - 0.25
    face[(x / 0.32) ** 2 + ((y - 0.52) / 0.09) ** 2 < 1] = (0.3, -0.6, -0.5)
    house[:] = wall
    house[(y > -0.1) & (abs(x) < 0.7)] = skin
    house[(y < -0.1) & (y > -0.8) & (abs(x) < y + 0.9)] = dark
    return np.stack([face, house]).astype("float32")


def main() -> None:
    for name, (side, *_) in NETWORKS.items():
        path = folder("facenet_pytorch", "data", f"{name[0].lower()}net.pt")
        model = network(name)
        load_state_dict(model, path, by="name", flattened="channels_last")
        x = images(side)
        found = [np.asarray(each) for each in model.predict(x, verbose=0)]
        face, house = found[-1].reshape(2, 2)[:, 1]
        told = f"{name}: the face is one with {face:.3f}, the house with {house:.3f}"
        if find_spec("torch") is not None:
            apart = difference(name, path, x, found)
            told += f"; differs from torch by {apart:.1e} of the largest output"
        print(told)


def difference(name: str, path: object, x: np.ndarray, found: list[np.ndarray]) -> float:
    """The largest difference from PyTorch's outputs, each over the largest of its outputs."""
    torch = import_module("torch")
    module = getattr(import_module("isoconv.bench.real_modules"), name.replace("-", ""))().eval()
    module.load_state_dict(torch.load(path, weights_only=True))
    with torch.no_grad():
        theirs = module(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))
    apart = []
    for ours, his in zip(found, theirs, strict=True):
        his = np.asarray(his).reshape(len(x), -1)
        apart.append(np.abs(ours.reshape(his.shape) - his).max() / np.abs(his).max())
    return float(max(apart))


if __name__ == "__main__":
    main()
