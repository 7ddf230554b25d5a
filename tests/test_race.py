"""Races: the equal forms and the frameworks compute the same, and what is measured is told."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import isoconv
from command_line import run
from isoconv import layers, timing
from isoconv.errors import ArgumentError, InternalError, MissingPackageError, ShapeError
from isoconv.racing import engines, memory, race


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """A few calls of each are enough to see that all is told."""
    monkeypatch.setattr(timing, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(timing, "_TURN_SECONDS", 1e-5)


@pytest.fixture
def without_memory(monkeypatch):
    monkeypatch.setattr(memory, "peaks", lambda *given: memory.Peaks(1 << 20))


@pytest.fixture
def alone(monkeypatch, without_memory):
    """Only isoconv runs, and nothing is started."""
    monkeypatch.setattr(race, "PEERS", ())


def test_every_form_and_framework_gives_the_same(without_memory):
    found = isoconv.race("Conv1D(6, 3)", (9, 4), batch=5, seconds=0)
    names = {entry.engine for entry in found.entries}
    assert names | set(found.skipped) == {"isoconv", *(kind.name for kind in engines.PEERS)}
    assert not found.skipped, found.skipped
    assert [entry.rules for entry in found.entries].count(()) == 1 + len(engines.PEERS)
    assert any("Conv2D" in entry.name for entry in found.entries)
    for entry in found.entries:
        assert entry.error < 1e-6
        assert 0 < entry.forward.least <= entry.forward.median
        assert entry.gflops == pytest.approx(2e-9 * found.macs * 5 / entry.forward.least)
        assert (entry.step is None) == (entry.engine in ("onnxruntime", "openvino"))
        assert entry.memory == 1 << 20
    own = [entry for entry in found.entries if entry.engine == "isoconv"]
    assert all(entry.same_bits for entry in own)


def test_a_rival_that_is_equal_has_the_weights_of_the_first(alone):
    found = isoconv.race(
        "Conv1D(8, 5)",
        (5, 1),
        against=["Flatten() > Dense(8)", "Conv1D(8, 5, use_bias=False)"],
        seconds=0,
    )
    answers = list(found.against.values())
    assert answers[0].startswith("The same function, proved")
    assert "a_within" in answers[1] or "b_within" in answers[1]
    assert all(entry.same_bits for entry in found.entries[:-1])
    assert not found.entries[-1].same_bits


def test_the_layer_that_was_given_is_not_trained(alone):
    layer = layers.Conv1D(3, 3)
    layer.build((None, 9, 2))
    before = layer.get_weights()
    isoconv.race(layer, (9, 2), seconds=0)
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_models_are_raced_as_they_are_and_as_predict_runs_them(alone):
    x = layers.Input((12,), dtype="int32")
    y = layers.GlobalMaxPooling1D()(layers.Conv1D(4, 3)(layers.Embedding(7, 5)(x)))
    found = isoconv.race(isoconv.Model(x, y), batch=3, seconds=0)
    assert [entry.rules for entry in found.entries] == [(), ()]
    assert [entry.step is None for entry in found.entries] == [False, True]
    assert found.entries[1].engine == "isoconv, rewritten"


def test_rivals_are_raced_in_the_frameworks_too(without_memory, monkeypatch):
    monkeypatch.setattr(race, "PEERS", (engines.OnnxRuntime,))
    found = isoconv.race("Conv1D(8, 5)", (5, 2), against="Flatten() > Dense(8)", seconds=0)
    peers = [entry.name for entry in found.entries if entry.engine == "onnxruntime"]
    assert peers == ["Conv1D(8, 5)", "Flatten() > Dense(8)"]
    assert "onnxruntime: Flatten()" in str(found)


def test_a_form_that_computes_something_else_is_found(alone, monkeypatch):
    forms = race.forms

    def spoiled(layer, shape, depth):
        found = forms(layer, shape, depth)
        for weight in found[1].model.weights:
            weight.assign(weight.numpy() + 1)
        return found

    monkeypatch.setattr(race, "forms", spoiled)
    with pytest.raises(InternalError, match=r"Conv2D.*off"):
        isoconv.race("Conv1D(6, 3)", (9, 4))


def test_a_framework_that_is_missing_is_named(monkeypatch, without_memory):
    def missing(self, model, data):
        raise MissingPackageError("torch is needed for this", name="torch")

    monkeypatch.setattr(race, "PEERS", (engines.Torch, engines.TorchLast))
    monkeypatch.setattr(engines.Torch, "runs", missing)
    found = isoconv.race("Dense(3)", (4,), seconds=0)
    assert found.skipped == {"torch": "torch is needed for this"}
    assert "Took no part" in str(found)


def test_a_framework_that_fails_or_errs_takes_no_part(without_memory, monkeypatch):
    """Keras has no Conv2D with strides and dilation; the other gives one number more somewhere."""

    def wrong(self, model, data):
        runs = engines.Isoconv(1).runs(model, data)
        more = np.zeros(data.target.shape)
        more.flat[-1] = 0.1
        return engines.Runs(runs.forward, lambda y: y + more)

    monkeypatch.setattr(engines.OpenVino, "runs", wrong)
    monkeypatch.setattr(race, "PEERS", (engines.Keras, engines.OpenVino))
    # The reference sees the first samples only.
    monkeypatch.setattr(race, "_CHECKED", 1)
    layer = layers.Conv2D(3, 2, strides=2, dilation_rate=2)
    found = isoconv.race(layer, (9, 9, 2), batch=3, seconds=0)
    assert {entry.engine for entry in found.entries} == {"isoconv"}
    keras, other = found.skipped.values()
    assert "dilation_rate" in keras
    assert other.startswith("gives something else")
    assert max(map(len, str(found).splitlines())) <= 80


def test_memory_that_is_not_known_is_told(alone, monkeypatch):
    monkeypatch.setattr(memory, "peaks", lambda *given: memory.Peaks(why="a reason"))
    found = isoconv.race("Dense(3)", (4,), seconds=0)
    assert found.not_measured["Dense(3)"] == "a reason"
    assert "a reason" in str(found)
    assert not isoconv.race("Dense(3)", (4,), seconds=0, grown=False).not_measured


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"layer_or_model": 3, "input_shape": (4,)}, ArgumentError, "a layer, a model, or a spec"),
        ({"layer_or_model": "Dense(3)"}, ArgumentError, "the sizes of one sample"),
        ({"layer_or_model": "Conv1D(3, 3)", "input_shape": (None, 2)}, ArgumentError, "sizes of"),
        ({"layer_or_model": "Conv1D(3, 9)", "input_shape": (5, 2)}, ShapeError, "at least 9"),
        ({"layer_or_model": "Dense(3)", "input_shape": (4,), "batch": 0}, ArgumentError, "batch"),
    ],
)
def test_mistakes_are_told(given, error, said):
    with pytest.raises(error, match=said):
        isoconv.race(**given)


_GROWTH = """
import numpy as np
from isoconv.racing import memory

