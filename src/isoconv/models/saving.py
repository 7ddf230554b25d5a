"""Saving models and their weights, and reading them back: the part of `Model` that knows files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isoconv import optional
from isoconv.atomic import replacing
from isoconv.errors import ArgumentError, FileError, MissingFileError, explain
from isoconv.models import formats

if TYPE_CHECKING:
    from isoconv.models.model import Model

PathLike = str | os.PathLike[str]


def save_model(model: Model, filepath: PathLike, overwrite: bool = True) -> None:
    """Writes the model to a file: what it is made of, its weights, how it was compiled and the
    optimizer's state.

    filepath: its end says the format, such as ".keras", which Keras opens too. overwrite: whether
    a file of that name may be replaced. The file appears whole or, if saving fails, not at all.
    """
    _save("save", model, filepath, overwrite)


def load_model(
    filepath: PathLike,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """The model that the file `filepath` holds.

    custom_objects: classes and functions of yours, by the names they have in the file, besides
    those registered. compile: whether to compile it as it was, optimizer's state included.
    safe_mode: taken for Keras' sake; code in files is never run.
    Raises FileError for files that are damaged, no models, or need what is not known;
    MissingFileError, a FileNotFoundError too, where there is none.
    """
    if not safe_mode:
        remedy = "Code in files is never run; replace the layer by one of a registered class."
        raise ArgumentError(explain("load_model: safe_mode", False, "True", remedy))
    load = formats.function("load", filepath)
    return load(_there("load_model", filepath, "a model"), custom_objects, compile)


class Saving:
    """`save`, `save_weights` and `load_weights`, for a model."""

    def save(self, filepath: PathLike, overwrite: bool = True) -> None:
        """Writes the model to the file `filepath`, as `save_model` does; overwrite: as there."""
        _save("save", self, filepath, overwrite)

    def to_onnx(self, filepath: PathLike | None = None) -> Any:
        """The model as an onnx.ModelProto, written to the file `filepath` if one is named; see
        `isoconv.interop.onnx`.
        """
        return optional.late("isoconv.interop.onnx").to_onnx(self, filepath)

    def save_weights(self, filepath: PathLike, overwrite: bool = True) -> None:
        """Writes the weights to a file: ".weights.h5" in the layout of Keras 3, other ".h5" names
        in the one that Keras 2 reads; ".safetensors", and ".pt" where torch is installed, by
        PyTorch's names.

        filepath, overwrite: as for `save_model`.
        """
        _require_built(self, "save_weights")
        _save("save_weights", self, filepath, overwrite)

    def load_weights(
        self, filepath: PathLike, skip_mismatch: bool = False, by_name: bool = False
    ) -> None:
        """Reads the weights from a ".weights.h5", ".keras" or ".h5" file; all fit, or nothing
        changes. Files of Keras 2 and 3 are read alike, and PyTorch's ".pt", ".pth" and
        ".safetensors" without PyTorch.

        filepath: the file. skip_mismatch: leave out layers that do not fit, with a warning.
        by_name: find each layer by its name instead of its place, and load the layers that the
        file has.
        """
        _require_built(self, "load_weights")
        load = formats.function("load_weights", filepath)
        load(self, _there("load_weights", filepath, "weights"), skip_mismatch, by_name)

    def to_torch(self) -> Any:
        """The model as a torch.nn.Module in `eval()`, with its weights and the names of its layers.

        It takes and gives arrays in the model's layout. Raises ArgumentError for layers that
        PyTorch has nothing for.
        """
        _require_built(self, "to_torch")
        return optional.late("isoconv.interop.torch.modules").to_torch(self)


def _require_built(model: Any, task: str) -> None:
    if not model.built:
        remedy = "Call it on data first, or give the first layer an input shape."
        raise ArgumentError(
            explain(model.where(task), "one without weights", "a model built", remedy)
        )


def _there(task: str, filepath: PathLike, what: str) -> Path:
    """The path of a file to read, which is there."""
    path = Path(filepath)
    expected = f"a file that holds {what}"
    if path.is_dir():
        raise FileError(explain(f"{task}: {path}", "a folder", expected))
    if not path.exists():
        given = f"no such file in {path.absolute().parent}"
        raise MissingFileError(explain(f"{task}: {path}", given, expected))
    return path


def _save(task: str, model: Any, filepath: PathLike, overwrite: bool) -> None:
    write = formats.function(task, filepath)
    if not overwrite and Path(filepath).exists():
        remedy = "Choose another name, or overwrite=True."
        where = model.where(f"{task}: filepath")
        raise ArgumentError(explain(where, repr(os.fspath(filepath)), "a new file", remedy))
    with replacing(filepath) as temporary:
        write(model, temporary)
