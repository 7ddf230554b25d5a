"""Every operation of the table has its meaning, its gradient and its text."""

import pytest

from isoconv.gradient import FLAT, RULES
from isoconv.ir.graph import Graph
from isoconv.ir.ops import OPS
from isoconv.ir.text import parse, show
from isoconv.reference import MEANING
from samples import SAMPLES

INPUTS = {"input"}  # what the caller gives needs no meaning


def test_every_operation_has_a_sample():
    assert {node.op for node in SAMPLES.values()} == set(OPS)


def test_every_operation_has_a_meaning():
    assert set(MEANING) == set(OPS) - INPUTS


def test_every_operation_has_a_gradient_or_is_declared_flat():
    assert set(RULES) == set(OPS) - FLAT
    assert set(OPS) >= FLAT


@pytest.mark.parametrize("row", OPS.values(), ids=OPS)
def test_rows_are_whole(row):
    operands = 1 if row.arity == -1 else row.arity
    assert row.doc
    assert all(0 <= operand < operands for operand in row.linear)
    assert row.kind in ("leaf", "elementwise", "view", "reduce", "window", "contract", "index")


@pytest.mark.parametrize("node", SAMPLES.values(), ids=SAMPLES)
def test_every_operation_prints_and_parses(node):
    graph = Graph((), (node,))
    graph = Graph(tuple(n for n in graph.nodes if n.op == "input"), (node,))
    assert parse(show(graph)) == graph
