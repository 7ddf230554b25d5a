"""Reading ONNX operations with weights other than convolutions: products, normalizations."""

from __future__ import annotations

from typing import Any

import numpy as np

from isoconv.interop.onnx.site import Array, Drawn, Site, Value, as_numbers, reads
from isoconv.layers import (
    BatchNormalization,
    Dense,
    Dropout,
    GroupNormalization,
    Identity,
    LayerNormalization,
)


@reads("Identity")
def identity(site: Site) -> Any:
    """The operand as it is, in a layer of its own."""
    return site.layer(Identity, site.drawn(0))


@reads("Dropout")
def dropout(site: Site) -> Any:
    given, training = site.operand(1), site.operand(2)
    if training is not None and (isinstance(training, Drawn) or as_numbers(training).any()):
        raise site.fail("training_mode", "a model exported for inference")
    rate = float(as_numbers(given).item()) if isinstance(given, np.ndarray) else 0.5
    return site.layer(Dropout, site.drawn(0), rate=site.get("ratio", rate))


# -- products ---------------------------------------------------------------------------------


@reads("MatMul")
def matmul(site: Site) -> Any:
    found = dense(site, None, "")
    return site.call("matmul", site.drawn(0), site.drawn(1)) if found is None else found


def dense(site: Site, bias: Value | None, name: str) -> Drawn | None:
    """A product with a constant matrix, and a bias if it fits, as a layer; None where it is not
    that.
    """
    x, kernel = site.required(0), site.required(1)
    if not isinstance(x, Drawn) or not isinstance(kernel, np.ndarray):
        return None
    if kernel.ndim != 2 or x.ndim < 2 or kernel.dtype.name != x.dtype or x.dtype[0] != "f":
        return None
    units = kernel.shape[1]
    if bias is not None and (not isinstance(bias, np.ndarray) or bias.shape != (units,)):
        return None
    weights = {"kernel": (kernel, site.names[1], None)}
    if bias is not None:
        weights["bias"] = (bias, name, None)
    found: Drawn = site.layer(Dense, x, weights=weights, units=units, use_bias=bias is not None)
    return found


@reads("Gemm")
def gemm(site: Site) -> Any:
    alpha, beta = site.get("alpha", 1.0), site.get("beta", 1.0)
    x, kernel, bias = site.drawn(0), site.required(1), site.operand(2)
    turned = site.flag("transB")
    if site.flag("transA"):
        x = site.call("transpose", x)
    units = kernel.shape[0 if turned else 1] if isinstance(kernel, np.ndarray) else -1
    fits = bias is None or (isinstance(bias, np.ndarray) and bias.size in (1, units))
    if isinstance(kernel, np.ndarray) and fits and kernel.ndim == 2 and x.dtype[0] == "f":
        own = as_numbers(kernel).T if turned else as_numbers(kernel)
        weights: dict[str, Any] = {
            "kernel": (own * own.dtype.type(alpha), site.names[1], (1, 0) if turned else None)
        }
        if isinstance(bias, np.ndarray):
            added = np.broadcast_to(bias.reshape(-1) * bias.dtype.type(beta), (units,))
            weights["bias"] = (added, site.names[2], None)
        return site.layer(Dense, x, weights=weights, units=units, use_bias=bias is not None)
    right = site.drawn(1)
    if turned:
        right = site.call("transpose", right)
    result = site.call("matmul", x, right)
    if alpha != 1:
        result = site.call("multiply", result, alpha)
    if bias is None:
        return result
    scaled = site.drawn(2)
    return site.call("add", result, site.call("multiply", scaled, beta) if beta != 1 else scaled)


# -- normalizations ---------------------------------------------------------------------------


