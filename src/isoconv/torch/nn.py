"""PyTorch's layers, computed by isoconv's kernels where these can: modules with PyTorch's
parameters, signatures and autograd.
"""

from isoconv.torch.convolution import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
)
from isoconv.torch.linear import Linear
from isoconv.torch.max_pool import MaxPool1d, MaxPool2d, MaxPool3d
from isoconv.torch.sequential import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    Dropout,
    Sequential,
)

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "Dropout",
    "Linear",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "Sequential",
]
