"""Networks of PyTorch, written from their papers, small enough for tests when asked."""

from __future__ import annotations

import torch
from torch import nn


def randomized(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module in `eval()`, with statistics and affine weights that are not 0 and 1."""
    random = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point() and tensor.ndim == 1:
            middle = 1.0 if name.endswith(("weight", "running_var")) else 0.0
            noise = torch.rand(tensor.shape, generator=random) - 0.5
            tensor.copy_(middle + noise)
    return module.eval()


def conv_bn(channels: int, filters: int, size: int, stride: int = 1, groups: int = 1) -> list:
    conv = nn.Conv2d(channels, filters, size, stride, size // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(filters)]


class BasicBlock(nn.Module):
    """Two convolutions and what they are added to (He et al. 2015, figure 5, left)."""

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv_bn(channels, filters, 3, stride)
        self.conv2, self.bn2 = conv_bn(filters, filters, 3)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride > 1 or channels != filters:
            self.downsample = nn.Sequential(*conv_bn(channels, filters, 1, stride))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        x += kept
        return self.relu(x)


class ResNet18(nn.Module):
    """He et al. 2015, table 1, 18 layers; `width` of 64 is theirs."""

    def __init__(self, width: int = 64, classes: int = 1000) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv_bn(3, width, 7, 2)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        widths = [width * 2**stage for stage in range(4)]
        for stage, filters in enumerate(widths):
            before = widths[max(stage - 1, 0)]
            first = BasicBlock(before, filters, 2 if stage else 1)
            blocks = nn.Sequential(first, BasicBlock(filters, filters, 1))
            setattr(self, f"layer{stage + 1}", blocks)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class InvertedResidual(nn.Module):
    """Wide, depthwise, narrow (Sandler et al. 2018, figure 3d)."""

    def __init__(self, channels: int, filters: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        steps = [*conv_bn(channels, wide, 1), nn.ReLU6(inplace=True)] if expansion > 1 else []
        steps += [*conv_bn(wide, wide, 3, stride, wide), nn.ReLU6(inplace=True)]
        self.conv = nn.Sequential(*steps, *conv_bn(wide, filters, 1))
        self.residual = stride == 1 and channels == filters

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(nn.Module):
    """Sandler et al. 2018, table 2; `width` of 1 is theirs."""

    ROWS = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )

    def __init__(self, width: float = 1.0, classes: int = 1000) -> None:
        super().__init__()
        channels = int(32 * width)
        steps = [nn.Sequential(*conv_bn(3, channels, 3, 2), nn.ReLU6(inplace=True))]
        for expansion, filters, count, stride in self.ROWS:
            for place in range(count):
                wanted = max(int(filters * width), 4)
                first = stride if place == 0 else 1
                steps.append(InvertedResidual(channels, wanted, first, expansion))
                channels = wanted
        last = int(1280 * max(width, 0.05))
        steps.append(nn.Sequential(*conv_bn(channels, last, 1), nn.ReLU6(inplace=True)))
        self.features = nn.Sequential(*steps)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).mean([2, 3]))
