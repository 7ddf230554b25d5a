"""From a graph to something that runs: the one ordered list of passes."""

from __future__ import annotations

from collections.abc import Mapping

from isoconv import settings
from isoconv.ir.graph import Graph
from isoconv.ir.verify import verify
from isoconv.plan.program import plan
from isoconv.rewriting import driver, rules
from isoconv.runtime.executable import Executable
from isoconv.runtime.host import host


def compile(
    graph: Graph, in_place: Mapping[int, int] | None = None, threads: int | None = None
) -> Executable:
    """The executable of a graph.

    in_place: output number -> number of the input whose array that output overwrites.
    threads: how many threads a call may use; `settings.threads()` if left out.
    """
    overwritten = in_place or {}
    if settings.verify():
        verify(graph)
    graph, _ = driver.apply(graph, rules.EXACT)
    if settings.verify():
        verify(graph)
    return Executable(plan(graph, overwritten), host(), overwritten, threads)
