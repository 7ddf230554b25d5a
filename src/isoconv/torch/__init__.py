"""PyTorch modules that compute with the kernels of isoconv.

`nn` has the layers; `accelerate` puts them in the place of PyTorch's own in any module.
"""

from isoconv.torch import nn
from isoconv.torch.swapping import accelerate

__all__ = ["accelerate", "nn"]
