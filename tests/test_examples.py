"""The examples run and print what they promise; those on real data where it is unpacked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from real_inputs import real_input

EXAMPLES = Path(__file__).parents[1] / "examples"


def lines(name, *args):
    environment = os.environ | {"MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, args)],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    return [line.split() for line in done.stdout.splitlines()]


def test_forms_converge_alike(tmp_path):
    pytest.importorskip("matplotlib")
    _, *rows = lines("convergence.py", "--epochs", 1, "--plot", tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000
    apart, sizes = [float(row[-3]) for row in rows], [float(row[-1]) for row in rows]
    assert len(rows) == 3
    assert max(apart) < 1e-5
    assert sizes[0] < sizes[1] == sizes[2]


def test_series_beat_their_nearest_neighbours():
    real_input("aeon")
    _, row = lines("series.py", "BasicMotions", "--seeds", 1)
    assert float(row[2]) > float(row[1])
