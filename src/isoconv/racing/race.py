"""`race`: the equal forms of a layer, and the frameworks that are installed, in turn."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np

from isoconv import settings, spec, timing
from isoconv.conversion.describe import multiply_adds_of, name_of
from isoconv.conversion.forms import forms
from isoconv.equivalence import equivalent
from isoconv.errors import ArgumentError, InternalError, MissingPackageError, explain
from isoconv.layers.base import Layer
from isoconv.layers.embedding import Embedding
from isoconv.layers.input import Input
from isoconv.models.model import Model
from isoconv.ops.program import Spec, trace
from isoconv.racing import memory
from isoconv.racing.answer import Entry, Race
from isoconv.racing.engines import PEERS, Array, Data, Engine, Isoconv, IsoconvFolding, Runs
from isoconv.reference import run as reference

# Multiply-adds that the reference, which is slow, is asked for.
_CHECKED = 20_000_000

# Of the largest output: nobody may win by computing something else. Frameworks may transform
# their convolutions, which rounds more than a sum does.
_TOLERANCE = 1e-3
_OURS = 1e-4

# Processes that measure memory at the same time; they mostly import packages.
_AT_ONCE = 2


@dataclass(frozen=True)
class _Racer:
    """A model on an engine. same: the model of isoconv that it is to be the same function as.
    rules: what led to its form.
    """

    name: str
    engine: Engine
    model: Model
    same: Model
    rules: tuple[str, ...] = ()

    @property
    def ours(self) -> bool:
        return isinstance(self.engine, Isoconv)

    @property
    def label(self) -> str:
        return self.name if self.ours else f"{self.engine.name}: {self.name}"


_Ready = dict[_Racer, Runs]


@dataclass(frozen=True)
class _Accuracy:
    """error: from float64, over the largest output. same_bits: as the first racer gives."""

    error: float
    same_bits: bool


def race(
    layer_or_model: Any,
    input_shape: Any = None,
    batch: int = 32,
    against: Any = (),
    threads: int | None = None,
    seconds: float = 0.3,
    grown: bool = True,
    on_entry: Callable[[str], None] = lambda name: None,
) -> Race:
    """Measures every equal form of a layer, and the layer in every framework installed.

    All are run in turn, in this process, on the same input: a prediction of the batch, and a
    training step where the engine trains. Memory is measured in a process for each. The forms are
    those that one rule leads to. Of a chain or a model no forms are raced; it is raced as it is
    and as `predict` runs it.

    Args:
        layer_or_model: a layer, a model, a list of layers, or a spec as "Conv1D(256, 80)".
        input_shape: without the batch; may be left out for a model that knows it.
        batch: samples of a call.
        against: more of these on the same input, here and in the frameworks. They are compared with
            the first by `equivalent`; where they are equal, its weights are carried over.
        threads: of each; all CPUs if left out. Engines that take all are then left out for less.
        seconds: for which each is timed, at least.
        grown: whether memory is measured, which takes some seconds for each framework.
        on_entry: told what is being prepared or measured.

    A framework that is missing, fails or gives something else takes no part, and the answer says
    so. Raises ArgumentError for what is no layer or has an unknown size, ShapeError where a shape
    does not fit, InternalError where a form of ours gives something else.
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
    own = [_Racer(answer.title, Isoconv(count), model, model)]
    own += [_rival(each, model, answer, count) for each in rivals]
    racers = [own[0], *_forms(own[0], count), *own[1:], *_peers(own, count, answer)]
    with settings.limit_threads(count):
        ready = dict(_prepared(racers, data, answer, on_entry))
        errors = dict(_agreeing(ready, data, answer))
        ready = {racer: ready[racer] for racer in errors}
        memories = _memory(ready, data, answer, on_entry) if grown else {}
        answer.entries.extend(_measured(ready, errors, memories, answer, seconds, on_entry))
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


def _forms(first: _Racer, threads: int) -> Iterator[_Racer]:
    """The equal forms of a model of one layer, those of one rule; others only repeat them."""
    model, chain = first.model, first.model.layers[1:]
    if len(chain) != 1 or isinstance(chain[0], Model):
        yield _Racer(f"{first.name}, as predict runs it", IsoconvFolding(threads), model, model)
        return
    for form in forms(chain[0], model.inputs[0].shape[1:], depth=1)[1:]:
        rules = tuple(f"row {rule.number}: {rule.title}" for rule in form.rules)
        yield _Racer(form.name, Isoconv(threads), form.model, model, rules)


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
    return _Racer(name, Isoconv(threads), rival, rival)


