"""Fast kernels give the bits of the generator that pulls element by element: tiles that go over
lines of small images and samples, edges, phases, tails.
"""

from dataclasses import replace

import numpy as np
import pytest
from compiled import normal, run, tensor

from isoconv.codegen import depthwise, taps
from isoconv.codegen.tile.by_taps import _Sums
from isoconv.codegen.tile.form import solved
from isoconv.codegen.tile.work import Work
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph
from isoconv.ir.layout import from_lines, to_lines
from isoconv.ir.ops import make
from isoconv.plan import kernel, program
from isoconv.runtime.host import host, machine_for

VALID, SAME = Axis(3), Axis(3, 1, 1, 1, 1)
DILATED, STRIDED, CAUSAL = Axis(3, 1, 2, 2, 2), Axis(3, 2, 1, 1, 0), Axis(4, 1, 1, 3, 0)

# axes, channels, filters, groups, lengths
MANY_WEIGHTS = {
    "many weights": ([SAME, SAME], 128, 64, 1, (7, 7)),
    "many weights, a line shorter than a tile": ([Axis(9, 1, 1, 4, 4)], 129, 65, 1, (4,)),
    "many weights, steps": ([STRIDED, STRIDED], 200, 48, 1, (8, 15)),
    "many weights, far apart": ([DILATED, CAUSAL], 128, 72, 1, (3, 6)),
    "many weights, three axes": ([SAME, VALID, SAME], 66, 40, 1, (2, 4, 3)),
    "many weights, groups": ([SAME, SAME], 260, 128, 2, (5, 3)),
    "many weights, in pieces of other lengths": ([SAME, SAME], 260, 72, 1, (5, 6)),
}
CASES = {
    "lines shorter than a tile": ([VALID, VALID], 12, 16, 1, (8, 6)),
    "lines of a tile and one": ([VALID, VALID], 24, 16, 1, (5, 17)),
    "short sums": ([VALID, VALID], 1, 32, 1, (8, 8)),
    "short sums, lines that fill tiles": ([SAME, SAME], 2, 18, 1, (5, 29)),
    "edges down the lines": ([SAME, SAME], 16, 64, 1, (14, 7)),
    "no inner line": ([SAME, SAME], 16, 64, 1, (9, 1)),
    "few filters": ([SAME], 20, 3, 1, (37,)),
    "one filter, many taps": ([Axis(31, 1, 1, 15, 15)], 12, 1, 1, (40,)),
    "few filters, images": ([SAME, VALID], 9, 4, 1, (7, 19)),
    "few filters, volumes": ([SAME, VALID, SAME], 16, 8, 1, (4, 6, 17)),
    "dilated": ([DILATED, SAME], 17, 33, 1, (13, 8)),
    "strided": ([STRIDED, STRIDED], 16, 48, 1, (15, 14)),
    "three axes": ([SAME, VALID, SAME], 4, 32, 1, (4, 6, 7)),
    "samples in a tile": ([SAME], 40, 16, 1, (5,)),
    "causal": ([CAUSAL], 16, 20, 1, (19,)),
    "a longer line": ([SAME], 5, 32, 1, (470,)),
    "depthwise": ([SAME, SAME], 20, 20, 20, (5, 23)),
    "depthwise, long": ([Axis(31)], 16, 16, 16, (90,)),
    "depthwise, tiny images": ([SAME, STRIDED], 33, 33, 33, (4, 7)),
    "depthwise, steps": ([STRIDED, STRIDED], 20, 20, 20, (9, 23)),
    "depthwise, taps that steps leave out": ([Axis(2, 3, 1, 1, 0)], 17, 17, 17, (50,)),
    "depthwise, steps of two over taps of four": ([Axis(5, 4, 2, 3, 1)], 48, 48, 48, (91,)),
    "depthwise, a long step": ([Axis(31, 2, 1, 15, 15)], 16, 16, 16, (130,)),
    "small groups": ([SAME, SAME], 40, 40, 10, (5, 23)),
    "pairs": ([STRIDED, DILATED], 34, 34, 17, (7, 9)),
    "fewer channels than filters": ([SAME], 10, 40, 5, (19,)),
    "a tap of eight": ([Axis(1)], 32, 32, 4, (21,)),
    "one channel, one filter": ([SAME, CAUSAL], 1, 1, 1, (3, 290)),
    "one channel, one filter, a short line": ([Axis(6, 1, 2)], 1, 1, 1, (27,)),
    "groups": ([SAME, VALID], 34, 34, 2, (6, 9)),
    **MANY_WEIGHTS,
}
FLAT = {"axes": (), "groups": 1, "sizes": ()}
FACES = {"y": "xw", "x": "wy", "w": "xy"}


