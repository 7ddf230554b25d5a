"""The file formats that models are saved in, by the ends of their names.

A format is a module with any of `save(model, path)`, `load(path, custom_objects, compile)`,
`save_weights(model, path)` and `load_weights(model, path, skip_mismatch, by_name)`. It is named
here and imported when it is first used, because it may need a package that `import isoconv` must
not import.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from isoconv import optional
from isoconv.errors import ArgumentError, explain

_modules: dict[str, str] = {}


def register(suffix: str, module: str) -> None:
    """Makes `module` the format of files whose names end in `suffix`, such as ".keras"."""
    _modules[suffix] = module


def function(task: str, path: str | os.PathLike[str]) -> Any:
    """What does `task` ("save", "load", "save_weights" or "load_weights") for files so named.

    The longest suffix that fits decides. ArgumentError names the suffixes that would do.
    """
    fitting = _fitting(path)
    if fitting:
        found = getattr(optional.late(fitting[-1]), task, None)
        if found is not None:
            return found
    able = [suffix for suffix, module in _modules.items() if hasattr(optional.late(module), task)]
    expected = f"a file name that ends in {' or '.join(sorted(able))}"
    remedy = "Such files hold weights alone: build the model, then load_weights." if fitting else ""
    raise ArgumentError(explain(task, repr(os.fspath(path)), expected, remedy))


def can(task: str, path: str | os.PathLike[str], but: str | None = None) -> bool:
    """Whether files so named know `task`; and not `but`, if that is given."""
    fitting = _fitting(path)
    module = optional.late(fitting[-1]) if fitting else None
    return hasattr(module, task) and not (but is not None and hasattr(module, but))


def _fitting(path: str | os.PathLike[str]) -> list[str]:
    """The modules of the suffixes that a name ends in, that of the longest last."""
    name = Path(path).name.lower()
    return [_modules[each] for each in sorted(_modules, key=len) if name.endswith(each)]


register(".keras", "isoconv.models.keras_format")
register(".h5", "isoconv.models.legacy_format")
register(".weights.h5", "isoconv.models.weights_format")
register(".onnx", "isoconv.interop.onnx")
register(".pt", "isoconv.interop.torch.loading")
register(".pth", "isoconv.interop.torch.loading")
register(".safetensors", "isoconv.interop.torch.safetensors_format")
