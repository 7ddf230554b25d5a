"""What each layer and function becomes in PyTorch: nodes of a graph and submodules."""

from isoconv.interop.torch.emitting import elements, positions, weighted
from isoconv.interop.torch.emitting.emitter import LAYERS, Emitter
from isoconv.interop.torch.emitting.functions import FUNCTIONS

__all__ = ["FUNCTIONS", "LAYERS", "Emitter", "elements", "positions", "weighted"]
