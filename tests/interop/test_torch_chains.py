"""Layers in a row run as one program and are still PyTorch's: outputs, all derivatives, statistics,
hooks, and its own errors."""

import copy

import pytest
import torch
from torch import nn

from isoconv.torch import accelerate, choosing, report
from isoconv.torch import chained as room

LAYERS = {
    "ecg": (
        lambda: [
            nn.Conv1d(3, 8, 5, padding=2),
            nn.BatchNorm1d(8),
            nn.LeakyReLU(0.3),
            nn.MaxPool1d(2),
            nn.Conv1d(8, 6, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm1d(6, momentum=0.3, affine=False),
            nn.ELU(1.5),
            nn.Flatten(),
            nn.Linear(30, 4),
            nn.BatchNorm1d(4, track_running_stats=False),
            nn.Tanh(),
        ],
        (4, 3, 20),
    ),
    "image": (
        lambda: [
            nn.BatchNorm2d(4),
            nn.Sequential(nn.Conv2d(4, 8, 3, groups=4), nn.ReLU(inplace=True)),
            nn.MaxPool2d((3, 2), (2, 1), 1),
            nn.Conv2d(8, 6, (1, 3), dilation=2, padding="same"),
            nn.GELU(),
            nn.Conv2d(6, 5, 1),
            nn.ReLU6(),
            nn.Identity(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(5, 3, bias=False),
            nn.SiLU(),
        ],
        (3, 4, 9, 8),
    ),
    "volume": (
        lambda: [
            nn.Conv3d(2, 3, 2),
            nn.Sigmoid(),
            nn.BatchNorm3d(3),
            nn.GELU(approximate="tanh"),
            nn.Conv3d(3, 2, (1, 2, 3), padding=(0, 1, 1)),
            nn.ReLU(),
        ],
        (2, 2, 4, 5, 6),
    ),
}


def pair(name, dtype=torch.float64):
    """PyTorch's network, and the same one with its layers chained whatever is faster."""
    torch.manual_seed(0)
    make, shape = LAYERS[name]
    theirs = nn.Sequential(*make()).to(dtype)
    for layer in theirs.modules():
        if getattr(layer, "weight", None) is not None:
            nn.init.normal_(layer.weight, 0.1, 0.5)
    return theirs, chained(copy.deepcopy(theirs)), torch.randn(shape, dtype=dtype)


def chained(network):
    for layer in accelerate(network).modules():
        if hasattr(layer, "choices"):
            layer.choices = None
    return network


def gradients(network, x, create_graph=False):
    x = x.detach().requires_grad_()
    y = network(x)
    dy = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape)
    wanted = [x, *[each for each in network.parameters() if each.requires_grad]]
    return [y, *torch.autograd.grad(y, wanted, dy, create_graph=create_graph)], wanted


def close(one, two, tolerance=1e-9):
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def programs(monkeypatch):
    """The rows that run as a program from here on, by how many links they have."""
    found, before = [], room.run

    def run(call, *rest):
        found.append(len(call.chain.kind.links))
        return before(call, *rest)

    monkeypatch.setattr(room, "run", run)
    return found


@pytest.mark.parametrize("is_last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", LAYERS)
def test_a_chain_is_pytorchs_in_every_number(monkeypatch, name, dtype, is_last):
    theirs, mine, x = pair(name, dtype)
    ran = programs(monkeypatch)
    tolerance = 1e-9 if dtype == torch.float64 else 2e-4
    whole = torch.randn((6, *x.shape[1:]), dtype=dtype)
    if is_last:
        x, whole = (each.movedim(1, -1).contiguous().movedim(-1, 1) for each in (x, whole))
    for given in (x, whole):
        for network in (theirs, mine):
            network.train()
        close(gradients(mine, given)[0], gradients(theirs, given)[0], tolerance)
        for one, two in zip(mine.state_dict().items(), theirs.state_dict().items(), strict=True):
            assert one[0] == two[0]
            close([one[1]], [two[1]], tolerance)
        for network in (theirs, mine):
            network.eval()
        close(gradients(mine, given)[0], gradients(theirs, given)[0], tolerance)
        with torch.no_grad():
            y, expected = mine(given), theirs(given)
        close([y], [expected], tolerance)
        assert y.dim() < 3 or y.movedim(1, -1).is_contiguous() == is_last
    count = len([each for each in theirs.modules() if not isinstance(each, nn.Sequential)])
    assert ran == [count] * 6


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_derivatives_of_derivatives_are_those_of_pytorch(name, training):
    found = []
    for network in pair(name)[:2]:
        network.train(training)
        network[-1] = nn.Tanh()
        (_, *first), wanted = gradients(network, pair(name)[2], create_graph=True)
        total = sum(each.square().sum() for each in first)
        found.append(torch.autograd.grad(total, wanted, allow_unused=True))
    for one, two in zip(*found, strict=True):
        zeros = torch.zeros(())
        close([zeros if one is None else one], [zeros if two is None else two], 1e-7)


def test_only_what_is_asked_for_is_differentiated():
    theirs, mine, x = pair("ecg")
    for network in (theirs, mine):
        for place in (0, 1, 4):
            network[place].requires_grad_(False)
        network(x).square().sum().backward()
    for one, two in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert (one.grad is None) == (two.grad is None)
        if one.grad is not None:
            close([one.grad], [two.grad])


def test_choices_of_dropout_repeat_with_the_seed_and_on_the_way_back():
    network = chained(nn.Sequential(nn.Conv1d(1, 4, 1), nn.Dropout(0.25), nn.Identity()).double())
    with torch.no_grad():
        network[0].weight.fill_(2.0)
        network[0].bias.zero_()
    x = torch.ones((8, 1, 500), dtype=torch.float64, requires_grad=True)
    seen = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        seen.append(network(x))
    again = network(x)
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])
    assert not torch.equal(seen[2], again)
    kept = again != 0
    assert 0.72 < kept.double().mean() < 0.78
    close([again[kept]], [torch.full_like(again[kept], 2.0 / 0.75)])
    (dx,) = torch.autograd.grad(again.sum(), x, create_graph=True)
    close([dx], [kept.double().sum(1, keepdim=True) * (2.0 / 0.75)])
    seen[2].sum().backward()
    close([x.grad], [(seen[2] != 0).double().sum(1, keepdim=True) * (2.0 / 0.75)])
    network.eval()
    close([network(x)], [2 * x.expand(8, 4, 500)])
    alone = chained(nn.Sequential(nn.Dropout(0.5)))[0]
    assert 0.4 < (alone(torch.ones(50, 50)) == 0).double().mean() < 0.6


