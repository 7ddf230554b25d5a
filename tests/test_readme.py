"""README.md and docs: the example learns, commands show what they say, names and links lead on."""

import pkgutil
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import typer

from command_line import run
from isoconv.cli.app import Options, app
from isoconv.utils import clear_session

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
CODE = ROOT / "src/isoconv"
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")]


def test_example_learns(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(example, names)
    predicted = names["model"].predict(names["x"], verbose=0).argmax(axis=1)
    assert np.mean(predicted == names["y"]) > 0.95
    assert "Total params" in capsys.readouterr().out


def shown_commands():
    blocks = re.findall(r"```console\n\$ (.*?)\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    assert blocks
    return [pytest.param(command, shown, id=command) for command, shown in blocks]


@pytest.mark.parametrize(("command", "shown"), shown_commands())
def test_commands_show_what_it_says(capsys, monkeypatch, command, shown):
    clear_session()
    code, out, err = run(capsys, monkeypatch, *shlex.split(command)[1:])
    assert (code, err) == (0, "")
    assert out.startswith(shown)


def documented(pattern):
    """All that a pattern finds in the pages, once, each on one line."""
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    return sorted(
        {" ".join(found.split()) for text in texts for found in re.findall(pattern, text)}
    )


def test_documented_commands_are_understood(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    shown = documented(r"(?m)^(?: {4}|\$ )(isoconv [a-z].*)$")
    commands = [*shown, *documented(r"`(isoconv [a-z][^`]*)`")]
    assert len(commands) > 10
    group = typer.main.get_command(app)
    for command in commands:
        _, name, *words = shlex.split(command)
        for word in words:
            if re.fullmatch(r"[A-Z_]+|[\w.]+\.(keras|h5|npy|pt)", word):
                (tmp_path / word).touch()
        with group.make_context("isoconv", [name], obj=Options()) as context:
            found = group.get_command(context, name)
            assert found is not None, command
            if words:
                found.make_context(name, list(words), parent=context).close()


def test_documented_names_exist():
    names = documented(r"\bisoconv(?:\.\w+)+")
    assert len(names) > 20
    for name in names:
        pkgutil.resolve_name(name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (page.parent / target).exists(), target
    for file in re.findall(
        r"`(\w+/[\w./]*\w+\.py|(?:src|tests|tools|docs|examples)/[\w./]+)`", text
    ):
        assert any((folder / file).exists() for folder in (ROOT, ROOT / "src", CODE)), file
