"""Forms between tensors with channels first: the bits of the pulling generator, without a copy of
either tensor, and loops that keep their sums in registers.
"""

import numpy as np
import pytest
from compiled import executable, normal, tensor
from test_machines import MACHINES, REGISTER, loops, spills

from isoconv import reference
from isoconv.codegen import first
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph
from isoconv.ir.ops import make
from isoconv.plan import first as forms
from isoconv.plan import fuse, kernel
from isoconv.plan.program import plan
from isoconv.plan.worth import pays
from isoconv.runtime.host import host, machine_for

VALID, SAME, POINT = Axis(3), Axis(3, 1, 1, 1, 1), Axis(1)
DOWN = Axis(3, 2, 1, 1, 0)


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """Forms are computed with channels first here, whether or not it pays."""
    monkeypatch.setattr(forms, "pays", lambda conv, axes: True)


# axes, channels, filters, groups, lengths
CASES = {
    "a line": ([VALID], 5, 9, 1, (70,)),
    "lines that fill vectors": ([VALID], 1, 8, 1, (402,)),
    "no line of a vector": ([VALID], 3, 2, 1, (10,)),
    "edges": ([SAME], 7, 17, 1, (75,)),
    "causal": ([Axis(4, 1, 3, 9, 0)], 7, 10, 1, (50,)),
    "edges as long as the line": ([Axis(9, 1, 1, 4, 4)], 3, 4, 1, (5,)),
    "taps at 64 places": ([Axis(2, 1, 64)], 16, 16, 1, (200,)),
    "images": ([VALID, VALID], 3, 10, 1, (19, 21)),
    "images with edges": ([SAME, SAME], 4, 12, 1, (9, 33)),
    "lines of 30": ([SAME, VALID], 5, 10, 1, (7, 32)),
    "lines of 14": ([VALID, VALID], 5, 16, 1, (16, 16)),
    "lines of 9": ([SAME, VALID], 5, 7, 1, (16, 11)),
    "lines of 6": ([VALID, VALID], 1, 32, 1, (8, 8)),
    "lines of 2": ([VALID, VALID], 3, 5, 1, (12, 4)),
    "no inner line": ([VALID, VALID], 3, 5, 1, (12, 3)),
    "lines down by two": ([DOWN, SAME], 4, 9, 1, (15, 20)),
    "every second place": ([Axis(5, 2)], 5, 9, 1, (71,)),
    "every fourth place": ([Axis(11, 4)], 1, 20, 1, (203,)),
    "every third place, edges": ([Axis(5, 3, 2, 4, 5)], 3, 10, 1, (64,)),
    "every second place of images": ([Axis(3, 2, 1, 1, 1), Axis(3, 2, 1, 1, 1)], 4, 9, 1, (13, 42)),
    "every second place of short lines": ([DOWN, Axis(3, 2)], 4, 9, 1, (15, 20)),
    "every second place, one tap": ([Axis(1, 2), Axis(1, 2)], 6, 9, 1, (15, 19)),
    "every second place, depthwise": ([SAME, Axis(3, 2, 1, 0, 1)], 6, 6, 6, (9, 50)),
    "every second place of volumes": ([SAME, DOWN, Axis(3, 2, 1, 1, 1)], 4, 6, 1, (4, 6, 19)),
    "strides beyond the window": ([Axis(2, 5, 2)], 4, 6, 1, (190,)),
    "depthwise": ([VALID, VALID], 12, 12, 12, (20, 58)),
    "depthwise, short lines": ([SAME, SAME], 12, 12, 12, (9, 13)),
    "depthwise, a line": ([Axis(31)], 5, 5, 5, (190,)),
    "groups": ([SAME, SAME], 12, 15, 3, (9, 20)),
    "pointwise": ([POINT, POINT], 9, 20, 1, (7, 7)),
    "no window along the last axes": ([VALID, POINT, POINT], 4, 6, 1, (5, 4, 6)),
    "volumes": ([SAME, VALID, SAME], 4, 6, 1, (4, 6, 19)),
}


