"""Max pooling in the kernel of its form: the same bits as pooling what the form gives."""

import numpy as np
import pytest
from compiled import normal, run, tensor

from isoconv import reference
from isoconv.codegen.tile import pooled
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph
from isoconv.ir.ops import make
from isoconv.plan import fuse, program
from isoconv.plan.program import plan
from isoconv.runtime import jit

SAME, VALID, CAUSAL = Axis(3, low=1, high=1), Axis(3), Axis(3, dilation=2, low=4)
# axes of the form, positions of a window, channels, filters, groups, batch, lengths
CASES = {
    "one channel": ([VALID, VALID], (2, 2), 1, 32, 1, 1, (28, 28)),
    "one channel, edges": ([Axis(7, low=3, high=3)], (2,), 1, 32, 1, 3, (187,)),
    "long sums, odd sizes": ([VALID, VALID], (2, 2), 32, 64, 1, 2, (13, 13)),
    "edges all round": ([SAME, SAME], (2, 2), 32, 20, 1, 2, (13, 12)),
    "windows of three": ([SAME], (3,), 24, 33, 1, 2, (50,)),
    "windows of four, dilated": ([CAUSAL], (4,), 5, 17, 1, 2, (40,)),
    "lines pooled alone": ([SAME, SAME], (1, 3), 16, 48, 1, 1, (9, 16)),
    "columns pooled alone": ([SAME, SAME], (3, 1), 16, 48, 1, 1, (9, 16)),
    "groups": ([SAME, SAME], (2, 2), 32, 64, 2, 1, (11, 9)),
    "strides": ([Axis(3, 2), Axis(3, 2)], (2, 2), 8, 16, 1, 2, (25, 24)),
    "pooled beside another axis": ([SAME, SAME, SAME], (1, 2, 2), 4, 16, 1, 2, (5, 6, 7)),
    "many weights": ([Axis(2)], (2,), 300, 80, 1, 2, (29,)),
    "edges and nothing else": ([Axis(5, low=2, high=2)], (2,), 9, 16, 1, 4, (4,)),
}


def drawn(case, dtype="float32"):
    """The pooled form with its bias and relu, and numbers for its inputs."""
    axes, window, channels, filters, groups, batch, lengths = CASES[case]
    open_ = ["n", *(f"L{i}" for i in range(len(lengths)))]
    x = tensor("x", *open_, channels, dtype=dtype)
    w = tensor("w", *(axis.taps for axis in axes), channels // groups, filters, dtype=dtype)
    shift = tensor("b", *(1,) * (len(axes) + 1), filters, dtype=dtype)
    sizes = x.shape[1:-1]
    form = make("conv", x, w, face="y", axes=tuple(axes), groups=groups, sizes=sizes)
    pooling = tuple(Axis(taps, taps) for taps in window)
    node = make("pool_max", make("relu", make("add", form, shift)), axes=pooling)
    feeds = {
        "x": normal(0, batch, *lengths, channels, dtype=dtype),
        "w": normal(1, *map(int, w.shape), dtype=dtype),
        "b": normal(2, *map(int, shift.shape), dtype=dtype),
    }
    return node, feeds


def apart(monkeypatch, node, feeds):
    """The same by a kernel of the form and one of the pooling."""
    with monkeypatch.context() as patch:
        patch.setattr(fuse, "joined", lambda graph: {})
        patch.setattr(program, "pool_early", lambda graph: graph)
        return run([node], feeds)[0]


@pytest.mark.parametrize(
    ("case", "dtype"), [*((case, "float32") for case in CASES), ("many weights", "float64")]
)
def test_one_kernel_gives_the_bits_of_two(case, dtype, monkeypatch):
    node, feeds = drawn(case, dtype)
    graph = Graph(tuple(n for n in Graph((), (node,)).nodes if n.op == "input"), (node,))
    assert [step.kernel.kind for step in plan(graph, {}).steps] == ["tile"]
    (found,) = run([node], feeds)
    np.testing.assert_array_equal(found, apart(monkeypatch, node, feeds))
    (expected,) = reference.run(graph, feeds, precision="float64")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_nan_is_larger_than_all():
    node, feeds = drawn("edges all round")
    feeds["x"][0, 0, 0, 0] = np.nan
    (found,) = run([node], feeds)
    assert np.isnan(found[0, 0, 0]).all()
    assert np.isnan(found).sum() == found.shape[-1]


@pytest.mark.parametrize(
    "change",
    [
        {"axes": (Axis(3, 2, low=1, high=1),) * 2},
        {"axes": (Axis(3, 1),) * 2},
        {"axes": (Axis(2, 2, low=1, high=1),) * 2},
        {"axes": (Axis(3, 3),) * 2},
    ],
    ids=["overlapping", "stride 1", "with edges", "too many positions"],
)
def test_other_windows_have_a_kernel_of_their_own(change):
    node, _ = drawn("edges all round")
    other = make("pool_max", node.inputs[0], **change)
    graph = Graph(tuple(n for n in Graph((), (other,)).nodes if n.op == "input"), (other,))
    assert len(plan(graph, {}).steps) == 2


def test_what_somebody_else_reads_is_written():
    node, feeds = drawn("edges all round")
    (sums,) = node.inputs
    found, whole = run([node, sums], feeds)
    tiles_ = whole[:, :12].reshape(2, 6, 2, 6, 2, 20)
    np.testing.assert_array_equal(found, tiles_.max((2, 4)))


def test_integers_are_pooled_after_their_sum():
    """Beyond their range they wrap, and would be pooled otherwise."""
    x, shift = tensor("x", 1, 4, 1, dtype="int32"), tensor("b", 1, 1, 1, dtype="int32")
    node = make("pool_max", make("add", x, shift), axes=(Axis(2, 2),))
    feeds = {"x": np.array([[[2**31 - 1], [0], [1], [2]]], "int32")}
    feeds["b"] = np.ones((1, 1, 1), "int32")
    assert run([node], feeds)[0].tolist() == [[[1], [3]]]


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("_meets_all", lambda work, dim, run: work.tile.b.const("i1", 1)),
        ("_largest", lambda work, totals: totals[0]),
    ],
    ids=["edges are taken for the middle", "only the first sum counts"],
)
def test_faults_are_caught(part, wrong, monkeypatch):
    monkeypatch.setattr(pooled, part, wrong)
    monkeypatch.setenv("ISOCONV_CACHE_MB", "0")
    # Filters that no other test has, so that no kernel of them is loaded.
    monkeypatch.setitem(CASES, part, ([SAME, SAME], (2, 2), 32, 21, 1, 2, (13, 12)))
    monkeypatch.setattr(jit, "_addresses", {})
    node, feeds = drawn(part)
    assert not np.array_equal(run([node], feeds)[0], apart(monkeypatch, node, feeds))
