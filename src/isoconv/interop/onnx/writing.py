"""Writing ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def to_onnx(model: Any, path: Any = None) -> Any: ...


def save(model: Any, path: Path) -> None: ...
