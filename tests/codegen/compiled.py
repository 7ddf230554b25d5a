"""Running graphs compiled, and how far they may be from the reference."""

import numpy as np

from isoconv import reference
from isoconv.ir.graph import Graph, Node
from isoconv.ir.ops import make
from isoconv.ir.sizes import name
from isoconv.plan.program import plan
from isoconv.runtime.executable import Executable
from isoconv.runtime.host import host

EPS = {"float32": 2**-24, "float64": 2**-53}


def tensor(label: str, *shape, dtype: str = "float32") -> Node:
    """An input; sizes given as text are known at run time only."""
    dims = tuple(name(dim) if isinstance(dim, str) else dim for dim in shape)
    return make("input", name=label, shape=dims, dtype=dtype)


def normal(seed: int, *shape: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def executable(graph: Graph, threads: int = 2, machine=None, in_place=None) -> Executable:
    return Executable(plan(graph, in_place or {}), machine or host(), in_place or {}, threads)


def run(outputs: list[Node], feeds: dict[str, np.ndarray], **kwargs) -> list[np.ndarray]:
    """The outputs, compiled, for arrays given by the names of the inputs."""
    inputs = tuple(n for n in Graph((), tuple(outputs)).nodes if n.op == "input")
    graph = Graph(inputs, tuple(outputs))
    return executable(graph, **kwargs)([feeds[n["name"]] for n in inputs])


def error_and_bound(conv: Node, feeds: dict[str, np.ndarray], found: np.ndarray, sizes=None):
    """The distance from the float64 reference, and 4 eps sqrt(K) sum |x||w| for each element."""
    graph = Graph(tuple(conv.inputs), (conv,))

    def exactly(change):
        given = {key: change(value) for key, value in feeds.items()}
        return reference.run(graph, given, sizes, precision="float64")[0]

    total, terms = exactly(np.abs), exactly(np.ones_like)
    bound = 4 * EPS[conv.dtype] * np.sqrt(np.maximum(terms, 1)) * total
    return np.abs(found - exactly(np.asarray)), bound
