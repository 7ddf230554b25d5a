"""The benchmark: ours and the peers in turn, in one run, against the roof measured beside them."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np

from isoconv import settings, timing
from isoconv.bench import cold, resident, rewrites, roof, within
from isoconv.bench.agenda import SECTIONS as WITH_PEERS
from isoconv.bench.agenda import Case
from isoconv.bench.contender import Contender, Prepared
from isoconv.bench.results import Report, Row
from isoconv.errors import ArgumentError, InternalError, MissingPackageError, explain
from isoconv.runtime.host import host

# Sections that compare ours with itself; each knows its cases and how it is shown.
ALONE = {"rewrites": rewrites, "tolerance": within, "cold": cold, "memory": resident}
SECTIONS = (*WITH_PEERS, *ALONE)

# Of the largest output: sums of thousands of products, in another order.
_TOLERANCE = 1e-4


def run(
    sections: Sequence[str] = SECTIONS,
    only: str | None = None,
    threads: int | None = None,
    seconds: float = 0.5,
    runs: int = 1,
    models: str | None = None,
    contenders: Sequence[Contender] | None = None,
    on_case: Callable[[str], None] = lambda name: None,
) -> Report:
    """Times the cases of some sections and gives what was found.

    only: cases whose name contains this. threads: of each contender; `settings.threads()` if left
    out. seconds: for each contender, case and run. runs: how often everything is measured, one run
    after the other; ratios are their medians. models: the folder of trained models, without which
    the section "real" is left out. contenders: who takes part; all there are if left
    out. on_case: told the name of each case before it is run.
    """
    if models is None and "real" in sections and len(sections) == 1:
        remedy = "tools/real_inputs of the project fills one."
        raise ArgumentError(explain("bench: models", "nothing", "a folder of models", remedy))
    unknown = [section for section in sections if section not in SECTIONS]
    if unknown:
        raise ArgumentError(explain("bench: section", unknown[0], f"one of {', '.join(SECTIONS)}"))
    asked = {section: list(_names(section, only, models)) for section in sections}
    chosen = {section: names for section, names in asked.items() if names}
    if not chosen:
        names = [name for section in sections for name in _names(section, None, models)]
        expected = f"part of {'; '.join(dict.fromkeys(names))}"
        raise ArgumentError(explain("bench: only", repr(only), expected))
    count = settings.threads() if threads is None else threads
    report = Report(_machine(count))
    with settings.limit_threads(count):
        for section in [*chosen] * runs:
            if section in ALONE:
                _alone(report, section, chosen[section], count, seconds, on_case)
            else:
                taking = contenders or WITH_PEERS[section].contenders(count)
                every = WITH_PEERS[section].cases(section, models)
                wanted = [case for case in every if case.name in chosen[section]]
                _with_peers(report, wanted, taking, count, seconds, on_case)
    return report


def _names(section: str, only: str | None, models: str | None) -> Iterator[str]:
    """Of the cases of a section that are asked for."""
    alone = section in ALONE
    names = (
        ALONE[section].CASES
        if alone
        else (case.name for case in WITH_PEERS[section].cases(section, models))
    )
    return (name for name in names if only is None or only in name)


def _alone(
    report: Report,
    section: str,
    names: Sequence[str],
    threads: int,
    seconds: float,
    on_case: Callable[[str], None],
) -> None:
    for name in names:
        on_case(f"{section}: {name}")
        report.alone.setdefault(section, []).append(ALONE[section].measured(name, threads, seconds))


def _with_peers(
    report: Report,
    wanted: Sequence[Case],
    contenders: Sequence[Contender],
    threads: int,
    seconds: float,
    on_case: Callable[[str], None],
) -> None:
    with ExitStack() as stack:
        for contender in contenders:
            stack.callback(contender.close)
        for case in wanted:
            on_case(f"{case.section}: {case.name}")
            report.add(_measured(case, contenders, threads, seconds))
        report.versions.update(dict.fromkeys(_versions(contenders)))


# -- measuring --------------------------------------------------------------------------------


def _measured(case: Case, contenders: Sequence[Contender], threads: int, seconds: float) -> Row:
    """The times of one case, of all contenders whose results agree with the first's."""
    ready: dict[str, Prepared] = {}
    skipped: dict[str, str] = {}
    for contender in contenders:
        try:
            prepared = case.prepared(contender)
        except MissingPackageError as error:
            skipped[contender.name] = str(error)
            continue
        if prepared is not None:
            ready[contender.name] = prepared
    _verify(case, {name: prepared.result() for name, prepared in ready.items()})
    times = timing.in_turn({name: each.turns() for name, each in ready.items()}, seconds)
    return Row(
        section=case.section,
        name=case.name,
        flops=case.flops,
        bytes=case.bytes,
        roof=_roof(case, threads),
        roof_one=_roof(case, 1),
        runs=[times],
        skipped=skipped,
    )


def _roof(case: Case, threads: int) -> float:
    """The seconds that the machine needs at least."""
    arithmetic = case.flops / roof.flops(threads)
    return max(arithmetic, case.bytes / roof.bandwidth(case.bytes, threads))


def _verify(case: Case, results: dict[str, np.ndarray[Any, Any]]) -> None:
    """Nobody is faster by computing something else."""
    first, *others = results
    expected = results[first]
    for name in others:
        shape = results[name].shape
        limit = _TOLERANCE * max(1.0, float(np.abs(expected).max(initial=0.0)))
        same = shape == expected.shape
        error = np.abs(results[name] - expected).max(initial=0.0) if same else np.inf
        if not error <= limit:
            given = f"shape {shape}, {error:.3g} off"
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
    return found
