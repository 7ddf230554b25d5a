"""A module exported by PyTorch and drawn again, operation by operation, as a model of layers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from isoconv.errors import ArgumentError, explain
from isoconv.interop.torch.weights import weight_rows
from isoconv.layers.base import Layer
from isoconv.layers.drawing import Parameter
from isoconv.layers.input import Input
from isoconv.models.model import Model
from isoconv.ops.dispatch import draw_again
from isoconv.ops.tensor import KerasTensor

Handler = Callable[["Drawing", SimpleNamespace], Any]


class Handlers(dict[str, Handler]):
    """What draws each operation of ATen, by its name without overload and underscore at the end.

    A function that draws is given the drawing and the operation's arguments by their names in
    ATen, with tensors as KerasTensors and the module's own as `Weight`.
    """

    def draws(self, *names: str) -> Callable[[Handler], Handler]:
        """Makes a function what draws these operations."""

        def register(handler: Handler) -> Handler:
            self.update(dict.fromkeys(names, handler))
            return handler

        return register


class Unsupported(ArgumentError):
    """An operation of the module for which there is no layer."""


class NeedsSizes(Unsupported):
    """An operation that can be drawn where its sizes are known only."""


class Weight:
    """A parameter, buffer or constant of the module."""

    def __init__(self, name: str, value: Any) -> None:
        self.name = name
        self.value = value

    @property
    def array(self) -> np.ndarray[Any, Any]:
        """Its numbers."""
        value = self.value.detach().cpu()
        if value.dtype.is_floating_point and value.element_size() < 4:
            value = value.float()
        return np.asarray(value.contiguous().numpy())

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.value.shape)

    @property
    def dtype(self) -> str:
        return str(self.array.dtype)


class Drawing:
    """The model that grows while the nodes of an exported program are gone through."""

    def __init__(self, program: Any, handlers: Handlers) -> None:
        self._program = program
        self._handlers = handlers
        self._values: dict[Any, Any] = {}
        self._shared: dict[Any, Layer] = {}
        self._names: dict[str, int] = {}
        self._inputs: list[KerasTensor] = []
        self.node: Any = None

    # -- the whole ----------------------------------------------------------------------------

    def model(self, name: str) -> Model:
        """The model drawn from all nodes."""
        outputs: Any = []
        for node in self._program.graph.nodes:
            self.node = node
            if node.op == "placeholder":
                value = self._placeholder(node)
                self._inputs += [value] if isinstance(value, KerasTensor) else []
                self._values[node] = value
            elif node.op == "call_function":
                self._call(node)
            elif node.op == "output":
                outputs = [self.value(each) for each in node.args[0]]
        outputs = self._outside(outputs)
        inputs = self._inputs[0] if len(self._inputs) == 1 else self._inputs
        return Model(inputs, outputs, name=name)

    def _outside(self, outputs: list[Any]) -> Any:
        """The outputs in the structure that the module gives them."""
        wrong = [each for each in outputs if not isinstance(each, KerasTensor)]
        if wrong or not outputs:
            given = f"{wrong[0]!r}" if wrong else "nothing"
            raise Unsupported(explain("from_torch: output", given, "tensors made of the inputs"))
        if len(outputs) == 1:
            return outputs[0]
        spec = self._program.call_spec.out_spec
        keys = spec.context if spec.type is dict else None
        return dict(zip(keys, outputs, strict=True)) if keys else outputs

    def _placeholder(self, node: Any) -> Any:
        signature = self._program.graph_signature
        for mapping in (signature.inputs_to_parameters, signature.inputs_to_buffers):
            if node.name in mapping:
                name = mapping[node.name]
                found = self._program.state_dict.get(name)
                return Weight(name, self._program.constants[name] if found is None else found)
        if node.name in signature.inputs_to_lifted_tensor_constants:
            name = signature.inputs_to_lifted_tensor_constants[node.name]
            return Weight(name, self._program.constants[name])
        given = node.meta.get("val")
        if not hasattr(given, "shape"):
            return given
        dtype = _dtype(given)
        if not len(given.shape):
            raise Unsupported(explain("from_torch: input", "a number", "tensors with a batch"))
        shape = tuple(_known(size) for size in given.shape)
        return Input(batch_shape=shape, dtype=dtype, name=self.unique(node.name))

    # -- one operation ------------------------------------------------------------------------

    def _call(self, node: Any) -> None:
        name = _operation(node)
        if name == "getitem":
            self._values[node] = self.value(node.args[0])[node.args[1]]
            return
        symbolic = type(node.target).__name__ == "builtin_function_or_method"
        if name.startswith("sym_") or name in _SILENT or symbolic:
            # Arithmetic of sizes: export has worked it out.
            self._values[node] = node.meta.get("val")
            return
        arguments = self._arguments(node)
        if _is_of_weights(node, arguments):
            self._values[node] = _computed(node, arguments)
            return
        handler = self._handlers.get(name) or self._handlers.get(name.removesuffix("_"))
        if handler is None:
            given = f"the operation {node.target} of {self.where()}"
            known = "operations that there are layers for"
            raise Unsupported(explain("from_torch", given, known))
        result = handler(self, arguments)
        self._values[node] = result
        if name.endswith("_") and name not in self._handlers:
            self._written(node, result)

    def _arguments(self, node: Any) -> SimpleNamespace:
        found: dict[str, Any] = {}
        schema = node.target._schema.arguments
        for place, argument in enumerate(schema):
            if place < len(node.args):
                value = node.args[place]
            elif argument.name in node.kwargs:
                value = node.kwargs[argument.name]
            else:
                value = argument.default_value
            found[argument.name] = self.value(value)
        return SimpleNamespace(**found)

    def _written(self, node: Any, result: Any) -> None:
        """Notes that an operation changed its first argument in place."""
        target = node.args[0]
        order = {each: place for place, each in enumerate(self._program.graph.nodes)}
        base = target
        while _operation(base) in _VIEWS:
            base = base.args[0]
        family = [base]
        for each in family:
            family += [user for user in each.users if _operation(user) in _VIEWS]
        for each in family:
            late = [user for user in each.users if order[user] > order[node]]
            if each is not target and late:
                given = f"{node.target} of {self.where()}, which changes what {late[0]} reads"
                expected = "no change in place of what is seen through a view"
                raise Unsupported(explain("from_torch", given, expected))
        self._values[target] = result

    def value(self, argument: Any) -> Any:
        """What an argument of a node stands for."""
        if isinstance(argument, list | tuple):
            return [self.value(each) for each in argument]
        try:
            return self._values[argument] if hasattr(argument, "users") else argument
        except KeyError:
            raise Unsupported(explain("from_torch", argument, "tensors made before")) from None

    # -- names --------------------------------------------------------------------------------

    @property
    def _module(self) -> tuple[str, str]:
        """The path and the class of the module whose code this node comes from."""
        stack = list(self.node.meta.get("nn_module_stack", {}).values())
        path, kind = stack[-1] if stack else ("", "")
        kind = kind if isinstance(kind, str) else kind.__qualname__
        return re.sub(r"@\d+", "", path), kind

    def where(self) -> str:
        """The module that the present node belongs to, for messages."""
        path, kind = self._module
        return f"module {path or 'itself'} ({kind.rpartition('.')[2]})"

    @property
    def kind(self) -> str:
        """The class of the module that the present node belongs to."""
        return self._module[1].rpartition(".")[2]

    def name(self, suffix: str = "") -> str:
        """A name from that of the module: its own for what it is, else with what is added."""
        path, kind = self._module
        own = "torch.nn.modules." in kind and "container" not in kind
        if own and path:
            return self.unique(f"{path}_{suffix}" if suffix else path)
        operation = suffix or _operation(self.node).removesuffix("_")
        return self.unique(f"{path}.{operation}" if path else operation)

    def unique(self, name: str) -> str:
        """The name, with a number where it is taken."""
        name = name.replace("/", "_")
        count = self._names.get(name, 0)
        self._names[name] = count + 1
        return self.unique(f"{name}_{count}") if count else name

    # -- drawing ------------------------------------------------------------------------------

    def layer(
        self,
        kind: Callable[..., Layer],
        x: Any,
        *args: Any,
        weights: Mapping[str, Any] | None = None,
        suffix: str = "",
        **options: Any,
    ) -> Any:
        """A layer called on x, with the module's weights by what PyTorch calls them.

        The same weights make the same layer.
        """
        given = {key: weight for key, weight in (weights or {}).items() if weight is not None}
        for suffix_of, weight in given.items():
            if not isinstance(weight, Weight):
                where = f"from_torch: {self.where()}: {suffix_of}"
                raise Unsupported(explain(where, "what is computed", "a parameter or a buffer"))
        key = (kind, args, repr(options), tuple(weight.name for weight in given.values()))
        if given and key in self._shared:
            return self._shared[key](x)
        first = next(iter(given.values()), x[0] if isinstance(x, list) else x)
        options = {"dtype": first.dtype} | options
        layer = kind(*args, name=self.name(suffix), **options)
        result = layer(x)
        for variable, row in weight_rows(layer, ""):
            if row.source in given:
                variable.assign(row.forward(given[row.source].array))
        if given:
            self._shared[key] = layer
        return result

    def function(self, name: str, *args: Any, suffix: str = "", **kwargs: Any) -> Any:
        """A function of `isoconv.ops` called on tensors, weights and numbers."""
        return draw_again(name, self.name(suffix), args, kwargs)

    def operand(self, value: Any) -> Any:
        """What takes part in arithmetic: a tensor, a number, or a weight as a layer's output."""
        if isinstance(value, KerasTensor | bool | int | float):
            return value
        if isinstance(value, Weight) and self._inputs:
            key = (Parameter, value.name)
            if key not in self._shared:
                name = self.unique(value.name)
                layer = Parameter(value.shape, dtype=value.dtype, name=name)
                layer(self._inputs[0])
                layer.value.assign(value.array)
                self._shared[key] = layer
            return self._shared[key](self._inputs[0])
        given = f"{value!r} in {self.node.target} of {self.where()}"
        raise Unsupported(explain("from_torch", given, "tensors made of the inputs and numbers"))

    def sizes(self, node: Any = None) -> tuple[Any, ...]:
        """The sizes of what the present node gives, in PyTorch's terms."""
        shape = (node or self.node).meta["val"].shape
        return tuple(size if _known(size) is None else _known(size) for size in shape)

    def sizes_before(self) -> tuple[Any, ...]:
        """The sizes of what the present node is first given."""
        return self.sizes(self.node.args[0])


