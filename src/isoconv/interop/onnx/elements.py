"""Reading ONNX operations on single elements, and reductions."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

from isoconv import dtypes
from isoconv.interop.onnx.site import Drawn, Handler, Site, as_numbers, reads
from isoconv.layers import ELU, Activation, Identity, LeakyReLU, PReLU, ReLU, Softmax

# -- one operand ------------------------------------------------------------------------------

_FUNCTIONS = {
    "Neg": "negative",
    "Abs": "absolute",
    "Sign": "sign",
    "Floor": "floor",
    "Ceil": "ceil",
    "Round": "round",
    "Sqrt": "sqrt",
    "Reciprocal": "reciprocal",
    "Exp": "exp",
    "Log": "log",
    "Sin": "sin",
    "Cos": "cos",
    "Erf": "erf",
    "Not": "logical_not",
    "IsNaN": "isnan",
}


def _function(name: str) -> Handler:
    return lambda site: site.call(name, site.drawn(0))


for _op, _name in _FUNCTIONS.items():
    reads(_op)(_function(_name))

_ACTIVATIONS = {
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "HardSwish": "hard_silu",
}


def _activation(name: str) -> Handler:
    return lambda site: site.layer(Activation, site.drawn(0), activation=name)


for _op, _name in _ACTIVATIONS.items():
    reads(_op)(_activation(_name))


@reads("Relu")
def relu(site: Site) -> Any:
    x = site.drawn(0)
    return site.layer(ReLU, x) if dtypes.is_float(x.dtype) else site.call("relu", x)


@reads("LeakyRelu")
def leaky_relu(site: Site) -> Any:
    slope = site.get("alpha", 0.01)
    if slope < 0:
        return site.call("leaky_relu", site.drawn(0), negative_slope=slope)
    return site.layer(LeakyReLU, site.drawn(0), negative_slope=slope)


@reads("Elu")
def elu(site: Site) -> Any:
    return site.layer(ELU, site.drawn(0), alpha=site.get("alpha", 1.0))


@reads("Selu")
def selu(site: Site) -> Any:
    alpha, gamma = site.get("alpha", 1.67326319217681884765625), site.get("gamma", 1.05070102214813)
    if math.isclose(alpha, 1.6732632, rel_tol=1e-6) and math.isclose(gamma, 1.050701, rel_tol=1e-6):
        return site.layer(Activation, site.drawn(0), activation="selu")
    return site.call("multiply", site.call("elu", site.drawn(0), alpha=alpha), gamma)


@reads("Celu")
def celu(site: Site) -> Any:
    return site.call("celu", site.drawn(0), alpha=site.get("alpha", 1.0))


@reads("Gelu")
def gelu(site: Site) -> Any:
    approximate = site.get("approximate", "none") == "tanh"
    return site.call("gelu", site.drawn(0), approximate=approximate)


@reads("HardSigmoid")
def hard_sigmoid(site: Site) -> Any:
    sloped = site.call("multiply", site.drawn(0), site.get("alpha", 0.2))
    return site.call("clip", site.call("add", sloped, site.get("beta", 0.5)), 0.0, 1.0)


@reads("ThresholdedRelu")
def thresholded_relu(site: Site) -> Any:
    return site.call("threshold", site.drawn(0), site.get("alpha", 1.0), 0.0)


@reads("Mish")
def mish(site: Site) -> Any:
    x = site.drawn(0)
    return site.call("multiply", x, site.call("tanh", site.call("softplus", x)))


@reads("Swish")
def swish(site: Site) -> Any:
    x = site.drawn(0)
    inner = site.call("multiply", x, site.get("alpha", 1.0))
    return site.call("multiply", x, site.call("sigmoid", inner))


@reads("PRelu")
def prelu(site: Site) -> Any:
    x, slope = site.drawn(0), site.required(1)
    if isinstance(slope, Drawn):
        return _prelu_of(site, x, slope)
    alpha = as_numbers(slope)
    if site.opset < 7 and alpha.ndim == 1 and alpha.size > 1:
        alpha = alpha.reshape(-1, *(1,) * (x.ndim - 2))
    alpha = alpha.reshape((1,) * (x.ndim - 1 - alpha.ndim) + alpha.shape)
    if alpha.ndim != x.ndim - 1 or any(
        s not in (1, d) for s, d in zip(alpha.shape, x.dims[1:], strict=True)
    ):
        return _prelu_of(site, x, site.drawn(1))
    shared = [axis + 1 for axis, size in enumerate(alpha.shape) if size == 1]
    weights = {"alpha": (alpha, site.names[1], None)}
    return site.layer(PReLU, x, weights=weights, shared_axes=shared or None)


def _prelu_of(site: Site, x: Drawn, slope: Drawn) -> Any:
    """PRelu with slopes that are no weights of one layer."""
    below = site.call("multiply", slope, site.call("relu", site.call("negative", x)))
    return site.call("subtract", site.call("relu", x), below)


@reads("Softmax", "LogSoftmax")
def softmax(site: Site) -> Any:
    x = site.drawn(0)
    axis: Any = site.axis(site.get("axis", -1 if site.opset >= 13 else 1), x.ndim)
    if site.opset < 13 and axis < x.ndim - 1:
        # Older opsets mean all axes from there on.
        axis = list(range(axis, x.ndim))
    if site.op == "LogSoftmax":
        return site.call("log_softmax", x, axis=axis)
    return site.layer(Softmax, x, axis=axis)


@reads("Cast", "CastLike")
def cast(site: Site) -> Any:
    if site.op == "CastLike":
        like = site.required(1)
        dtype = like.dtype if isinstance(like, Drawn) else like.dtype.name
    else:
        dtype = site.dtype(site.get("to", 0))
    return site.call("cast", site.drawn(0), dtype=dtype)


@reads("Clip")
def clip(site: Site) -> Any:
    x = site.drawn(0)
    bounds = [site.get("min"), site.get("max")]
    for index in (0, 1):
        if site.operand(index + 1) is not None:
            bounds[index] = site.scalar_or_drawn(index + 1)
    for name, bound in zip(("maximum", "minimum"), bounds, strict=True):
        if isinstance(bound, Drawn) or (bound is not None and math.isfinite(bound)):
            x = site.call(name, x, bound)
    return site.call("add", x, 0) if x is site.operand(0) else x


# -- several operands -------------------------------------------------------------------------

_BINARY = {
    "Add": "add",
    "Sub": "subtract",
    "Mul": "multiply",
    "And": "logical_and",
    "Or": "logical_or",
    "Xor": "not_equal",
    "Equal": "equal",
    "Less": "less",
    "LessOrEqual": "less_equal",
    "Greater": "greater",
    "GreaterOrEqual": "greater_equal",
}


def _operands(site: Site) -> list[Any]:
    """Both operands of an elementwise operation; broadcast as before opset 7 where that is meant.

    One that is a single number known now is a number, unless the other is one as well.
    """
    x, y = site.required(0), site.required(1)
    if site.opset < 7 and site.flag("broadcast") and "axis" in site.attributes:
        after = x.ndim - site.axis(site.get("axis"), x.ndim) - y.ndim
        if isinstance(y, Drawn):
            places = [y.ndim + i for i in range(after)]
            return [site.drawn(0), site.call("expand_dims", y, axis=places)]
        return [site.drawn(0), site.as_drawn(y.reshape(*y.shape, *(1,) * after))]
    if isinstance(x, Drawn):
        return [x, site.scalar_or_drawn(1)]
    return [site.scalar_or_drawn(0), site.drawn(1)]


def _binary(name: str) -> Handler:
    return lambda site: site.call(name, *_operands(site))


for _op, _name in _BINARY.items():
    reads(_op)(_binary(_name))


def _dtype(site: Site) -> str:
    """The dtype of the first operand, which is that of the result."""
    value = site.required(0)
    return value.dtype if isinstance(value, Drawn) else value.dtype.name


@reads("Div")
def div(site: Site) -> Any:
    left, right = _operands(site)
    if dtypes.is_float(_dtype(site)):
        return site.call("divide", left, right)
    return _quotient(site, left, right)


def _quotient(site: Site, left: Any, right: Any) -> Any:
    """Whole numbers divided and cut towards zero."""
    left, right = site.drawn(0), site.drawn(1)
    sizes = (site.call("absolute", side) for side in (left, right))
    signs = [site.call("sign", side) for side in (left, right)]
    quotient = site.call("floor_divide", *sizes)
    return site.call("multiply", quotient, site.call("multiply", *signs))


@reads("Mod")
def mod(site: Site) -> Any:
    left, right = site.drawn(0), site.drawn(1)
    if not site.flag("fmod"):
        return site.call("mod", left, right)
    if not dtypes.is_float(left.dtype):
        whole = _quotient(site, left, right)
        return site.call("subtract", left, site.call("multiply", whole, right))
    rest = site.call("mod", *(site.call("absolute", side) for side in (left, right)))
    return site.call("multiply", rest, site.call("sign", left))


@reads("Pow")
def power(site: Site) -> Any:
    base, exponent = _operands(site)
    if isinstance(exponent, float) and exponent in (1.0, 2.0, 3.0, 4.0):
        exponent = int(exponent)
    result = site.call("power", base, exponent)
    return result if result.dtype == _dtype(site) else site.call("cast", result, dtype=_dtype(site))


@reads("Min", "Max", "Sum", "Mean")
def many(site: Site) -> Any:
    name = {"Min": "minimum", "Max": "maximum"}.get(site.op, "add")
    values = [site.drawn(index) for index in range(len(site.inputs))]
    total = reduce(lambda x, y: site.call(name, x, y), values)
    if site.op == "Mean":
        return site.call("divide", total, float(len(values)))
    return site.layer(Identity, total) if len(values) == 1 else total


@reads("Where")
def where(site: Site) -> Any:
    return site.call("where", site.drawn(0), *(site.scalar_or_drawn(i) for i in (1, 2)))


# -- reductions -------------------------------------------------------------------------------

_REDUCTIONS = {
    "ReduceSum": "sum",
    "ReduceMean": "mean",
    "ReduceMax": "max",
    "ReduceMin": "min",
    "ReduceLogSumExp": "logsumexp",
}


def _axes(site: Site, x: Drawn) -> dict[str, Any] | None:
    """The axes to reduce and whether they are kept; None where nothing is to be reduced."""
    wanted = site.listed("axes", 1)
    if not wanted:
        if site.flag("noop_with_empty_axes"):
            return None
        wanted = list(range(x.ndim))
    axes = [site.axis(axis, x.ndim) for axis in wanted]
    return {"axis": sorted(set(axes)), "keepdims": site.flag("keepdims", 1)}


@reads(*_REDUCTIONS)
def reduced(site: Site) -> Any:
    x = site.drawn(0)
    options = _axes(site, x)
    if options is None:
        return site.call("add", x, 0)
    result = site.call(_REDUCTIONS[site.op], x, **options)
    return result if result.dtype == x.dtype else site.call("cast", result, dtype=x.dtype)


@reads("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum")
def reduced_after(site: Site) -> Any:
    x = site.drawn(0)
    before = {"ReduceL1": "absolute", "ReduceLogSum": ""}.get(site.op, "square")
    after = {"ReduceL2": "sqrt", "ReduceLogSum": "log"}.get(site.op, "")
    options = _axes(site, x)
    result = site.call(before, x) if before else x
    result = result if options is None else site.call("sum", result, **options)
    if after:
        result = site.call(after, result)
    return result if result.dtype == x.dtype else site.call("cast", result, dtype=x.dtype)


@reads("ArgMax", "ArgMin")
def arg(site: Site) -> Any:
    x = site.drawn(0)
    if site.flag("select_last_index"):
        raise site.fail("select_last_index", "the first of equal ones")
    name = site.op.lower()
    axis = site.axis(site.get("axis", 0), x.ndim)
    found = site.call(name, x, axis=axis, keepdims=site.flag("keepdims", 1))
    return site.call("cast", found, dtype="int64")
