"""Counting what is compiled."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from isoconv import compiler


@pytest.fixture
def compilations(monkeypatch) -> Callable[[], int]:
    """A function that says how many programs were compiled since the test began."""
    compile = compiler.compile
    graphs = []

    def counted(graph, *args, **kwargs):
        graphs.append(graph)
        return compile(graph, *args, **kwargs)

    monkeypatch.setattr(compiler, "compile", counted)
    return lambda: len(graphs)
