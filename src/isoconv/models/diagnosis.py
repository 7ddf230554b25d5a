"""Where NaN or infinity first appears in a step: data, labels, weights, a layer, or the loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from isoconv import dtypes, ops
from isoconv.ir.graph import Graph, Node
from isoconv.layers.base import Layer
from isoconv.ops import tree
from isoconv.ops.program import Program, Spec, trace
from isoconv.ops.recorder import Array
from isoconv.ops.tensor import Tensor
from isoconv.training.batches import Data, unpack

if TYPE_CHECKING:
    from isoconv.models.training import Training


def first_not_finite(model: Training, data: Data) -> str:
    """Words for where NaN or infinity first appears when the model trains on a batch.

    data: the batch, as prepared. The model must hold the weights from before the step.
    """
    return _in_data(data) or _in_weights(model) or _in_layers(model, data)


def _in_data(data: Data) -> str | None:
    names = ("the inputs", "the labels", "the sample weights")
    for name, part in zip(names, data, strict=True):
        for place, array in enumerate(tree.leaves(part)):
            if array is not None and not _is_finite(array):
                return f"{name} hold NaN or infinity (array {place}, {_first_sample(array)})"
    return None


def _in_weights(model: Training) -> str | None:
    """The layer nearest the output whose weights are not finite: gradients flow from there."""
    for layer in reversed([each for each in model.all_layers() if not each.sublayers()]):
        for weight in layer.weights:
            if not _is_finite(weight.array):
                where = layer.where(weight.name)
                return f"the weights of {where} are NaN or infinite since the step before it"
    return None


def _in_layers(model: Training, data: Data) -> str:
    arrays = [leaf for leaf in tree.leaves(data) if leaf is not None]
    specs = [Spec(array.shape, array.dtype.name) for array in arrays]
    places: list[str] = []

    def outputs(*tensors: Tensor) -> list[Tensor]:
        given = iter(tensors)
        filled = tree.transform(lambda leaf: None if leaf is None else next(given), data)
        x, y, weight = unpack(filled)
        loss = model.compute_loss(x, y, model(x, training=True), weight)
        nodes = list(_ends_of_layers(Graph((), (loss.node,))))
        places.extend(node.origin for node in nodes)
        return [ops.all(ops.isfinite(Tensor(node))) for node in nodes]

    fine = Program(trace(outputs, specs, keep_updates=False))(arrays)
    wrong = [place for place, whole in zip(places, fine, strict=True) if not whole]
    if not wrong:
        return "all layers and the loss are finite, so it began in the gradients or the optimizer"
    if not wrong[0]:
        return "it first appeared in the loss, all outputs being finite"
    return f"it first appeared in the output of {_layer_of(model, wrong[0])}"


def _ends_of_layers(graph: Graph) -> Iterator[Node]:
    """The floats that one layer hands to another, or to the loss, in order."""
    ends = set(graph.outputs)
    for node in graph.nodes:
        leaves = node.op == "input" or not dtypes.is_float(node.dtype)
        passed_on = any(user.origin != node.origin for user in graph.users[node])
        if not leaves and (node in ends or passed_on):
            yield node


def _layer_of(model: Training, place: str) -> str:
    """The innermost layer that an origin such as "model/block/conv1d" names."""
    by_name: dict[str, Layer] = {layer.name: layer for layer in model.all_layers()}
    found: Callable[[str], Layer | None] = by_name.get
    for name in reversed(place.split("/")):
        layer = found(name)
        if layer is not None:
            return layer.where()
    return repr(place)


def _is_finite(array: Array) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _first_sample(array: Array) -> str:
    return f"sample {int(np.argwhere(~np.isfinite(array))[0][0])} of the batch"
