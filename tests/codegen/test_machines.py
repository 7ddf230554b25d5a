"""Kernels for processors other than this one, and what the hot ones look like in assembly."""

import re
import shutil
import subprocess

import numpy as np
import pytest
from compiled import normal, tensor

from isoconv import reference
from isoconv.codegen import frame, tile
from isoconv.codegen.generate import emit, tasks
from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph
from isoconv.ir.layout import from_lines, to_lines
from isoconv.ir.ops import make
from isoconv.ir.sizes import evaluate
from isoconv.plan import tiles
from isoconv.plan.program import plan
from isoconv.runtime.host import machine_for
from isoconv.runtime.jit import assembly, compile_object

MACHINES = {
    "avx512": ("x86_64-unknown-linux-gnu", "znver4"),
    "avx2": ("x86_64-unknown-linux-gnu", "x86-64-v3"),
    "neon": ("aarch64-unknown-linux-gnu", "neoverse-n1"),
}
REGISTER = {"avx512": "zmm", "avx2": "ymm", "neon": "q"}


PLAIN = Axis(3)


def form(face, channels, filters, *axes, groups=1, lengths=()):
    """One face of a form; its lengths are known at run time, or given and kept."""
    axes = axes or (PLAIN,)
    x = tensor("x", "n", *(lengths or ("L", "M")[: len(axes)]), channels)
    w = tensor("w", *(axis.taps for axis in axes), channels // groups, filters)
    y = tensor("y", "n", *(lengths or ("O", "P")[: len(axes)]), filters)
    parts = {"y": (x, w), "x": (w, y), "w": (x, y)}[face]
    node = make("conv", *parts, face=face, axes=axes, groups=groups, sizes=x.shape[1:-1])
    return Graph(parts, (node,))


def spills(lines: list[str], register: str) -> int:
    """Vector registers put on the stack or taken from it."""
    stack = r"\[sp" if register == "q" else r"\(%[er]sp"
    return sum(
        bool(re.search(rf"\b{register}\d+", line) and re.search(stack, line)) for line in lines
    )


def multiply_adds(lines: list[str]) -> int:
    return sum(bool(re.search("fmadd|fmla", line)) for line in lines)


def loops(kernel, machine) -> list[list[str]]:
    """The innermost loops of a kernel with multiply-adds in them, as lines of assembly."""
    found, lines, label = [], [], None
    for line in assembly(emit(kernel, machine), machine).splitlines():
        if named := re.match(r"(\.L\w+):", line):
            label, lines = named.group(1), []
        elif label and line.startswith("\t") and not line.startswith("\t."):
            lines.append(line)
            if line.split()[-1] == label:
                found.append(lines)
                label = None
    return [loop for loop in found if multiply_adds(loop) > 3]


def kernel_of(face, channels, filters, *axes, groups=1):
    graph = form(face, channels, filters, *axes, groups=groups)
    return plan(graph, {}).steps[-1].kernel


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("filters", [16, 32, 48, 64, 96])
@pytest.mark.parametrize("face", ["y", "w"])
def test_hot_loops_keep_their_tiles_in_registers(machine, filters, face):
    hot = loops(kernel_of(face, 64, filters), machine_for(*MACHINES[machine]))
    assert hot
    assert sum(spills(loop, REGISTER[machine]) for loop in hot) == 0


SAME = Axis(3, 1, 1, 1, 1)
# face, channels, filters, axes, groups
OTHERS = {
    "folded, 12 filters": ("y", 32, 12, (SAME, SAME), 1),
    "folded, 16 filters": ("y", 32, 16, (SAME, SAME), 1),
    "folded, 20 filters": ("y", 32, 20, (SAME, SAME), 1),
    "folded, 32 filters": ("y", 32, 32, (SAME, SAME), 1),
    "folded, 64 filters": ("y", 32, 64, (SAME, SAME), 1),
    "many weights": ("y", 128, 128, (SAME, SAME), 1),
    "short sums": ("y", 1, 32, (PLAIN, PLAIN), 1),
    "depthwise": ("y", 64, 64, (SAME, SAME), 64),
    "depthwise, back over steps": ("x", 64, 64, (Axis(3, 2), Axis(3, 2)), 64),
    "depthwise, long": ("y", 64, 64, (Axis(31),), 64),
    "groups of four": ("y", 64, 64, (SAME, SAME), 16),
    "line": ("y", 1, 1, (Axis(64),), 1),
    "gradient of depthwise weights": ("w", 64, 64, (PLAIN, Axis(8)), 64),
    "gradient of weights in groups of four": ("w", 64, 64, (PLAIN, PLAIN), 16),
}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("case", OTHERS)
def test_other_kernels_keep_their_sums_in_registers(machine, case):
    face, channels, filters, axes, groups = OTHERS[case]
    kernel = kernel_of(face, channels, filters, *axes, groups=groups)
    hot = loops(kernel, machine_for(*MACHINES[machine]))
    assert hot
    assert sum(spills(loop, REGISTER[machine]) for loop in hot) == 0


LONG = Axis(5, 1, 1, 2, 2)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("lengths", "axes"), [((93,), (LONG,)), ((28, 28), (SAME, SAME))], ids=str)
@pytest.mark.parametrize("filters", [12, 16, 24, 32, 48, 64, 72])
def test_known_lengths_leave_sums_in_registers(machine, filters, lengths, axes):
    """Much is constant then, and what LLVM makes of the tiles is not the same."""
    kernel = plan(form("y", 64, filters, *axes, lengths=lengths), {}).steps[-1].kernel
    hot = loops(kernel, machine_for(*MACHINES[machine]))
    assert hot
    assert sum(spills(loop, REGISTER[machine]) for loop in hot) == 0


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("channels", [64, 260])
def test_weights_in_lines_leave_sums_in_registers(machine, channels):
    node = form("y", channels, 96, SAME, SAME).outputs[0]
    x, w = node.inputs
    lines = make("input", name="w", shape=to_lines(w).shape, dtype="float32")
    lined = make("conv", x, from_lines(lines), **dict(node.attrs))
    (step,) = plan(Graph((x, lines), (lined,)), {}).steps
    hot = loops(step.kernel, machine_for(*MACHINES[machine]))
    assert hot
    assert sum(spills(loop, REGISTER[machine]) for loop in hot) == 0


