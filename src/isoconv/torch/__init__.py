"""PyTorch modules that compute with the kernels of isoconv.

`nn` has the layers; `accelerate` puts them in the place of PyTorch's own in any module,
and `report` tells which of these PyTorch computes nevertheless.
"""

from isoconv.torch import nn
from isoconv.torch.swapping import accelerate, report

__all__ = ["accelerate", "nn", "report"]
