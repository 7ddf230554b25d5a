"""The tables of sections that have no peers: a name, then numbers."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table


def plain(title: str, headings: Sequence[str]) -> Table:
    """A table without rows, whose columns but the first hold numbers."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table
