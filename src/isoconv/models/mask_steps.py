"""The masks that layers hand on, written out as steps of a network of their own.

Keras draws them so. A file that leaves them out makes Keras draw them as it reads, under names that
layers of the file may have. Where Keras ignores masks that are not ignored here, the steps say what
becomes of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isoconv import layers, naming
from isoconv.layers.base import Layer, takes_mask
from isoconv.layers.embedding import Embedding
from isoconv.layers.merge import Concatenate, Merge
from isoconv.layers.spatial import Spatial
from isoconv.layers.upsampling import UpSampling1D
from isoconv.layers.windowed import Windowed
from isoconv.layers.wrapping import Masking
from isoconv.models.network import Network
from isoconv.ops import tree
from isoconv.ops.tensor import Call, KerasTensor

# What Keras calls the operations that compute masks.
_STEPS = "any concatenate expand_dims logical_or not_equal ones_like zeros_like"

# What computes masks in operations that Keras has.
_TOLD = {
    cls.compute_mask
    for cls in (Layer, Embedding, Masking, Merge, Concatenate, Windowed, Spatial, UpSampling1D)
}

# The layers of ours that take a mask in Keras as well.
_NAMES = (
    "BatchNormalization Functional GlobalAveragePooling1D GlobalAvgPool1D Lambda Model "
    "Sequential Softmax TimeDistributed"
)
_HANDED = frozenset(_NAMES.split())


def written_out(network: Network) -> Network:
    """The same network, in which layers are given their masks as arguments, and what layers do
    with masks that ignore them in Keras is drawn in operations.

    It is the network itself where Keras would do the same without, and where the steps would change
    the order of its layers, and so of weights. A mask that Keras has no operations for, and what
    follows from it, stays untold.
    """
    return with_untold(network)[0]


def with_untold(network: Network) -> tuple[Network, list[str]]:
    """The network to write, and the names of layers in it that ignore their masks in Keras."""
    tensors = [tensor for step in network.steps for tensor in step.outputs]
    names = {call.name for call in network.targets}
    clash = any(name.rstrip("_0123456789") in _STEPS.split() for name in names)
    ignoring = [step.name for step in network.steps if ignored_there(step)]
    if not ignoring and (not clash or all(tensor.mask is None for tensor in tensors)):
        return network, []
    with naming.apart(names):
        copy = _Copy(network)
        drawn = copy.network()
    if [id(layer) for layer in drawn.layers] != [id(layer) for layer in network.layers]:
        return network, ignoring
    return drawn, copy.untold


class _Copy:
    """The steps of a network again, with masks.

    tensors: what stands for each of its tensors, by identity. masks: their masks, so far as told.
    """

    def __init__(self, network: Network) -> None:
        self.original = network
        self.tensors = {id(tensor): tensor for tensor in network.flat_inputs}
        self.masks: dict[int, Any] = {}
        self.untold: list[str] = []

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
        made = self.absent(step, args[0], masks) if ignored_there(step) else None
        outputs = self.call(step, args, kwargs, step.outputs) if made is None else [made]
        for old, new in zip(step.outputs, outputs, strict=True):
            self.tensors[id(old)] = new
            computes = getattr(type(step.target), "compute_mask", None)
            if old.mask is not None and computes in _TOLD and self.is_told(step):
                self.masks[id(old)] = step.target.compute_mask(args[0], masks)

    def call(self, step: Call, args: Any, kwargs: Any, like: Sequence[Any]) -> list[KerasTensor]:
        """A call of a step's target, with results of the shapes and dtypes of others."""
        call = Call(step.target, args, kwargs, step.name)
        for index, old in enumerate(like):
            call.outputs.append(KerasTensor(old.shape, old.dtype, old.name, call, index))
        return call.outputs

    def absent(self, step: Call, inputs: KerasTensor, mask: Any) -> KerasTensor | None:
        """What a layer gives whose masked steps are absent; None, noted, where that is not told."""
        layer = step.target

        def compute(given: KerasTensor) -> KerasTensor:
            shape = layer.compute_output_shape(given.shape)
            like = KerasTensor(shape, step.outputs[0].dtype, step.outputs[0].name)
            return self.call(step, (given,), {}, [like])[0]

        made: KerasTensor | None = None if mask is None else layer.absent(inputs, mask, compute)
        if made is None:
            self.untold.append(step.name)
        return made

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


def ignored_there(step: Call) -> bool:
    """Whether a call heeds a mask that Keras ignores."""
    return ignores_masks_there(step.target) and is_masked(step)


def ignores_masks_there(target: Any) -> bool:
    """Whether Keras ignores the masks of this layer, and isoconv does not."""
    spatial = isinstance(target, Spatial) and not target.ignores_masks
    return spatial and takes_mask(target) and type(target).__name__ not in _HANDED


def is_ignoring_class(name: str) -> bool:
    """Whether this is a class of Keras whose layers ignore masks, and ours do not."""
    found = getattr(layers, name, None)
    return isinstance(found, type) and issubclass(found, Spatial) and name not in _HANDED


def is_masked(step: Call) -> bool:
    given = dict(step.kwargs).get("mask")
    return given is not None or any(
        getattr(leaf, "mask", None) is not None for leaf in tree.leaves(list(step.args))
    )
