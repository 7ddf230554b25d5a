"""The modules of isoconv.torch are PyTorch's, to every derivative, under its compiler and exporter,
in the place of its own; and the program of a web page on kernels of other ranks holds."""

import copy
import pickle

import pytest
import torch
import torch.utils.checkpoint
from torch import nn

from isoconv.errors import ArgumentError, ShapeError
from isoconv.torch import accelerate, choosing, report
from isoconv.torch import nn as ours

LAYERS = {
    "Conv1d": ((2, 4, 21), {"stride": 2, "padding": 1, "dilation": 2}),
    "Conv2d": ((2, 4, 9, 8), {"groups": 2, "padding": (1, 0), "bias": False}),
    "Conv3d": ((1, 4, 5, 6, 7), {"stride": (1, 2, 1), "padding": "valid"}),
    "ConvTranspose1d": ((2, 4, 9), {"stride": 3, "output_padding": 2, "padding": 1}),
    "ConvTranspose2d": ((2, 4, 5, 6), {"stride": 2, "groups": 2, "dilation": (1, 2)}),
    "ConvTranspose3d": ((1, 4, 3, 4, 5), {"stride": (2, 1, 2), "output_padding": (1, 0, 0)}),
}
CLASSES = [ours.Conv1d, ours.Conv2d, ours.Conv3d]
MODES = ["zeros", "reflect", "replicate", "circular"]


def pair(name, *args, dtype=torch.float64, **kwargs):
    """PyTorch's layer and ours, with the same parameters."""
    torch.manual_seed(0)
    theirs = getattr(nn, name)(*args, **kwargs, dtype=dtype)
    mine = getattr(ours, name)(*args, **kwargs, dtype=dtype)
    mine.load_state_dict(theirs.state_dict())
    return theirs, mine


def gradients(layer, x, seed=1):
    """The output, and the gradients by the input and all parameters."""
    x = x.detach().requires_grad_()
    y = layer(x)
    generator = torch.Generator().manual_seed(seed)
    dy = torch.randn(y.shape, generator=generator, dtype=y.dtype)
    return [y, *torch.autograd.grad(y, [x, *layer.parameters()], dy)]


def close(one, two, dtype=torch.float64):
    tolerance = 1e-12 if dtype == torch.float64 else 2e-5
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", LAYERS)
def test_outputs_and_gradients_are_those_of_pytorch(name, dtype):
    shape, options = LAYERS[name]
    theirs, mine = pair(name, 4, 6, 3, **options, dtype=dtype)
    x = torch.randn(shape, dtype=dtype)
    close(gradients(mine, x), gradients(theirs, x), dtype)
    close(gradients(mine, x[0]), gradients(theirs, x[0]), dtype)


@pytest.mark.parametrize("name", ["Conv2d", "ConvTranspose2d"])
def test_channels_last_tensors_are_read_where_they_lie(name):
    shape, options = LAYERS[name]
    theirs, mine = pair(name, 4, 6, 3, **options)
    x = torch.randn(shape, dtype=torch.float64).to(memory_format=torch.channels_last)
    assert mine(x).is_contiguous(memory_format=torch.channels_last)
    close(gradients(mine, x), gradients(theirs, x))


@pytest.mark.parametrize("name", LAYERS)
def test_second_derivatives_are_right(name):
    shape, options = LAYERS[name]
    _, mine = pair(name, 4, 2, 2, **options)
    shape = tuple(min(n, 5) for n in shape)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    run = lambda x, w: torch.func.functional_call(mine, {"weight": w}, (x,))  # noqa: E731
    weight = mine.weight.detach().requires_grad_()
    assert torch.autograd.gradcheck(run, (x, weight), fast_mode=True)
    assert torch.autograd.gradgradcheck(run, (x, weight), fast_mode=True)


@pytest.mark.parametrize("shape", [(5, 7), (7,), (2, 3, 7)])
def test_linear_is_that_of_pytorch(shape):
    theirs, mine = pair("Linear", 7, 3)
    x = torch.randn(shape, dtype=torch.float64)
    close(gradients(mine, x), gradients(theirs, x))