def _is_of_weights(node: Any, arguments: SimpleNamespace) -> bool:
    """Whether an operation makes a tensor of weights and known numbers alone."""
    given: list[Any] = []
    for value in vars(arguments).values():
        given += value if isinstance(value, list) else [value]
    schema = node.target._schema
    return (
        any(isinstance(value, Weight) for value in vars(arguments).values())
        and not any(isinstance(value, KerasTensor) or _is_open(value) for value in given)
        and not schema.is_mutable
        and [str(each.type) for each in schema.returns] == ["Tensor"]
    )


def _computed(node: Any, arguments: SimpleNamespace) -> Weight:
    """What an operation gives for weights, now and for good; the weight if that is the same."""
    args, kwargs = [], {}
    for argument in node.target._schema.arguments:
        value = getattr(arguments, argument.name)
        if isinstance(value, list):
            value = [each.value if isinstance(each, Weight) else each for each in value]
        value = value.value if isinstance(value, Weight) else value
        if argument.kwarg_only:
            kwargs[argument.name] = value
        else:
            args.append(value)
    found = node.target(*args, **kwargs)
    first = next(each for each in vars(arguments).values() if isinstance(each, Weight))
    same = _is_same(found, first.value)
    return first if same else Weight(f"{first.name}_{_operation(node).strip('_')}", found)


