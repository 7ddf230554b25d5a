"""`Model.to_torch`: a drawn model as a torch.nn.Module, one submodule a layer."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature, unwrap
from typing import Any

from isoconv import layers, optional
from isoconv.errors import ArgumentError, explain
from isoconv.interop.torch import emitting, weights
from isoconv.interop.torch.emitting import Emitter
from isoconv.models.model import Model
from isoconv.models.network import Network, needed
from isoconv.ops import tree
from isoconv.ops.tensor import KerasTensor


def to_torch(model: Model) -> Any:
    """A torch.nn.Module that computes what the model does, with its weights, in `eval()`.

    It takes and gives arrays in the model's own layout: "channels_last" stays so outside, and
    within the axes are permuted where PyTorch needs it. Its submodules are called like the layers;
    a name with dots makes modules within modules. Several inputs are several arguments.
    Raises ArgumentError for layers that PyTorch has nothing for, masks among them.
    """
    torch = optional.require("torch", "torch")
    emitter = Emitter(torch, optional.require("torch.fx", "torch"))
    network = model.drawn_network()
    inputs = [emitter.input(tensor.name) for tensor in network.flat_inputs]
    outputs = _walk(emitter, network, inputs, "")
    module = emitter.finished(outputs, model.name)
    return module.eval()


def _walk(emitter: Emitter, network: Network, inputs: list[Any], prefix: str) -> Any:
    """The nodes of the outputs of a network, for those of its inputs."""
    values = {id(t): node for t, node in zip(network.flat_inputs, inputs, strict=True)}

    def known(leaf: Any) -> Any:
        return values[id(leaf)] if isinstance(leaf, KerasTensor) else leaf

    for call in network.steps:
        given = list(needed(call))
        if any(tensor.mask is not None for tensor in given):
            raise _refusal(call, "a mask", "none, for PyTorch's layers do not know masks")
        args, kwargs = tree.transform(known, (call.args, dict(call.kwargs)))
        results = _emitted(emitter, call, given, args, kwargs, prefix)
        results = results if isinstance(results, list) else [results]
        for tensor, node in zip(call.outputs, results, strict=True):
            values[id(tensor)] = node
    return tree.transform(known, network.outputs)


def _emitted(
    emitter: Emitter, call: Any, given: list[Any], args: Any, kwargs: Any, prefix: str
) -> Any:
    target, name = call.target, prefix + call.name
    if isinstance(target, Model):
        nodes = list(tree.leaves(args[0]))
        inner = _walk(emitter, target.drawn_network(), nodes, f"{name}.")
        return list(tree.leaves(inner))
    if not isinstance(target, layers.Layer):
        function = emitting.FUNCTIONS.get(target.__name__)
        if function is None:
            raise _refusal(call, f"the function {target.__name__}", "one that PyTorch has here")
        # Files give operands by name; what emits them has names of its own.
        bound = signature(unwrap(target)).bind(*args, **kwargs)
        return function(emitter, *bound.args, **bound.kwargs)
    emit = _of_kind(target)
    if emit is None or getattr(target, "mask_zero", False):
        kind = f"a {type(target).__name__}"
        raise _refusal(call, f"{kind} with a mask" if emit else kind, "a layer that PyTorch has")
    emitter.begin(target, name, [tensor.shape for tensor in given])
    result = emit(emitter, target, args[0])
    for variable, row in weights.weight_rows(target, ""):
        emitter.weigh(name, row.source, row.backward(variable.numpy()))
    return result


def _of_kind(layer: Any) -> Callable[..., Any] | None:
    for kind in type(layer).__mro__:
        if kind in emitting.LAYERS:
            return emitting.LAYERS[kind]
    return None


def _refusal(call: Any, given: str, expected: str) -> ArgumentError:
    return ArgumentError(explain(f"to_torch: {call.name}", given, expected))
