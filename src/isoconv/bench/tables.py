"""The report on the screen: a table a section, 80 columns wide, and what was demanded."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from isoconv.bench import ALONE
from isoconv.bench.agenda import SECTIONS
from isoconv.bench.results import Report, Row, geometric_mean
from isoconv.bench.within import RTOL

# The peers, and how their columns are titled.
PEERS = {
    "torch": "torch",
    "torch best": "best",
    "onnxruntime": "ort",
    "openvino": "ov",
    "jax": "jax",
    "litert": "lite",
    "keras tf": "k-tf",
    "own": "own",
}
# The compiled step of training alone.
_BARE = "isoconv step"


def tables(report: Report) -> RenderableType:
    """Everything, section by section."""
    sections = list(dict.fromkeys(row.section for row in report.rows))
    parts: list[RenderableType] = [_machine(report)]
    for section in sections:
        rows = [row for row in report.rows if row.section == section]
        parts += [_table(SECTIONS[section].title, rows)]
    parts += [ALONE[section].table(found) for section, found in report.alone.items()]
    if not report.rows:
        return Group(*parts)
    return Group(*parts, _skipped(report.rows), _legend(), *_demands(report))


def _machine(report: Report) -> Text:
    m = report.machine
    return Text(
        f"{m['processor']}, {m['vector_bits']}-bit vectors, threads: {m['threads']}; "
        f"{m['gflops']:.0f} GFLOP/s ({m['gflops_one_core']:.0f} on one core), "
        f"{m['gigabytes_a_second']:.0f} GB/s\n"
        f"{', '.join(report.versions)}"
    )


def _table(title: str, rows: Sequence[Row]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0)
    table.add_column("", no_wrap=True)
    peers = [peer for peer in PEERS if any(peer in {*row.runs[0], *row.skipped} for row in rows)]
    extra = ["bare us"] if any(_BARE in row.runs[0] for row in rows) else []
    headings = ("us", "GF/s", "roof", "1 core")
    for heading in (*headings, *(PEERS[peer] for peer in peers), *extra):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        ours = row.least("isoconv")
        bare = row.least(_BARE)
        table.add_row(
            row.name,
            "-" if ours is None else _number(ours * 1e6),
            _number(row.flops / ours / 1e9) if ours and row.flops else "-",
            _percent(row.share()),
            _percent(row.share_one()),
            *(_ratio(row.ratio(peer)) for peer in peers),
            *([_number(bare * 1e6)] if bare else []),
        )
    if len(rows) > 1:
        means = []
        for peer in peers:
            ratios = [ratio for row in rows if (ratio := row.ratio(peer)) is not None]
            means.append(_ratio(geometric_mean(ratios)))
        table.add_section()
        table.add_row("geom. mean", "", "", "", "", *means)
    return table


def _skipped(rows: Sequence[Row]) -> Text:
    """Why a column is empty, once for each reason."""
    reasons = {}
    for row in rows:
        for name, reason in row.skipped.items():
            reasons[name] = f"Skipped: {name}: {reason}"
    return Text("\n".join(reasons.values()), style="yellow")


def _legend() -> Text:
    return Text(
        "roof: percent of what the machine can do, in multiply-adds or bytes.\n"
        "1 core: the same on one thread and core.\n"
        "Then the least time of each peer / ours, so that above 1 ours is faster.\n"
        "torch: as typed; best: its best form, channels last and malloc tuned;\n"
        "ort: ONNX Runtime; ov: OpenVINO; jax: compiled by XLA, channels last;\n"
        "lite: LiteRT; k-tf: Keras on TensorFlow; own: PyTorch or Keras on JAX.\n"
        f"~{RTOL}: ours within that tolerance (isoconv.Numerics).\n"
        "bare: the compiled step alone, without what train_on_batch does around it.\n",
        style="dim",
    )


def _demands(report: Report) -> list[Text]:
    lines = []
    for demand in report.demands():
        found = "not measured" if demand.found is None else f"{demand.found:.2f}"
        met = {True: "met", False: "NOT MET", None: "-"}[demand.met]
        style = {True: "green", False: "bold red", None: "yellow"}[demand.met]
        told = f"{demand.what}: {found}, at least {demand.wanted:.2f}: {met}"
        if demand.met is False and demand.most is not None:
            told += f" ({demand.most:.2f} at the roof)"
        lines.append(Text(told, style))
    return lines


def _number(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f}"


def _ratio(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"
