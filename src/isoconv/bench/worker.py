"""The process of `isoconv.bench.elsewhere`: answers its parent, until that closes the pipe."""

from __future__ import annotations

import os
import pickle
import sys

from isoconv import settings
from isoconv.bench.elsewhere import answers


def serve() -> None:
    """Reads a kind of contender and its threads, then questions; writes an answer to each."""
    # What packages print must not come between the answers.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    kind, threads = pickle.load(sys.stdin.buffer)
    answer = answers(kind(threads))
    with settings.limit_threads(threads):
        while True:
            try:
                question = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            try:
                found = answer(*question)
            except Exception as error:
                found = error
            pickle.dump(found, replies)
            replies.flush()


if __name__ == "__main__":
    serve()
