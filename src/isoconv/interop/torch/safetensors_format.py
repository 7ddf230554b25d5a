"""`.safetensors` files as a format of weights: read as PyTorch's other files are, and written."""

from __future__ import annotations

from pathlib import Path

from isoconv.interop.torch.loading import load_weights, state_dict
from isoconv.interop.torch.safetensors import write_safetensors
from isoconv.models.model import Model

__all__ = ["load_weights", "save_weights"]


def save_weights(model: Model, path: Path) -> None:
    """Writes `state_dict(model)` to the file `path`."""
    write_safetensors(path, state_dict(model))
