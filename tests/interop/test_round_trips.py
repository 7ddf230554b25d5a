"""Networks as people write them in PyTorch, through every conversion: the same numbers at each."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import isoconv
from torch_networks import randomized


class Squeezed(nn.Module):
    """Channels weighed by what they hold (Hu et al. 2018), a residual of the input around it."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.weigh = nn.Sequential(nn.Linear(8, 2), nn.ReLU(), nn.Linear(2, 8), nn.Sigmoid())

    def forward(self, x):
        y = F.hardswish(self.norm(self.conv(x)))
        batch, channels, _, _ = y.size()
        weights = self.weigh(F.adaptive_avg_pool2d(y, 1).view(batch, channels))
        return x + y * weights.view(batch, channels, 1, 1).expand_as(y)


class Inverted(nn.Module):
    """A residual of the input around layers (Sandler et al. 2018)."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(8, 16, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU6(inplace=True),
            nn.Conv2d(16, 16, 3, padding=1, groups=16),
            nn.Conv2d(16, 8, 1),
        )

    def forward(self, x):
        return x + self.layers(x)


class Modern(nn.Module):
    """A weight of its own beside layers (Liu et al. 2022)."""

    def __init__(self):
        super().__init__()
        self.deep = nn.Conv2d(8, 8, 7, padding=3, groups=8)
        self.norm, self.wide, self.narrow = nn.LayerNorm(8), nn.Linear(8, 16), nn.Linear(16, 8)
        self.gamma = nn.Parameter(torch.linspace(-1, 1, 8))

    def forward(self, x):
        y = self.norm(self.deep(x).permute(0, 2, 3, 1))
        y = self.gamma * self.narrow(F.gelu(self.wide(y)))
        return x + y.permute(0, 3, 1, 2)


class Chomped(nn.Module):
    """Causal, gated, with weights of a computed length (Bai et al. 2018)."""

    def __init__(self):
        super().__init__()
        conv = nn.Conv1d(4, 8, 3, padding=4, dilation=2)
        self.conv = nn.utils.parametrizations.weight_norm(conv)
        self.beside = nn.Conv1d(4, 4, 1)

    def forward(self, x):
        y = F.glu(self.conv(x)[:, :, :-4], dim=1)
        return F.relu(self.beside(x) + y), x.abs().max(dim=2).values


class Chosen(nn.Module):
    """Numbers chosen by what they are, and edges of a number."""

    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.linspace(0.1, 0.8, 4).view(1, 4, 1, 1))

    def forward(self, x):
        a, b = torch.split(x, 4, dim=1)
        y = torch.stack([torch.where(a > 0, a, a * self.slope), b], dim=2).sum(2)
        return F.pad(y.clamp(-1, 1), (1, 2, 0, 1), value=0.5), x.pow(2).mean((1, 2, 3))


class Edged(nn.Module):
    """Edges repeated, more on one side than on the other."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(4, 6, 5, padding=2, padding_mode="replicate")
        self.second = nn.Conv1d(6, 4, 4, padding="same", padding_mode="replicate", dilation=2)

    def forward(self, x):
        return self.second(torch.tanh(self.first(x)))


class Shuffled(nn.Module):
    """Places out of channels (Shi et al. 2016), a residual of a smaller image."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(8, 12, 3, stride=2, padding=1)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, x):
        return self.shuffle(self.conv(x)) + F.avg_pool2d(x, 3, 1, 1)[:, :3]


NETWORKS = {
    Squeezed: ((8, 12, 12), (8, 9, 14)),
    Inverted: ((8, 12, 12), (8, 9, 14)),
    Modern: ((8, 12, 12), (8, 9, 14)),
    Chomped: ((4, 20), (4, 33)),
    Edged: ((4, 20), (4, 33)),
    Chosen: ((8, 6, 7), (8, 5, 9)),
    Shuffled: ((8, 12, 12), (8, 12, 12)),
}


def listed(outputs):
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


@pytest.mark.parametrize("network", NETWORKS)
def test_what_people_write_crosses_every_conversion(network, tmp_path):
    module = randomized(network()).eval()
    first, other = NETWORKS[network]
    model = isoconv.from_torch(module, torch.zeros(1, *first))
    model.save(tmp_path / "m.onnx")
    model.save(tmp_path / "m.keras")
    onnx.checker.check_model(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    (given,) = session.get_inputs()
    back = model.to_torch()
    assert (
        list(back.state_dict())
        == [name for name in module.state_dict() if "parametrizations" not in name]
        or network is Chomped
    )
    ways = {
        "call": model,
        "predict": lambda x: model.predict(x, verbose=0),
        "to_torch": lambda x: [each.detach().numpy() for each in listed(back(torch.tensor(x)))],
        "onnxruntime": lambda x: session.run(None, {given.name: x}),
        "read from onnx": isoconv.load_model(tmp_path / "m.onnx"),
        "read from keras": isoconv.load_model(tmp_path / "m.keras"),
    }
    for batch, shape in ((1, first), (3, first), (2, other)):
        x = np.random.default_rng(batch).normal(size=(batch, *shape)).astype("float32")
        expected = [each.detach().numpy() for each in listed(module(torch.tensor(x)))]
        for name, way in ways.items():
            found = listed(way(x))
            for mine, theirs in zip(found, expected, strict=True):
                np.testing.assert_allclose(mine, theirs, 1e-4, 1e-5, err_msg=name)
