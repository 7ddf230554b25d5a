"""What the layers of a model give for some input: all in one compiled pass, batch by batch, in
memory or on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.lib.format import open_memmap

from isoconv.atomic import replacing
from isoconv.errors import ArgumentError, ShapeError, explain, nearest
from isoconv.layers.base import Layer
from isoconv.models.predicting import batches, samples
from isoconv.ops import tree
from isoconv.ops.compiled import Compiled, is_array
from isoconv.ops.convert import as_array
from isoconv.ops.recorder import Array, Noted, current
from isoconv.training import activations as functions

Progress = Callable[[int, int], None]
Shape = tuple[int, ...]
Places = Callable[[Mapping[str, Shape], Mapping[str, str], int], list[Array]]


class Activations:
    """`isoconv.activations(model, x)`: what the layers give. Its attributes are Keras' activation
    functions: `isoconv.activations.relu`.
    """

    def __call__(
        self,
        model: Layer,
        x: Any,
        layers: Any = None,
        *,
        batch_size: int = 32,
        out: Any = None,
        on_batch: Progress | None = None,
    ) -> dict[str, Array]:
        """The outputs of layers, by their names, as arrays with all samples.

        Args:
            model: a model, or a layer. Layers within layers are named "outer/inner"; what a shared
                layer gives the second time, "name#2".
            x: the input: an array, or a list or dict of them.
            layers: a name, a class, a layer, or several of these; all if left out.
            batch_size: samples computed at once, which changes no bit.
            out: a folder to write one .npy file a layer to, batch by batch; the arrays given back
                then are read from there when needed.
            on_batch: told how many samples are done, and of how many.

        Raises ArgumentError for names that the model does not have, ShapeError for input that does
        not fit.
        """
        if not isinstance(model, Layer):
            raise ArgumentError(explain("activations: model", repr(model), "a model or a layer"))
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ArgumentError(
                explain("activations: batch_size", repr(batch_size), "an integer of at least 1")
            )
        if not all(isinstance(leaf, np.ndarray) for leaf in tree.leaves(x)):
            x = model.prepare((x,), {})[0][0]
        count = samples(x, model.where("activations: x"))
        if out is None:
            return _joined(list(stream(model, x, layers, batch_size, on_batch)))
        with _Files(Path(out), count) as files:
            for _ in stream(model, x, layers, batch_size, on_batch, files.places):
                pass
        return files.read()

    def __getattr__(self, name: str) -> Any:
        return getattr(functions, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *dir(functions)})


activations = Activations()


def stream(
    model: Layer,
    x: Any,
    wanted: Any,
    size: int,
    on_batch: Progress | None = None,
    places: Places | None = None,
) -> Iterator[dict[str, Array]]:
    """What the layers give, batch by batch, for arrays.

    places: told the outputs' shapes and dtypes by name, and the samples done before: arrays to
    write them to.
    """

    def collect(*given: Any) -> dict[str, Any]:
        _, calls = layer_calls(model, given)
        return chosen(calls, wanted, model.where("activations: layers"))

    compiled = Compiled(collect, model.runtime_axes_of, keep_updates=False)
    count, done = len(next(tree.leaves(x))), 0
    for part in batches(x, count, size) if count else [x]:
        args, _ = model.prepare((part,), {})
        model.ensure_built(args, {})
        arrays = [as_array(leaf) for leaf in tree.leaves(args) if is_array(leaf)]
        program = compiled.program(arrays, args, {})
        names, nodes = list(program.trace.result), program.trace.graph.outputs
        shapes = dict(zip(names, program.output_shapes(arrays), strict=True))
        for name, shape in shapes.items():
            _check_batch(name, shape, len(arrays[0]), count)
        out = None
        if places is not None:
            dtypes = {name: node.dtype for name, node in zip(names, nodes, strict=False)}
            out = places(shapes, dtypes, done)
        results: dict[str, Array] = program(arrays, None, out)
        done += len(arrays[0])
        if on_batch is not None:
            on_batch(done, count)
        yield results


def _check_batch(name: str, shape: Shape, size: int, count: int) -> None:
    if size < count and (not shape or shape[0] != size):
        given = f"outputs of shape {shape} for {size} samples"
        remedy = f"Use a batch_size of {count}, or leave it out of layers."
        raise ShapeError(explain(f"activations: {name}", given, "one row a sample", remedy))


def layer_calls(model: Layer, given: Sequence[Any]) -> tuple[Any, dict[str, Noted]]:
    """Calls the model inside a trace: what it gives, and the calls of layers within it by their
    paths; its own, where it calls no layer.
    """
    recorder = current()
    recorder.keep_calls = True
    result = model(*given, training=False)
    calls = [call for call in recorder.calls if isinstance(call.target, Layer)]
    inner = list(calls[:-1]) or list(calls)
    outermost = f"{calls[-1].path}/"
    found: dict[str, Noted] = {}
    for call in inner:
        path = call.path.removeprefix(outermost)
        seen = sum(name.partition("#")[0] == path for name in found)
        found[f"{path}#{seen + 1}" if seen else path] = call
    return result, found


def chosen(calls: Mapping[str, Noted], wanted: Any, where: str) -> dict[str, Any]:
    """The outputs of the layers asked for, under their names: "name:1" for a second output."""
    asked = [None] if wanted is None else wanted
    kept: dict[str, Noted] = {}
    for each in asked if isinstance(asked, list | tuple | set) else [asked]:
        matching = {name: call for name, call in calls.items() if _matches(each, name, call)}
        if not matching:
            raise ArgumentError(_unknown(each, calls, where))
        kept |= matching
    found = {}
    for name in (name for name in calls if name in kept):
        for index, tensor in enumerate(tree.leaves(calls[name].result)):
            if tensor is not None:
                found[f"{name}:{index}" if index else name] = tensor
    return found


def _matches(wanted: Any, name: str, call: Noted) -> bool:
    if wanted is None:
        return True
    if isinstance(wanted, str):
        return wanted in (
            name,
            name.partition("#")[0],
            call.target.name,
            type(call.target).__name__,
        )
    if isinstance(wanted, type):
        return isinstance(call.target, wanted)
    return call.target is wanted


def _unknown(wanted: Any, calls: Mapping[str, Noted], where: str) -> str:
    names = sorted({*calls, *(type(call.target).__name__ for call in calls.values())})
    expected = f"some of {', '.join(calls)}, or a class of them"
    return explain(where, repr(wanted), expected, nearest(wanted, names))


def _joined(results: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    if len(results) == 1:
        return dict(results[0])
    return {name: np.concatenate([part[name] for part in results]) for name in results[0]}


class _Files:
    """A file for each layer's outputs, all complete or none there. They are written to where they
    lie in the file, so that one sample may be larger than memory.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self._folder, self._count = folder, count
        self._stack = ExitStack()
        self._paths: dict[str, Path] = {}
        self._open: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def places(
        self, shapes: Mapping[str, Shape], dtypes: Mapping[str, str], start: int
    ) -> list[Array]:
        """Where the outputs of the samples from `start` on go."""
        if not self._open:
            self._paths = _paths(shapes, self._folder)
            for name, shape in shapes.items():
                temporary = self._stack.enter_context(replacing(self._paths[name]))
                whole = (self._count, *shape[1:]) if shape else ()
                self._open[name] = open_memmap(temporary, "w+", dtypes[name], whole)
        return [
            self._open[name][start : start + shape[0]] if shape else self._open[name]
            for name, shape in shapes.items()
        ]

    def __exit__(self, *error: Any) -> None:
        for place in self._open.values():
            place.flush()
        self._stack.__exit__(*error)

    def read(self) -> dict[str, Array]:
        """The arrays, read from the files when needed."""
        return {name: np.load(path, mmap_mode="r") for name, path in self._paths.items()}


def _paths(names: Iterable[str], folder: Path) -> dict[str, Path]:
    """A file name for each layer: its name with "/" written as "."."""
    files = {name: folder / f"{name.replace('/', '.')}.npy" for name in names}
    if len({path.name for path in files.values()}) < len(files):
        expected = "names that stay apart as files"
        raise ArgumentError(explain("activations: out", sorted(files), expected))
    return files
