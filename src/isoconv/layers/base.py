"""The layer: variables, configuration, masks and losses around a `call` written in isoconv.ops."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, wraps
from threading import RLock
from typing import Any, Self

import numpy as np

from isoconv import dtypes, naming, registry, settings
from isoconv.changes import epoch, stamp
from isoconv.errors import ArgumentError, explain
from isoconv.ir.graph import origin
from isoconv.layers.state import State
from isoconv.layers.tracking import automatic_config
from isoconv.ops import tree
from isoconv.ops.compiled import Compiled, is_array
from isoconv.ops.convert import as_array, as_tensor, change_dtype
from isoconv.ops.dispatch import record
from isoconv.ops.program import Program, abstract
from isoconv.ops.ready import ReadyCalls
from isoconv.ops.recorder import (
    Array,
    current,
    record_into,
    recording,
    training,
    training_scope,
)
from isoconv.ops.tensor import Call, KerasTensor, Tensor
from isoconv.training import regularizers

Shape = tuple[int | None, ...]


class Layer(State):
    """Keras' layer. Subclasses write `call`, usually `build` and `get_config`.

    Args:
        activity_regularizer: a penalty on the outputs, divided by the batch size.
        trainable: whether training changes its weights.
        dtype: of its weights and its arithmetic; `floatx()` if left out.
        name: its name; made from the class if left out.
        autocast: whether arrays given to `call` are brought to that dtype.
        input_shape, input_dim: the input without the batch, for the first layer of a Sequential.

    Raises ArgumentError for keywords it does not know.
    """

    casts_integers = False
    """Whether integers and bools given as input become the layer's dtype, as floats do."""

    single_input = False
    """Whether `call` takes one array and nothing else but training and mask."""

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if name is not None and (not isinstance(name, str) or "/" in name):
            where = f"{type(self).__name__}: name"
            raise ArgumentError(explain(where, repr(name), "a string without '/'"))
        self.name = name or naming.unique(naming.snake_case(type(self).__name__))
        if "input_dim" in kwargs:
            kwargs["input_shape"] = (kwargs.pop("input_dim"),)
        self._input_shape_argument: Shape | None = kwargs.pop("input_shape", None)
        if kwargs:
            names = ", ".join(kwargs)
            raise ArgumentError(explain(self.where(), names, "keywords that the layer has"))
        if not isinstance(trainable, bool):
            raise ArgumentError(explain(self.where("trainable"), repr(trainable), "a bool"))
        self._trainable = trainable
        self._dtype = _dtype_name(dtype, self.where("dtype"))
        self.autocast = autocast
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.built = False
        self.supports_masking = type(self).compute_mask is not Layer.compute_mask
        self.ignores_masks = False
        self.loss_values: list[Any] = []
        self.build_shapes: dict[str, Any] = {}
        self._calls: list[Call] = []
        self._be_callable()

    def __getstate__(self) -> dict[str, Any]:
        """What is copied and pickled: all but what was compiled."""
        return {k: v for k, v in vars(self).items() if k not in _NOT_COPIED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._be_callable()

    def _be_callable(self) -> None:
        self._lock = RLock()
        self._compiled = Compiled(self._in_trace, self.runtime_axes_of)
        self._folded = Compiled(self._in_trace, self.runtime_axes_of, folding=True)
        self._ready, self._ready_folded = ReadyCalls(), ReadyCalls()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in cls.__dict__:
            cls.build = _finishing(cls.build)  # type: ignore[method-assign]
        if cls.__module__.startswith("isoconv.layers"):
            registry.builtin("layers")(cls)

    # Of a layer that was not initialised.
    _ready = ReadyCalls()

    preprocesses = False
    """Whether the layer stands before all others and takes what no program takes, such as text."""

    def preprocess(self, given: Any) -> Any:
        """What the layer makes of the data `given` to it before a program sees them."""
        return given

    # -- what subclasses write -----------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Makes the weights.

        input_shape: that of the input, batch first, None where a size is unknown; a list of them
        for several inputs.
        """
        self.built = True

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """What the layer computes, in isoconv.ops.

        Subclasses take the inputs, a tensor or a list of them, and by name as needed: training,
        whether it is; mask, which steps are there.
        """
        raise NotImplementedError(f"{self.where()}: call is not written")

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the output for an input of the shape `input_shape`, batch included."""
        shapes = input_shape if _is_nested(input_shape) else [input_shape]
        drawn = [KerasTensor(tuple(shape), self.compute_dtype) for shape in tree_shapes(shapes)]
        inputs: Any = drawn if _is_nested(input_shape) else drawn[0]
        result = abstract(self._in_trace, inputs)
        return tree.transform(lambda leaf: leaf.shape, result)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the output for these inputs; `previous_mask`, theirs, unless overridden."""
        return previous_mask

    def check_mask(self, inputs: Any, mask: Any) -> None:
        """Raises where a mask given by hand does not fit the inputs; of layers that take one."""

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again."""
        config = {"name": self.name, "trainable": self.trainable, "dtype": self.dtype}
        if type(self).get_config is not Layer.get_config:
            return config
        return automatic_config(self, config)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A new layer with the arguments in `config`."""
        unused = [key for key in _ONLY_KERAS if config.get(key, 0) is None]
        return cls(**{key: value for key, value in config.items() if key not in unused})

    def runtime_axes(self, rank: int) -> Sequence[int]:
        """The axes of an input of that rank whose sizes may change without compiling anew."""
        return (0,) if rank else ()

    # -- identity ------------------------------------------------------------------------------

    @property
    def dtype(self) -> str:
        """The dtype of the weights."""
        return self._dtype

    @property
    def compute_dtype(self) -> str:
        """The dtype of the arithmetic."""
        return self._dtype

    variable_dtype = dtype

    @property
    def input_dtype(self) -> str:
        """The dtype of the input that a Sequential makes for it."""
        return self.compute_dtype

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"

    # -- what `Input` saw ----------------------------------------------------------------------

    @property
    def input(self) -> Any:
        """The KerasTensors the layer was first called on."""
        given = self._first_call("input").args
        return given[0] if len(given) == 1 else list(given)

    @property
    def output(self) -> Any:
        """The KerasTensors the first such call gave."""
        outputs = self._first_call("output").outputs
        return outputs[0] if len(outputs) == 1 else list(outputs)

    @property
    def input_shape(self) -> Any:
        return tree.transform(lambda leaf: leaf.shape, self.input)

    @property
    def output_shape(self) -> Any:
        return tree.transform(lambda leaf: leaf.shape, self.output)

    def _first_call(self, what: str) -> Call:
        if not self._calls:
            raise AttributeError(f"{self.where()} has no {what}: it was called on no Input yet")
        return self._calls[0]

    # -- calling -------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """On arrays: runs at once and gives arrays. On what `Input` gives: draws the model.

        training: whether layers that behave differently in training do so. mask: which steps
        are present.
        """
        if not kwargs:
            result = self._ready.again(*args)
            if result is not NotImplemented:
                return result
        if "_compiled" not in self.__dict__:
            name = type(self).__name__
            raise ArgumentError(explain(name, "a layer not initialised", "super().__init__()"))
        if any(isinstance(leaf, KerasTensor) for leaf in tree.leaves((args, kwargs))):
            return self._drawn(args, kwargs)
        if recording() is not None:
            return self._in_trace(*args, **kwargs)
        return self.at_once(args, kwargs)

    def _drawn(self, args: Any, kwargs: dict[str, Any]) -> Any:
        self.ensure_built(args, kwargs)
        result = record(self, self._in_trace, args, kwargs, self.name)
        first = next(tree.leaves(result), None)
        if isinstance(first, KerasTensor) and first.call is not None:
            self._calls.append(first.call)
        return result

    def at_once(self, args: Any, kwargs: dict[str, Any], folding: bool = False) -> Any:
        """The outputs for the arrays among `args` and `kwargs`. folding: as for `program`."""
        said = kwargs.get("training")
        mode = training() if said is None else said
        alone = len(args) == 1 and not kwargs.keys() - {"training"}
        ready = self._ready_folded if folding else self._ready
        if alone:
            usual = mode is (False if folding else None) and type(args[0]) is np.ndarray
            result = ready.call(args[0], mode, again=usual)
            if result is not NotImplemented:
                return result
        since = stamp()
        prepared, kwargs = self.prepare(args, kwargs)
        self.ensure_built(prepared, kwargs)
        arrays = [as_array(leaf) for leaf in tree.leaves((prepared, kwargs)) if is_array(leaf)]
        program = self.program(arrays, prepared, kwargs, folding)
        result = program(arrays)
        if alone:
            ready.keep(since, args[0], arrays, program, mode)
        return result

    def program(
        self, arrays: Sequence[Array], args: Any, kwargs: dict[str, Any], folding: bool = False
    ) -> Program:
        """The compiled program for prepared `args` and `kwargs`; `arrays` are the arrays in them.

        folding: whether weights may be computed with beforehand, which changes rounding.
        """
        kwargs = {**kwargs, "training": self.training_of(kwargs)}
        compiled = self._folded if folding else self._compiled
        return compiled.program(arrays, args, kwargs, key=epoch())

    def prepare(self, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """`args` and `kwargs` of a call on arrays, in the dtypes that the layer computes in."""
        where = self.where("input")
        args = tuple(_numbers_to_array(each, where) for each in args)
        if "mask" in kwargs:
            kwargs = kwargs | {"mask": _numbers_to_array(kwargs["mask"], self.where("mask"))}
        return (
            tree.transform(lambda leaf: self._enter_array(leaf, self.casts_integers), args),
            tree.transform(lambda leaf: self._enter_array(leaf, False), kwargs),
        )

    def _enter_array(self, leaf: Any, integers: bool) -> Any:
        if not is_array(leaf):
            return leaf
        array = as_array(leaf, self.where("input"))
        if self.autocast and (integers or dtypes.is_float(array.dtype.name)):
            return as_array(array.astype(self.compute_dtype, copy=False))
        return array

    def runtime_axes_of(self, index: int, array: Array) -> Sequence[int]:
        """`runtime_axes` of the array that is argument number `index`."""
        return self.runtime_axes(array.ndim)

    def _in_trace(self, *args: Any, **kwargs: Any) -> Any:
        """One call inside a trace: tensors in, tensors out, with their masks."""
        args = tree.transform(lambda leaf: self._enter(leaf, self.casts_integers), args)
        kwargs = tree.transform(lambda leaf: self._enter(leaf, False), kwargs)
        self.ensure_built(args, kwargs)
        accepted = _call_options(type(self).call)
        train = self.training_of(kwargs)
        kwargs.pop("training", None)
        if "training" in accepted:
            kwargs["training"] = train
        first = args[0] if args else next(iter(kwargs.values()), None)
        masks = kwargs.get("mask")
        if masks is None and not self.ignores_masks:
            masks = _masks_of(first)
        kwargs.pop("mask", None)
        if "mask" in accepted:
            kwargs["mask"] = masks
        with training_scope(train), origin(self.name, self.where()), self.explaining():
            outputs = tree.transform(_tensor_or_none, self.call(*args, **kwargs))
            outputs = self._with_masks(first, masks, outputs)
            self._add_activity_loss(outputs)
            current().note(self, args, kwargs, outputs)
        return outputs

    def _enter(self, leaf: Any, integers: bool) -> Any:
        if not (isinstance(leaf, Tensor) or is_array(leaf)):
            return leaf
        tensor = as_tensor(leaf)
        if self.autocast and (integers or dtypes.is_float(tensor.dtype)):
            return Tensor(change_dtype(tensor, self.compute_dtype).node, tensor.mask)
        return tensor

    def training_of(self, kwargs: Mapping[str, Any]) -> bool:
        """What was said in `kwargs`, else around this call, else the default of `call`."""
        found = kwargs.get("training")
        found = training() if found is None else found
        return bool(_call_options(type(self).call).get("training") if found is None else found)

    def _with_masks(self, inputs: Any, masks: Any, outputs: Any) -> Any:
        overridden = type(self).compute_mask is not Layer.compute_mask
        if not overridden and (masks is None or not self.supports_masking):
            return outputs
        new = self.compute_mask(inputs, masks)
        if new is None:
            return outputs
        if isinstance(outputs, Tensor):
            return Tensor(outputs.node, as_tensor(new))
        pairs = zip(outputs, new, strict=True)
        return [Tensor(out.node, None if m is None else as_tensor(m)) for out, m in pairs]

    def _add_activity_loss(self, outputs: Any) -> None:
        if self.activity_regularizer is None:
            return
        for output in tree.leaves(outputs):
            batch = as_tensor(output.dims[0], output.dtype)
            self.add_loss(self.activity_regularizer(output) / batch)

    # -- building ------------------------------------------------------------------------------

    def ensure_built(self, args: Any, kwargs: Mapping[str, Any]) -> None:
        """Builds the layer for the shapes in `args` and `kwargs`, if it is not built yet."""
        if self.single_input and args:
            self._check_single(args[0])
        if args and kwargs.get("mask") is not None:
            self.check_mask(args[0], kwargs["mask"])
        if self.built:
            return
        with self._lock:
            if not self.built:
                self.build(*self._shapes_for_build(args, kwargs))

    def _check_single(self, given: Any) -> None:
        if isinstance(given, KerasTensor | Tensor) or is_array(given):
            return
        kind = "None" if given is None else f"an object of type {type(given).__name__}"
        raise ArgumentError(explain(self.where("input"), kind, "one array of numbers"))

    def _shapes_for_build(self, args: Any, kwargs: Mapping[str, Any]) -> list[Any]:
        """The shapes of the first arguments, as many as `build` takes, batch unknown."""
        count = len(inspect.signature(self.build).parameters)
        given = [*args, *(value for key, value in kwargs.items() if key not in _OPTIONS)]
        return [tree.transform(_shape_of, each) for each in given[:count]]

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Errors raised inside name this layer, if they name none yet."""
        try:
            yield
        except ArgumentError as error:
            if getattr(error, "layer", None) is not None or str(error).startswith(self.where()):
                raise
            new = type(error)(f"{self.where()}: {error}")
            new.layer = self  # type: ignore[attr-defined]
            raise new from error


_OPTIONS = ("training", "mask")
_NOT_COPIED = ("_lock", "_compiled", "_folded", "_ready", "_ready_folded", "_predicting")

# What Keras writes into configs for features that are not ours; None says that they are unused.
_ONLY_KERAS = ("quantization_config", "lora_rank", "lora_alpha")


@cache
def _call_options(call: Callable[..., Any]) -> dict[str, Any]:
    """Those of training and mask that a layer's `call` takes, with their defaults."""
    parameters = inspect.signature(call).parameters
    taken = {name: parameters[name].default for name in _OPTIONS if name in parameters}
    return {
        name: None if value is inspect.Parameter.empty else value for name, value in taken.items()
    }


def takes_mask(layer: Layer) -> bool:
    """Whether the layer's `call` has an argument for a mask."""
    return "mask" in _call_options(type(layer).call)


def _finishing(build: Callable[..., None]) -> Callable[..., None]:
    """What every `build` ends with, also one that forgets to say that it is done."""

    @wraps(build)
    def finished(self: Layer, *args: Any, **kwargs: Any) -> None:
        with record_into(None), self.explaining():
            build(self, *args, **kwargs)
        _, *shapes = inspect.signature(build).bind(self, *args, **kwargs).arguments.items()
        self.build_shapes = dict(shapes)
        self.built = True

    return finished


def _dtype_name(dtype: Any, where: str) -> str:
    """The dtype that Keras' argument means: a name, or a policy as its config."""
    if isinstance(dtype, dict):
        dtype = dtype.get("config", {}).get("name")
    return settings.floatx() if dtype is None else dtypes.standardize(dtype, where)


def _shape_of(leaf: Any) -> Any:
    shape = getattr(leaf, "shape", None)
    return None if shape is None else (None, *shape[1:])[: len(shape)]


def _is_nested(shape: Any) -> bool:
    """Whether this is a collection of shapes rather than one."""
    return isinstance(shape, dict) or any(isinstance(each, list | tuple) for each in shape)


def tree_shapes(shapes: Any) -> list[Shape]:
    """The shapes in a collection of shapes."""
    return list(shapes.values()) if isinstance(shapes, dict) else list(shapes)


def _numbers_to_array(value: Any, where: str) -> Any:
    """Lists of plain numbers as an array; anything else as it is."""
    if isinstance(value, list | tuple):
        leaves = list(tree.leaves(value))
        if leaves and all(isinstance(leaf, bool | int | float) for leaf in leaves):
            return as_array(value, where)
    one = isinstance(value, bool | int | float | str | np.generic)
    return as_array(value, where) if one else value


def _tensor_or_none(leaf: Any) -> Tensor | None:
    return None if leaf is None else as_tensor(leaf)


def _masks_of(inputs: Any) -> Any:
    """The masks the inputs carry, in their structure; None if none does."""
    masks = tree.transform(lambda leaf: getattr(leaf, "mask", None), inputs)
    return masks if any(mask is not None for mask in tree.leaves(masks)) else None
