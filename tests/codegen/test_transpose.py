"""Transpositions turn squares in registers: every element arrives, whatever the tails and the
machine's vectors."""

import numpy as np
import pytest
from compiled import executable, tensor
from test_machines import MACHINES

from isoconv.ir.graph import Graph
from isoconv.ir.ops import make
from isoconv.plan.program import plan
from isoconv.runtime.host import machine_for

SIZES = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33]
PERMS = [(0, 2, 1), (2, 1, 0), (1, 2, 0), (2, 0, 1)]
DTYPES = ["float32", "float64", "int32", "int64"]


def check(shape, perm, dtype="float32", free=(), machine=None):
    """free: the axes whose sizes are known at run time only."""
    x = tensor("x", *(f"s{i}" if i in free else n for i, n in enumerate(shape)), dtype=dtype)
    run = executable(Graph((x,), (make("transpose", x, perm=perm),)), machine=machine)
    given = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    (found,) = run([given])
    np.testing.assert_array_equal(found, given.transpose(perm))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("perm", PERMS)
def test_every_element_arrives(perm, dtype):
    for long in SIZES:
        for wide in (1, 3, 16, 19):
            check((3, long, wide), perm, dtype)


@pytest.mark.parametrize("perm", PERMS)
def test_sizes_may_be_known_at_run_time_only(perm):
    for long in SIZES:
        check((3, long, 19), perm, free=(0, 1, 2))
    check((0, 5, 3), perm, free=(0,))


def test_axes_that_stay_neighbours_are_one():
    for perm in ((0, 4, 1, 2, 3), (0, 2, 3, 4, 1), (3, 4, 0, 1, 2), (0, 1, 2, 3, 4)):
        check((2, 3, 4, 5, 6), perm, free=(0, 3))
    x = tensor("x", "n", 5, 1, "L", 3)
    (step,) = plan(Graph((x,), (make("transpose", x, perm=(0, 2, 3, 4, 1)),)), {}).steps
    assert step.kernel.kind == "transpose"
    assert [node.rank for node in step.kernel.graph.nodes] == [3, 3]


def test_narrower_vectors_do_the_same():
    for long in SIZES:
        check((3, long, 19), (0, 2, 1), machine=machine_for(*MACHINES["avx2"]))
