"""`race`: the equal forms of a layer, and the frameworks that are installed, in turn."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isoconv import settings, spec, timing
from isoconv.conversion.describe import multiply_adds_of, name_of
from isoconv.conversion.forms import forms
from isoconv.equivalence import equivalent
from isoconv.errors import ArgumentError, InternalError, IsoconvError, MissingPackageError, explain
from isoconv.layers.base import Layer
from isoconv.layers.embedding import Embedding
from isoconv.layers.input import Input
from isoconv.models.model import Model
from isoconv.ops.program import Spec, trace
from isoconv.racing import memory
from isoconv.racing.answer import Entry, Race
from isoconv.racing.engines import PEERS, Array, Data, Engine, Isoconv, Runs
from isoconv.reference import run as reference

# Multiply-adds that the reference, which is slow, is asked for.
_CHECKED = 20_000_000

# Of the largest output: nobody may win by computing something else.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class _Racer:
    """A model on an engine. rules: what led to its form."""

    name: str
    engine: Engine
    model: Model
    rules: tuple[str, ...] = ()


def race(
    layer_or_model: Any,
    input_shape: Any = None,
    batch: int = 32,
    against: Any = (),
    threads: int | None = None,
    seconds: float = 0.3,
    on_entry: Callable[[str], None] = lambda name: None,
) -> Race:
    """Measures every equal form of a layer, and the layer in every framework installed.

    All are run in turn, in this process, on the same input: a prediction of the batch, and a
    training step where the engine trains. Memory is measured in a process for each. Of a model,
    no forms are raced.

    Args:
        layer_or_model: a layer, a model, a list of layers, or a spec as "Conv1D(256, 80)".
        input_shape: without the batch; may be left out for a model that knows it.
        batch: samples of a call.
        against: more of these on the same input, compared with the first by `equivalent`; where
            they are equal, the first's weights are carried over.
        threads: of each; all CPUs if left out. Engines that take all are then left out for less.
        seconds: for which each is timed, at least.
        on_entry: told what is being prepared or measured.

    Raises ArgumentError for what is no layer or has an unknown size, ShapeError where a shape does
    not fit, InternalError where an engine gives something else.
    """
    count = settings.threads() if threads is None else threads
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise ArgumentError(explain("race: batch", repr(batch), "an integer of at least 1"))
    model = _model(layer_or_model, input_shape)
    data = _data(model, batch)
    answer = Race(
        title=_title(layer_or_model),
        input_shape=tuple(x.shape[1:] for x in data.inputs),
        batch=batch,
        threads=count,
        macs=multiply_adds_of(model) or 0,
    )
    rivals = against if isinstance(against, list | tuple) else [against]
    racers = [_Racer(_title(layer_or_model), Isoconv(count), model), *_forms(model, count)]
    racers += [_rival(each, model, answer, count) for each in rivals]
    with settings.limit_threads(count):
        ready = dict(_prepared([*racers, *_peers(model, count, answer)], data, answer, on_entry))
        answer.entries.extend(_measured(ready, data, answer, seconds, on_entry))
    answer.versions.extend(dict.fromkeys(racer.engine.version() for racer in ready))
    return answer


# -- who takes part ---------------------------------------------------------------------------


def _title(given: Any) -> str:
    if isinstance(given, str):
        return given
    return given.name if isinstance(given, Model) else name_of(_chain(given))


def _chain(given: Any) -> list[Layer]:
    chain = spec.layers(given) if isinstance(given, str) else given
    chain = list(chain) if isinstance(chain, list | tuple) else [chain]
    if not chain or not all(isinstance(layer, Layer) for layer in chain):
        raise ArgumentError(explain("race", repr(given), "a layer, a model, or a spec"))
    return chain


def _model(given: Any, input_shape: Any) -> Model:
    """What was given as a drawn model of known sizes; its weights are those of the layers."""
    chain = _chain(given)
    if isinstance(chain[0], Model) and len(chain) == 1 and input_shape is None:
        chain[0].drawn_network()
        shapes = [tensor.shape[1:] for tensor in chain[0].inputs]
        if any(None in shape for shape in shapes):
            expected = "sizes without None: give input_shape"
            raise ArgumentError(explain("race: input_shape", str(shapes), expected))
        return chain[0]
    sizes = input_shape if isinstance(input_shape, list | tuple) else None
    if not sizes or not all(isinstance(size, int) for size in sizes):
        expected = "the sizes of one sample, such as (600, 300)"
        raise ArgumentError(explain("race: input_shape", repr(input_shape), expected))
    drawn = x = Input(tuple(sizes), dtype=chain[0].input_dtype)
    for layer in chain:
        x = layer(x)
    return Model(drawn, x)


def _forms(model: Model, threads: int) -> Iterator[_Racer]:
    """The equal forms of a model of one layer, those of one rule; others only repeat them."""
    chain = model.layers[1:]
    if len(chain) != 1 or isinstance(chain[0], Model):
        return
    for form in forms(chain[0], model.inputs[0].shape[1:], depth=1)[1:]:
        rules = tuple(f"row {rule.number}: {rule.title}" for rule in form.rules)
        yield _Racer(form.name, Isoconv(threads), form.model, rules)


def _rival(given: Any, model: Model, answer: Race, threads: int) -> _Racer:
    """A layer to race against, with the first's weights where it is the same function."""
    rival = _model(given, model.inputs[0].shape[1:])
    found = equivalent(model, rival)
    name = _title(given)
    if found:
        rival.set_weights(found.weight_map(model.get_weights()))
        answer.against[name] = "The same function, proved; it has the first's weights."
    else:
        answer.against[name] = f"Not shown to be the same function: {found.relation}."
    return _Racer(name, Isoconv(threads), rival)