POOLS = {
    "MaxPool1d": [((2, 3, 17), (2,)), ((2, 3, 17), (3, 2, 1)), ((1, 1, 9), (2, 1, 1, 3))],
    "MaxPool2d": [((2, 3, 9, 8), (2,)), ((2, 3, 9, 8), ((3, 2), (2, 1), (1, 0), (1, 2)))],
    "MaxPool3d": [((1, 2, 5, 6, 7), (2,)), ((1, 2, 5, 6, 7), (3, 1, 1))],
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("name", "case"), [(k, n) for k in POOLS for n in range(len(POOLS[k]))])
def test_max_pooling_is_that_of_pytorch_to_every_derivative(name, case, dtype):
    shape, args = POOLS[name][case]
    theirs, mine = getattr(nn, name)(*args), getattr(ours, name)(*args)
    x = torch.randn(shape, dtype=dtype)
    x.flatten()[::5] = 1.5
    last = x.transpose(1, -1).contiguous().transpose(1, -1)
    for given in (x, last, x[0], x[:0], x.expand(2, *shape)[0], torch.full_like(x, -torch.inf)):
        close(gradients(mine, given), gradients(theirs, given), dtype)
    apart = torch.randperm(x.numel(), dtype=torch.float64).view(shape).requires_grad_()
    assert torch.autograd.gradgradcheck(mine, (apart,), fast_mode=True)
    x.flatten()[3] = torch.nan
    torch.testing.assert_close(mine(x), theirs(x), rtol=0, atol=0, equal_nan=True)
    said = []
    for layer in (theirs, mine):
        with pytest.raises(RuntimeError) as error:
            layer(x[(slice(None), slice(None), *[slice(0)] * (x.dim() - 2))])
        said.append(str(error.value))
    assert said[0] == said[1]


@pytest.mark.parametrize("frozen", [(), ("weight",), ("bias",), ("weight", "bias")])
def test_only_what_is_asked_for_is_differentiated(frozen):
    theirs, mine = pair("ConvTranspose1d", 4, 6, 3)
    x, dy = torch.randn((2, 4, 9), dtype=torch.float64), torch.randn((2, 6, 11)).double()
    for layer in (theirs, mine):
        for name in frozen:
            getattr(layer, name).requires_grad_(False)
        layer(x.requires_grad_()).backward(dy)
    pairs = [(theirs.weight, mine.weight), (theirs.bias, mine.bias)]
    for one, two in pairs:
        assert (one.grad is None) == (two.grad is None)
        close([one.grad] if one.grad is not None else [], [two.grad] * (two.grad is not None))


def test_tensors_that_are_seen_otherwise_are_read_as_they_are_meant():
    theirs, mine = pair("Conv1d", 2, 3, 3)
    plain = torch.randn((4, 9, 2), dtype=torch.complex128)
    views = [plain.real.movedim(-1, 1), plain.conj().imag.movedim(-1, 1)]
    views += [views[0][:1].expand(4, 2, 9), torch._efficientzerotensor((4, 2, 9)).double()]
    for x in views:
        close([mine(x)], [theirs(x)])
        y = mine(torch.ones_like(x, requires_grad=True))
        y.sum().backward()
    assert mine(views[0][:0]).shape == (0, 3, 7)


def test_threads_that_are_lent_keep_denormals_and_give_the_same_bits():
    layer = ours.Conv1d(16, 32, 5)
    x = torch.randn((16, 16, 400))
    before, found = torch.get_num_threads(), []
    tiny = torch.full((1 << 20,), 1e-40)
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(gradients(layer, x))
            assert (tiny * 0.5).min() > 0
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(*each) for each in zip(found[0], other, strict=True))


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding", [2, "same"])
def test_padding_modes_are_those_of_pytorch(mode, padding):
    theirs, mine = pair("Conv2d", 4, 6, 4, padding=padding, padding_mode=mode)
    x = torch.randn((2, 4, 9, 8), dtype=torch.float64)
    close(gradients(mine, x), gradients(theirs, x))


@pytest.mark.parametrize(
    ("length", "padding", "stride", "low", "high"),
    [
        (9, "causal", 1, 4, 0),
        (9, "causal", 2, 4, 0),
        (9, "same", 2, 2, 2),
        (10, "same", 2, 1, 2),
        (9, [(3, 1)], 1, 3, 1),
    ],
)
def test_padding_may_differ_on_the_two_sides(length, padding, stride, low, high):
    layer = ours.Conv1d(2, 3, 3, stride=stride, padding=padding, dilation=2, dtype=torch.float64)
    x = torch.randn((2, 2, length), dtype=torch.float64)
    padded = nn.functional.pad(x, (low, high))
    expected = nn.functional.conv1d(padded, layer.weight, layer.bias, stride, 0, 2)
    close([layer(x)], [expected])


