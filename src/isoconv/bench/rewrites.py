"""What the rules on weights save: the same model predicted with them and without, in turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from isoconv import layers, timing
from isoconv.bench.layout import plain
from isoconv.errors import InternalError, explain
from isoconv.ir.graph import Graph
from isoconv.ir.ops import OPS
from isoconv.ir.sizes import Dim, product
from isoconv.layers.input import Input
from isoconv.models.jit import jit
from isoconv.models.model import Model
from isoconv.ops.program import Spec, trace
from isoconv.plan.cost import multiply_adds
from isoconv.rewriting import driver, prepare, rules

_BATCH = 8
# Of the largest output: what folding may change.
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Saving:
    """One model. on, off: the times of a call with the rules and without; work_on, work_off: the
    multiplications and additions of it. rules: the rows of the equations applied.
    """

    name: str
    rules: tuple[str, ...]
    on: timing.Times
    off: timing.Times
    work_on: int
    work_off: int

    @property
    def gain(self) -> float:
        """How many times as long the call takes without, by the least times."""
        return self.off.least / self.on.least

    @property
    def less_work(self) -> float:
        return self.work_off / self.work_on


def repvgg(width: int = 64, size: int = 56) -> Model:
    """A 3x3 and a 1x1 convolution and the input, each normalized, added (Ding et al. 2021)."""
    x = Input((size, size, width))
    branches = [
        layers.BatchNormalization()(layers.Conv2D(width, k, padding="same", use_bias=False)(x))
        for k in (3, 1)
    ]
    added = layers.Add()([*branches, layers.BatchNormalization()(x)])
    return Model(x, layers.ReLU()(added))


def inception(width: int = 192, size: int = 28) -> Model:
    """Four pointwise convolutions of one input, concatenated."""
    x = Input((size, size, width))
    parts = [layers.Conv2D(filters, 1, activation="relu")(x) for filters in (64, 96, 16, 32)]
    return Model(x, layers.Concatenate()(parts))


def words(rows: int = 20000, length: int = 600) -> Model:
    """Words as vectors of 300 numbers, under 64 filters of 3-grams."""
    x = Input((length,), dtype="int32")
    return Model(x, layers.Conv1D(64, 3, activation="relu")(layers.Embedding(rows, 300)(x)))


def normalized(width: int = 64, size: int = 56) -> Model:
    """Convolution, BatchNormalization, relu."""
    x = Input((size, size, width))
    conv = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
    return Model(x, layers.ReLU()(layers.BatchNormalization()(conv)))


CASES: dict[str, Callable[[], Model]] = {
    "RepVGG block": repvgg,
    "Inception, concatenated": inception,
    "Embedding, Conv1D on words": words,
    "Conv, BatchNormalization": normalized,
}


def measured(name: str, threads: int, seconds: float) -> Saving:
    """The saving of one of `CASES`."""
    model = CASES[name]()
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(np.abs(rng.normal(size=weight.shape)) * 0.1 + 0.01)
    (given,) = model.inputs
    shape = (_BATCH, *given.shape[1:])
    integers = given.dtype == "int32"
    # Every number below that of the rows of the table names a word.
    rows = model.weights[0].shape[0]
    x = (rng.integers(0, rows, shape) if integers else rng.normal(size=shape)).astype(given.dtype)
    on, off = jit(model, threads=threads), jit(model, threads=threads, rewrite=False)
    _verify(name, on(x), off(x))
    times = timing.in_turn({"on": lambda: on(x), "off": lambda: off(x)}, seconds)
    before, after, applied = _graphs(model, shape, given.dtype)
    return Saving(name, applied, times["on"], times["off"], work(after), work(before))


def _verify(name: str, on: Any, off: Any) -> None:
    error = float(np.abs(on - off).max())
    limit = _TOLERANCE * float(np.abs(off).max())
    if not error <= limit:
        raise InternalError(explain(f"rewrites: {name}", f"{error:.3g} off", f"{limit:.3g}"))


def _graphs(model: Model, shape: Any, dtype: str) -> tuple[Graph, Graph, tuple[str, ...]]:
    """The program without and with the rules, prepared weights left out, and the rows applied."""
    traced = trace(lambda x: model(x, training=False), [Spec(tuple(shape), dtype)])
    weights = traced.graph.inputs[1:]
    before, _ = driver.apply(traced.graph, rules.EXACT)
    after, steps = driver.apply(before, rules.PREDICTION, weights)
    parts = prepare.split(after, weights)
    applied = tuple(sorted({step.rule.number for step in steps}, key=int))
    return before, after if parts is None else parts.rest, applied


def work(graph: Graph) -> int:
    """The multiplications, additions and other elementwise operations of a program of known
    sizes.
    """
    total: Dim = 0
    for node in graph.nodes:
        if node.op == "conv":
            total = total + multiply_adds(node) * 2
        elif OPS[node.op].kind == "elementwise":
            total = total + product(node.shape)
    if not isinstance(total, int):
        raise InternalError(f"work of unknown sizes: {total}")
    return total


def table(savings: list[Saving]) -> Table:
    """One row a model."""
    found = plain(
        "Rules on weights: on and off", ("rows", "on us", "off us", "off/on", "work off/on")
    )
    for each in savings:
        found.add_row(
            each.name,
            " ".join(each.rules),
            f"{each.on.least * 1e6:,.0f}",
            f"{each.off.least * 1e6:,.0f}",
            f"{each.gain:.2f}",
            f"{each.less_work:.2f}",
        )
    return found
