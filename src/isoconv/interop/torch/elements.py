"""Activations, arithmetic, reductions and layers of ATen, drawn as layers and functions."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

from isoconv import layers
from isoconv.errors import explain
from isoconv.interop.torch.graph import Drawing, Handlers, Unsupported, Weight, concrete
from isoconv.ops.tensor import KerasTensor

HANDLERS = Handlers()

# -- activations ------------------------------------------------------------------------------

NAMED = {
    "relu6": "relu6",
    "selu": "selu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "silu": "silu",
    "mish": "mish",
    "hardsigmoid": "hard_sigmoid",
    "hardswish": "hard_silu",
    "log_sigmoid": "log_sigmoid",
    "softplus": "softplus",
}
"""Activations that Keras has by a name."""


def _named(activation: str) -> Any:
    def draw(drawing: Drawing, a: SimpleNamespace) -> Any:
        return drawing.layer(layers.Activation, a.self, activation)

    return draw


for _aten, _keras in NAMED.items():
    if _aten != "softplus":
        HANDLERS.draws(_aten)(_named(_keras))


@HANDLERS.draws("softplus")
def softplus(drawing: Drawing, a: SimpleNamespace) -> Any:
    if a.beta == 1:
        # Above the threshold torch gives x itself, which is what the formula rounds to.
        return drawing.layer(layers.Activation, a.self, "softplus")
    scaled = drawing.function("multiply", a.self, a.beta)
    curved = drawing.layer(layers.Activation, scaled, "softplus")
    return drawing.function("divide", curved, a.beta)


@HANDLERS.draws("relu")
def relu(drawing: Drawing, a: SimpleNamespace) -> Any:
    return drawing.layer(layers.ReLU, a.self)


@HANDLERS.draws("hardtanh", "clamp", "clip", "clamp_min", "clamp_max")
def clamp(drawing: Drawing, a: SimpleNamespace) -> Any:
    low = getattr(a, "min_val", getattr(a, "min", None))
    high = getattr(a, "max_val", getattr(a, "max", None))
    if low == 0 and high is not None:
        return drawing.layer(layers.ReLU, a.self, high)
    low = -math.inf if low is None else low
    if high is None:
        return drawing.function("maximum", a.self, low)
    if low == -math.inf:
        return drawing.function("minimum", a.self, high)
    return drawing.function("clip", a.self, low, high)


@HANDLERS.draws("leaky_relu")
def leaky_relu(drawing: Drawing, a: SimpleNamespace) -> Any:
    return drawing.layer(layers.LeakyReLU, a.self, a.negative_slope)


@HANDLERS.draws("elu")
def elu(drawing: Drawing, a: SimpleNamespace) -> Any:
    if (a.scale, a.input_scale) != (1, 1):
        given = f"scales {a.scale} and {a.input_scale}"
        raise Unsupported(explain(f"from_torch: {drawing.where()}", given, "1"))
    return drawing.layer(layers.ELU, a.self, a.alpha)


@HANDLERS.draws("celu")
def celu(drawing: Drawing, a: SimpleNamespace) -> Any:
    return drawing.function("celu", a.self, a.alpha)


@HANDLERS.draws("gelu")
def gelu(drawing: Drawing, a: SimpleNamespace) -> Any:
    if a.approximate == "none":
        return drawing.layer(layers.Activation, a.self, "gelu")
    return drawing.function("gelu", a.self, True)


@HANDLERS.draws("prelu")
def prelu(drawing: Drawing, a: SimpleNamespace) -> Any:
    # One slope for all is one for each channel with the same number; training would part them.
    shared = list(range(1, a.self.ndim))
    if a.weight.shape[0] > 1:
        shared.remove(1)
    weights = {"weight": a.weight}
    return drawing.layer(layers.PReLU, a.self, shared_axes=shared, weights=weights)


@HANDLERS.draws("glu")
def glu(drawing: Drawing, a: SimpleNamespace) -> Any:
    rank = len(drawing.sizes())
    (half,) = concrete([drawing.sizes()[a.dim]])
    parts = []
    for part in (slice(0, half), slice(half, None)):
        key = [slice(None)] * rank
        key[a.dim] = part
        parts.append(drawing.function("getitem", a.self, key, suffix="half"))
    gate = drawing.layer(layers.Activation, parts[1], "sigmoid", suffix="gate")
    return drawing.layer(layers.Multiply, [parts[0], gate])


@HANDLERS.draws("threshold")
def threshold(drawing: Drawing, a: SimpleNamespace) -> Any:
    return drawing.function("threshold", a.self, a.threshold, a.value)


@HANDLERS.draws("softmax")
def softmax(drawing: Drawing, a: SimpleNamespace) -> Any:
    return drawing.layer(layers.Softmax, a.self, a.dim)


@HANDLERS.draws("log_softmax")
def log_softmax(drawing: Drawing, a: SimpleNamespace) -> Any:
    return drawing.function("log_softmax", a.self, a.dim)


@HANDLERS.draws("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")
def dropout(drawing: Drawing, a: SimpleNamespace) -> Any:
    name, x = str(drawing.node.target), a.input
    if "alpha" in name:
        return drawing.layer(layers.AlphaDropout, x, a.p)
    if "feature" in name and x.ndim > 2:
        whole = (None, None, *(1,) * (x.ndim - 2))
        return drawing.layer(layers.Dropout, x, a.p, noise_shape=whole)
    return drawing.layer(layers.Dropout, x, a.p)


# -- arithmetic -------------------------------------------------------------------------------

UNARY = {
    "abs": "absolute",
    "ceil": "ceil",
    "cos": "cos",
    "erf": "erf",
    "exp": "exp",
    "expm1": "expm1",
    "floor": "floor",
    "log": "log",
    "log10": "log10",
    "log1p": "log1p",
    "log2": "log2",
    "neg": "negative",
    "reciprocal": "reciprocal",
    "round": "round",
    "rsqrt": "rsqrt",
    "sgn": "sign",
    "sign": "sign",
    "sin": "sin",
    "sqrt": "sqrt",
    "square": "square",
}


def _unary(function: str) -> Any:
    def draw(drawing: Drawing, a: SimpleNamespace) -> Any:
        return drawing.function(function, a.self)

    return draw


for _aten, _ours in UNARY.items():
    HANDLERS.draws(_aten)(_unary(_ours))

MERGED = {
    "add": (layers.Add, "add"),
    "sub": (layers.Subtract, "subtract"),
    "mul": (layers.Multiply, "multiply"),
    "div": (None, "divide"),
    "maximum": (layers.Maximum, "maximum"),
    "minimum": (layers.Minimum, "minimum"),
    "pow": (None, "power"),
}
"""The layer for two tensors of one shape, and the function for all else."""


def _merged(kind: Any, function: str) -> Any:
    def draw(drawing: Drawing, a: SimpleNamespace) -> Any:
        left = getattr(a, "self", None)
        right = a.other if hasattr(a, "other") else a.exponent
        if getattr(a, "rounding_mode", None) is not None:
            given = f"rounding_mode={a.rounding_mode!r}"
            raise Unsupported(explain(f"from_torch: {drawing.where()}", given, "None"))
        left, right = drawing.operand(left), drawing.operand(right)
        if getattr(a, "alpha", 1) != 1:
            right = drawing.function("multiply", right, a.alpha, suffix="scaled")
        both = isinstance(left, KerasTensor) and isinstance(right, KerasTensor)
        alike = both and (left.shape, left.dtype) == (right.shape, right.dtype)
        if kind and alike and left is not right:
            return drawing.layer(kind, [left, right])
        return drawing.function(function, left, right)

    return draw


for _aten, (_kind, _ours) in MERGED.items():
    HANDLERS.draws(_aten)(_merged(_kind, _ours))


COMPARED = {
    "eq": "equal",
    "ge": "greater_equal",
    "gt": "greater",
    "le": "less_equal",
    "logical_and": "logical_and",
    "logical_or": "logical_or",
    "lt": "less",
    "ne": "not_equal",
}


def _compared(function: str) -> Any:
    def draw(drawing: Drawing, a: SimpleNamespace) -> Any:
        left = drawing.operand(getattr(a, "self", None))
        return drawing.function(function, left, drawing.operand(a.other))

    return draw


for _aten, _ours in COMPARED.items():
    HANDLERS.draws(_aten)(_compared(_ours))


BITWISE = {
    "__and__": "logical_and",
    "__or__": "logical_or",
    "bitwise_and": "logical_and",
    "bitwise_or": "logical_or",
}


def _of_bools(function: str) -> Any:
    def draw(drawing: Drawing, a: SimpleNamespace) -> Any:
        if str(drawing.node.meta["val"].dtype) != "torch.bool":
            given = f"{drawing.node.target} of integers"
            raise Unsupported(explain(f"from_torch: {drawing.where()}", given, "bools"))
        return _compared(function)(drawing, a)

    return draw


for _aten, _ours in BITWISE.items():
    HANDLERS.draws(_aten)(_of_bools(_ours))


@HANDLERS.draws("where")
def where(drawing: Drawing, a: SimpleNamespace) -> Any:
    chosen = drawing.operand(getattr(a, "self", None)), drawing.operand(a.other)
    return drawing.function("where", drawing.operand(a.condition), *chosen)


@HANDLERS.draws("masked_fill")
def masked_fill(drawing: Drawing, a: SimpleNamespace) -> Any:
    mask, value = drawing.operand(a.mask), drawing.operand(a.value)
    return drawing.function("where", mask, value, drawing.operand(getattr(a, "self", None)))


@HANDLERS.draws("rsub")
def rsub(drawing: Drawing, a: SimpleNamespace) -> Any:
    taken = a.self if a.alpha == 1 else drawing.function("multiply", a.self, a.alpha)
    return drawing.function("subtract", drawing.operand(a.other), taken)


@HANDLERS.draws("matmul", "bmm", "mm")
def matmul(drawing: Drawing, a: SimpleNamespace) -> Any:
    right = a.other if hasattr(a, "other") else a.mat2
    return drawing.function("matmul", drawing.operand(a.self), drawing.operand(right))


# -- reductions -------------------------------------------------------------------------------


def _reduction(function: str) -> Any:
    def draw(drawing: Drawing, a: SimpleNamespace) -> Any:
        axes = getattr(a, "dim", None)
        axes = concrete(axes) if isinstance(axes, list) else axes
        if axes in ([], None):
            axes = None
        return drawing.function(function, a.self, axes, bool(getattr(a, "keepdim", False)))

    return draw


for _aten, _ours in {"mean": "mean", "sum": "sum", "amax": "max", "amin": "min"}.items():
    HANDLERS.draws(_aten)(_reduction(_ours))


@HANDLERS.draws("max", "min")
def extreme(drawing: Drawing, a: SimpleNamespace) -> Any:
    name = str(drawing.node.target).split(".")[1]
    if hasattr(a, "other"):
        function = f"{name}imum"
        return drawing.function(function, a.self, drawing.operand(a.other))
    if not hasattr(a, "dim"):
        return drawing.function(name, a.self)
    # ATen gives the places too.
    return [drawing.function(name, a.self, a.dim, a.keepdim), None]


# -- layers with weights ----------------------------------------------------------------------


@HANDLERS.draws("linear")
def linear(drawing: Drawing, a: SimpleNamespace) -> Any:
    if not isinstance(a.weight, Weight):
        turned = drawing.function("transpose", drawing.operand(a.weight), suffix="turned")
        product = drawing.function("matmul", drawing.operand(a.input), turned)
        return product if a.bias is None else drawing.function("add", product, a.bias)
    weights = {"weight": a.weight, "bias": a.bias}
    return drawing.layer(
        layers.Dense, a.input, a.weight.shape[0], use_bias=a.bias is not None, weights=weights
    )


@HANDLERS.draws("embedding")
def embedding(drawing: Drawing, a: SimpleNamespace) -> Any:
    rows, width = a.weight.shape
    weights = {"weight": a.weight}
    return drawing.layer(layers.Embedding, a.indices, rows, width, weights=weights)


@HANDLERS.draws("batch_norm")
def batch_norm(drawing: Drawing, a: SimpleNamespace) -> Any:
    if a.running_mean is None:
        given = "no running statistics"
        expected = "track_running_stats=True"
        raise Unsupported(explain(f"from_torch: {drawing.where()}", given, expected))
    weights = {
        "weight": a.weight,
        "bias": a.bias,
        "running_mean": a.running_mean,
        "running_var": a.running_var,
    }
    return drawing.layer(
        layers.BatchNormalization,
        a.input,
        axis=1,
        momentum=1.0 - a.momentum,
        epsilon=a.eps,
        center=a.bias is not None,
        scale=a.weight is not None,
        weights=weights,
    )


@HANDLERS.draws("layer_norm")
def layer_norm(drawing: Drawing, a: SimpleNamespace) -> Any:
    axes = list(range(-len(a.normalized_shape), 0))
    return drawing.layer(layers.LayerNormalization, a.input, axis=axes, **_affine(a))


@HANDLERS.draws("group_norm")
def group_norm(drawing: Drawing, a: SimpleNamespace) -> Any:
    return drawing.layer(layers.GroupNormalization, a.input, a.num_groups, 1, **_affine(a))


@HANDLERS.draws("instance_norm")
def instance_norm(drawing: Drawing, a: SimpleNamespace) -> Any:
    if a.running_mean is not None and not a.use_input_stats:
        given = "running statistics of an instance"
        raise Unsupported(explain(f"from_torch: {drawing.where()}", given, "none"))
    return drawing.layer(layers.GroupNormalization, a.input, -1, 1, **_affine(a))


def _affine(a: SimpleNamespace) -> dict[str, Any]:
    return {
        "epsilon": a.eps,
        "center": a.bias is not None,
        "scale": a.weight is not None,
        "weights": {"weight": a.weight, "bias": a.bias},
    }
