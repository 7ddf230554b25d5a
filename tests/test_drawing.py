"""Pictures show the numbers that they are given."""

import sys

import pytest

import isoconv
from isoconv.errors import ArgumentError, MissingPackageError

NUMBERS = {"loss": [1.0, 0.5, 0.25], "acc": [0.2, 0.6, 0.9], "val_loss": [1.5, 0.75, 0.5]}


def test_history_draws_each_number_at_its_epoch(tmp_path):
    figure = isoconv.draw.history(NUMBERS)
    drawn = {
        ("val_" if line.get_label() == "validation" else "") + panel.get_title(): (
            list(line.get_xdata()),
            list(line.get_ydata()),
        )
        for panel in figure.axes
        for line in panel.lines
    }
    assert drawn == {name: ([1, 2, 3], values) for name, values in NUMBERS.items()}
    for name, start in (("a.png", b"\x89PNG"), ("a.svg", b"<?xml")):
        figure.savefig(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)


@pytest.mark.parametrize("given", [{}, {"loss": []}, None, 3])
def test_history_without_epochs_says_what_to_give(given):
    with pytest.raises(ArgumentError, match=r"model\.fit"):
        isoconv.draw.history(given)


def test_missing_matplotlib_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'isoconv\[plot\]'"):
        isoconv.draw.history(NUMBERS)