# channels, filters, positions of a window
POOLED = [(1, 32, (2, 2)), (32, 64, (2, 2)), (32, 64, (1, 2)), (32, 20, (1, 3))]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("channels", "filters", "window"), POOLED)
def test_sums_of_a_window_stay_in_registers(machine, channels, filters, window):
    graph = form("y", channels, filters, SAME, SAME)
    pool = make("pool_max", graph.outputs[0], axes=tuple(Axis(taps, taps) for taps in window))
    (step,) = plan(Graph(graph.inputs, (pool,)), {}).steps
    hot = loops(step.kernel, machine_for(*MACHINES[machine]))
    assert hot
    assert sum(spills(loop, REGISTER[machine]) for loop in hot) == 0


@pytest.mark.parametrize("machine", MACHINES)
def test_hot_loops_are_mostly_multiply_adds(machine):
    hot = max(loops(kernel_of("y", 64, 64), machine_for(*MACHINES[machine])), key=multiply_adds)
    assert multiply_adds(hot) / len(hot) > 0.5


def test_a_tile_too_large_for_the_registers_is_caught(monkeypatch):
    monkeypatch.setattr(tiles, "rows", lambda vectors, machine: 12)
    hot = loops(kernel_of("y", 64, 64), machine_for(*MACHINES["avx512"]))
    assert sum(spills(loop, "zmm") for loop in hot) > 0


