"""The plan of a whole graph: kernels in order, places in memory, checks for run time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from isoconv import settings
from isoconv.errors import explain
from isoconv.ir.graph import Graph, Node
from isoconv.ir.ops import OPS
from isoconv.ir.sizes import names
from isoconv.ir.verify import Check, describe, obligations, verify
from isoconv.plan.few import channels_first
from isoconv.plan.first import separate
from isoconv.plan.fuse import partition
from isoconv.plan.kernel import Step, copy_step
from isoconv.plan.lower import lower, turn_weights
from isoconv.plan.memory import Layout, Place, Tensor, layout, needed, owner
from isoconv.plan.order import lightest
from isoconv.plan.pools import pool_early


@dataclass(frozen=True)
class Program:
    """What the driver of a graph does; `in_place` outputs overwrite the inputs they name."""

    graph: Graph
    steps: tuple[Step, ...]
    memory: Layout
    checks: tuple[Check, ...]

    @cached_property
    def guards(self) -> dict[int, str]:
        """Steps that use integers known at run time only: what to say where one is wrong."""
        return {
            number: _out_of_range(step.anchor)
            for number, step in enumerate(self.steps)
            if step.anchor is not None and step.anchor.op in ("gather", "scatter_add")
        }

    @cached_property
    def sizes(self) -> tuple[str, ...]:
        """The names of the run-time sizes, in the order in which the driver is given them."""
        found: dict[str, None] = {}
        for node in self.graph.inputs:
            for dim in node.shape:
                found.update(dict.fromkeys(sorted(names(dim))))
        return tuple(found)

    def place(self, node: Node) -> Place:
        return self.memory.places[owner(node)]


def plan(graph: Graph, in_place: Mapping[int, int], required: Sequence[Check] = ()) -> Program:
    """Chooses kernels, order and memory.

    in_place: which input each such output overwrites. required: checks beyond those of the nodes.
    """
    checks = tuple(obligations(graph, required))
    graph = separate(channels_first(pool_early(lower(graph))))
    if settings.verify():
        verify(graph)
    graph = turn_weights(graph)
    steps = partition(graph)
    tensors = {node: Tensor(i) for i, node in enumerate(graph.inputs)}
    copies: list[tuple[Node, Tensor]] = []
    first_output = len(graph.inputs)
    writer = {node: step for step in steps for node in step.outputs}
    overwritten: dict[int, Node] = {}
    for number, node in enumerate(graph.outputs):
        source = owner(node)
        target = Tensor(first_output + number)
        given = graph.inputs[in_place[number]] if number in in_place else None
        if source in tensors or (given and not _may_overwrite(writer[source], given)):
            copies.append((source, target))
            continue
        tensors[source] = target
        if number in in_place:
            overwritten[in_place[number]] = source
    ordered, refused = _schedule(steps, graph, overwritten, writer)
    for number in refused:
        source = overwritten[number]
        target = tensors.pop(source)
        copies.append((source, target))
    places: dict[Node, Place] = dict(tensors)
    for source, target in copies:
        step, result = copy_step(source, target.number)
        places[result] = target
        ordered.append(step)
    return Program(graph, tuple(ordered), layout(ordered, places), checks)


def _may_overwrite(step: Step, source: Node) -> bool:
    """Whether a kernel reads `source` only at the position that it writes."""
    kinds = {OPS[node.op].kind for node in step.kernel.graph.nodes}
    return source not in step.inputs or (
        kinds <= {"leaf", "elementwise"} and source.shape == step.outputs[0].shape
    )


def _out_of_range(lookup: Node) -> str:
    """The message for an integer that names no row of a table."""
    rows = lookup.inputs[0].shape[0] if lookup.op == "gather" else lookup.shape[0]
    return explain(describe(lookup), "another integer", f"integers from 0 to {rows - 1}")


def _schedule(
    steps: Sequence[Step],
    graph: Graph,
    overwritten: Mapping[int, Node],
    writer: Mapping[Node, Step],
) -> tuple[list[Step], list[int]]:
    """The steps ordered so that a tensor is overwritten after it was last read, and the numbers of
    the inputs for which there is no such order.
    """
    before: dict[int, set[int]] = {}
    number = {id(step): i for i, step in enumerate(steps)}
    for i, step in enumerate(steps):
        sources = (writer.get(source) for node in step.inputs for source in needed(node))
        before[i] = {number[id(source)] for source in sources if source is not None} - {i}
    refused = []
    for given, node in overwritten.items():
        late = number[id(writer[node])]
        readers = {
            i
            for i, step in enumerate(steps)
            if i != late and any(owner(n) is graph.inputs[given] for n in step.inputs)
        }
        if any(_needs(before, reader, late) for reader in readers):
            refused.append(given)
        else:
            before[late] |= readers
    return lightest(steps, before, set(graph.inputs) | set(map(owner, graph.outputs))), refused


def _needs(before: Mapping[int, set[int]], step: int, other: int) -> bool:
    """Whether a step must come after another one."""
    seen = set()
    stack = [step]
    while stack:
        current = stack.pop()
        if current == other:
            return True
        if current not in seen:
            seen.add(current)
            stack.extend(before[current])
    return False