def test_layers_that_somebody_watches_stand_by_themselves(monkeypatch):
    theirs, mine, x = pair("ecg")
    seen, ran = [], programs(monkeypatch)
    mine[3].register_forward_hook(lambda layer, given, y: seen.append(tuple(y.shape)))
    close(gradients(mine, x)[0], gradients(theirs, x)[0])
    assert seen == [(4, 8, 10)]
    assert ran == [3, 7]
    twice = nn.BatchNorm1d(3)
    plain = nn.Sequential(twice, twice, nn.Conv1d(3, 2, 1)).double()
    both = [plain, chained(copy.deepcopy(plain))]
    close(gradients(both[1], x)[0], gradients(both[0], x)[0])
    close([both[1][0].running_var], [both[0][0].running_var])


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("ecg", (4, 3, 19)),
        ("ecg", (4, 2, 20)),
        ("ecg", (4, 3)),
        ("ecg", (0, 3, 20)),
        ("image", (3, 4, 1, 8)),
        ("image", (4, 9, 8)),
        ("volume", (1, 2, 2, 2, 1)),
        ("volume", (1, 2, 1, 5, 6)),
    ],
)
def test_what_does_not_fit_is_pytorchs_to_say(name, shape):
    said = []
    for network in pair(name)[:2]:
        for layer in network.modules():
            # Our convolutions have words of their own; those of PyTorch say the same twice.
            layer.__class__ = (
                getattr(nn, type(layer).__name__) if layer is not network else (type(layer))
            )
        try:
            said.append(network(torch.ones(shape, dtype=torch.float64)))
        except (RuntimeError, ValueError) as error:
            said.append(str(error))
    assert type(said[0]) is type(said[1])
    assert said[0] == said[1] if isinstance(said[0], str) else torch.allclose(*said)


@pytest.mark.filterwarnings("ignore")
def test_transforms_of_functions_and_traces_are_pytorchs():
    theirs, mine, x = pair("ecg", torch.float32)
    theirs.eval()
    mine.eval()
    dx = torch.randn_like(x)
    found = []
    for network in (theirs, mine):
        tangent = torch.func.jvp(network, (x,), (dx,))[1]

        def loss(weights, network=network):
            return torch.func.functional_call(network, weights, (x,)).square().sum()

        by_weights = torch.func.grad(loss)(dict(network.named_parameters()))
        each = torch.vmap(network)(torch.stack([x, dx]))
        found.append([tangent, *by_weights.values(), each])
    close(*found, 1e-4)
    traced = torch.jit.trace(mine, x)
    close([traced(dx)], [theirs(dx)], 1e-4)


def test_a_chain_is_compiled_and_exported_with_pytorch():
    theirs, mine, x = pair("ecg", torch.float32)
    compiled = torch.compile(mine, fullgraph=True, backend="aot_eager")
    close([compiled(x)], [theirs(x)], 1e-4)
    exported = torch.export.export(mine.eval(), (x,)).module()
    close([exported(x)], [theirs.eval()(x)], 1e-4)


@pytest.mark.parametrize("faster", ["isoconv", "PyTorch"])
def test_chains_are_measured_and_told_of(monkeypatch, faster):
    times = (1.0, 2.0) if faster == "isoconv" else (2.0, 1.0)
    monkeypatch.setattr(choosing, "_known", {})
    monkeypatch.setattr(
        choosing,
        "_measure",
        lambda *rest: (rest[0](), rest[1](), choosing.Measured(*rest[2:], *times))[-1],
    )
    theirs, _, x = pair("ecg")
    theirs.append(nn.Dropout(0.5))
    mine = accelerate(copy.deepcopy(theirs))
    state = torch.get_rng_state()
    mine(x)
    assert not torch.equal(torch.get_rng_state(), state)
    close([mine[1].running_mean], [theirs(x) * 0 + 1, theirs[1].running_mean][1:])
    assert mine[1].num_batches_tracked == 1
    lines = [line for line in report(mine).splitlines() if "itself: Sequential" in line]
    assert [line.split()[-1] for line in lines] == [faster]
