"""Commands that show: the demonstration."""

from __future__ import annotations

from isoconv import demo as demonstration
from isoconv.cli.app import SEE, app
from isoconv.cli.output import Json, print_json


@app.command(rich_help_panel=SEE)
def demo(json: Json = False) -> None:
    """Train a small network on real speech, and show that Conv2D gives the same bits.

    Tells nine speakers apart from recordings that come with the package (about ten seconds).
    With --json the accuracies alone are shown, at the end.

    Example: isoconv demo
    """
    if not json:
        demonstration.run()
        return
    outcome = demonstration.run(show=lambda line: None)
    print_json({"accuracies": outcome.accuracies, "mean": outcome.mean})
