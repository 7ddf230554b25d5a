"""Whole programs: sizes and memory at run time, threads, tensors overwritten in place."""

import resource
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from compiled import executable, normal, run, tensor

from isoconv import reference
from isoconv.errors import RuntimeCheckError, ShapeError
from isoconv.ir.geometry import Axis, same
from isoconv.ir.graph import Graph, Node
from isoconv.ir.ops import make
from isoconv.runtime import jit


def number(value: float, rank: int) -> Node:
    return make("full", value=value, shape=(1,) * rank, dtype="float32")


def network() -> Graph:
    """Two convolutions with a bias and a relu, a strided one, a mean over a length of any size."""
    x, w, v = tensor("x", "n", "L", 3), tensor("w", 3, 3, 20), tensor("v", 4, 20, 33)
    bias = tensor("bias", 1, 1, 20)
    first = Axis(3, 1, 1, 1, 1)
    y = make("conv", x, w, face="y", axes=(first,), groups=1, sizes=x.shape[1:2])
    y = make("relu", make("add", y, bias))
    second = Axis(4, 2, 1, *same(y.shape[1], 4, 2, 1))
    z = make("conv", y, v, face="y", axes=(second,), groups=1, sizes=y.shape[1:2])
    z = make("tanh", z)
    return Graph((x, w, v, bias), (make("reduce_sum", z, axes=(1,)), z))


def feeds(batch: int, length: int) -> list[np.ndarray]:
    weights = [normal(1, 3, 3, 20), normal(2, 4, 20, 33), normal(3, 1, 1, 20)]
    return [normal(0, batch, length, 3), *weights]


