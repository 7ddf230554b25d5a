"""The masks that layers hand on, written out as steps of a network of their own.

Keras draws them so. A file that leaves them out makes Keras draw them as it reads, under names that
layers of the file may have.
"""

from __future__ import annotations

from typing import Any

from isoconv import naming
from isoconv.layers.base import Layer, takes_mask
from isoconv.layers.embedding import Embedding
from isoconv.layers.merge import Concatenate, Merge
from isoconv.layers.wrapping import Masking
from isoconv.models.network import Network
from isoconv.ops import tree
from isoconv.ops.tensor import Call, KerasTensor

# What Keras calls the operations that compute masks.
_STEPS = "any concatenate expand_dims logical_or not_equal ones_like zeros_like"

# What computes masks in operations that Keras has.
_TOLD = {cls.compute_mask for cls in (Layer, Embedding, Masking, Merge, Concatenate)}

# The layers of ours that take a mask in Keras as well.
_NAMES = (
    "BatchNormalization Functional GlobalAveragePooling1D Lambda Model Sequential Softmax "
    "TimeDistributed"
)
_HANDED = frozenset(_NAMES.split())


def written_out(network: Network) -> Network:
    """The same network, in which layers are given their masks as arguments.

    It is the network itself where no name in it is one that Keras may give to these steps. A mask
    that Keras has no operations for, and what follows from it, stays untold.
    """
    tensors = [tensor for step in network.steps for tensor in step.outputs]
    names = {call.name for call in network.targets}
    clash = any(name.rstrip("_0123456789") in _STEPS.split() for name in names)
    if not clash or all(tensor.mask is None for tensor in tensors):
        return network
    with naming.apart(names):
        return _Copy(network).network()


class _Copy:
    """The steps of a network again, with masks.

    tensors: what stands for each of its tensors, by identity. masks: their masks, so far as told.
    """

    def __init__(self, network: Network) -> None:
        self.original = network
        self.tensors = {id(tensor): tensor for tensor in network.flat_inputs}
        self.masks: dict[int, Any] = {}

    def network(self) -> Network:
        for step in self.original.steps:
            self.add(step)
        sides = (self.original.inputs, self.original.outputs)
        inputs, outputs = tree.transform(self.renewed, sides)
        return Network(inputs, outputs)

    def renewed(self, leaf: Any) -> Any:
        return self.tensors[id(leaf)] if isinstance(leaf, KerasTensor) else leaf

    def add(self, step: Call) -> None:
        args, kwargs = tree.transform(self.renewed, (step.args, dict(step.kwargs)))
        masks = self.masks_for(step) if "mask" not in kwargs else kwargs["mask"]
        if masks is not None and _handed(step.target):
            kwargs["mask"] = masks
        call = Call(step.target, args, kwargs, step.name)
        for old in step.outputs:
            new = KerasTensor(old.shape, old.dtype, old.name, call, old.index)
            call.outputs.append(new)
            self.tensors[id(old)] = new
            computes = getattr(type(step.target), "compute_mask", None)
            if old.mask is not None and computes in _TOLD and self.is_told(step):
                self.masks[id(old)] = step.target.compute_mask(args[0], masks)

    def is_told(self, step: Call) -> bool:
        leaves = tree.leaves((step.args, dict(step.kwargs)))
        masked = [each for each in leaves if getattr(each, "mask", None) is not None]
        return all(id(each) in self.masks for each in masked)

    def masks_for(self, step: Call) -> Any:
        """The masks of a call's first argument, in its structure; None without any, or untold."""
        if not (step.args and self.is_told(step)):
            return None
        masks = tree.transform(lambda leaf: self.masks.get(id(leaf)), step.args[0])
        return masks if any(mask is not None for mask in tree.leaves(masks)) else None


def _handed(target: Any) -> bool:
    """Whether Keras gives the target its mask as an argument."""
    if not isinstance(target, Layer) or not takes_mask(target):
        return False
    ours = type(target).__module__.startswith("isoconv.")
    return not ours or type(target).__name__ in _HANDED
