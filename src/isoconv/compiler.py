"""From a graph to something that runs: the one ordered list of passes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from isoconv import settings
from isoconv.ir.graph import Graph
from isoconv.ir.verify import Check, verify
from isoconv.plan.program import plan
from isoconv.rewriting import approximate, driver, prepare, rules
from isoconv.rewriting.approximate import Numerics
from isoconv.rewriting.rule import Rule, Step
from isoconv.runtime.executable import Executable
from isoconv.runtime.host import host
from isoconv.runtime.pool import Team


def compile(
    graph: Graph,
    in_place: Mapping[int, int] | None = None,
    threads: int | None = None,
    required: Sequence[Check] = (),
    team: Team | None = None,
) -> Executable:
    """The executable of a graph.

    in_place: output number -> number of the input whose array that output overwrites.
    threads: how many threads a call may use; `settings.threads()` if left out.
    required: what the sizes must fulfil beyond what the graph's nodes ask of them.
    team: whose threads they are; those of the process' own pool if left out.
    """
    graph, _ = _rewritten(graph, rules.EXACT)
    graph, _ = _rewritten(graph, rules.LAST)
    return _emitted(graph, in_place or {}, threads, required, team)


@dataclass(frozen=True)
class Prediction:
    """A program whose weights were prepared.

    prepare: from all inputs of the graph to the prepared weights, which `run` takes after these
    inputs; None where there are none. steps: the rules applied, in order.
    """

    run: Executable
    prepare: Executable | None
    steps: tuple[Step, ...]


def compile_prediction(
    graph: Graph,
    weights: Collection[int],
    threads: int | None = None,
    required: Sequence[Check] = (),
    numerics: Numerics | None = None,
) -> Prediction:
    """The executable of a graph by rules of the folding class too.

    weights: the numbers of the inputs that stay as they are from call to call. What follows from
        them alone is prepared, to be computed once for each version of theirs.
    numerics: what allows rules of the approximate class; none if left out.
    """
    prepared, rest, steps = for_prediction(graph, weights, numerics)
    first = None if prepared is None else _emitted(prepared, {}, threads)
    return Prediction(_emitted(rest, {}, threads, required), first, steps)


def for_prediction(
    graph: Graph, weights: Collection[int], numerics: Numerics | None = None
) -> tuple[Graph | None, Graph, tuple[Step, ...]]:
    """What is prepared from the weights (None where nothing is), what then runs, and the rules
    applied; arguments as for `compile_prediction`.
    """
    graph, exact = _rewritten(graph, rules.EXACT)
    graph, folded = _rewritten(graph, rules.PREDICTION, weights)
    graph, last = _rewritten(graph, rules.LAST)
    steps = (*exact, *folded, *last)
    if numerics is not None:
        graph, approximated = _rewritten(graph, approximate.rules(numerics), weights)
        steps += approximated
    parts = prepare.split(graph, [graph.inputs[i] for i in weights])
    if parts is None:
        return None, graph, steps
    _check(parts.first)
    _check(parts.rest)
    return parts.first, parts.rest, steps


def _rewritten(
    graph: Graph, chosen: Sequence[Rule], weights: Collection[int] = ()
) -> tuple[Graph, tuple[Step, ...]]:
    _check(graph)
    result, steps = driver.apply(graph, chosen, [graph.inputs[i] for i in weights])
    _check(result)
    return result, steps


def _emitted(
    graph: Graph,
    in_place: Mapping[int, int],
    threads: int | None,
    required: Sequence[Check] = (),
    team: Team | None = None,
) -> Executable:
    return Executable(plan(graph, in_place, required), host(), in_place, threads, team)


def _check(graph: Graph) -> None:
    if settings.verify():
        verify(graph)