def graph(case: str, dtype: str = "float32") -> Graph:
    """x and weights in PyTorch's order, bias and relu, channels first."""
    axes, channels, filters, groups, _ = CASES[case]
    rank = len(axes)
    x = tensor("x", "n", channels, *(f"L{i}" for i in range(rank)), dtype=dtype)
    w = tensor("w", filters, channels // groups, *(axis.taps for axis in axes), dtype=dtype)
    last = make("transpose", x, perm=(0, *range(2, rank + 2), 1))
    weights = make("transpose", w, perm=(*range(2, rank + 2), 1, 0))
    attributes = {"face": "y", "axes": tuple(axes), "groups": groups, "sizes": last.shape[1:-1]}
    node = make("conv", last, weights, **attributes)
    bias = tensor("b", *(1,) * (rank + 1), filters, dtype=dtype)
    summed = make("add", node, make("broadcast", bias, shape=node.shape))
    y = make("transpose", make("relu", summed), perm=(0, rank + 1, *range(1, rank + 1)))
    return Graph((x, w, bias), (y,))


def feeds(case: str, dtype: str = "float32") -> list[np.ndarray]:
    axes, channels, filters, groups, lengths = CASES[case]
    taps = [axis.taps for axis in axes]
    shapes = [
        (3, channels, *lengths),
        (filters, channels // groups, *taps),
        (*(1,) * (len(axes) + 1), filters),
    ]
    return [normal(seed, *shape, dtype=dtype) for seed, shape in enumerate(shapes)]


def both(case: str, monkeypatch) -> tuple[np.ndarray, np.ndarray]:
    """What the kernel gives, and the pulling generator."""
    (fast,) = executable(graph(case))(feeds(case))
    with monkeypatch.context() as patch:
        patch.setattr(fuse, "find_first", lambda graph: [])
        patch.setattr(kernel, "choose_kind", lambda graph: "pull")
        (pulled,) = executable(graph(case))(feeds(case))
    return fast, pulled


@pytest.mark.parametrize("case", CASES)
def test_bits_are_those_of_the_pulling_generator(case, monkeypatch):
    *before, step = plan(graph(case), {}).steps
    assert step.kernel.kind == "first"
    assert bool(before) == (CASES[case][0][-1].stride > 1)
    np.testing.assert_array_equal(*both(case, monkeypatch))


SOME = (
    "every third place, edges",
    "every second place of images",
    "edges",
    "images with edges",
    "lines of 9",
    "depthwise, short lines",
    "volumes",
)


@pytest.mark.parametrize("case", SOME)
def test_bits_do_not_hang_on_vectors_threads_or_the_batch(case):
    given = feeds(case)
    (expected,) = executable(graph(case))(given)
    narrow = machine_for(host().triple, "x86-64-v3")
    if host().triple.startswith("x86_64"):
        np.testing.assert_array_equal(executable(graph(case), machine=narrow)(given)[0], expected)
    run = executable(graph(case), threads=1)
    np.testing.assert_array_equal(run(given)[0], expected)
    np.testing.assert_array_equal(run([given[0][2:], *given[1:]])[0], expected[2:])
    assert run([given[0][:0], *given[1:]])[0].shape == (0, *expected.shape[1:])


@pytest.mark.parametrize("length", [7, 8, 9, 15, 16, 17, 31, 32, 33])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", ["a line", "images with edges", "depthwise"])
def test_tails_are_near_the_float64_reference(case, dtype, length, monkeypatch):
    axes, channels, filters, groups, lengths = CASES[case]
    monkeypatch.setitem(CASES, case, (axes, channels, filters, groups, (*lengths[:-1], length)))
    given, program = feeds(case, dtype), graph(case, dtype)
    names = [node["name"] for node in program.inputs]
    exact = [array.astype("float64") for array in given]
    (expected,) = reference.run(
        graph(case, "float64"), dict(zip(names, exact, strict=True)), precision="float64"
    )
    (found,) = executable(program)(given)
    assert found.dtype == dtype
    near = 1e-5 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(found, expected, rtol=near, atol=near * np.abs(expected).max())


@pytest.mark.parametrize(("groups", "shape"), [(1, (3, 4, 5)), (4, (3, 1, 4))])
def test_weights_that_are_one_number_everywhere_lie_nowhere(groups, shape):
    x = tensor("x", "n", 4, "L")
    last = make("transpose", x, perm=(0, 2, 1))
    ones = make("full", shape=shape, value=1.0, dtype="float32")
    attributes = {"face": "y", "axes": (VALID,), "groups": groups, "sizes": last.shape[1:-1]}
    y = make("transpose", make("conv", last, ones, **attributes), perm=(0, 2, 1))
    given = normal(0, 2, 4, 20)
    (found,) = executable(Graph((x,), (y,)))([given])
    sums = given[:, :, :-2] + given[:, :, 1:-1] + given[:, :, 2:]
    expected = np.repeat(sums.sum(1, keepdims=True), 5, 1) if groups == 1 else sums
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_what_is_absent_does_not_meet_a_weight_that_is_no_number():
    x, w, bias = feeds("edges")
    w[:, :, 0] = np.nan
    (y,) = executable(graph("edges"))([x, w, bias])
    assert np.isfinite(y[:, :, 0]).all()
    assert np.isnan(y[:, :, 1:]).all() or not np.isfinite(y[:, :, 1:]).any()


def test_lanes_of_the_wrong_line_are_caught(monkeypatch):
    real = first._First._pieces

    def shifted(self, *args):
        head, *rest = real(self, *args)
        return [head, *(first._Piece(p.row, p.column, p.high, p.high) for p in rest)]

    monkeypatch.setattr(first._First, "_pieces", shifted)
    monkeypatch.setenv("ISOCONV_CACHE_MB", "0")
    monkeypatch.setitem(CASES, "planted", ([VALID, VALID], 3, 23, 1, (19, 21)))
    assert not np.array_equal(*both("planted", monkeypatch))


@pytest.mark.parametrize(
    ("case", "machine"),
    [
        (case, machine)
        for case in ("a line", "every second place", "depthwise, a line")
        for machine in MACHINES
    ]
    # Elsewhere the masks of short lines are vectors themselves.
    + [("images", "avx512"), ("depthwise", "avx512")],
)
def test_hot_loops_keep_their_sums_in_registers(case, machine):
    *_, step = plan(graph(case), {}).steps
    hot = loops(step.kernel, machine_for(*MACHINES[machine]))
    assert hot
    assert sum(spills(loop, REGISTER[machine]) for loop in hot) == 0


def test_a_tensor_that_others_read_with_channels_last_is_read_where_it_lies():
    given = graph("a line")
    x = given.inputs[0]
    last = next(node for node in given.nodes if node.op == "transpose" and node.inputs == (x,))
    steps = plan(Graph(given.inputs, (*given.outputs, make("relu", last))), {}).steps
    assert "first" in {step.kernel.kind for step in steps}


def test_a_transposed_result_is_written_by_its_form_and_turned_in_squares(monkeypatch):
    monkeypatch.setattr(forms, "pays", lambda conv, axes: False)
    kinds = [step.kernel.kind for step in plan(graph("a line"), {}).steps]
    assert kinds == ["transpose", "transpose", "tile", "transpose"]


@pytest.mark.parametrize(
    ("axes", "channels", "filters", "groups", "lengths", "expected"),
    [
        ([VALID], 64, 64, 1, (600,), True),
        ([VALID], 64, 64, 1, ("L",), True),
        ([VALID], 300, 64, 1, (600,), False),
        ([Axis(80, 4)], 1, 64, 1, (16000,), True),
        ([Axis(512, 4)], 1, 128, 1, (1024,), False),
        ([Axis(31)], 256, 256, 256, (1000,), True),
        ([Axis(511)], 64, 64, 64, (4096,), False),
        ([VALID, VALID], 144, 144, 144, (58, 58), False),
        ([VALID, VALID], 64, 64, 1, (58, 58), True),
        ([VALID, VALID], 1, 32, 1, (8, 8), False),
        ([POINT, POINT], 96, 576, 1, (14, 14), True),
        ([Axis(7, 2), Axis(7, 2)], 3, 64, 1, (230, 230), True),
    ],
)
def test_channels_first_are_kept_where_copies_cost_more(
    axes, channels, filters, groups, lengths, expected
):
    x = tensor("x", "n", *lengths, channels)
    w = tensor("w", *(axis.taps for axis in axes), channels // groups, filters)
    attributes = {"face": "y", "axes": tuple(axes), "groups": groups, "sizes": x.shape[1:-1]}
    assert pays(make("conv", x, w, **attributes), axes) == expected


def narrow(filters: int, channels: int = 16, taps: int = 3) -> Graph:
    """Two forms of few filters over one tensor with channels last, concatenated."""
    x = tensor("x", "n", "L", channels)
    weights = [tensor(name, taps, channels, filters) for name in "vw"]
    attributes = {"face": "y", "axes": (Axis(taps),), "groups": 1, "sizes": x.shape[1:-1]}
    forms_ = [make("conv", x, w, **attributes) for w in weights]
    return Graph((x, *weights), (make("concat", *forms_, axis=2),))


@pytest.mark.parametrize(
    ("first_kernels", "arguments"),
    [
        (2, {"filters": 1}),
        (2, {"filters": 8}),
        (0, {"filters": 9, "channels": 40}),
        (0, {"filters": 8, "channels": 15}),
        (0, {"filters": 1, "taps": 1}),
        (0, {"filters": 1, "channels": 3}),
    ],
)
def test_forms_of_few_filters_share_a_copy_with_channels_first(first_kernels, arguments):
    kinds = [step.kernel.kind for step in plan(narrow(**arguments), {}).steps]
    assert kinds.count("first") == first_kernels
    assert kinds.count("transpose") == bool(first_kernels)