def both(case, face, monkeypatch, batch=3, known=False):
    """What the chosen kernel gives, with bias, and what the pulling generator gives.

    known: whether lengths are constants of the kernel.
    """
    axes, channels, filters, groups, lengths = case
    names = [f"L{i}" for i in range(len(axes))]
    x = tensor("x", "n", *(lengths if known else names), channels)
    w = tensor("w", *(axis.taps for axis in axes), channels // groups, filters)
    sizes = x.shape[1:-1]
    outputs = [axis.output(dim) for axis, dim in zip(axes, sizes, strict=True)]
    y = make("input", name="y", shape=(x.shape[0], *outputs, filters), dtype="float32")
    reached = [axis.output(n) for axis, n in zip(axes, lengths, strict=True)]
    parts = {"x": x, "w": w, "y": y}
    operands = [parts[part] for part in FACES[face]]
    attributes = {"face": face, "axes": tuple(axes), "groups": groups, "sizes": sizes}
    node = make("conv", *operands, **attributes)
    bias = tensor("b", *(1,) * (node.rank - 1), node.shape[-1])
    feeds = {
        "x": normal(0, batch, *lengths, channels),
        "w": normal(1, *w.shape),
        "y": normal(2, batch, *reached, filters),
        "b": normal(3, *bias.shape),
    }
    # The sizes are read off x, so every program is given it.
    outputs = [make("relu", make("add", node, bias)), make("neg", x)]
    fast, _ = run(outputs, feeds)
    with monkeypatch.context() as patch:
        patch.setattr(kernel, "choose_kind", lambda graph: "pull")
        patch.setattr(program, "turn_weights", lambda graph: graph)
        patch.setattr(program, "channels_first", lambda graph: graph)
        pulled, _ = run(outputs, feeds)
    return fast, pulled


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("case", CASES)
def test_fast_kernels_give_the_bits_of_the_pulling_one(case, face, monkeypatch):
    fast, pulled = both(CASES[case], face, monkeypatch)
    np.testing.assert_array_equal(fast, pulled)


# Images so small that few outputs meet the same taps.
RAGGED = {
    "an image": ([SAME, SAME], 64, 40, 1, (7, 7)),
    "a line": ([Axis(5, 1, 1, 2, 2)], 36, 64, 1, (12,)),
    "all at edges": ([SAME, SAME], 32, 48, 1, (2, 3)),
    "full padding": ([Axis(3, 1, 1, 2, 2)] * 2, 32, 32, 1, (6, 9)),
    "steps": ([Axis(3, 2, 1, 1, 1)] * 2, 32, 64, 1, (9, 8)),
    "holes": ([Axis(3, 1, 2, 2, 2)] * 2, 32, 32, 1, (7, 8)),
    "groups": ([SAME, SAME], 64, 64, 2, (5, 5)),
}


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("case", RAGGED)
def test_small_images_give_the_same_bits(case, batch, monkeypatch):
    fast, pulled = both(RAGGED[case], "y", monkeypatch, batch, known=True)
    np.testing.assert_array_equal(fast, pulled)


@pytest.mark.parametrize("case", MANY_WEIGHTS | RAGGED)
def test_many_weights_and_small_images_are_computed_tap_by_tap(case):
    axes, channels, filters, groups, lengths = (MANY_WEIGHTS | RAGGED)[case]
    x = tensor("x", "n", *lengths, channels)
    w = tensor("w", *(axis.taps for axis in axes), channels // groups, filters)
    attributes = {"face": "y", "axes": tuple(axes), "groups": groups, "sizes": lengths}
    node = make("conv", x, w, **attributes)
    (step,) = program.plan(Graph((x, w), (node,)), {}).steps
    assert solved(step.kernel).by_taps(host())
    assert solved(step.kernel).large == (case in MANY_WEIGHTS)


# axes, channels, filters, lengths
IN_LINES = {
    "whole sums": ([SAME, SAME], 12, 80, (5, 17)),
    "sums in pieces": ([SAME, SAME], 128, 64, (7, 7)),
    "pieces of other lengths": ([DILATED], 260, 144, (19,)),
    "steps": ([STRIDED, STRIDED], 40, 96, (8, 15)),
    "no windows": ([], 96, 112, (23,)),
    "no windows, in pieces": ([], 1030, 64, (9,)),
}


@pytest.mark.parametrize("case", IN_LINES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_in_lines_are_read_as_they_lie(case, dtype):
    axes, channels, filters, lengths = IN_LINES[case]
    x = tensor("x", "n", *lengths, channels, dtype=dtype)
    w = tensor("w", *(axis.taps for axis in axes), channels, filters, dtype=dtype)
    attributes = {"face": "y", "axes": tuple(axes), "groups": 1, "sizes": lengths[: len(axes)]}
    feeds = {"x": normal(0, 3, *lengths, channels), "w": normal(1, *w.shape)}
    feeds = {name: array.astype(dtype) for name, array in feeds.items()}
    (expected,) = run([make("relu", make("conv", x, w, **attributes))], feeds)
    (feeds["w"],) = run([to_lines(w)], feeds)
    w = tensor("w", *feeds["w"].shape, dtype=dtype)
    graph = Graph((x, w), (make("relu", make("conv", x, from_lines(w), **attributes)),))
    (step,) = program.plan(graph, {}).steps
    assert solved(step.kernel).in_lines
    for machine in (host(), machine_for("x86_64-unknown-linux-gnu", "x86-64-v3")):
        np.testing.assert_array_equal(run(graph.outputs, feeds, machine=machine)[0], expected)


# Samples, terms, filters: weights are read as they lie for few samples only.
DENSE = [(1, 4096, 65), (16, 1030, 300), (17, 1030, 300), (40, 300, 1000), (3, 1028, 256)]


@pytest.mark.parametrize(("batch", "terms", "filters"), DENSE)
@pytest.mark.parametrize("face", FACES)
def test_dense_layers_of_many_weights(batch, terms, filters, face, monkeypatch):
    monkeypatch.setitem(CASES, "dense", ([], terms, filters, 1, ()))
    fast, pulled = both(CASES["dense"], face, monkeypatch, batch)
    np.testing.assert_array_equal(fast, pulled)


def test_few_samples_and_many_weights_are_the_task_of_one_thread():
    feeds = {"x": normal(0, 9, 1 << 16), "w": normal(1, 1 << 16, 64)}
    product = make("conv", tensor("x", "n", 1 << 16), tensor("w", 1 << 16, 64), face="y", **FLAT)
    (alone,), (shared,) = (run([product], feeds, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(alone, shared)


def test_dense_layers_of_many_weights_whose_places_matter():
    """What follows differs from place to place, so that these cannot be counted as rows."""
    x, w, more = tensor("x", "n", 5, 520), tensor("w", 520, 520), tensor("m", 1, 5, 520)
    node = make("conv", x, w, face="y", **FLAT)
    feeds = {"x": normal(0, 2, 5, 520), "w": normal(1, 520, 520), "m": normal(2, 1, 5, 520)}
    (found,) = run([make("add", node, more)], feeds)
    np.testing.assert_allclose(found, feeds["x"] @ feeds["w"] + feeds["m"], rtol=1e-3, atol=1e-3)


def test_a_sum_that_is_added_to_twice_is_caught(monkeypatch):
    real = _Sums._add
    monkeypatch.setattr(
        _Sums, "_add", lambda sums, part, _, at, deep: real(sums, part, at, at, deep)
    )
    monkeypatch.setenv("ISOCONV_CACHE_MB", "0")
    monkeypatch.setitem(CASES, "planted", ([SAME, SAME], 127, 65, 1, (7, 7)))
    fast, pulled = both(CASES["planted"], "y", monkeypatch)
    assert not np.array_equal(fast, pulled)


def test_a_phase_that_begins_at_the_wrong_input_is_caught(monkeypatch):
    real = depthwise._Depthwise._phases

    def late(kernel, first, last):
        for phase in real(kernel, first, last):
            yield replace(phase, start=kernel.b.add(phase.start, 1))

    monkeypatch.setattr(depthwise._Depthwise, "_phases", late)
    monkeypatch.setenv("ISOCONV_CACHE_MB", "0")
    monkeypatch.setitem(CASES, "planted", ([Axis(3, 2)], 21, 21, 21, (90,)))
    fast, pulled = both(CASES["planted"], "x", monkeypatch)
    assert not np.array_equal(fast, pulled)


def test_a_tap_that_leaves_out_its_last_rows_is_caught(monkeypatch):
    real = taps.outputs

    def fewer(*args):
        first, last = real(*args)
        return first, args[0].sub(last, 1)

    monkeypatch.setattr(taps, "outputs", fewer)
    monkeypatch.setenv("ISOCONV_CACHE_MB", "0")
    monkeypatch.setitem(CASES, "planted", ([SAME, SAME], 127, 66, 1, (7, 7)))
    fast, pulled = both(CASES["planted"], "y", monkeypatch)
    assert not np.array_equal(fast, pulled)


def test_rows_that_wrap_at_the_wrong_place_are_caught(monkeypatch):
    down = Work._down
    monkeypatch.setattr(Work, "_down", lambda work, run: work.tile.b.add(down(work, run), 1))
    monkeypatch.setenv("ISOCONV_CACHE_MB", "0")
    # Sizes that no other test uses, so that no kernel of them is loaded.
    monkeypatch.setitem(CASES, "planted", ([VALID, VALID], 13, 19, 1, (8, 6)))
    fast, pulled = both(CASES["planted"], "y", monkeypatch)
    assert not np.array_equal(fast, pulled)
