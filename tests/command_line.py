"""The console entry, run in this process as a person runs it."""

import sys

import pytest

from isoconv import cli


def run(capsys, monkeypatch, *arguments):
    """Exit code, output and errors of the console entry."""
    monkeypatch.setattr(sys, "argv", ["isoconv", *arguments])
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    out, err = capsys.readouterr()
    return exit_.value.code or 0, out, err
