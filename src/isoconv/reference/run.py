"""Runs a program as its meanings say: binds the run-time sizes, then takes node after node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from isoconv import dtypes
from isoconv.errors import ArgumentError, RuntimeCheckError, ShapeError, explain
from isoconv.ir.graph import Graph, Node, resize
from isoconv.ir.sizes import Name, Size, evaluate
from isoconv.reference.meaning import MEANING, Call

Array = np.ndarray[Any, Any]


def run(
    graph: Graph,
    feeds: Mapping[str, Any],
    sizes: Mapping[str, int] | None = None,
    precision: str | None = None,
) -> list[Array]:
    """The outputs of a program for arrays given by the names of its inputs.

    sizes: the run-time sizes that stand bare in no input's shape.
    precision: "float64" computes every float in float64; constants and random numbers stay those
    of the program.
    """
    given = {node["name"]: np.asarray(_feed(node, feeds)) for node in graph.inputs}
    bound = bind(graph, given, sizes or {})
    values: dict[Node, Array] = {}
    for node in graph.nodes:
        dtype = precision if precision and dtypes.is_float(node.dtype) else node.dtype
        call = Call(
            {name: resize(value, bound) for name, value in node.attrs},
            tuple(evaluate(dim, bound) for dim in node.shape),
            dtype,
            node.dtype,
        )
        operands = [values[before] for before in node.inputs]
        result = given[node["name"]] if node.op == "input" else _apply(node, call, operands)
        if result.shape != call.shape:
            raise _misfit(node, f"the shape {result.shape}", f"the shape {call.shape}")
        values[node] = result.astype(dtype, casting="unsafe", copy=False)
    return [values[node] for node in graph.outputs]


def _apply(node: Node, call: Call, operands: list[Array]) -> Array:
    if min(call.shape, default=0) < 0:
        raise _misfit(node, f"the shape {call.shape}", "sizes of at least 0")
    with np.errstate(all="ignore"):
        return np.asarray(MEANING[node.op](call, *operands))


def _misfit(node: Node, given: str, expected: str) -> RuntimeCheckError:
    where = f"{node.origin.label}: {node.op}".removeprefix(": ")
    return RuntimeCheckError(explain(where, given, expected))


def bind(graph: Graph, given: Mapping[str, Array], sizes: Mapping[str, int]) -> dict[str, int]:
    """The run-time sizes: those given, and those that stand bare in the shape of an input."""
    bound = dict(sizes)
    for node in graph.inputs:
        actual = given[node["name"]].shape
        if len(actual) != node.rank:
            raise ShapeError(explain(node["name"], str(actual), f"{node.rank} dimensions"))
        for dim, number in zip(node.shape, actual, strict=True):
            text = _bare(dim)
            if text is not None and bound.setdefault(text, number) != number:
                raise ShapeError(explain(node["name"], str(actual), f"{text} = {bound[text]}"))
    return bound


def _bare(dim: object) -> str | None:
    """The name that a size consists of, if it is nothing else."""
    if isinstance(dim, Size):
        match dim.terms:
            case (((Name(text),), 1),):
                return text
    return None


def _feed(node: Node, feeds: Mapping[str, Any]) -> Any:
    if node["name"] not in feeds:
        given = ", ".join(feeds) or "nothing"
        raise ArgumentError(explain("run", given, f"an array for input {node['name']!r}"))
    return feeds[node["name"]]