@pytest.mark.parametrize(
    ("kernels", "plain", "shape"),
    [
        ((3, (3,), (3,)), 0, (100,)),
        (((3, 3), 3, (3, 3)), 1, (30, 30)),
        (((3,) * 3,) * 3, 2, (9,) * 3),
    ],
)
def test_the_longest_tuple_says_the_rank(kernels, plain, shape):
    """The page's program: the same kernel given to all three classes, one of them by a number."""
    rank = len(shape)
    layers = []
    for number, (cls, kernel) in enumerate(zip(CLASSES, kernels, strict=True)):
        own = {} if number == plain else {"stride": (1,) * rank, "dilation": (1,) * rank}
        layers.append(cls(1, 1, kernel, **own, padding="same", bias=False))
        layers[-1].weight.data.fill_(1)
    x = torch.rand(1, 1, *shape)
    first = layers[0](x)
    assert (first == layers[1](x)).all()
    assert (first == layers[2](x)).all()
    assert first.shape == x.shape


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(3, 8, 5, padding=2)
        self.up = nn.ConvTranspose1d(8, 4, 4, stride=2, padding=1)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.up(torch.relu(self.conv(x))).mean(-1))


def test_accelerate_keeps_parameters_hooks_and_state():
    model = Network()
    names, held = list(model.state_dict()), [id(p) for p in model.parameters()]
    seen = []
    model.conv.register_forward_hook(lambda *_: seen.append(1))
    x = torch.randn(4, 3, 20)
    expected = gradients(model, x)
    assert accelerate(model) is model
    assert [type(each) for each in model.children()] == [
        ours.Conv1d,
        ours.ConvTranspose1d,
        ours.Linear,
    ]
    close(gradients(model, x), expected, torch.float32)
    assert names == list(model.state_dict())
    assert held == [id(p) for p in model.parameters()]
    assert len(seen) == 2


@pytest.mark.parametrize("faster", ["isoconv", "PyTorch"])
def test_what_pytorch_computes_faster_is_left_to_it(monkeypatch, faster):
    asked = []

    def measure(mine, theirs, shape, trained):
        asked.append(shape)
        return choosing.Measured(
            shape, trained, *((1.0, 2.0) if faster == "isoconv" else (2.0, 1.0))
        )

    monkeypatch.setattr(choosing, "_measure", measure)
    monkeypatch.setattr(choosing, "_known", {})
    model = Network()
    model.other = type("Other", (nn.Linear,), {})(2, 2)
    x = torch.randn(4, 3, 20)
    expected = model(x)
    theirs = gradients_of(model, x)
    accelerate(model)
    for _ in range(2):
        found = gradients_of(model, x)
        same = [torch.equal(*each) for each in zip(found, theirs, strict=True)]
        assert all(same) == (faster == "PyTorch")
        close(found, theirs, torch.float32)
    assert asked == [(4, 3, 20), (4, 8, 20), (4, 4)]
    lines = report(model).splitlines()
    assert [line.split()[-1] for line in lines if "training" in line] == [faster] * 3
    assert "other: Other: PyTorch, as it is of a subclass" in report(model)
    for one in (copy.deepcopy(model), pickle.loads(pickle.dumps(model.conv))):
        assert "Conv1d: no input yet" in report(one)
    assert "torch.bfloat16" in report(accelerate(nn.Linear(2, 3, dtype=torch.bfloat16)))
    assert "isoconv, as" in report(ours.Linear(2, 3))
    close([copy.deepcopy(model)(x)], [expected], torch.float32)


def gradients_of(model, x):
    """The output, and the gradients by the parameters that it has any by."""
    y = model(x)
    found = torch.autograd.grad(y.square().sum(), list(model.parameters()), allow_unused=True)
    return [y, *[each for each in found if each is not None]]


def test_what_was_measured_outlives_the_calls_it_was_measured_for(monkeypatch):
    asked = []

    def measure(mine, theirs, shape, trained):
        asked.append(shape)
        return choosing.Measured(shape, trained, 1.0, 2.0)

    monkeypatch.setattr(choosing, "_measure", measure)
    monkeypatch.setattr(choosing, "_known", {})
    monkeypatch.setattr("isoconv.torch.form._MOST_CALLS", 1)
    model = accelerate(nn.Conv1d(3, 4, 3))
    with torch.no_grad():
        for batch in (1, 2, 1, 2):
            model(torch.randn(batch, 3, 9))
    assert asked == [(1, 3, 9), (2, 3, 9)]
    assert report(model).count("prediction") == 2


