"""What tests of programs share: running nodes on arrays, and other libraries' convolutions."""

from collections.abc import Sequence

import jax
import numpy as np

from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Graph, Node, sort
from isoconv.ir.ops import make
from isoconv.reference import run


def given(name: str, array: np.ndarray) -> Node:
    """The input of a program that takes `array`."""
    return make("input", name=name, shape=array.shape, dtype=array.dtype.name)


def leaves(outputs: Sequence[Node]) -> tuple[Node, ...]:
    return tuple(node for node in sort(outputs) if node.op == "input")


def values(outputs: Sequence[Node], feeds: dict, **options) -> list[np.ndarray]:
    """What the reference gives for nodes, from arrays by the names of their inputs."""
    return run(Graph(leaves(outputs), tuple(outputs)), feeds, **options)


def value(node: Node, feeds: dict, **options) -> np.ndarray:
    return values([node], feeds, **options)[0]


def compute(op: str, *arrays: np.ndarray, **attrs) -> np.ndarray:
    """One operation on arrays."""
    nodes = [given(f"x{i}", array) for i, array in enumerate(arrays)]
    return value(make(op, *nodes, **attrs), {f"x{i}": array for i, array in enumerate(arrays)})


def numbers(*shape: int, seed: int = 0, dtype: str = "float64") -> np.ndarray:
    """Random numbers that depend on the shape and seed alone."""
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def conv_by_jax(x, w, axes: Sequence[Axis], groups: int):
    """Face y of one batch axis, as JAX computes it; differentiable."""
    n = len(axes)
    data, kernel = (0, n + 1, *range(1, n + 1)), (n + 1, n, *range(n))
    return jax.lax.conv_general_dilated(
        x,
        w,
        [axis.stride for axis in axes],
        [(axis.low, axis.high) for axis in axes],
        rhs_dilation=[axis.dilation for axis in axes],
        dimension_numbers=jax.lax.ConvDimensionNumbers(data, kernel, data),
        feature_group_count=groups,
    )


def assert_close(actual, expected, terms: int = 1) -> None:
    """Equal up to the rounding of a sum of `terms` products of numbers near 1."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    eps = np.finfo(expected.dtype).eps if expected.dtype.kind == "f" else 0
    scale = max(1.0, float(np.max(np.abs(expected), initial=0, where=np.isfinite(expected))))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=8 * eps * max(terms, 4) * scale)
