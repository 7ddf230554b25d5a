"""PyTorch's modules and files: drawn as models, models as modules, weights both ways."""

from isoconv.interop.torch.exported import from_torch
from isoconv.interop.torch.loading import load_state_dict, load_weights, state_dict
from isoconv.interop.torch.modules import to_torch
from isoconv.interop.torch.safetensors_format import save_weights

__all__ = [
    "from_torch",
    "load_state_dict",
    "load_weights",
    "save_weights",
    "state_dict",
    "to_torch",
]
