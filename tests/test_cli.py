"""The command line as a person meets it: help, mistakes, exit codes, no terminal, 80 columns."""

import json
import os
import subprocess
import sys
import time
from importlib.metadata import version
from types import SimpleNamespace

import pytest

from command_line import run
from isoconv import __main__ as entry
from isoconv import bench as benchmark
from isoconv import demo as demonstration
from isoconv.bench.results import Report
from isoconv.cli.app import _unraisable


@pytest.fixture
def isoconv(capsys, monkeypatch):
    return lambda *arguments: run(capsys, monkeypatch, *arguments)


def test_help_and_version(isoconv):
    code, out, _ = isoconv("--help")
    assert code == 0
    assert "demo" in out
    assert "bench" in out
    assert max(map(len, out.splitlines())) <= 80
    code, out, _ = isoconv("bench", "--help")
    assert code == 0
    assert "--section" in out
    assert "Example: isoconv bench" in out
    assert isoconv("--version")[:2] == (0, f"isoconv {version('isoconv')}\n")
    assert "Usage" in isoconv()[1]


def test_demo_runs_the_demo(isoconv, monkeypatch):
    def fake(show=print):
        show("shown")
        return demonstration.Outcome((0.5, 1.0))

    monkeypatch.setattr(demonstration, "run", fake)
    assert isoconv("demo")[:2] == (0, "shown\n")
    code, out, _ = isoconv("demo", "--json")
    assert (code, json.loads(out)) == (0, {"accuracies": [0.5, 1.0], "mean": 0.75})


def test_bench_passes_its_options_on(isoconv, monkeypatch, tmp_path):
    given = {}
    file = str(tmp_path / "found.json")
    machine = {
        "processor": "p",
        "vector_bits": 256,
        "threads": 1,
        "gflops": 1.0,
        "gflops_one_core": 1.0,
        "gigabytes_a_second": 1.0,
    }

    def fake(**options):
        given.update(options)
        return Report(machine, {"isoconv 0": None})

    monkeypatch.setattr(benchmark, "run", fake)
    code, out, _ = isoconv(
        *["bench", "--section", "layers", "--section", "training", "--only", "a b"],
        *["--threads", "3", "--seconds", "0.25", "--runs", "3", "--json", "--save", file],
    )
    assert code == 0
    assert given.pop("on_case")
    assert given == {
        "sections": ["layers", "training"],
        "only": "a b",
        "threads": 3,
        "seconds": 0.25,
        "runs": 3,
        "models": None,
    }
    assert json.loads(out)["machine"] == machine
    assert json.loads((tmp_path / "found.json").read_text()) == json.loads(out)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nothing"], 2, "No such command"),
        (["bench", "--threads", "0"], 2, "--threads"),
        (["bench", "--section", "speed"], 2, "memory; got speed"),
    ],
)
def test_mistakes_are_explained_without_a_traceback(isoconv, arguments, code, message):
    found, out, err = isoconv(*arguments)
    assert found == code
    assert message in err
    assert "Traceback" not in out + err


def test_debug_shows_where_and_leaves_the_exit_code(capsys, monkeypatch):
    code, out, err = run(capsys, monkeypatch, "--debug", "bench", "--section", "speed")
    assert code == 2
    assert not out
    assert "Traceback" in err
    assert "speed" in err


def test_a_pipe_closed_early_is_no_error():
    environment = os.environ | {"COLUMNS": "80"}
    program = f"{sys.executable} -m isoconv"
    command = f"{program} --help | true; {program} demo --help | head -1"
    result = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=environment, check=True
    )
    assert result.stderr == ""


def test_ctrl_c_while_modules_are_imported_is_no_error(monkeypatch):
    def interrupted(module):
        raise KeyboardInterrupt

    monkeypatch.setattr(entry, "late", interrupted)
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == 130


def test_ctrl_c_that_was_swallowed_comes_again():
    _unraisable(SimpleNamespace(exc_type=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        time.sleep(5)


@pytest.mark.parametrize(
    ("b", "code", "says"),
    [
        ("Conv2D(4, (3, 5))", 0, "equal: a and b are equal"),
        ("Conv2D(4, (3, 3))", 1, "different: a and b are different"),
        ("Conw2D(4, 3)", 2, "did you mean Conv2D?"),
    ],
)
def test_equivalent_says_by_its_exit_code_what_it_found(isoconv, b, code, says):
    shapes = ("--input", "7x5", "--other", "7x5x1")
    found, out, err = isoconv("equivalent", "Conv1D(4, 3)", b, *shapes)
    assert found == code
    assert says in out + err