HARNESS = """
#include <stdio.h>
#include <stdlib.h>
#include <stdint.h>
void kernel(void *args, int64_t begin, int64_t end);
int main(int argc, char **argv) {
  FILE *f = fopen(argv[1], "rb");
  int64_t count, tasks, bytes, words[32];
  char *last = 0;
  if (fread(&count, 8, 1, f) != 1 || fread(&tasks, 8, 1, f) != 1) return 1;
  int64_t last_bytes = 0, status = 0;
  words[0] = (int64_t)(intptr_t)&status;
  for (int64_t i = 1; i <= count; i++) {
    if (fread(&bytes, 8, 1, f) != 1) return 1;
    if (bytes < 0) { if (fread(&words[i], 8, 1, f) != 1) return 1; continue; }
    last = malloc(bytes + 64);
    last_bytes = bytes;
    if (fread(last, 1, bytes, f) != (size_t)bytes) return 1;
    words[i] = (int64_t)(intptr_t)last;
  }
  kernel(words, 0, tasks);
  fwrite(last, 1, last_bytes, stdout);
  return status != 0;
}
"""


@pytest.mark.skipif(
    not (shutil.which("qemu-aarch64") and shutil.which("aarch64-linux-gnu-gcc")),
    reason="needs qemu-user and a C compiler for AArch64",
)
@pytest.mark.parametrize("face", ["y", "x", "w"])
@pytest.mark.parametrize(("channels", "filters"), [(5, 19), (3, 64)])
def test_kernels_for_aarch64_run_and_are_right(tmp_path, face, channels, filters):
    described = machine_for(*MACHINES["neon"])
    axis = Axis(3, 2, 1, 1, 1)
    graph = form(face, channels, filters, axis)
    x = normal(0, 2, 21, channels)
    w, y = normal(1, 3, channels, filters), normal(2, 2, 11, filters)
    given = {"x": x, "w": w, "y": y}
    sizes = {"n": 2, "L": 21, "O": 11}
    feeds = {n["name"]: given[n["name"]] for n in graph.inputs}
    (expected,) = reference.run(graph, feeds, sizes)
    values = dict(zip(graph.inputs, feeds.values(), strict=True))
    for step in plan(graph, {}).steps:
        shape = tuple(evaluate(dim, sizes) for dim in step.outputs[0].shape)
        result = run_under_qemu(tmp_path, step, described, values, sizes, shape)
        values[step.outputs[0]] = result
    found = result.reshape(expected.shape)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


def run_under_qemu(folder, step, machine, values, sizes, shape):
    """The output of one kernel, run by an emulator of another processor."""
    (folder / "kernel.o").write_bytes(compile_object(emit(step.kernel, machine), machine))
    (folder / "main.c").write_text(HARNESS)
    program = folder / "program"
    compiler = ["aarch64-linux-gnu-gcc", "-static", "-o", program, "main.c", "kernel.o", "-lm"]
    subprocess.run(compiler, check=True, cwd=folder)
    numbers = [evaluate(dim, sizes) for dim in step.sizes]
    output = np.zeros(shape, np.float32)
    arrays = [values[owner(node, values)] for node in step.inputs]
    count = evaluate(step.at_home(tasks(step.kernel, machine)), sizes)
    # Sizes come after the tensors as arguments; in the file the output is last of the tensors.
    words = [np.int64(len(arrays) + 1 + len(numbers)).tobytes(), np.int64(count).tobytes()]
    for array in (*arrays, output):
        words += [np.int64(array.nbytes).tobytes(), np.ascontiguousarray(array).tobytes()]
    for number in numbers:
        words += [np.int64(-1).tobytes(), np.int64(number).tobytes()]
    (folder / "input").write_bytes(b"".join(words))
    command = ["qemu-aarch64", program, folder / "input"]
    done = subprocess.run(command, check=True, capture_output=True)
    return np.frombuffer(done.stdout, np.float32)


def owner(node, values):
    while node not in values:
        (node,) = node.inputs
    return node


def test_kernels_have_the_one_name_that_the_loader_looks_for():
    (step,) = plan(form("y", 4, 16), {}).steps
    described = machine_for(*MACHINES["avx2"])
    assert f"define void @{frame.SYMBOL}(" in tile.emit(step.kernel, described)
