"""Arithmetic on what is known while a graph is read: constants, and sizes known at run time only.

Sizes are objects in NumPy arrays, so that one piece of code serves both. No result may be larger
than a few million elements: constants of any size come from the file itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from math import prod
from typing import Any

import numpy as np

from isoconv.interop.onnx.package import onnx
from isoconv.interop.onnx.site import Array, Drawn, Site, is_known, reads
from isoconv.ir.sizes import Size, maximum, minimum

_LARGEST = 1 << 24

Fold = Callable[..., Any]
_FOLDS: dict[str, Fold] = {}


def fold(site: Site) -> Sequence[Array] | None:
    """The outputs of a node all of whose operands are constants; None where it must be drawn."""
    function = _FOLDS.get(site.op)
    if function is None:
        return None
    operands = [value for value in site.inputs if isinstance(value, np.ndarray)]
    if len(operands) != len(site.inputs):
        return None
    if sum(each.size for each in operands) > _LARGEST:
        return None
    with np.errstate(all="ignore"):
        result = function(site, *operands)
    return None if result is None else [np.asarray(result)]


def _folds(*ops: str) -> Callable[[Fold], Fold]:
    def register(function: Fold) -> Fold:
        _FOLDS.update(dict.fromkeys(ops, function))
        return function

    return register


def _limited(site: Site, *sizes: Any) -> None:
    count = prod(int(size) for size in sizes)
    if count > _LARGEST or any(int(size) < 0 for size in sizes):
        raise site.fail(f"sizes {tuple(map(int, sizes))}", f"at most {_LARGEST} elements")


# -- leaves -----------------------------------------------------------------------------------


@reads("Constant")
def constant(site: Site) -> Any:
    """A constant; its value is in one of several attributes."""
    if "value" in site.attributes:
        tensor = site.attributes["value"].t
        if tensor.data_location:
            raise site.fail("data outside the file", "a constant within it")
        return np.asarray(onnx("numpy_helper").to_array(tensor))
    for name, dtype in (("value_int", "int64"), ("value_float", "float32")):
        for key in (name, f"{name}s"):
            if key in site.attributes:
                return np.asarray(site.get(key), dtype)
    raise site.fail(", ".join(site.attributes), "a constant of numbers")


_FOLDS["Constant"] = lambda site: constant(site)


@reads("Shape")
def shape(site: Site) -> Any:
    """The sizes of a tensor, or some of them."""
    value = site.required(0)
    dims = value.dims if isinstance(value, Drawn) else value.shape
    return _sizes(list(dims)[slice(site.get("start", 0), site.get("end"))])


@reads("Size")
def size(site: Site) -> Any:
    """The number of elements of a tensor."""
    value = site.required(0)
    dims = value.dims if isinstance(value, Drawn) else value.shape
    return _sizes([prod(dims)]).reshape(())


_FOLDS["Shape"] = lambda site, x: shape(site)
_FOLDS["Size"] = lambda site, x: size(site)


def _sizes(dims: Sequence[Any]) -> Array:
    """Sizes as an array: of objects where some are known at run time only."""
    if all(isinstance(dim, int) for dim in dims):
        return np.asarray(dims, "int64")
    found = np.empty(len(dims), object)
    found[:] = dims
    return found


@_folds("ConstantOfShape")
def _constant_of_shape(site: Site, sizes: Array) -> Any:
    value = np.zeros(1, "float32")
    if "value" in site.attributes:
        value = onnx("numpy_helper").to_array(site.attributes["value"].t)
    if not is_known(sizes):
        return None
    _limited(site, *sizes)
    return np.full([int(each) for each in sizes], value.reshape(-1)[0])


@_folds("Range")
def _range(site: Site, start: Array, limit: Array, step: Array) -> Any:
    if not all(map(is_known, (start, limit, step))):
        return None
    first, end, by = (each.reshape(()).item() for each in (start, limit, step))
    if not by:
        raise site.fail("a step of 0", "another")
    count = max(int(np.ceil((end - first) / by)), 0)
    _limited(site, count)
    return (first + by * np.arange(count)).astype(np.result_type(start, limit, step))


@reads("ConstantOfShape")
def constant_of_shape(site: Site) -> Any:
    """One number everywhere, in a shape that is known at run time only."""
    value = np.zeros(1, "float32")
    if "value" in site.attributes:
        value = np.asarray(onnx("numpy_helper").to_array(site.attributes["value"].t))
    number, dtype = value.reshape(-1)[0].item(), value.dtype.name
    sizes = site.sizes(0, "the shape")
    options = {"shape": sizes, "fill_value": number, "dtype": dtype}
    return site.call("full", options=options, tensors=0)


@reads("Range", "ReduceProd")
def known_only(site: Site) -> Any:
    """What is read where its operands are known beforehand, and not elsewhere."""
    raise site.fail("operands computed from the model's inputs", "known numbers")


# -- arithmetic -------------------------------------------------------------------------------


def _whole(site: Site, x: Array) -> Array:
    """A partner of sizes: whole numbers, also where they come as floats."""
    numbers = [v if isinstance(v, Size) else _integer(site, v) for v in x.reshape(-1)]
    found = np.empty(len(numbers), object)
    found[:] = numbers
    return found.reshape(x.shape)


def _integer(site: Site, number: Any) -> int:
    if int(number) != number:
        raise site.fail(f"a size times {number}", "sizes multiplied by whole numbers")
    return int(number)


def _divided(site: Site, x: Any, y: Any) -> Any:
    if not isinstance(x, Size) and isinstance(y, Size):
        raise site.fail(f"{x} divided by a size", "a size divided")
    if isinstance(y, int) and y <= 0:
        raise site.fail(f"a size divided by {y}", "a positive divisor")
    return x // y


def _binary(plain: Callable[[Array, Array], Any], by_element: Callable[..., Any]) -> Fold:
    def function(site: Site, *operands: Array) -> Any:
        shapes = [each.shape for each in operands]
        _limited(site, *np.broadcast_shapes(*shapes))
        if all(each.dtype != object for each in operands):
            return reduce(plain, operands)
        wide = [_whole(site, each) for each in operands]
        each = np.frompyfunc(lambda x, y: by_element(site, x, y), 2, 1)
        return np.asarray(reduce(each, wide), object)

    return function


def _quotient(x: Array, y: Array) -> Any:
    if x.dtype.kind == "f":
        return x / y
    return (np.sign(x) * np.sign(y) * (np.abs(x) // np.abs(y))).astype(x.dtype)


def _power(x: Array, y: Array) -> Any:
    return np.power(x, y.astype(x.dtype)) if y.dtype.kind == "i" else np.power(x, y)


_FOLDS |= {
    "Add": _binary(np.add, lambda site, x, y: x + y),
    "Sub": _binary(np.subtract, lambda site, x, y: x - y),
    "Mul": _binary(np.multiply, lambda site, x, y: x * y),
    "Div": _binary(_quotient, _divided),
    "Max": _binary(np.maximum, lambda site, x, y: maximum(x, y)),
    "Min": _binary(np.minimum, lambda site, x, y: minimum(x, y)),
    "Pow": _binary(_power, lambda site, x, y: x**y),
    "Equal": _binary(np.equal, lambda site, x, y: x == y),
    "Less": _binary(np.less, lambda site, x, y: _compared(site, x, y)),
    "Greater": _binary(np.greater, lambda site, x, y: _compared(site, y, x)),
    "And": _binary(np.logical_and, lambda site, x, y: bool(x) and bool(y)),
    "Or": _binary(np.logical_or, lambda site, x, y: bool(x) or bool(y)),
}


def _compared(site: Site, x: Any, y: Any) -> bool:
    if isinstance(x, Size) or isinstance(y, Size):
        raise site.fail("sizes known at run time only", "sizes known now")
    return bool(x < y)


@_folds("Mod")
def _mod(site: Site, x: Array, y: Array) -> Any:
    if object in (x.dtype, y.dtype):
        x, y = _whole(site, x), _whole(site, y)
        return x - np.frompyfunc(lambda a, b: _divided(site, a, b), 2, 1)(x, y) * y
    return np.fmod(x, y) if site.flag("fmod") else np.mod(x, y)


def _unary(plain: Callable[[Array], Any], of_size: Callable[[Any], Any] | None = None) -> Fold:
    def function(site: Site, x: Array) -> Any:
        if x.dtype != object:
            return np.asarray(plain(x)).astype(x.dtype)
        if of_size is None:
            return None
        return np.asarray(np.frompyfunc(of_size, 1, 1)(x), object)

    return function


_FOLDS |= {
    "Neg": _unary(np.negative, lambda x: -x),
    "Floor": _unary(np.floor, lambda x: x),
    "Ceil": _unary(np.ceil, lambda x: x),
    "Round": _unary(np.round, lambda x: x),
    "Sqrt": _unary(np.sqrt),
    "Exp": _unary(np.exp),
    "Log": _unary(np.log),
    "Abs": _unary(np.abs),
    "Reciprocal": _unary(np.reciprocal),
    "Not": _unary(np.logical_not),
    "Identity": lambda site, x: x,
}


@_folds("Cast")
def _cast(site: Site, x: Array) -> Any:
    dtype = site.dtype(site.get("to", 0))
    return x if x.dtype == object and not is_known(x) else x.astype(dtype)


@_folds("Where")
def _where(site: Site, condition: Array, x: Array, y: Array) -> Any:
    _limited(site, *np.broadcast_shapes(condition.shape, x.shape, y.shape))
    return np.where(condition.astype(bool), x, y)


@_folds("ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin")
def _reduced(site: Site, x: Array, axes: Array | None = None) -> Any:
    functions: dict[str, Any] = {"ReduceProd": np.prod, "ReduceSum": np.sum}
    named = functions | {"ReduceMax": np.max, "ReduceMin": np.min}
    if x.dtype == object and site.op not in functions:
        return None
    wanted = site.listed("axes", 1)
    if wanted is None and site.flag("noop_with_empty_axes"):
        return x
    over = None if wanted is None else tuple(wanted)
    result = named[site.op](x, axis=over, keepdims=site.flag("keepdims", 1))
    return np.asarray(result, x.dtype)


# -- moving -----------------------------------------------------------------------------------


@_folds("Concat")
def _concat(site: Site, *operands: Array) -> Any:
    return np.concatenate(operands, site.get("axis", 1))


@_folds("Gather")
def _gather(site: Site, x: Array, indices: Array) -> Any:
    axis = site.axis(site.get("axis", 0), x.ndim)
    _limited(site, *x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    return np.take(x, indices.astype("int64"), axis)


@_folds("Slice")
def _slice(site: Site, x: Array, *operands: Array) -> Any:
    starts, ends = (site.listed(name, i + 1) for i, name in enumerate(("starts", "ends")))
    if starts is None or ends is None:
        return None
    axes = site.listed("axes", 3) or list(range(len(starts)))
    steps = site.integers(4, "steps") or [1] * len(starts)
    keys = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        back = step < 0 and end < -x.shape[axis]
        keys[axis] = slice(start, None if back else end, step)
    return x[tuple(keys)]


@_folds("Unsqueeze")
def _unsqueeze(site: Site, x: Array, axes: Array | None = None) -> Any:
    wanted = site.listed("axes", 1) or []
    return np.expand_dims(x, tuple(wanted))


@_folds("Squeeze")
def _squeeze(site: Site, x: Array, axes: Array | None = None) -> Any:
    wanted = site.listed("axes", 1)
    return np.squeeze(x, None if wanted is None else tuple(wanted))


@_folds("Reshape")
def _reshape(site: Site, x: Array, sizes: Array) -> Any:
    if not is_known(sizes):
        return None
    wanted = [int(each) for each in sizes]
    if not site.flag("allowzero"):
        wanted = [x.shape[i] if each == 0 else each for i, each in enumerate(wanted)]
    return x.reshape(wanted)


@_folds("Transpose")
def _transpose(site: Site, x: Array) -> Any:
    return x.transpose(site.get("perm"))


@_folds("Flatten")
def _flatten(site: Site, x: Array) -> Any:
    axis = site.get("axis", 1)
    return x.reshape(prod(x.shape[:axis]), -1)


@_folds("Expand")
def _expand(site: Site, x: Array, sizes: Array) -> Any:
    if not is_known(sizes):
        return None
    shape = np.broadcast_shapes(x.shape, tuple(int(each) for each in sizes))
    _limited(site, *shape)
    return np.broadcast_to(x, shape)


@_folds("Tile")
def _tile(site: Site, x: Array, repeats: Array) -> Any:
    if not is_known(repeats):
        return None
    _limited(site, *(size * int(r) for size, r in zip(x.shape, repeats, strict=True)))
    return np.tile(x, repeats.astype("int64"))
