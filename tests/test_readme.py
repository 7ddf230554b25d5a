"""README.md: its example learns what it says, and its commands show what it shows."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from command_line import run
from isoconv.utils import clear_session

README = Path(__file__).parents[1] / "README.md"


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
