"""The application: what is said before a command, errors as messages, exit codes."""

from __future__ import annotations

import inspect
import signal
import sys
import threading
import traceback
import warnings
from dataclasses import dataclass
from importlib.metadata import version as version_of
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from isoconv.errors import IsoconvError

NO, MISTAKE = 1, 2
"""Exit codes beside 0, as `cmp` has them: the answer is no; what was given cannot be used."""


SEE, COMPARE, MACHINE = "See", "Compare and convert", "This machine"
"""The panels of the help."""

_ORDER = [
    *("demo", "summary", "explain", "activations"),
    *("equivalent", "forms", "rewrite", "race", "convert"),
    *("bench", "cache", "doctor"),
]


# Seconds, after which such a function has ended.
_SOON = 0.05


@dataclass
class Options:
    """What is said before the command."""

    debug: bool = False


class _InOrder(TyperGroup):
    """The commands as a new user needs them, not as their modules are imported."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=_ORDER.index)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, each paragraph of its help on one line: the terminal breaks lines."""
        found = super().get_command(ctx, cmd_name)
        if found is not None:
            paragraphs = inspect.cleandoc(found.help or "").split("\n\n")
            found.help = "\n\n".join(" ".join(each.split()) for each in paragraphs)
        return found


app = typer.Typer(
    cls=_InOrder,
    help="Convolution networks with Keras' signatures, compiled for the CPU at hand.",
    epilog=(
        "isoconv COMMAND --help explains a command and gives an example. Exit codes: 0 done, "
        "1 the answer is no, 2 a mistake in what was given, 130 interrupted."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """The console entry: runs a command; a mistake of the user's gives one message, exit code 2."""
    if hasattr(signal, "SIGPIPE"):
        # Whoever reads the output may stop early: that ends a command, without a word.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    told, sys.unraisablehook = sys.unraisablehook, _unraisable
    options = Options()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            app(obj=options)
    except (IsoconvError, OSError) as error:
        if options.debug:
            traceback.print_exc()
            sys.exit(MISTAKE)
        console = errors()
        console.print(f"Error: {_said(error)}", style="red", markup=False)
        console.print("isoconv --debug COMMAND ... shows where it happened.", style="dim")
        sys.exit(MISTAKE)
    finally:
        sys.unraisablehook = told


def _unraisable(report: Any) -> None:
    """Ctrl-C that fell into a function which may raise nothing, such as JAX's when memory is
    collected, comes again.
    """
    if report.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(report)
        return
    main = threading.main_thread().ident
    again = threading.Timer(_SOON, signal.pthread_kill, (main, signal.SIGINT))
    again.daemon = True
    again.start()


def _said(error: Exception) -> str:
    """The message; what the system says of a file without the number it has for it."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}."
    return str(error)


def errors() -> Console:
    """Where mistakes and progress are shown, so that the output holds the answer alone."""
    return Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())


def _show_warning(message: Any, category: type[Warning], *place: Any, **line: Any) -> None:
    errors().print(f"Warning: {message}", style="yellow", markup=False)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"isoconv {version_of('isoconv')}")
        raise typer.Exit


@app.callback()
def before(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where an error happened, with all calls.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    context.obj.debug = debug
