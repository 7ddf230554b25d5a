"""The command line: what to run and how to show it; nothing is computed here."""

from isoconv.cli import compare, convert, machine, views
from isoconv.cli.app import app, main

__all__ = ["app", "compare", "convert", "machine", "main", "views"]
