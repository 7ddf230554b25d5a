"""The commands that show models, layers, activations, the cache and the machine, on real files."""

import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

import isoconv as ic
from command_line import run
from isoconv import layers
from isoconv.runtime import cache


@pytest.fixture
def isoconv(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: run(capsys, monkeypatch, *arguments)


@pytest.fixture
def saved(tmp_path):
    model = ic.Sequential(
        [
            ic.Input((30, 3)),
            layers.Conv1D(4, 5, activation="relu", name="first"),
            layers.GlobalMaxPooling1D(name="most"),
            layers.Dense(2, name="end"),
        ],
        name="small",
    )
    model.save(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(7, 30, 3)).astype("float32")
    np.save(tmp_path / "x.npy", x)
    return model, x


def test_every_command_teaches_with_an_example(isoconv):
    _, out, _ = isoconv("--help")
    names = re.findall(r"^│ (\w+)  ", out, re.MULTILINE)
    assert {"demo", "summary", "explain", "activations", "bench", "cache", "doctor"} <= set(names)
    for name in names:
        code, out, _ = isoconv(name, "--help")
        assert code == 0
        assert re.search(rf"isoconv {name}", out), name
        assert "--json" in out, name
        assert max(map(len, out.splitlines())) <= 80


def test_help_breaks_lines_where_the_terminal_ends(isoconv):
    _, out, _ = isoconv("race", "--help")
    assert "where there is one. Memory is measured" in out
    assert max(map(len, out.splitlines())) <= 80


def test_shells_complete_commands_and_options():
    script = """
    complete_() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _isoconv_completion "$program"; }
    eval "$("$program" --show-completion bash)"
    complete_ isoconv ex; echo "${COMPREPLY[@]}"
    complete_ isoconv explain --pic; echo "${COMPREPLY[@]}"
    """
    folder = Path(sysconfig.get_path("scripts"))
    environment = os.environ | {"program": str(folder / "isoconv")}
    found = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["explain", "--picture"]


def test_summary(isoconv, saved):
    model, _ = saved
    code, out, _ = isoconv("summary", "model.keras")
    assert code == 0
    assert "first (Conv1D)" in out
    data = json.loads(isoconv("summary", "model.keras", "--json")[1])
    assert data["parameters"] == model.count_params()
    assert data["layers"][0]["weights"] == {"kernel": [5, 3, 4], "bias": [4]}


def test_explain_layers_and_models(isoconv, saved):
    code, out, err = isoconv("explain", "Conv1D(64, 3)", "--input", "600x300", "--position", "7")
    assert (code, err) == (0, "")
    assert "(600 + 0 + 0 - 3) // 1 + 1  = 598" in out
    assert "output 7    inputs 7, 8, 9" in out
    code, out, _ = isoconv("explain", "model.keras")
    assert code == 0
    assert re.search(r"first +26x4 +64 +1.56 k +5x3 +\d+%", out)
    assert max(map(len, out.splitlines())) <= 80
    code, out, _ = isoconv("explain", "model.keras", "--layer", "end", "--no-measure")
    assert out.startswith("Dense(2) on (4,) gives (2,)")
    data = json.loads(isoconv("explain", "model.keras", "--no-measure", "--json")[1])
    assert [layer["name"] for layer in data["layers"]] == ["first", "most", "end"]


def test_activations_are_shown_and_written(isoconv, saved):
    model, x = saved
    code, out, _ = isoconv("activations", "model.keras", "x.npy", "--layers", "first", "--json")
    (row,) = json.loads(out)
    expected = model.layers[0](x)
    assert (code, row["layer"], row["shape"]) == (0, "first", [7, 26, 4])
    assert row["zero"] == (expected == 0).mean()
    assert (row["least"], row["largest"]) == (expected.min(), expected.max())
    np.testing.assert_allclose(row["mean"], expected.mean(dtype="float64"))
    code, out, _ = isoconv("activations", "model.keras", "x.npy", "--out", "seen", "--batch", "2")
    assert code == 0
    assert "Written: 3 files in seen" in out
    assert np.array_equal(np.load("seen/first.npy"), expected)


PICTURES = {
    "a kernel": (("explain", "Conv1D(2, 4)", "-i", "10x3"), "k.svg", "Conv1D(2, 4) on (10, 3)"),
    "one that moves": (("explain", "Conv1D(1, 2)", "-i", "4x1"), "k.html", "1 of 3|data-frames"),
    "a layer within": (
        ("explain", "model.keras", "--layer", "first", "--position", "7", "--no-measure"),
        "k.svg",
        "output [7] of filter 0",
    ),
    "fields": (("explain", "model.keras", "--no-measure"), "f.svg", "<svg"),
    "a graph": (("summary", "model.keras"), "g.svg", "first: 26"),
    "activations": (("activations", "model.keras", "x.npy", "--sample", "6"), "a.svg", "<svg"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_written_beside_the_answer(name, isoconv, saved, tmp_path):
    command, file, words = PICTURES[name]
    code, out, err = isoconv(*command, "--picture", file)
    assert (code, err) == (0, "")
    assert out.endswith(f"Written: {file}\n")
    assert re.search("|".join(map(re.escape, words.split("|"))), (tmp_path / file).read_text())
    assert json.loads(isoconv(*command, "--picture", file, "--json")[1])


NO_PICTURES = {
    "k.bmp": (("explain", "Conv1D(2, 4)", "-i", "10x3"), "expected .svg, .html"),
    "no/k.svg": (("explain", "Conv1D(2, 4)", "-i", "10x3"), "no folder no"),
    "f.gif": (("explain", "model.keras", "--no-measure"), "expected .svg, .png, .pdf"),
    "a.png": (("activations", "model.keras", "x.npy", "--sample", "7"), "sample 7 of [7]"),
}


@pytest.mark.parametrize("file", NO_PICTURES)
def test_pictures_that_cannot_be_are_told_in_a_line(file, isoconv, saved):
    command, words = NO_PICTURES[file]
    code, out, err = isoconv(*command, "--picture", file)
    assert (code, out) == (2, "")
    assert words in err
    assert err.startswith("Error: ")


def test_two_inputs_are_given_in_order_or_by_name(isoconv, tmp_path):
    a, b = ic.Input((3,), name="a"), ic.Input((3,), name="b")
    ic.Model([a, b], layers.Subtract(name="less")([a, b])).save(tmp_path / "two.keras")
    one, two = np.ones((2, 3), "float32"), np.full((2, 3), 3, "float32")
    np.save("one.npy", one)
    np.save("two.npy", two)
    np.savez("both.npz", b=two, a=one)
    for given in (["one.npy", "two.npy"], ["both.npz"]):
        (row,) = json.loads(isoconv("activations", "two.keras", *given, "--json")[1])
        assert row["mean"] == -2


def test_cache_is_shown_and_cleared(isoconv, monkeypatch, tmp_path):
    monkeypatch.setenv("ISOCONV_CACHE_DIR", str(tmp_path / "kept"))
    assert "holds   0 functions" in isoconv("cache")[1]
    cache.write(b"0" * 32, b"code")
    cache.write(b"1" * 32, b"more")
    damaged = next((tmp_path / "kept").iterdir())
    damaged.write_bytes(b"damaged")
    found = json.loads(isoconv("cache", "--json")[1])
    assert (found["entries"], found["damaged"], found["unused"]) == (2, 1, None)
    assert "damaged  1" in isoconv("cache")[1]
    assert "Cleared: 2 functions" in isoconv("cache", "--clear")[1]
    assert json.loads(isoconv("cache", "--json")[1])["entries"] == 0


def test_doctor_says_whether_all_is_well(isoconv, monkeypatch, tmp_path):
    monkeypatch.setenv("ISOCONV_CACHE_DIR", str(tmp_path / "kept"))
    code, out, _ = isoconv("doctor")
    assert code == 0
    assert "All is well." in out
    (tmp_path / "open").mkdir(mode=0o755)
    monkeypatch.setenv("ISOCONV_CACHE_DIR", str(tmp_path / "open"))
    code, out, err = isoconv("doctor", "--json")
    assert (code, err) == (1, "")
    assert "others may enter it" in json.loads(out)["trouble"][0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explain", "Conv1d(64, 3)", "-i", "600x300"], "did you mean Conv1D?"),
        (["explain", "Conv1D(64, 3", "-i", "600x300"], "this bracket is never closed"),
        (["explain", "", "-i", "600x300"], "Expected layers such as"),
        (["explain", "Dense(3, activation='rely')", "-i", "6"], "Did you mean 'relu'?"),
        (["explain", "Conv2D(3, 2)", "-i", "6x3"], "or take a layer of 1 spatial axis"),
        (["explain", "Dense(3)", "-i", "6", "--picture", "no/x.svg"], "got no folder no"),
        (["rewrite", "Conv1D(64, 3)", "--to", "Conv2D"], "Add: --input 600x300"),
        (["rewrite", "Conv1D(6, 3)", "--to", "Conv2D", "-i", "9x3", "-o", "no/x.h5"], "no/x.h5: "),
        (["race", "Conv1D(64, 3)"], "Add: --input 600x300"),
        (["bench", "--save", "no/x.json"], "got no folder no"),
        (["summary", "weights.pth"], "weights alone"),
        (["explain", "Conv1D(64, 3)"], "Add: --input 600x300"),
        (["explain", "Conv1D(64, 3)", "-i", "2x300"], "(2 + 0 + 0 - 3) // 1 + 1 = 0"),
        (["explain", "Conv1D(64, 3)", "-i", "600y300"], "sizes joined by x, as 600x300"),
        (["explain", "model.keras", "--layer", "fist"], "Did you mean 'first'?"),
        (["explain", "gone.keras"], "gone.keras: expected a model file"),
        (["summary", "text.keras"], "text.keras"),
        (["summary", "."], "a folder"),
        (["activations", "model.keras", "gone.npy"], "gone.npy: expected a .npy or .npz"),
        (["activations", "model.keras", "text.keras"], "a .npy or .npz file of numbers"),
        (["activations", "model.keras", "x.npy", "--layers", "fist"], "Did you mean 'first'?"),
        (["activations", "model.keras", "wide.npy"], "expected shape (None, 30, 3)"),
    ],
)
def test_mistakes_are_explained_without_a_traceback(isoconv, saved, arguments, message):
    with open("text.keras", "w", encoding="utf-8") as file:
        file.write("no model at all")
    with open("weights.pth", "wb"):
        pass
    np.save("wide.npy", np.zeros((2, 30, 4)))
    code, out, err = isoconv(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_output_without_a_terminal_or_anyone_reading():
    program = [sys.executable, "-m", "isoconv"]
    command = [*program, "explain", "Conv1D(64, 3)", "-i", "600x300"]
    whole = subprocess.run(command, capture_output=True, text=True, check=True)
    assert whole.stderr == ""
    assert "\x1b" not in whole.stdout
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""


def test_a_missing_onnx_is_no_damaged_file(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    (tmp_path / "m.onnx").write_bytes(b"\x08\x07")
    code, _, err = run(capsys, monkeypatch, "summary", str(tmp_path / "m.onnx"))
    assert code == 2
    assert "isoconv[onnx]" in err
    assert "damaged" not in err


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_text("1, 2"), "of another kind"),
        (lambda path: path.write_bytes(b""), "of another kind"),
        (lambda path: path.mkdir(), "a folder"),
    ],
    ids=["text", "empty", "folder"],
)
def test_what_is_no_array_is_said_in_words_of_ours(capsys, monkeypatch, tmp_path, make, said):
    ic.Sequential([ic.Input((8, 1)), layers.Conv1D(2, 3)]).save(tmp_path / "m.keras")
    make(tmp_path / "x.npy")
    given = (str(tmp_path / "m.keras"), str(tmp_path / "x.npy"))
    code, _, err = run(capsys, monkeypatch, "activations", *given)
    assert code == 2
    assert said in err
    assert "pickle" not in err


MISTAKES = {
    "another size": (("rewrite", "model.keras", "--to", "Conv2D", "-i", "31x3"), "shape (30, 3)"),
    "of a race": (("race", "model.keras", "-i", "31x3"), "shape (30, 3)"),
    "no size": (("equivalent", "ReLU()", "ReLU()"), "Add: --input"),
    "a file of forms": (("forms", "model.keras", "-i", "30x3"), "rewrite"),
    "no such picture": (("race", "ReLU()", "-i", "9", "--plot", "a.bmp"), "expected .svg, .png"),
    "no such folder": (("convert", "model.keras", "no/a.h5"), "a folder that is there"),
    "too many": (("race", "ReLU()", "-i", "9", "--threads", "100000"), "1024"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_told_before_anything_is_done(isoconv, saved, name):
    command, said = MISTAKES[name]
    code, out, err = isoconv(*command)
    assert (code, out) == (2, "")
    assert said in err


def test_a_missing_matplotlib_is_told_before_a_race(isoconv, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = isoconv("race", "Conv1D(2, 3)", "-i", "9x1", "--plot", "a.svg")
    assert (code, out) == (2, "")
    assert "isoconv[plot]" in err


def test_model_files_are_compared(isoconv, saved):
    model, _ = saved
    assert isoconv("equivalent", "model.keras", "model.keras", "--weights", "given")[0] == 0
    model.layers[0].bias.assign(np.ones(4, "float32"))
    model.save("other.h5")
    assert isoconv("equivalent", "model.keras", "other.h5")[0] == 0
    code, out, _ = isoconv("equivalent", "model.keras", "other.h5", "--weights", "given")
    assert code == 1
    assert "different" in out


def test_a_conversion_fits_the_terminal(isoconv):
    x = ic.Input((30, 3))
    y = layers.BatchNormalization(name="a_long_name_of_a_block_of_layers.normalization")(x)
    y = layers.Conv1D(4, 3)(y)
    ic.Model(x, y).save("model.h5")
    code, out, _ = isoconv("convert", "model.h5", "model.onnx")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "moving_variance" in out


def test_a_cache_that_cannot_be_is_told(isoconv, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    for folder in ("/proc/none/here", str(tmp_path / "file/here")):
        monkeypatch.setenv("ISOCONV_CACHE_DIR", folder)
        assert "not used" in isoconv("cache")[1]