def run(passing, each=16 << 20):
    held = [np.ones(each, np.uint8) for _ in range(passing)]
    return np.full(each, len(held), np.uint8)

print(*[memory.growth(lambda: run(passing)) for passing in (0, 1, 3)])
"""


def test_the_peak_within_a_call_is_seen():
    """What a call gives, and what it holds on the way; the system counts in lumps.

    In a process of its own, as in a race: here, other tests' memory is let go at any time.
    """
    child = subprocess.run([sys.executable, "-c", _GROWTH], capture_output=True, check=True)
    found = [int(word) >> 20 for word in child.stdout.split()]
    np.testing.assert_allclose(found, [16, 32, 64], atol=1)


def test_the_child_measures_a_form(tmp_path):
    """Its file, its data and its answer are understood: 16 MB are gathered, and 1 MB goes out."""
    model = isoconv.rewrite(layers.Conv1D(4, 64), "patches", (1024 + 63, 1))
    model.save(tmp_path / "m.keras")
    np.savez(tmp_path / "d.npz", np.ones((64, 1087, 1), "f4"), np.ones((64, 4096), "f4"))
    found = memory.peaks("isoconv", tmp_path / "m.keras", tmp_path / "d.npz", 1)
    assert not found.why
    assert 17 << 20 <= found.forward <= 20 << 20
    assert found.step > found.forward
    assert "n.keras" in memory.peaks("isoconv", tmp_path / "n.keras", tmp_path / "d.npz", 1).why


def test_forms_are_listed_with_their_rules(capsys, monkeypatch):
    code, out, _ = run(capsys, monkeypatch, "forms", "Conv1D(4, 3)", "--input", "9x5")
    assert code == 0
    assert "Conv2D(4, (3, 5))" in out
    assert "row 2 " in out
    assert max(map(len, out.splitlines())) <= 80
    code, out, _ = run(capsys, monkeypatch, "forms", "Conv1D(4, 3)", "-i", "9x5", "--json")
    (first, *others) = json.loads(out)
    assert first["rules"] == []
    assert first["macs"] == 7 * 4 * 3 * 5
    assert all(form["rules"] and form["macs"] >= first["macs"] for form in others)


def test_a_layer_is_rewritten_to_a_file(capsys, monkeypatch, tmp_path):
    file = tmp_path / "as2d.keras"
    given = ("rewrite", "Conv1D(4, 3)", "--to", "Conv2D", "-i", "9x5", "-o", str(file))
    code, out, _ = run(capsys, monkeypatch, *given)
    assert code == 0
    assert "row 1 " in out
    assert isoconv.load_model(file).output_shape == (None, 7, 4)
    code, out, _ = run(
        capsys, monkeypatch, "rewrite", str(file), "--to", "channels_first", "--json"
    )
    assert code == 0
    assert [rule["row"] for rule in json.loads(out)["rules"]] == ["14"]


def test_no_known_way_is_told_with_the_nearest(capsys, monkeypatch):
    code, _, err = run(capsys, monkeypatch, "rewrite", "Dense(3)", "--to", "depthwise", "-i", "5")
    assert code == 2
    assert "no known way from Dense(3) to depthwise" in err
    assert "row 6" in err


def test_a_race_on_the_command_line(capsys, monkeypatch, alone, tmp_path):
    picture = tmp_path / "race.svg"
    rival = ("--against", "Flatten() > Dense(8)")
    given = ("race", "Conv1D(8, 5)", "-i", "5x1", "--seconds", "0", *rival)
    code, out, _ = run(capsys, monkeypatch, *given, "--plot", str(picture))
    assert code == 0
    assert "The same function, proved" in out
    assert max(map(len, out.splitlines()[:-1])) <= 80
    drawn = picture.read_text(encoding="utf-8")
    assert drawn.count("<!-- Flatten() &gt; Dense(8)") == 2  # the form, and the rival
    code, out, _ = run(capsys, monkeypatch, *given, "--json")
    data = json.loads(out)
    assert {"forward", "step", "memory", "error", "gflops"} <= set(data["entries"][0])
