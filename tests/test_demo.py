"""The demonstration, shortened: CI runs the whole of it."""

import numpy as np
import pytest

from isoconv import demo
from isoconv.data import japanese_vowels
from isoconv.errors import InternalError


def test_short_demo_learns_and_shows():
    lines = []
    outcome = demo.run(show=lines.append, seeds=(0, 1), epochs=6)
    text = "\n".join(lines)
    assert len(outcome.accuracies) == 2
    # Six epochs are enough to be far better than the largest class (.24), on any machine.
    assert outcome.mean > 0.8
    assert 'Model: "speakers_1d"' in text
    assert f"mean of 2 seeds: {outcome.mean:.4f}" in text
    assert "3330 test probabilities are equal, bit for bit" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_scaled_padding_is_zero_and_frames_are_standard():
    vowels = japanese_vowels()
    x, _ = demo.scaled(vowels)
    present = np.arange(29) < vowels.lengths_train[:, None]
    assert not x[~present].any()
    np.testing.assert_allclose(x[present].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(x[present].std(0), 1, atol=1e-5)


def test_other_bits_are_no_success(monkeypatch):
    """A planted fault: the network in two dimensions looks at other frames."""
    made = demo.network

    def shifted(rank=1):
        model = made(rank)
        if rank == 2:
            model.layers[0].dilation_rate = (2, 1)
        return model

    monkeypatch.setattr(demo, "network", shifted)
    with pytest.raises(InternalError, match="other bits"):
        demo.run(show=lambda line: None, seeds=(0,), epochs=1)