def test_both_sides_are_measured_once_for_each_kind_of_input(monkeypatch):
    monkeypatch.setattr(choosing, "_known", {})
    monkeypatch.setattr(choosing, "_SECONDS", 0.0)
    model = accelerate(
        nn.Sequential(
            nn.Conv1d(3, 4, 3, padding="same"), nn.ConvTranspose1d(4, 2, 4, 2), nn.MaxPool1d(2)
        )
    )
    x = torch.randn(2, 3, 9)
    checkpoint = torch.utils.checkpoint.checkpoint
    for _ in range(2):
        checkpoint(model, x, use_reentrant=False).sum().backward()
        with torch.no_grad():
            model(x)
    measured = [list(each.choices.found.values()) for each in model]
    assert [[one.trained for one in each] for each in measured] == [[True, False]] * 3
    assert all(one.ours > 0 and one.theirs > 0 for each in measured for one in each)
    torch.use_deterministic_algorithms(True)
    try:
        model(x[:1])
    finally:
        torch.use_deterministic_algorithms(False)
    assert [len(each.choices.found) for each in model] == [2, 2, 2]


def test_a_training_run_is_that_of_pytorch():
    x, y = torch.randn(16, 3, 20), torch.randint(0, 2, (16,))
    losses = []
    for change in (lambda model: model, accelerate):
        torch.manual_seed(0)
        model = change(Network())
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
        for _ in range(10):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("length", [20, 21])
def test_networks_are_traced_and_exported_whole(length):
    model = accelerate(Network())
    dim = torch.export.Dim("length", min=8, max=512)
    example = (torch.randn(4, 3, 16),)
    exported = torch.export.export(model, example, dynamic_shapes=({2: dim},))
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager", dynamic=True)
    x = torch.randn(4, 3, length)
    expected = gradients(model, x)
    close([exported.module()(x)], expected[:1], torch.float32)
    close(gradients(compiled, x), expected, torch.float32)
    assert "isoconv.form" in str(exported.graph)


@pytest.mark.filterwarnings("ignore")
def test_pooling_is_pytorchs_where_it_is_traced():
    """Of fixed lengths: PyTorch exports its own max_pool1d of no others."""
    model = accelerate(nn.Sequential(nn.Conv1d(3, 4, 3), nn.MaxPool1d(2)))
    x = torch.randn(4, 3, 16)
    exported = torch.export.export(model, (x,))
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    expected = gradients(model, x)
    close([exported.module()(x)], expected[:1], torch.float32)
    close(gradients(compiled, x), expected, torch.float32)
    close(torch.func.vmap(model)(x.expand(2, *x.shape)), expected[:1] * 2, torch.float32)
    assert all(each in str(exported.graph) for each in ("isoconv.form", "max_pool1d"))


def test_what_the_kernels_do_not_take_goes_to_pytorch():
    theirs, mine = pair("Conv1d", 4, 6, 3, dtype=torch.bfloat16)
    x = torch.randn((2, 4, 9), dtype=torch.bfloat16)
    assert torch.equal(mine(x), theirs(x))
    transposed = ours.ConvTranspose2d(4, 6, 3, 2, [(1, 0), (0, 1)], (1, 0))
    x = torch.randn(2, 4, 5, 6)
    expected = transposed(x)
    assert not torch.equal(expected, torch.zeros_like(expected))
    with torch.autocast("cpu", torch.bfloat16):
        assert transposed(x).dtype == torch.bfloat16
    torch.testing.assert_close(transposed.double()(x.double()).float(), expected)


WRONG = {
    "channels": (lambda: ours.Conv1d(3, 4, 3, groups=2), "in_channels.*multiple of groups = 2"),
    "kernel": (lambda: ours.Conv2d(3, 4, (3, 0)), "kernel_size.*at least 1"),
    "ranks": (lambda: ours.Conv2d(3, 4, (3, 3), stride=(1, 1, 1)), "kernel_size: expected 3"),
    "padding": (lambda: ours.Conv1d(3, 4, 3, padding="full"), '"valid", "same" or "causal"'),
    "mode": (lambda: ours.Conv1d(3, 4, 3, padding_mode="mirror"), "one of zeros, reflect"),
    "module": (lambda: accelerate(3), r"accelerate: module: expected a torch\.nn\.Module"),
}
MISFITS = {
    "rank": (lambda: ours.Conv1d(3, 4, 3)(torch.ones(1, 3, 9, 9)), r"\(batch, 3, length\)"),
    "width": (lambda: ours.Conv1d(3, 4, 3)(torch.ones(1, 4, 9)), r"\(batch, 3, length\)"),
    "length": (lambda: ours.Conv1d(3, 4, 5)(torch.ones(1, 3, 4)), "at least the kernel's 5"),
    "features": (lambda: ours.Linear(3, 4)(torch.ones(1, 4)), r"\(\.\.\., 3\)"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments_are_named(case):
    make, message = WRONG[case]
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize("case", MISFITS)
def test_inputs_that_do_not_fit_are_named(case):
    run, message = MISFITS[case]
    with pytest.raises(ShapeError, match=message):
        run()
