"""Real models and data from the package registries, where CI (or a person) has unpacked them."""

import os
from pathlib import Path

import pytest


def real_input(path: str) -> Path:
    """The file at `path` below the folder that ISOCONV_REAL_INPUTS names; skips where it is not."""
    folder = os.environ.get("ISOCONV_REAL_INPUTS")
    if not folder:
        pytest.skip("set ISOCONV_REAL_INPUTS to the folder that tools/real_inputs made")
    return Path(folder, path)
