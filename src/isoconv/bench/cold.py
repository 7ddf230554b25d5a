"""Cold start: from the start of a process to its first prediction, of the network N1, batch 1."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from rich.table import Table

from isoconv.bench import networks
from isoconv.bench.layout import plain
from isoconv.bench.ours import build
from isoconv.bench.starting import started
from isoconv.bench.with_litert import written
from isoconv.errors import MissingPackageError
from isoconv.interop.onnx import to_onnx
from isoconv.optional import require

# Each prints the seconds of its stages: numpy, the library, building, the first prediction.
_BEGIN = """
import json, sys, time
marks = [time.perf_counter()]
import numpy
marks.append(time.perf_counter())
x = numpy.zeros((1, 187, 1), "float32")
"""
_MARK = "\nmarks.append(time.perf_counter())\n"
_END = "print(json.dumps([b - a for a, b in zip(marks, marks[1:])]), flush=True)\n"

_NUMPY = ("pass", "pass", "pass")
_OURS = (
    "import isoconv; from isoconv import layers as L",
    """
model = isoconv.Sequential([
    isoconv.Input((187, 1)),
    L.Conv1D(32, 7, padding="same", activation="relu"), L.MaxPooling1D(2),
    L.Conv1D(64, 5, padding="same", activation="relu"), L.MaxPooling1D(2),
    L.Conv1D(64, 3, padding="same", activation="relu"), L.GlobalAveragePooling1D(),
    L.Dense(5),
])""",
    "model.predict_on_batch(x)",
)
_TORCH = (
    "import torch; from torch import nn",
    """
model = nn.Sequential(
    nn.Conv1d(1, 32, 7, padding=3), nn.ReLU(), nn.MaxPool1d(2),
    nn.Conv1d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2),
    nn.Conv1d(64, 64, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
    nn.Linear(64, 5),
).eval()""",
    "torch.inference_mode().__enter__(); model(torch.from_numpy(x).movedim(-1, 1))",
)
_ONNXRUNTIME = (
    "import onnxruntime",
    "session = onnxruntime.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])",
    "session.run(None, {session.get_inputs()[0].name: x.reshape(1, 1, 187)})",
)
_OPENVINO = (
    "import openvino",
    "model = openvino.Core().compile_model(sys.argv[1], 'CPU')",
    "model(x.reshape(1, 1, 187))",
)
_LITERT = (
    "from ai_edge_litert.interpreter import Interpreter",
    "model = Interpreter(sys.argv[2]); model.allocate_tensors()",
    "model.set_tensor(model.get_input_details()[0]['index'], x[:, None]); model.invoke()",
)
_JAX = (
    "import jax; from jax import lax, numpy as jnp",
    """
def conv(x, k, inner, filters):
    names = ("NWC", "WIO", "NWC")
    w = jnp.zeros((k, inner, filters))
    y = lax.conv_general_dilated(x, w, (1,), "SAME", dimension_numbers=names)
    return jnp.maximum(y, 0)
def pool(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 1), (1, 2, 1), "VALID")
def model(x):
    x = pool(conv(pool(conv(x, 7, 1, 32)), 5, 32, 64))
    return conv(x, 3, 64, 64).mean(1) @ jnp.zeros((64, 5))""",
    "jax.jit(model)(x).block_until_ready()",
)

# The package, the stages, and the environment; ISOCONV_CACHE_DIR is a new folder.
CASES: dict[str, tuple[str, tuple[str, str, str], dict[str, str]]] = {
    "numpy alone": ("numpy", _NUMPY, {}),
    "isoconv, cached": ("isoconv", _OURS, {}),
    "isoconv, no cache": ("isoconv", _OURS, {"ISOCONV_CACHE_MB": "0"}),
    "litert": ("ai_edge_litert", _LITERT, {}),
    "onnxruntime": ("onnxruntime", _ONNXRUNTIME, {}),
    "openvino": ("openvino", _OPENVINO, {}),
    "jax": ("jax", _JAX, {}),
    "torch": ("torch", _TORCH, {}),
}


@dataclass(frozen=True)
class Start:
    """One way to start, in seconds, each the median of some: everything; then the import without
    numpy's, building or reading the model, and the first prediction. skipped: why, if it was.
    """

    name: str
    total: float | None
    stages: tuple[float, ...]
    skipped: str | None = None


def measured(name: str, threads: int, seconds: float) -> Start:
    """The start of one of `CASES`, three times at least."""
    package, stages, environment = CASES[name]
    try:
        require(package, "bench")
    except MissingPackageError as error:
        return Start(name, None, (), str(error))
    program = _BEGIN + "".join(stage + _MARK for stage in stages) + _END
    with TemporaryDirectory() as folder:
        files = _files(Path(folder), package)
        given = {"ISOCONV_CACHE_DIR": f"{folder}/cache", **environment}
        given["ISOCONV_THREADS"] = str(threads)
        started(program, files, given)
        found: list[tuple[float, Any]] = []
        end = time.perf_counter() + seconds
        while len(found) < 3 or time.perf_counter() < end:
            found.append(started(program, files, given))
    parts = zip(*(marks[1:] for _, marks in found), strict=True)
    return Start(name, median(total for total, _ in found), tuple(map(median, parts)))


def _files(folder: Path, package: str) -> list[str]:
    """N1 as the files that the package reads: ONNX, then TFLite; empty where it reads none."""
    network = networks.networks()[0]
    paths = [folder / "N1.onnx", folder / "N1.tflite"]
    if package in ("onnxruntime", "openvino"):
        paths[0].write_bytes(to_onnx(build(network, "channels_first")).SerializeToString())
    if package == "ai_edge_litert":
        paths[1].write_bytes(written(network, 1))
    return list(map(str, paths))


def table(starts: list[Start]) -> Table:
    """One row a way to start."""
    found = plain(
        "Cold start, to the first prediction of N1: seconds",
        ("all", "import", "build", "first call"),
    )
    for each in starts:
        if each.total is None:
            found.add_row(each.name, "skipped")
        else:
            found.add_row(each.name, *(f"{value:.3f}" for value in (each.total, *each.stages)))
    return found