@reads("BatchNormalization")
def batch_normalization(site: Site) -> Any:
    x, epsilon = site.drawn(0), site.get("epsilon", 1e-5)
    if site.flag("training_mode") or not site.flag("spatial", 1):
        raise site.fail("training_mode or spatial=0", "normalization by the statistics given")
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    given = [site.required(i) for i in range(1, 5)]
    channels = x.dims[1] if x.ndim > 1 else 1
    if all(isinstance(v, np.ndarray) for v in given) and x.ndim > 1 and isinstance(channels, int):
        each = enumerate(zip(names, given, strict=True), 1)
        weights = {name: (value, site.names[i], None) for i, (name, value) in each}
        momentum = site.get("momentum", 0.9)
        return site.layer(
            BatchNormalization, x, weights=weights, axis=1, epsilon=epsilon, momentum=momentum
        )
    gamma, beta, mean, variance = (_along(site, i, x.ndim) for i in range(1, 5))
    return _normalized(site, x, mean, variance, epsilon, gamma, beta)


def _along(site: Site, index: int, rank: int) -> Drawn:
    """An operand that has one number a channel, in a shape that broadcasts."""
    found: Drawn = site.call("reshape", site.drawn(index), newshape=[-1, *(1,) * (rank - 2)])
    return found


def _normalized(
    site: Site, x: Drawn, mean: Drawn, variance: Drawn, epsilon: float, gamma: Any, beta: Any
) -> Any:
    factor = site.call("rsqrt", site.call("add", variance, epsilon))
    result = site.call("multiply", site.call("subtract", x, mean), factor)
    if gamma is not None:
        result = site.call("multiply", result, gamma)
    return result if beta is None else site.call("add", result, beta)


@reads("InstanceNormalization", "GroupNormalization")
def group_normalization(site: Site) -> Any:
    x, epsilon = site.drawn(0), site.get("epsilon", 1e-5)
    channels = x.dims[1] if x.ndim > 2 else None
    if not isinstance(channels, int):
        raise site.fail(f"an input of shape {x.dims}", "a known number of channels")
    groups = int(site.get("num_groups", channels))
    each = [site.required(1), site.required(2)]
    if site.op == "GroupNormalization" and site.opset < 21:
        if any(isinstance(value, Drawn) for value in each) or groups < 1:
            raise site.fail("scales that are computed", "constants", "Convert it to opset 21.")
        # Before opset 21 a group has one scale for all its channels.
        each = [np.repeat(as_numbers(v), channels // groups) for v in each]  # type: ignore[arg-type]
    options: dict[str, Any] = {"groups": groups, "axis": 1, "epsilon": epsilon}
    names = zip(("gamma", "beta"), each, site.names[1:], strict=False)
    if all(isinstance(value, np.ndarray) for value in each):
        weights = {attribute: (value, name, None) for attribute, value, name in names}
        return site.layer(GroupNormalization, x, weights=weights, **options)
    plain = site.layer(GroupNormalization, x, center=False, scale=False, **options)
    gamma, beta = (_along(site, i, x.ndim) for i in (1, 2))
    return site.call("add", site.call("multiply", plain, gamma), beta)


@reads("LayerNormalization")
def layer_normalization(site: Site) -> Any:
    x, epsilon = site.drawn(0), site.get("epsilon", 1e-5)
    axes = list(range(site.axis(site.get("axis", -1), x.ndim), x.ndim))
    gamma, beta = site.required(1), site.operand(2)
    shape = tuple(x.dims[axis] for axis in axes)
    plain = axes[0] > 0 and sum(map(bool, site.outputs)) == 1
    if (
        plain
        and isinstance(gamma, np.ndarray)
        and not isinstance(beta, Drawn)
        and gamma.shape == shape
    ):
        weights: dict[str, tuple[Array, str, None]] = {"gamma": (gamma, site.names[1], None)}
        if beta is not None:
            weights["beta"] = (beta, site.names[2], None)
        return site.layer(
            LayerNormalization,
            x,
            weights=weights,
            axis=axes,
            epsilon=epsilon,
            center=beta is not None,
        )
    mean, variance = (site.call(f, x, axis=axes, keepdims=True) for f in ("mean", "var"))
    added = None if beta is None else site.drawn(2)
    result = _normalized(site, x, mean, variance, epsilon, site.drawn(1), added)
    if plain:
        return result
    return [result, mean, site.call("rsqrt", site.call("add", variance, epsilon))]
