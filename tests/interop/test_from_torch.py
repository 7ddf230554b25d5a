"""`from_torch`: the model gives the module's outputs, for any batch and length it allows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import isoconv
from isoconv import layers
from isoconv.errors import ArgumentError
from torch_networks import MobileNetV2, ResNet18, randomized


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def expected(module, *inputs):
    with torch.no_grad():
        found = module.eval()(*(each.clone() for each in inputs))
    return found if isinstance(found, tuple | list) else [found]


def agree(model, module, *inputs, rtol=1e-5):
    """Asserts that both give the same, to rtol of the largest number."""
    given = [each.numpy() for each in inputs]
    ours = model(given if len(given) > 1 else given[0])
    for mine, theirs in zip(
        ours if isinstance(ours, list) else [ours], expected(module, *inputs), strict=True
    ):
        theirs = theirs.numpy()
        assert mine.shape == theirs.shape
        assert mine.dtype == theirs.dtype
        assert np.abs(mine - theirs).max() <= rtol * max(np.abs(theirs).max(), 1e-3)


class Calls(nn.Module):
    """A function with modules that it may use."""

    def __init__(self, function, **modules) -> None:
        super().__init__()
        self.function = function
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, *inputs):
        return self.function(self, *inputs)


def called(function, **modules):
    return lambda: Calls(function, **modules)


X = (2, 4, 11, 14)
WINDOWS = {
    "conv": nn.Conv2d(4, 6, 3),
    "padded": nn.Conv2d(4, 6, (3, 5), padding=(1, 2)),
    "strided": nn.Conv2d(4, 6, 3, 2, 1, bias=False),
    "dilated": nn.Conv2d(4, 6, 3, padding=2, dilation=2),
    "strided and dilated": nn.Conv2d(4, 6, 3, 2, 1, dilation=2),
    "same": nn.Conv2d(4, 6, 5, padding="same", dilation=(1, 2)),
    "grouped": nn.Conv2d(4, 6, 3, groups=2),
    "depthwise": nn.Conv2d(4, 4, 3, padding=1, groups=4),
    "multiplied depthwise": nn.Conv2d(4, 12, 3, 2, 1, groups=4),
    "reflected": nn.Conv2d(4, 6, 5, padding=2, padding_mode="reflect"),
    "replicated": nn.Conv2d(4, 6, 3, 2, padding=1, padding_mode="replicate"),
    "circular": nn.Conv2d(4, 6, 3, padding=(1, 0), padding_mode="circular"),
    "transposed": nn.ConvTranspose2d(4, 6, 3),
    "transposed, cropped": nn.ConvTranspose2d(4, 6, 3, 2, 1),
    "transposed, one more": nn.ConvTranspose2d(4, 6, 3, 2, 1, 1),
    "transposed, as same": nn.ConvTranspose2d(4, 6, 4, 2, 1),
    "transposed, three more": nn.ConvTranspose2d(4, 6, 5, 4, 1, 3),
    "transposed, more than cropped": nn.ConvTranspose2d(4, 6, 3, 4, 0, 2),
    "transposed in groups": nn.ConvTranspose2d(4, 6, 3, 2, 1, groups=2, dilation=2, bias=False),
    "max": nn.MaxPool2d(3, 2, 1),
    "max, rounded up": nn.MaxPool2d(3, 2, 1, ceil_mode=True),
    "max, dilated": nn.MaxPool2d(2, 2, 1, dilation=2),
    "average": nn.AvgPool2d(2),
    "average with zeros": nn.AvgPool2d(3, 2, 1),
    "average without zeros": nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    "average, rounded up": nn.AvgPool2d(3, 2, 1, ceil_mode=True),
    "norm": nn.LPPool2d(2, 3, 2),
    "adaptive average": nn.AdaptiveAvgPool2d((3, 5)),
    "adaptive max": nn.AdaptiveMaxPool2d((None, 4)),
    "global": nn.AdaptiveAvgPool2d(1),
    "zeros around": nn.ZeroPad2d((1, 2, 0, 3)),
    "number around": nn.ConstantPad2d((1, 2, 0, 3), 1.5),
    "reflection": nn.ReflectionPad2d((1, 2, 0, 3)),
    "replication": nn.ReplicationPad2d(2),
    "circle": nn.CircularPad2d(2),
    "twice": nn.Upsample(scale_factor=2),
    "larger": nn.Upsample(scale_factor=(1.5, 2.4)),
    "sized": nn.Upsample(size=(5, 40)),
    "batch norm": nn.BatchNorm2d(4),
    "plain batch norm": nn.BatchNorm2d(4, affine=False, momentum=0.3, eps=0.1),
    "group norm": nn.GroupNorm(2, 4),
    "instance norm": nn.InstanceNorm2d(4, affine=True),
    "layer norm of channels": Calls(
        lambda m, x: m.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), norm=nn.LayerNorm(4)
    ),
    "linear": Calls(lambda m, x: m.fc(x.transpose(1, 3)), fc=nn.Linear(4, 5)),
    "prelu": nn.PReLU(4),
    "one prelu": nn.PReLU(),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_modules_with_windows_are_the_same(name):
    module = randomized(WINDOWS[name])
    model = isoconv.from_torch(module, images(1, *X[1:]))
    agree(model, module, images(*X))
    # Other lengths, without drawing anew.
    each = zip(model.inputs[0].shape, (3, 4, 12, 9), strict=True)
    shape = [size or other for size, other in each]
    assert shape[2:] == ([11, 9] if name == "adaptive max" else [12, 9])
    agree(model, module, images(*shape, seed=1))


OTHER_RANKS = {
    "conv": (nn.Conv1d(4, 6, 5, 2, 3), nn.Conv3d(4, 6, 2, 2, 1)),
    "transposed": (nn.ConvTranspose1d(4, 6, 3, 2, 1), nn.ConvTranspose3d(4, 3, 2, 2)),
    "max": (nn.MaxPool1d(3, 2, 1, ceil_mode=True), nn.MaxPool3d(2, padding=1)),
    "average": (nn.AvgPool1d(3, 2, 1), nn.AvgPool3d(2, ceil_mode=True)),
    "adaptive": (nn.AdaptiveAvgPool1d(4), nn.AdaptiveMaxPool3d(2)),
    "padding": (nn.ReflectionPad1d(2), nn.CircularPad3d(1)),
    "resizing": (nn.Upsample(scale_factor=2), nn.Upsample(scale_factor=1.3)),
    "batch norm": (nn.BatchNorm1d(4), nn.BatchNorm3d(4)),
}


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("name", OTHER_RANKS)
def test_other_ranks_are_the_same(name, rank):
    module = randomized(OTHER_RANKS[name][rank > 1])
    shape = (2, 4, 15) if rank == 1 else (2, 4, 5, 6, 7)
    model = isoconv.from_torch(module, images(*shape))
    agree(model, module, images(3, 4, *(size + 3 for size in shape[2:])))


ACTIVATIONS = [
    nn.ReLU(),
    nn.ReLU6(),
    nn.LeakyReLU(0.2),
    nn.ELU(0.7),
    nn.SELU(),
    nn.CELU(0.7),
    nn.GELU(),
    nn.GELU("tanh"),
    nn.SiLU(),
    nn.Mish(),
    nn.Sigmoid(),
    nn.Tanh(),
    nn.Hardtanh(-0.5, 0.7),
    nn.Hardsigmoid(),
    nn.Hardswish(),
    nn.Softplus(),
    nn.Softplus(2.0),
    nn.Softsign(),
    nn.LogSigmoid(),
    nn.Threshold(0.1, -0.3),
    nn.Softmax(1),
    nn.LogSoftmax(-1),
    nn.Dropout(),
    nn.Dropout1d(),
    nn.Identity(),
]


def test_activations_are_the_same():
    module = Calls(
        lambda m, x: tuple(each(x + 0) for each in m.all), all=nn.ModuleList(ACTIVATIONS)
    )
    model = isoconv.from_torch(module, images(2, 4, 9))
    agree(model, module, images(3, 4, 7))
    assert isinstance(model.get_layer("all.0"), layers.ReLU)


FUNCTIONS = {
    "arithmetic": lambda m, x, y: (x + 2 * y - 1) / (y * y + 3) - (1 - x) ** 2,
    "alpha": lambda m, x, y: torch.add(x, y, alpha=0.5) + torch.rsub(x, y, alpha=2),
    "functions": lambda m, x, y: torch.exp(x).log1p() + y.abs().sqrt() + (x + 2 * y).sin().square(),
    "clamped": lambda m, x, y: (x.clamp(-0.3, 0.4), y.clamp_min(0.1), x.clamp(max=0.2)),
    "extremes": lambda m, x, y: torch.maximum(x, y) - torch.minimum(x, y) + x.amax(2, True),
    "means": lambda m, x, y: (x.mean(), y.mean((2, 3)), x.sum(-1), y.mean([0, 1]), x.max()),
    "cat": lambda m, x, y: torch.cat([x, y, x], 1),
    "stack": lambda m, x, y: torch.stack([x, y], 1),
    "slices": lambda m, x, y: x[:, 1:3, ::2, -4:] + y[:, :2, ::2, :4],
    "chosen": lambda m, x, y: x[:, 0] * y.select(1, 2),
    "parts": lambda m, x, y: x.chunk(2, 1)[1] * y.split([1, 2, 1], 1)[1],
    "gated": lambda m, x, y: F.relu(x) * torch.sigmoid(y) + y,
    "views": lambda m, x, y: (x.flatten(2), y.reshape(y.size(0), 2, -1), x.unsqueeze(1)),
    "axes": lambda m, x, y: (x.permute(0, 2, 3, 1), y.transpose(2, 3), x.movedim(1, -1)),
    "flipped": lambda m, x, y: x.flip(-1, 2) + y,
    "added in place": lambda m, x, y: F.relu(x.add_(y), inplace=True) + x,
    "products": lambda m, x, y: torch.matmul(x, y.transpose(2, 3)),
    "padded": lambda m, x, y: F.pad(x, (1, -2, 0, 1)) + y.sum(),
    "compared": lambda m, x, y: torch.where(x > y, x, 2.0) + torch.where(x <= 0, y, x).ne(0) * y,
    "filled": lambda m, x, y: x.masked_fill((y < 0) & (x >= -1), 0.5),
    "half the channels": lambda m, x, y: F.glu(x, 1) + F.glu(y[:, :, :, :4], -1).sum(),
    "expanded": lambda m, x, y: x[:, :1].expand(-1, 4, -1, -1) + x.mean((2, 3), True).expand_as(y),
    "weights of weights": lambda m, x, y: x * torch.tensor([1.0, 2, 3, 4]).view(1, 4, 1, 1).exp(),
    "turned back": lambda m, x, y: x.view(x.size(0), -1).unsqueeze(2).squeeze(2),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_the_same(name):
    module = Calls(FUNCTIONS[name])
    model = isoconv.from_torch(module, (images(2, 4, 6, 5), images(2, 4, 6, 5, seed=1)))
    agree(model, module, images(3, 4, 6, 5, seed=2), images(3, 4, 6, 5, seed=3))


@pytest.mark.parametrize(
    ("network", "size"), [(ResNet18(8, 10), 64), (MobileNetV2(0.25, 10), 64)], ids=["18", "v2"]
)
def test_whole_networks_are_the_same_saved_too(network, size, tmp_path):
    module = randomized(network)
    model = isoconv.from_torch(module, images(1, 3, size, size))
    agree(model, module, images(2, 3, size, size + 8))
    names = {layer.name for layer in model.layers}
    known = {name for name, each in module.named_modules() if isinstance(each, nn.Conv2d)}
    assert known <= names
    model.save(tmp_path / "net.keras")
    again = isoconv.load_model(tmp_path / "net.keras")
    agree(again, module, images(2, 3, size + 1, size))
    assert model.count_params() == sum(
        tensor.numel() for tensor in module.state_dict().values() if tensor.is_floating_point()
    )


def test_the_order_of_flatten_is_torchs():
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(3 * 4 * 6, 5))
    model = isoconv.from_torch(module, images(1, 2, 6, 8))
    agree(model, module, images(2, 2, 6, 8))
    assert [layer.name for layer in model.layers[1:]] == ["0", "1", "2"]


def test_a_wrong_flatten_is_caught():
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(3 * 4 * 6, 5))
    model = isoconv.from_torch(module, images(1, 2, 6, 8))
    model.get_layer("1").data_format = "channels_first"
    with pytest.raises(AssertionError):
        agree(model, module, images(2, 2, 6, 8))


def test_shared_modules_stay_shared():
    shared = nn.Conv1d(3, 3, 3, padding=1)
    module = Calls(lambda m, x: m.conv(torch.relu(m.conv(x))), conv=shared)
    model = isoconv.from_torch(module, images(1, 3, 8))
    agree(model, module, images(2, 3, 9))
    assert sum(isinstance(layer, layers.Conv1D) for layer in model.layers) == 1


def test_it_trains_and_keeps_torchs_momentum():
    module = nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4, momentum=0.25), nn.Dropout(0.0))
    model = isoconv.from_torch(module, images(2, 2, 9))
    x = images(5, 2, 9)
    model(x.numpy(), training=True)
    module.train()(x)
    np.testing.assert_allclose(
        model.get_layer("1").moving_mean.numpy(), module[1].running_mean.numpy(), atol=1e-6
    )
    model.compile("sgd", "mse")
    before = model.get_layer("0").get_weights()[0]
    model.fit(x.numpy(), np.zeros((5, 4, 7), "float32"), verbose=0)
    assert (model.get_layer("0").get_weights()[0] != before).any()


def test_double_precision_stays():
    module = nn.Conv1d(2, 3, 3).double()
    agree(isoconv.from_torch(module, images(2, 2, 9).double()), module, images(2, 2, 5).double())


def test_what_code_fixes_stays_fixed():
    module = Calls(lambda m, x: x.view(2, -1))
    model = isoconv.from_torch(module, images(2, 3, 4))
    agree(model, module, images(2, 3, 4, seed=1))
    assert model.inputs[0].shape[0] == 2


def test_the_module_stays_as_it_was():
    module = nn.Sequential(nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3).eval())
    isoconv.from_torch(module, images(2, 2, 9))
    assert module.training
    assert not module[1].training


REFUSED = {
    "bilinear": (Calls(lambda m, x: m.b(x, x), b=nn.Bilinear(5, 5, 2)), r"module b \(Bilinear"),
    "sorted": (Calls(lambda m, x: x.sort(-1)[0]), "sort"),
    "instances": (nn.BatchNorm1d(4, track_running_stats=False), "running statistics"),
    "in place behind a view": (Calls(lambda m, x: x + x.view(-1).mul_(2).sum()), "in place"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_drawn_is_named(name):
    module, said = REFUSED[name]
    with pytest.raises(ArgumentError, match=said):
        isoconv.from_torch(module, images(2, 4, 5))


@pytest.mark.parametrize("given", [(None, images(2, 2)), (nn.ReLU(), [1, 2])], ids=str)
def test_what_is_no_module_or_example_is_refused(given):
    with pytest.raises(ArgumentError, match="from_torch"):
        isoconv.from_torch(*given)
