"""At least one use of every operation, with run-time sizes where it can have them."""

import numpy as np

from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node
from isoconv.ir.ops import make
from isoconv.ir.sizes import evaluate, name
from oracles import leaves

N, L = name("n"), name("L")
SIZES = {"n": 2, "L": 9}


def tensor(label: str, *shape, dtype: str = "float64") -> Node:
    return make("input", name=label, shape=shape, dtype=dtype)


X = tensor("x", N, L, 3)
ROW = tensor("row", 1, 1, 3)
CONDITION = tensor("condition", N, 1, 3, dtype="bool")
FLAGS = tensor("flags", N, L, 3, dtype="bool")
KEY = tensor("key", dtype="int64")

UNARY = ["neg", "abs", "sign", "floor", "relu"]
UNARY += ["sqrt", "exp", "expm1", "log", "log1p", "tanh", "erf", "sin", "cos"]
BINARY = ["add", "sub", "mul", "div", "max", "min", "pow", "rem", "lt", "le", "eq"]

SAMPLES: dict[str, Node] = {op: make(op, X) for op in UNARY}
SAMPLES |= {op: make(op, X, tensor("y", N, L, 3)) for op in BINARY}
SAMPLES |= {f"{op} of a row": make(op, ROW, X) for op in BINARY}
SAMPLES |= {
    "and": make("and", FLAGS, CONDITION),
    "or": make("or", FLAGS, CONDITION),
    "not": make("not", FLAGS),
    "where": make("where", CONDITION, X, ROW),
    "cast": make("cast", X, dtype="float32"),
    "cast to integers": make("cast", X, dtype="int32"),
    "input": X,
    "full": make("full", value=-0.0, shape=(N, 2), dtype="float64"),
    "iota": make("iota", axis=1, shape=(N, L), dtype="int32"),
    "size": make("size", dim=N * L, dtype="float32"),
    "random": make("random", KEY, shape=(N, L), dtype="float64"),
    "reshape": make("reshape", X, shape=(N, L * 3)),
    "after": make("after", X, ROW),
    "transpose": make("transpose", X, perm=(2, 0, 1)),
    "broadcast": make("broadcast", ROW, shape=(N, L, 3)),
    "pad": make("pad", X, low=(1, -1, 0), high=(0, 2, 0), interior=(0, 1, 0), value=2.5),
    "pad by a size": make(
        "pad", X, low=(0, L - 7, 0), high=(0, 3, 0), interior=(0, 0, 0), value=0.0
    ),
    "slice": make("slice", X, start=(0, 1, 2), shape=(N, (L - 1) // 2, 1), step=(1, 2, 1)),
    "reverse": make("reverse", X, axes=(1, 2)),
    "concat": make("concat", X, tensor("z", N, 4, 3), X, axis=1),
    "reduce_sum": make("reduce_sum", X, axes=(0, 1)),
    "reduce_max": make("reduce_max", X, axes=(1, 2)),
    "argmax": make("argmax", X, axis=1),
    "gather": make("gather", tensor("table", L, 2), tensor("rows", N, 3, dtype="int32")),
    "scatter_add": make("scatter_add", tensor("rows", N, dtype="int64"), tensor("z", N, 3), rows=L),
}

WINDOW = (Axis(3, 2, 1, 1, 0),)
OUTPUTS = WINDOW[0].output(L)
TAPS = tensor("taps", N, OUTPUTS, 3, dtype="int32")
SAMPLES |= {
    "pool_max": make("pool_max", X, axes=WINDOW),
    "pool_argmax": make("pool_argmax", X, axes=WINDOW),
    "pool_take": make("pool_take", X, TAPS, axes=WINDOW),
    "pool_scatter": make(
        "pool_scatter", tensor("dy", N, OUTPUTS, 3), TAPS, axes=WINDOW, sizes=(L,)
    ),
}

TILES = (Axis(4, 2, 1, 1, 0),)
SAMPLES |= {
    "to_points": make("to_points", X, axes=TILES, schemes=("F(2,3)",), side="data"),
    "from_points": make(
        "from_points",
        tensor("v", N, TILES[0].output(L), 12),
        axes=TILES,
        schemes=("F(2,3)",),
        side="data",
        sizes=(L,),
    ),
}

IMAGE = (Axis(2, 2, 1, 0, 1), Axis(3, 1, 2, -1, L))
FEATURES = tuple(axis.output(dim) for axis, dim in zip(IMAGE, (L, 6), strict=True))
PARTS = {
    "x": tensor("x", N, L, 6, 4),
    "w": tensor("w", 2, 3, 2, 6),
    "y": tensor("y", N, *FEATURES, 6),
}
for face, operands in {"y": "xw", "x": "wy", "w": "xy"}.items():
    parts = [PARTS[part] for part in operands]
    SAMPLES[f"conv face {face}"] = make(
        "conv", *parts, face=face, axes=IMAGE, groups=2, sizes=(L, 6)
    )
SAMPLES["conv"] = make("conv", X, tensor("w", 3, 5), face="y", axes=(), groups=1, sizes=())


def feeds(node: Node, seed: int = 0) -> dict[str, np.ndarray]:
    """Arrays for the inputs that a sample needs; integers are 0 or 1."""
    random = np.random.default_rng(seed)
    found = {}
    positive = node.op in ("log", "log1p", "sqrt", "pow")
    for leaf in leaves([node]):
        shape = [evaluate(dim, SIZES) for dim in leaf.shape]
        if leaf.dtype.startswith("float"):
            array = random.normal(size=shape)
            array = np.abs(array) + 0.1 if positive else array
        else:
            array = random.integers(0, 2, shape)
        found[leaf["name"]] = array.astype(leaf.dtype)
    return found