def test_new_sizes_compile_nothing_and_match_the_reference():
    graph = network()
    program = executable(graph)
    program(feeds(2, 5))
    before = jit.loaded()
    for batch, length in [(1, 1), (3, 7), (2, 64), (5, 333), (0, 9)]:
        arrays = feeds(batch, length)
        expected = reference.run(graph, dict(zip(["x", "w", "v", "bias"], arrays, strict=True)))
        for found, wanted in zip(program(arrays), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    assert jit.loaded() == before


def test_the_same_bits_for_any_batch_place_and_number_of_threads():
    graph = network()
    arrays = feeds(9, 150)
    total, whole = executable(graph, threads=1)(arrays)
    for threads in (1, 2, 5):
        program = executable(graph, threads=threads)
        for start, stop in [(0, 9), (0, 1), (4, 5), (3, 8)]:
            part = [np.ascontiguousarray(arrays[0][start:stop]), *arrays[1:]]
            again, some = program(part)
            np.testing.assert_array_equal(some, whole[start:stop])
            np.testing.assert_array_equal(again, total[start:stop])


def test_equal_forms_give_the_same_bits():
    x, w = normal(0, 3, 40, 7), normal(1, 5, 7, 19)
    one = conv(x, w, (Axis(5, 2, 1, 2, 1),))
    column = conv(x[:, :, None], w[:, None], (Axis(5, 2, 1, 2, 1), Axis(1)))
    row = conv(x[:, None], w[None], (Axis(1), Axis(5, 2, 1, 2, 1)))
    spanning = conv(x[..., None], w[..., None, :], (Axis(5, 2, 1, 2, 1), Axis(7)))
    for other in (column, row, spanning):
        np.testing.assert_array_equal(other.reshape(one.shape), one)


def test_a_convolution_of_one_tap_is_a_dense_layer_bit_for_bit():
    x, w = normal(0, 3, 40, 7), normal(1, 7, 19)
    np.testing.assert_array_equal(conv(x, w[None], (Axis(1),)), conv(x, w, ()))


def test_a_grouped_depthwise_and_block_diagonal_kernel_give_the_same_bits():
    x, w = normal(0, 2, 30, 6), normal(1, 3, 1, 6)
    apart = conv(x, w, (Axis(3),), groups=6)
    diagonal = np.zeros((3, 6, 6), np.float32)
    diagonal[:, range(6), range(6)] = w[:, 0]
    np.testing.assert_array_equal(apart, conv(x, diagonal, (Axis(3),)))


def conv(x, w, axes, groups=1):
    given = tensor("x", *x.shape), tensor("w", *w.shape)
    sizes = x.shape[x.ndim - 1 - len(axes) : -1]
    node = make("conv", *given, face="y", axes=axes, groups=groups, sizes=sizes)
    return run([node], {"x": x, "w": w})[0]


def test_padding_and_sizes_decided_at_run_time_are_checked():
    x, w = tensor("x", "n", "L", 2), tensor("w", 5, 2, 3)
    y = make("conv", x, w, face="y", axes=(Axis(5),), groups=1, sizes=x.shape[1:2])
    program = executable(Graph((x, w), (y,)))
    with pytest.raises(RuntimeCheckError, match=r"over 4 \(input 4"):
        program([normal(0, 1, 4, 2), normal(1, 5, 2, 3)])
    with pytest.raises(ShapeError, match="w"):
        program([normal(0, 1, 9, 2), normal(1, 5, 3, 3)])


def test_variables_are_overwritten_after_they_were_last_read():
    """w changes, and what reads the old w comes first although it is asked for later."""
    w, step = tensor("w", 6, 7), tensor("step", 6, 7)
    new = make("sub", w, step)
    turned = make("transpose", w, perm=(1, 0))
    total = make("reduce_sum", w, axes=(0, 1))
    graph = Graph((w, step), (new, turned, total))
    old, by = normal(0, 6, 7), normal(1, 6, 7)
    array = old.copy()
    found = executable(graph, in_place={0: 0})([array, by])
    assert found[0] is array
    np.testing.assert_array_equal(array, old - by)
    np.testing.assert_array_equal(found[1], old.T)
    np.testing.assert_allclose(found[2], old.sum(keepdims=True), rtol=1e-5)


def test_a_variable_may_be_overwritten_by_its_own_transpose_or_another_one():
    a, b = tensor("a", 5, 5), tensor("b", 5, 5)
    graph = Graph((a, b), (make("transpose", a, perm=(1, 0)), make("add", a, b)))
    one, two = normal(0, 5, 5), normal(1, 5, 5)
    arrays = [one.copy(), two.copy()]
    executable(graph, in_place={0: 0, 1: 1})(arrays)
    np.testing.assert_array_equal(arrays[0], one.T)
    np.testing.assert_array_equal(arrays[1], one + two)


def test_an_output_may_be_an_input_a_constant_or_another_output():
    x = tensor("x", "n", 4)
    flat = make("reshape", x, shape=(x.shape[0] * 4,))
    y = make("neg", x)
    full = make("full", value=2.5, shape=x.shape, dtype="float32")
    given = normal(0, 3, 4)
    square = make("reshape", y, shape=(x.shape[0], 2, 2))
    outputs = run([x, flat, y, y, full, square], {"x": given})
    constant, opposite = np.full_like(given, 2.5), -given
    wanted = [given, given.ravel(), opposite, opposite, constant, opposite.reshape(3, 2, 2)]
    for found, expected in zip(outputs, wanted, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_one_program_may_be_called_from_many_threads():
    program = executable(network())
    wanted = {length: program(feeds(2, length)) for length in (5, 50, 200)}

    def call(i: int) -> bool:
        length = (5, 50, 200)[i % 3]
        found = program(feeds(2, length))
        return all(map(np.array_equal, found, wanted[length]))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(call, range(200)))


def test_denormals_cost_nothing_and_the_callers_mode_comes_back():
    x = tensor("x", 4)
    tiny = np.full(4, 1e-40, np.float32)
    (found,) = run([make("mul", x, number(1.5, 1))], {"x": tiny})
    np.testing.assert_array_equal(found, 0)
    assert (tiny * np.float32(1.5)).max() > 0


def test_memory_stays_flat_over_changing_lengths():
    program = executable(network())
    rng = np.random.default_rng(0)
    weights = feeds(1, 1)[1:]

    def call(times: int) -> None:
        for length in rng.integers(1, 300, times):
            program([normal(0, 2, int(length), 3), *weights])

    program([normal(0, 2, 300, 3), *weights])
    call(1000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    call(10_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2048