def _is_same(one: Any, other: Any) -> bool:
    alike = one.shape == other.shape and one.dtype == other.dtype
    return alike and bool((one == other).all())


_SILENT = ("_assert_tensor_metadata", "_assert_scalar", "_assert_async")
_VIEWS: tuple[str, ...] = ("view", "reshape", "flatten", "unflatten", "permute", "transpose", "t")
_VIEWS += ("squeeze", "unsqueeze", "slice", "select", "alias", "detach", "expand", "contiguous")
_VIEWS += ("getitem", "split", "split_with_sizes", "chunk", "unbind", "dropout", "to", "movedim")


def _operation(node: Any) -> str:
    """The name of what a node calls, without namespace and overload."""
    target = node.target
    packet = getattr(target, "overloadpacket", None)
    return str(packet).rpartition(".")[2] if packet else getattr(target, "__name__", str(target))


def _known(size: Any) -> int | None:
    """The number that a size always has, or None."""
    known = size.node.maybe_as_int() if hasattr(size, "node") else size
    return None if known is None else int(known)


def _is_open(value: Any) -> bool:
    """Whether this is a size that is known at run time only."""
    return hasattr(value, "node") and _known(value) is None


def _dtype(given: Any) -> str:
    return str(given.dtype).removeprefix("torch.")


def concrete(values: Sequence[Any]) -> list[int]:
    """The numbers of an argument, which must be known when the module is exported."""
    known = [_known(value) for value in values]
    if None in known:
        expected = "numbers that do not depend on sizes"
        raise NeedsSizes(explain("from_torch", list(values), expected))
    return [value for value in known if value is not None]