def _peers(model: Model, threads: int, answer: Race) -> Iterator[_Racer]:
    for kind in PEERS:
        if kind.all_processors and threads != settings.threads():
            answer.skipped[kind.name] = "takes all processors, whatever it is told"
        else:
            yield _Racer(kind.name, kind(threads), model)


# -- measuring --------------------------------------------------------------------------------


def _data(model: Model, batch: int) -> Data:
    rng = np.random.default_rng(0)
    tables = [each.input_dim for each in model.layers if isinstance(each, Embedding)]
    inputs = []
    for tensor in model.inputs:
        shape = (batch, *tensor.shape[1:])
        integers = np.issubdtype(np.dtype(tensor.dtype), np.integer)
        drawn = (
            rng.integers(min(tables, default=2), size=shape) if integers else rng.normal(size=shape)
        )
        inputs.append(drawn.astype(tensor.dtype))
    if len(model.outputs) != 1:
        raise ArgumentError(explain("race", f"{len(model.outputs)} outputs", "a model with one"))
    (output,) = model.outputs
    return Data(tuple(inputs), rng.normal(size=(batch, *output.shape[1:])).astype(output.dtype))


def _prepared(
    racers: Sequence[_Racer], data: Data, answer: Race, on_entry: Callable[[str], None]
) -> Iterator[tuple[_Racer, Runs]]:
    """The racers that can run. A framework that does not know the layer says why it cannot."""
    for racer in racers:
        on_entry(f"preparing {racer.name}")
        target = data.target.reshape(len(data.target), *racer.model.outputs[0].shape[1:])
        try:
            yield racer, racer.engine.runs(racer.model, Data(data.inputs, target))
        except MissingPackageError as error:
            answer.skipped[racer.name] = str(error)
        except IsoconvError as error:
            if isinstance(racer.engine, Isoconv):
                raise
            answer.skipped[racer.name] = str(error)


def _measured(
    ready: dict[_Racer, Runs],
    data: Data,
    answer: Race,
    seconds: float,
    on_entry: Callable[[str], None],
) -> Iterator[Entry]:
    results = {racer: runs.read(runs.forward()) for racer, runs in ready.items()}
    errors = _errors(results, data)
    grown = dict(_memory(ready, data, answer.threads, on_entry))
    on_entry("timing predictions")
    forward = timing.in_turn({_key(r): runs.forward for r, runs in ready.items()}, seconds)
    on_entry("timing training steps")
    steps = {_key(r): runs.step for r, runs in ready.items() if runs.step is not None}
    trained = timing.in_turn(steps, seconds)
    first = next(iter(results.values())).ravel()
    for racer in ready:
        times = forward[_key(racer)]
        yield Entry(
            name=racer.name,
            engine=racer.engine.name,
            rules=racer.rules,
            forward=times,
            step=trained.get(_key(racer)),
            memory=grown[racer][0],
            step_memory=grown[racer][1],
            error=errors[racer],
            same_bits=np.array_equal(results[racer].ravel(), first),
            gflops=2e-9 * answer.macs * answer.batch / times.least,
        )


def _key(racer: _Racer) -> str:
    return f"{racer.engine.name}: {racer.name}"


def _errors(results: dict[_Racer, Array], data: Data) -> dict[_Racer, float]:
    """The largest error of each from float64, over the largest output, on the first samples."""
    found: dict[_Racer, float] = {}
    exact: dict[int, Array] = {}
    for racer, result in results.items():
        owner = racer.model if racer.rules == () else next(iter(results)).model
        if id(owner) not in exact:
            exact[id(owner)] = _exact(owner, data)
        wanted = exact[id(owner)].ravel()
        rows = np.asarray(result, np.float64).reshape(len(data.target), -1)
        given = rows[: len(exact[id(owner)])].ravel()
        if given.size != wanted.size:
            raise InternalError(explain(_key(racer), f"{given.size}", f"{wanted.size} numbers"))
        largest = float(np.abs(wanted).max(initial=0.0)) or 1.0
        found[racer] = float(np.abs(given - wanted).max(initial=0.0)) / largest
        if not found[racer] <= _TOLERANCE:
            raise InternalError(explain(_key(racer), f"{found[racer]:.3g} off", f"{_TOLERANCE}"))
    return found


def _exact(model: Model, data: Data) -> Array:
    """What the model gives by its literal meaning in float64, for as many samples as that is
    quick for.
    """
    samples = max(1, min(len(data.target), _CHECKED // max(multiply_adds_of(model) or 1, 1)))
    inputs = [x[:samples] for x in data.inputs]
    specs = [Spec(x.shape, x.dtype.name) for x in inputs]
    traced = trace(
        lambda *x: model(x[0] if len(x) == 1 else list(x), training=False),
        specs,
        keep_updates=False,
    )
    names = [node["name"] for node in traced.graph.inputs]
    arrays = [*inputs, *(getattr(each, "array", each) for each in traced.captured)]
    (found,) = reference(traced.graph, dict(zip(names, arrays, strict=True)), precision="float64")
    return found


def _memory(
    ready: dict[_Racer, Runs], data: Data, threads: int, on_entry: Callable[[str], None]
) -> Iterator[tuple[_Racer, memory.Peaks]]:
    with tempfile.TemporaryDirectory() as folder:
        files: dict[int, Path] = {}
        for racer in ready:
            on_entry(f"memory of {racer.name}")
            file = files.setdefault(id(racer.model), Path(folder) / f"{len(files)}.keras")
            racer.model.save(file)
            shape = (len(data.target), *racer.model.outputs[0].shape[1:])
            np.savez(Path(folder) / "data.npz", *data.inputs, data.target.reshape(shape))
            yield racer, memory.peaks(racer.engine.name, file, Path(folder) / "data.npz", threads)
