"""PyTorch modules of networks whose trained weights come in packages, written from their papers."""

from __future__ import annotations

from typing import Any

from isoconv import optional

torch: Any = optional.require("torch", "bench")
F = torch.nn.functional


class Crepe(torch.nn.Module):  # type: ignore[misc]
    """Kim et al. 2018: pitch from 1,024 samples; 1-D convolutions written as (512, 1)."""

    def __init__(self) -> None:
        super().__init__()
        channels = [1, 128, 16, 16, 16, 32, 64]
        for i in range(6):
            conv = torch.nn.Conv2d(channels[i], channels[i + 1], (512 if i == 0 else 64, 1), (4, 1))
            conv.stride = (4, 1) if i == 0 else (1, 1)
            setattr(self, f"conv{i + 1}", conv)
            setattr(self, f"conv{i + 1}_BN", torch.nn.BatchNorm2d(channels[i + 1], 0.001))
        self.classifier = torch.nn.Linear(256, 360)

    def forward(self, x: Any) -> Any:
        x = x[:, None, :, None]
        for i in range(1, 7):
            x = F.pad(x, (0, 0, 254, 254) if i == 1 else (0, 0, 31, 32))
            x = F.relu(getattr(self, f"conv{i}")(x))
            x = F.max_pool2d(getattr(self, f"conv{i}_BN")(x), (2, 1))
        return torch.sigmoid(self.classifier(x.permute(0, 2, 1, 3).reshape(-1, 256)))


def convolutions(module: Any, *rows: tuple[int, int, int]) -> None:
    for i, (channels, filters, size) in enumerate(rows, 1):
        setattr(module, f"conv{i}", torch.nn.Conv2d(channels, filters, size))
        setattr(module, f"prelu{i}", torch.nn.PReLU(filters))


class PNet(torch.nn.Module):  # type: ignore[misc]
    """Zhang et al. 2016, figure 2, the first network: proposals, for any size of image."""

    def __init__(self) -> None:
        super().__init__()
        convolutions(self, (3, 10, 3), (10, 16, 3), (16, 32, 3))
        self.conv4_1, self.conv4_2 = torch.nn.Conv2d(32, 2, 1), torch.nn.Conv2d(32, 4, 1)

    def forward(self, x: Any) -> tuple[Any, Any]:
        x = F.max_pool2d(self.prelu1(self.conv1(x)), 2, 2, ceil_mode=True)
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return self.conv4_2(x), self.conv4_1(x).softmax(1)


class RNet(torch.nn.Module):  # type: ignore[misc]
    """The second: 24 x 24 pixels are refined."""

    def __init__(self) -> None:
        super().__init__()
        convolutions(self, (3, 28, 3), (28, 48, 3), (48, 64, 2))
        self.dense4, self.prelu4 = torch.nn.Linear(576, 128), torch.nn.PReLU(128)
        self.dense5_1, self.dense5_2 = torch.nn.Linear(128, 2), torch.nn.Linear(128, 4)

    def forward(self, x: Any) -> tuple[Any, Any]:
        x = F.max_pool2d(self.prelu1(self.conv1(x)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.prelu2(self.conv2(x)), 3, 2, ceil_mode=True)
        x = self.prelu3(self.conv3(x)).permute(0, 3, 2, 1).contiguous()
        x = self.prelu4(self.dense4(x.view(x.shape[0], -1)))
        return self.dense5_2(x), self.dense5_1(x).softmax(1)


class ONet(torch.nn.Module):  # type: ignore[misc]
    """The third: 48 x 48 pixels, with five landmarks."""

    def __init__(self) -> None:
        super().__init__()
        convolutions(self, (3, 32, 3), (32, 64, 3), (64, 64, 3), (64, 128, 2))
        self.dense5, self.prelu5 = torch.nn.Linear(1152, 256), torch.nn.PReLU(256)
        self.dense6_1, self.dense6_2 = torch.nn.Linear(256, 2), torch.nn.Linear(256, 4)
        self.dense6_3 = torch.nn.Linear(256, 10)

    def forward(self, x: Any) -> tuple[Any, ...]:
        x = F.max_pool2d(self.prelu1(self.conv1(x)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.prelu2(self.conv2(x)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.prelu3(self.conv3(x)), 2, 2, ceil_mode=True)
        x = self.prelu4(self.conv4(x)).permute(0, 3, 2, 1).contiguous()
        x = self.prelu5(self.dense5(x.view(x.shape[0], -1)))
        return self.dense6_2(x), self.dense6_3(x), self.dense6_1(x).softmax(1)
