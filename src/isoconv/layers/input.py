"""Where data enters a model."""

from __future__ import annotations

from typing import Any

from isoconv import naming
from isoconv.errors import ShapeError, explain
from isoconv.layers import arguments
from isoconv.layers.base import Layer, Shape
from isoconv.ops.tensor import Call, KerasTensor


class InputLayer(Layer):
    """The entry of a model; `Input` makes one and gives its tensor.

    Args:
        shape: the sizes without the batch, None for those known at run time only.
        batch_size: the size of the batch, if it is fixed.
        dtype: of the data; `floatx()` if left out.
        batch_shape: the shape with the batch, instead of the first two.
        sparse, ragged, optional: must be False.
    """

    def __init__(
        self,
        shape: Any = None,
        batch_size: int | None = None,
        dtype: Any = None,
        batch_shape: Any = None,
        name: str | None = None,
        sparse: bool = False,
        ragged: bool = False,
        optional: bool = False,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if sparse or ragged or optional:
            raise ShapeError(explain(self.where(), "sparse, ragged or optional", "dense input"))
        if (shape is None) == (batch_shape is None):
            raise ShapeError(explain(self.where("shape"), shape, "either shape or batch_shape"))
        given = (batch_size, *_sizes(shape, self)) if batch_shape is None else batch_shape
        self.batch_shape: Shape = tuple(_sizes(given, self))
        call = Call(self, (), {}, self.name)
        call.outputs.append(KerasTensor(self.batch_shape, self.dtype, self.name, call))
        self._calls.append(call)
        self.built = True

    def call(self, inputs: Any) -> Any:
        return inputs

    def get_config(self) -> dict[str, Any]:
        return {
            "batch_shape": list(self.batch_shape),
            "dtype": self.dtype,
            "sparse": False,
            "ragged": False,
            "name": self.name,
        }


def Input(
    shape: Any = None,
    batch_size: int | None = None,
    dtype: Any = None,
    batch_shape: Any = None,
    name: str | None = None,
) -> KerasTensor:
    """The start of a model: call layers on it.

    shape: the sizes without the batch, None where they are known at run time only. batch_shape: the
    sizes with the batch, instead. batch_size: the number of samples, where it is fixed. dtype:
    floatx() by default. name: unique in a model, made up if left out.
    """
    label = name or naming.unique("input_layer")
    layer = InputLayer(shape, batch_size, dtype, batch_shape, label)
    tensor: KerasTensor = layer.output
    return tensor


def _sizes(shape: Any, layer: Layer) -> Shape:
    where = layer.where("shape")
    if not isinstance(shape, list | tuple):
        remedy = f"Write ({shape},)." if isinstance(shape, int) else ""
        raise ShapeError(explain(where, repr(shape), "a tuple of sizes or None", remedy))
    for size in shape:
        if size is not None and (isinstance(size, bool) or not hasattr(size, "__index__")):
            raise ShapeError(explain(where, tuple(shape), "whole numbers or None"))
        if size is not None and int(size) <= 0:
            raise ShapeError(explain(where, tuple(shape), "sizes above 0 or None"))
        if size is not None and size > arguments.LARGEST:
            most = f"sizes of at most {arguments.LARGEST}"
            raise ShapeError(explain(where, tuple(shape), most))
    return tuple(None if size is None else int(size) for size in shape)
