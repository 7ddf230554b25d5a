"""Real networks of PyTorch: the networks written from their papers, the weights from packages."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import isoconv
from isoconv.interop.torch import load_state_dict
from real_inputs import real_input


def convolutions(module: nn.Module, *rows: tuple[int, int, int]) -> None:
    for i, (channels, filters, size) in enumerate(rows, 1):
        setattr(module, f"conv{i}", nn.Conv2d(channels, filters, size))
        setattr(module, f"prelu{i}", nn.PReLU(filters))


class PNet(nn.Module):
    """Zhang et al. 2016, figure 2, the first network: proposals, for any size of image."""

    def __init__(self) -> None:
        super().__init__()
        convolutions(self, (3, 10, 3), (10, 16, 3), (16, 32, 3))
        self.conv4_1, self.conv4_2 = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = F.max_pool2d(self.prelu1(self.conv1(x)), 2, 2, ceil_mode=True)
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return self.conv4_2(x), self.conv4_1(x).softmax(1)


class RNet(nn.Module):
    """The second: 24 x 24 pixels are refined."""

    def __init__(self) -> None:
        super().__init__()
        convolutions(self, (3, 28, 3), (28, 48, 3), (48, 64, 2))
        self.dense4, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.dense5_1, self.dense5_2 = nn.Linear(128, 2), nn.Linear(128, 4)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = F.max_pool2d(self.prelu1(self.conv1(x)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.prelu2(self.conv2(x)), 3, 2, ceil_mode=True)
        x = self.prelu3(self.conv3(x)).permute(0, 3, 2, 1).contiguous()
        x = self.prelu4(self.dense4(x.view(x.shape[0], -1)))
        return self.dense5_2(x), self.dense5_1(x).softmax(1)


class ONet(nn.Module):
    """The third: 48 x 48 pixels, with five landmarks."""

    def __init__(self) -> None:
        super().__init__()
        convolutions(self, (3, 32, 3), (32, 64, 3), (64, 64, 3), (64, 128, 2))
        self.dense5, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.dense6_1, self.dense6_2 = nn.Linear(256, 2), nn.Linear(256, 4)
        self.dense6_3 = nn.Linear(256, 10)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = F.max_pool2d(self.prelu1(self.conv1(x)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.prelu2(self.conv2(x)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.prelu3(self.conv3(x)), 2, 2, ceil_mode=True)
        x = self.prelu4(self.conv4(x)).permute(0, 3, 2, 1).contiguous()
        x = self.prelu5(self.dense5(x.view(x.shape[0], -1)))
        return self.dense6_2(x), self.dense6_3(x), self.dense6_1(x).softmax(1)


def image(count: int, height: int, width: int) -> np.ndarray:
    """Smooth images between -1 and 1."""
    noise = torch.from_numpy(np.random.default_rng(1).normal(size=(count, 3, 6, 6)))
    return torch.tanh(F.interpolate(noise, (height, width), mode="bicubic")).float().numpy()


CASES = {
    "pnet": (PNet, "facenet_pytorch/data/pnet.pt", image(1, 40, 52), image(2, 31, 24)),
    "rnet": (RNet, "facenet_pytorch/data/rnet.pt", image(1, 24, 24), image(5, 24, 24)),
    "onet": (ONet, "facenet_pytorch/data/onet.pt", image(1, 48, 48), image(5, 48, 48)),
}


@pytest.mark.parametrize("name", CASES)
def test_real_networks_agree_with_torch_to_1e5(name):
    make, path, example, x = CASES[name]
    path = real_input(path)
    module = make().eval()
    model = isoconv.from_torch(module, torch.from_numpy(example))
    # The model reads the file by itself; torch reads it for the module.
    table = load_state_dict(model, path, by="name")
    assert len(table) == len(model.weights)
    module.load_state_dict(torch.load(path, weights_only=True))
    with torch.no_grad():
        expected = module(torch.from_numpy(x))
    back = model.to_torch()
    theirs = list(expected) if isinstance(expected, tuple) else [expected]
    found = model.predict(x, verbose=0)
    with torch.no_grad():
        again = back(torch.from_numpy(x))
    for actual in (found, again):
        each = list(actual) if isinstance(actual, list | tuple) else [actual]
        for mine, his in zip(each, theirs, strict=True):
            scale = his.abs().max().item()
            assert np.abs(np.asarray(mine) - his.numpy()).max() <= 1e-5 * scale
