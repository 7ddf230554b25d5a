"""`isoconv` and `python -m isoconv`: the command line, which Ctrl-C stops at any moment."""

from __future__ import annotations

import sys

from isoconv.optional import late

INTERRUPTED = 130


def main() -> None:
    """Runs a command. Ctrl-C ends it without a traceback, also while modules are imported."""
    try:
        late("isoconv.cli").main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
