"""What a layer holds: its weights, made, read and set; and the losses it adds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from isoconv import dtypes, naming
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.layers.tracking import Tracking
from isoconv.ops.convert import as_array, as_tensor
from isoconv.ops.recorder import Array, recording
from isoconv.ops.variable import Variable
from isoconv.training import constraints, initializers, regularizers


class State(Tracking):
    """Weights and losses of a layer with a name and a dtype."""

    name: str
    loss_values: list[Any]

    @property
    def dtype(self) -> str:
        """The dtype of the weights."""
        raise NotImplementedError

    def where(self, argument: str = "") -> str:
        """The layer, and `argument`, one of its arguments, as error messages name them."""
        text = f"{type(self).__name__} '{self.name}'"
        return f"{text}: {argument}" if argument else text

    def add_weight(
        self,
        shape: Any = (),
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        name: str | None = None,
    ) -> Variable:
        """Makes a variable of the layer.

        shape: numbers only. initializer: a name, function or object; "glorot_uniform" for
        floats and "zeros" for others if left out. dtype: the layer's if left out. trainable:
        whether training changes it. autocast: taken for Keras' sake. regularizer, constraint:
        penalty and bounds. name: within the layer.
        """
        where = self.where(name or "weight")
        if isinstance(shape, str):
            raise ArgumentError(explain(where, repr(shape), "a shape", "Give the name as name=."))
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
        if not all(isinstance(size, int) for size in sizes):
            raise ShapeError(explain(where, f"shape {sizes}", "sizes that are all known"))
        kind = dtypes.standardize(dtype or self.dtype, where)
        default = "glorot_uniform" if dtypes.is_float(kind) else "zeros"
        label = name or naming.unique("variable")
        return self.track(
            Variable(
                initializers.get(initializer or default),
                shape=sizes,
                dtype=kind,
                trainable=trainable,
                name=label,
                path=f"{self.name}/{label}",
                regularizer=regularizers.get(regularizer),
                constraint=constraints.get(constraint),
            )
        )

    def get_weights(self) -> list[Array]:
        """Copies of the weights' arrays, in the order of `weights`."""
        return [weight.numpy() for weight in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Gives the weights new values. All are checked before any is changed."""
        own = self.weights
        if not isinstance(weights, Sequence | np.ndarray) or isinstance(weights, str | bytes):
            expected = f"a list of {len(own)} arrays"
            raise ArgumentError(explain(self.where("set_weights"), repr(weights), expected))
        if len(weights) != len(own):
            given = f"{len(weights)} arrays"
            raise ShapeError(explain(self.where("set_weights"), given, f"{len(own)} arrays"))
        arrays = [as_array(value, self.where("set_weights")) for value in weights]
        for weight, array in zip(own, arrays, strict=True):
            if weight.shape != array.shape:
                where = self.where(f"set_weights: {weight.path}")
                raise ShapeError(explain(where, f"shape {array.shape}", f"shape {weight.shape}"))
        for weight, array in zip(own, arrays, strict=True):
            weight.assign(array)

    def count_params(self) -> int:
        """How many numbers the weights hold."""
        if not self.built:
            raise ArgumentError(
                explain(self.where("count_params"), "a layer not built", "a built one", "Call it.")
            )
        return sum(weight.size for weight in self.weights)

    # -- losses --------------------------------------------------------------------------------

    def add_loss(self, loss: Any) -> None:
        """Adds `loss`, a scalar, to what training minimises; called in `call`."""
        recorder = recording()
        for each in loss if isinstance(loss, list | tuple) else [loss]:
            if recorder is None:
                self.loss_values.append(each)
            else:
                recorder.losses.append((self, as_tensor(each)))

    @property
    def losses(self) -> list[Any]:
        """The losses added by the last call, and the penalties on trainable weights."""
        recorder = recording()
        own = self.all_layers()
        if recorder is None:
            found = [value for layer in own for value in layer.loss_values]
        else:
            ids = {id(layer) for layer in own}
            found = [loss for owner, loss in recorder.losses if id(owner) in ids]
        penalised = [v for v in self.trainable_weights if v.regularizer is not None]
        return found + [v.regularizer(v) for v in penalised if v.regularizer is not None]
