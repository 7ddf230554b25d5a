"""Which kernels a graph becomes, whose work each does, and how long each takes here."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from isoconv.compiler import for_prediction
from isoconv.explaining.facts import KernelFacts, RuleFacts
from isoconv.ir.graph import Graph, Node
from isoconv.ir.sizes import evaluate, number
from isoconv.plan.cost import work
from isoconv.plan.kernel import Step
from isoconv.plan.machine import Machine
from isoconv.plan.memory import Layout, Tensor, owner
from isoconv.plan.program import Program, plan
from isoconv.plan.tiles import panels
from isoconv.runtime.executable import Array, Executable
from isoconv.runtime.host import host

Rules = tuple[RuleFacts, ...]

# A kernel is timed until it took so long, and at least so often.
_SECONDS, _LEAST = 0.01, 3


def kernels(program: Program, outer: str) -> tuple[KernelFacts, ...]:
    """The kernels of a planned program. outer: the name before the layers' own in their origins."""
    return tuple(_facts(step, host(), outer) for step in program.steps)


def planned(graph: Graph, weights: Collection[int], outer: str) -> tuple[Program, Rules]:
    """The program of a graph as prediction runs it, and the rules that led there.

    weights: the numbers of the inputs that hold weights. outer: as for `kernels`.
    """
    _, rest, steps = for_prediction(graph, weights)
    rules = (RuleFacts(s.rule.title, _inner(s.where, outer), s.rule.numeric) for s in steps)
    return plan(rest, {}), tuple(rules)


def _inner(origin: str, outer: str) -> str:
    return origin.removeprefix(f"{outer}/")


def arena_bytes(program: Program) -> int:
    """The memory that the values between kernels take at most, with what is used again."""
    return sum(evaluate(slot, {}) for slot in program.memory.slots)


def _facts(step: Step, machine: Machine, outer: str) -> KernelFacts:
    inside = _inside(step)
    leading = [node for node in (step.anchor, *step.outputs, *inside) if node is not None]
    # Numbers are one node wherever they are needed, which tells nothing of a kernel.
    origins = dict.fromkeys(node.origin for node in leading if node.origin and node.inputs)
    layers = tuple(dict.fromkeys(_inner(origin, outer) for origin in origins))
    anchor = step.anchor
    rows = vectors = None
    dtype = step.outputs[0].dtype
    if step.kernel.kind == "tile" and anchor is not None:
        filters = number(anchor.shape[-1]) // anchor["groups"]
        panel = panels(filters, dtype, machine)[0]
        rows, vectors = panel.rows, panel.vectors
    return KernelFacts(
        kind=step.kernel.kind,
        layers=layers,
        operations=len(inside),
        rows=rows,
        vectors=vectors,
        lanes=machine.lanes(dtype),
        work=evaluate(step.at_home(work(step.kernel)), {}),
    )


def _inside(step: Step) -> list[Node]:
    """The program's nodes that a step computes."""
    found: dict[Node, None] = {}
    stack = list(step.outputs)
    while stack:
        node = stack.pop()
        if node in found or node in step.inputs or node.op == "input":
            continue
        found[node] = None
        stack += node.inputs
    return list(found)


def timed(program: Program, facts: Sequence[KernelFacts]) -> tuple[KernelFacts, ...]:
    """The kernels with the seconds that each takes by itself, in turn: the least of several."""
    runs = [_alone(step) for step in program.steps]
    best = [float("inf")] * len(runs)
    for turn in range(_LEAST):
        for number_, (run, arrays, out) in enumerate(runs):
            deadline = time.perf_counter() + (_SECONDS if turn else 0)
            while True:
                start = time.perf_counter()
                run(arrays, out)
                end = time.perf_counter()
                best[number_] = min(best[number_], end - start)
                if end >= deadline:
                    break
    return tuple(replace(each, seconds=time_) for each, time_ in zip(facts, best, strict=True))


def _alone(step: Step) -> tuple[Executable, list[Array], list[Array]]:
    """A step as a program of its own, with arrays for what it reads and writes."""
    read = list(dict.fromkeys(owner(node) for node in step.inputs))
    written = list(step.outputs)
    places = {node: Tensor(i) for i, node in enumerate([*read, *written])}
    program = Program(Graph(tuple(read), tuple(written)), (step,), Layout(dict(places), []), ())
    rng = np.random.default_rng(0)
    arrays = [_sample(rng, node) for node in read]
    out = [np.empty(tuple(map(number, node.shape)), node.dtype) for node in written]
    return Executable(program, host(), {}, None), arrays, out


def _sample(rng: np.random.Generator, node: Node) -> Array:
    shape = tuple(map(number, node.shape))
    if node.dtype.startswith("float"):
        return rng.normal(size=shape).astype(node.dtype)
    return np.zeros(shape, node.dtype)
