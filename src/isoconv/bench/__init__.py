"""The benchmark: ours and the peers in turn, in one run, against the roof measured beside them."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from isoconv import settings, timing
from isoconv.bench import cases, rewrites, roof
from isoconv.bench.contender import Contender, Prepared
from isoconv.bench.ours import Ours, OursBare
from isoconv.bench.results import Report, Row
from isoconv.bench.with_jax import Jax
from isoconv.bench.with_onnx import OnnxRuntime, OpenVino
from isoconv.bench.with_torch import TorchBest, TorchTyped
from isoconv.errors import ArgumentError, InternalError, MissingPackageError, explain
from isoconv.runtime.host import host

SECTIONS = ("layers", "networks", "training", "rewrites")

# Of the largest output: sums of thousands of products, in another order.
_TOLERANCE = 1e-4


def run(
    sections: Sequence[str] = SECTIONS,
    only: str | None = None,
    threads: int | None = None,
    seconds: float = 0.5,
    contenders: Sequence[Contender] | None = None,
    on_case: Callable[[str], None] = lambda name: None,
) -> Report:
    """Times the cases of some sections and gives what was found.

    only: cases whose name contains this. threads: of each contender; `settings.threads()` if left
    out. seconds: for each contender and case. contenders: who takes part; all there are if left
    out. on_case: told the name of each case before it is run.
    """
    unknown = [section for section in sections if section not in SECTIONS]
    if unknown:
        raise ArgumentError(explain("bench: section", unknown[0], f"one of {', '.join(SECTIONS)}"))
    count = settings.threads() if threads is None else threads
    chosen = everyone(count) if contenders is None else contenders
    report = Report(_machine(count), _versions(chosen))
    with settings.limit_threads(count):
        for section in sections:
            for name in rewrites.CASES if section == "rewrites" else ():
                if only is None or only in name:
                    on_case(f"{section}: {name}")
                    report.savings.append(rewrites.measured(name, count, seconds))
            for case in _cases(section):
                if only is None or only in case.name:
                    on_case(f"{section}: {case.name}")
                    report.rows.append(_measured(case, chosen, count, seconds))
    if not report.rows and not report.savings:
        found = [case.name for section in sections for case in _cases(section)]
        names = dict.fromkeys([*found, *(rewrites.CASES if "rewrites" in sections else ())])
        raise ArgumentError(explain("bench: only", repr(only), f"part of {'; '.join(names)}"))
    return report


def everyone(threads: int) -> list[Contender]:
    """Ours and the peers. One core's roof is compared with ours on one thread."""
    return [
        Ours(threads),
        TorchTyped(threads),
        TorchBest(threads),
        OnnxRuntime(threads),
        OpenVino(threads),
        Jax(threads),
        Ours(1, "isoconv, 1 thread"),
        OursBare(threads),
    ]


# -- cases of every section -------------------------------------------------------------------


@dataclass(frozen=True)
class _Case:
    """One row to be: its name, its work, and how a contender prepares it."""

    section: str
    name: str
    flops: int
    bytes: int
    prepare: Callable[[Contender], Prepared | None]


def _layers() -> Iterator[_Case]:
    for shape in cases.shapes():
        yield _Case("layers", shape.name, shape.flops, shape.bytes, _call("layer", shape))


def _networks() -> Iterator[_Case]:
    for network in cases.networks():
        for batch in network.batches:
            name = f"{network.name}, batch {batch}"
            prepare = _call("network", network, batch)
            yield _Case("networks", name, network.flops(batch), 0, prepare)


def _training() -> Iterator[_Case]:
    for network in cases.networks():
        for batch in network.training_batches:
            name = f"{network.name}, batch {batch}"
            prepare = _call("training", network, batch)
            yield _Case("training", name, network.training_flops(batch), 0, prepare)


def _call(method: str, *args: Any) -> Callable[[Contender], Prepared | None]:
    return lambda contender: getattr(contender, method)(*args)


def _cases(section: str) -> Iterator[_Case]:
    """The cases with contenders of a section; those of rules have none."""
    return iter(()) if section == "rewrites" else _CASES[section]()


_CASES = {"layers": _layers, "networks": _networks, "training": _training}


# -- measuring --------------------------------------------------------------------------------


def _measured(case: _Case, contenders: Sequence[Contender], threads: int, seconds: float) -> Row:
    """The times of one case, of all contenders whose results agree with the first's."""
    ready: dict[str, Prepared] = {}
    skipped: dict[str, str] = {}
    for contender in contenders:
        try:
            prepared = case.prepare(contender)
        except MissingPackageError as error:
            skipped[contender.name] = str(error)
            continue
        if prepared is not None:
            ready[contender.name] = prepared
    _verify(case, {name: prepared.result() for name, prepared in ready.items()})
    times = timing.in_turn({name: each.run for name, each in ready.items()}, seconds)
    return Row(
        section=case.section,
        name=case.name,
        flops=case.flops,
        bytes=case.bytes,
        roof=_roof(case, threads),
        roof_one=_roof(case, 1),
        times=times,
        skipped=skipped,
    )


def _roof(case: _Case, threads: int) -> float:
    """The seconds that the machine needs at least."""
    arithmetic = case.flops / roof.flops(threads)
    return max(arithmetic, case.bytes / roof.bandwidth(case.bytes, threads))


def _verify(case: _Case, results: dict[str, np.ndarray[Any, Any]]) -> None:
    """Nobody is faster by computing something else."""
    first, *others = results
    expected = results[first]
    for name in others:
        error = np.abs(results[name] - expected).max(initial=0.0)
        limit = _TOLERANCE * max(1.0, float(np.abs(expected).max(initial=0.0)))
        if results[name].shape != expected.shape or not error <= limit:
            given = f"shape {results[name].shape}, {error:.3g} off"
            expected_text = f"shape {expected.shape} within {limit:.3g} of {first}"
            raise InternalError(
                explain(f"{case.section}: {case.name}: {name}", given, expected_text)
            )


def _machine(threads: int) -> dict[str, Any]:
    machine = host()
    return {
        "processor": machine.cpu,
        "architecture": platform.machine(),
        "vector_bits": machine.vector_bits,
        "threads": threads,
        "gflops": roof.flops(threads) / 1e9,
        "gflops_one_core": roof.flops(1) / 1e9,
        "gigabytes_a_second": roof.bandwidth(1 << 28, threads) / 1e9,
    }


def _versions(contenders: Sequence[Contender]) -> list[str]:
    """Of the packages that are installed."""
    found = []
    for contender in contenders:
        with suppress(MissingPackageError):
            found.append(contender.version())
    return list(dict.fromkeys(found))
