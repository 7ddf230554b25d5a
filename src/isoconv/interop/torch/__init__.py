"""PyTorch's modules and files: drawn as models, models as modules, weights both ways."""

from isoconv.interop.torch.exported import from_torch

__all__ = ["from_torch"]
