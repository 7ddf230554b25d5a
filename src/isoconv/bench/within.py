"""What a tolerance gains: single convolutions as exact sums and within it, in turn, and the error
that was found beside the bound that is stated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from isoconv import layers, timing
from isoconv.bench.layout import plain
from isoconv.errors import InternalError, explain
from isoconv.layers.base import Layer
from isoconv.models.jit import jit
from isoconv.rewriting.approximate import Numerics

# Allows every scheme.
RTOL = 1e-3


@dataclass(frozen=True)
class Gain:
    """One convolution. scheme: what it became; bound, error: of |error| / sum |x| |w|, as stated
    and the largest found; exact, within: the times of a call.
    """

    name: str
    scheme: str
    bound: float
    error: float
    exact: timing.Times
    within: timing.Times

    @property
    def gain(self) -> float:
        """How many times as long exact sums take, by the least times."""
        return self.exact.least / self.within.least


# Kernel, shape of a sample, filters (0: depthwise).
_Case = tuple[tuple[int, ...], tuple[int, ...], int]

CASES: dict[str, _Case] = {
    "3 x 3, 64 to 64": ((3, 3), (56, 56, 64), 64),
    "3 x 3, 128 to 128": ((3, 3), (28, 28, 128), 128),
    "3 x 3, 256 to 256": ((3, 3), (14, 14, 256), 256),
    "3 x 3, 16 to 16": ((3, 3), (112, 112, 16), 16),
    "5 x 5, 32 to 32": ((5, 5), (40, 40, 32), 32),
    "3, 64 to 64": ((3,), (4096, 64), 64),
    "8, 64 to 64": ((8,), (4096, 64), 64),
    "16, 64 to 64": ((16,), (4096, 64), 64),
    "64, 64 to 64": ((64,), (4096, 64), 64),
    "64, depthwise of 64": ((64,), (4096, 64), 0),
    "128, depthwise of 64": ((128,), (4096, 64), 0),
    "511, depthwise of 64": ((511,), (4096, 64), 0),
}


def measured(name: str, threads: int, seconds: float) -> Gain:
    """The gain of one of `CASES`."""
    kernel, shape, filters = CASES[name]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, *shape)).astype(np.float32)
    weights = rng.normal(size=(*kernel, shape[-1], filters or 1)).astype(np.float32)
    layer = _layer(name, weights, "float32")
    exact = jit(layer, threads=threads)
    within = jit(layer, threads=threads, numerics=Numerics(RTOL))
    y = within(x)
    steps = within.approximations
    wanted = _layer(name, weights.astype(np.float64), "float64")(x.astype(np.float64))
    scale = _layer(name, np.abs(weights), "float64")(np.abs(x.astype(np.float64)))
    error = float((np.abs(y - wanted) / scale).max())
    bound = steps[0].bound if steps else RTOL
    if not error <= bound:
        raise InternalError(explain(f"tolerance: {name}", f"{error:.3g} off", f"{bound:.3g}"))
    runs = {"exact": lambda: exact(x), "within": lambda: within(x)}
    times = timing.in_turn(runs, seconds)
    title = steps[0].rule.title if steps else "exact"
    return Gain(name, title, bound, error, times["exact"], times["within"])


def _layer(name: str, weights: Any, dtype: str) -> Layer:
    kernel, shape, filters = CASES[name]
    rank = len(kernel)
    kind = getattr(layers, f"Conv{rank}D" if filters else f"DepthwiseConv{rank}D")
    options = {"padding": "same", "use_bias": False, "dtype": dtype}
    layer: Layer = kind(filters, kernel, **options) if filters else kind(kernel, **options)
    layer.build((1, *shape))
    layer.set_weights([weights])
    return layer


def table(gains: list[Gain]) -> Table:
    """One row a convolution."""
    headings = ("bound", "error", "exact us", "us", "gain", "scheme")
    found = plain(f"Convolutions within a tolerance of {RTOL}", headings)
    for each in gains:
        found.add_row(
            each.name,
            f"{each.bound:.0e}",
            f"{each.error:.0e}",
            f"{each.exact.least * 1e6:,.0f}",
            f"{each.within.least * 1e6:,.0f}",
            f"{each.gain:.2f}",
            each.scheme.replace(" transforms of", ",").removesuffix(" positions"),
        )
    return found