def _peers(own: Sequence[_Racer], threads: int, answer: Race) -> Iterator[_Racer]:
    """What was given, in every framework."""
    for kind in PEERS:
        if kind.all_processors and threads != settings.threads():
            answer.skipped[kind.name] = "takes all processors, whatever it is told"
            continue
        for racer in own:
            yield _Racer(racer.name, kind(threads), racer.model, racer.model)


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
    """The racers that can run. A framework that cannot says why, in whatever words it has."""
    for racer in racers:
        on_entry(f"preparing {racer.label}")
        target = data.target.reshape(len(data.target), *racer.model.outputs[0].shape[1:])
        try:
            runs = racer.engine.runs(racer.model, Data(data.inputs, target))
            if runs.step is not None:
                runs.step()
            runs.forward()
        except MissingPackageError as error:
            # Once for what a framework runs in several ways.
            answer.skipped[racer.engine.name.partition(",")[0]] = str(error)
        except Exception as error:
            if racer.ours:
                raise
            answer.skipped[racer.label] = f"{type(error).__name__}: {_last_line(error)}"
        else:
            yield racer, runs


def _last_line(error: Exception) -> str:
    """Of what a framework says, where it names the cause; Keras lists the arguments after it."""
    said = str(error).partition("\nArguments received by ")[0]
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return shorten(lines[-1] if lines else "no reason given", 200)


def _agreeing(ready: _Ready, data: Data, answer: Race) -> Iterator[tuple[_Racer, _Accuracy]]:
    """The accuracy of each racer that computes what it should; of a framework that does not, the
    answer tells.
    """
    known: dict[int, tuple[Array, Array]] = {}
    for racer, runs in ready.items():
        result = np.array(runs.read(runs.forward())).reshape(len(data.target), -1)
        if id(racer.same) not in known:
            # The first of a function is ours, as it was given.
            known[id(racer.same)] = result, _exact(racer.same, data)
        first, exact = known[id(racer.same)]
        if result.shape != first.shape:
            given, expected = f"{result.shape[1]} numbers", f"{first.shape[1]} for each sample"
            raise InternalError(explain(racer.label, given, expected))
        largest = float(np.abs(exact).max(initial=0.0)) or 1.0
        error = float(np.abs(result[: len(exact)] - exact).max(initial=0.0)) / largest
        apart = float(np.abs(result - first).max(initial=0.0)) / largest
        limit = _OURS if racer.ours else _TOLERANCE
        if max(error, apart) <= limit:
            start = next(iter(known.values()))[0]
            yield racer, _Accuracy(error, np.array_equal(result.ravel(), start.ravel()))
            continue
        told = f"{max(error, apart):.2g} of the largest output off"
        if racer.ours:
            raise InternalError(explain(racer.label, told, f"at most {limit}"))
        answer.skipped[racer.label] = f"gives something else: {told}"


def _measured(
    ready: _Ready,
    errors: dict[_Racer, _Accuracy],
    memories: dict[_Racer, memory.Peaks],
    answer: Race,
    seconds: float,
    on_entry: Callable[[str], None],
) -> Iterator[Entry]:
    names = {racer: f"{place} {racer.label}" for place, racer in enumerate(ready)}
    on_entry("timing predictions")
    forward = timing.in_turn({names[r]: runs.forward for r, runs in ready.items()}, seconds)
    on_entry("timing training steps")
    steps = {names[r]: runs.step for r, runs in ready.items() if runs.step is not None}
    trained = timing.in_turn(steps, seconds)
    for racer, name in names.items():
        peaks = memories.get(racer, memory.Peaks())
        yield Entry(
            name=racer.name,
            engine=racer.engine.name,
            rules=racer.rules,
            forward=forward[name],
            step=trained.get(name),
            memory=peaks.forward,
            step_memory=peaks.step,
            error=errors[racer].error,
            same_bits=errors[racer].same_bits,
            gflops=2e-9 * answer.macs * answer.batch / forward[name].least,
        )


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
    exact: Array = found.reshape(samples, -1)
    return exact


def _memory(
    ready: _Ready, data: Data, answer: Race, on_entry: Callable[[str], None]
) -> dict[_Racer, memory.Peaks]:
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(_AT_ONCE) as pool:
        arrays = Path(folder) / "data.npz"
        np.savez(arrays, *data.inputs, data.target)
        files: dict[int, Path] = {}
        asked = {}
        for racer in ready:
            if id(racer.model) not in files:
                files[id(racer.model)] = Path(folder) / f"{len(files)}.keras"
                racer.model.save(files[id(racer.model)])
            given = (racer.engine.name, files[id(racer.model)], arrays, answer.threads)
            asked[racer] = pool.submit(memory.peaks, *given)
        found = {}
        for racer, future in asked.items():
            on_entry(f"memory of {racer.label}")
            found[racer] = future.result()
            if found[racer].why:
                answer.not_measured[racer.label] = found[racer].why
    return found
