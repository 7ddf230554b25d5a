"""A chart of the convolutions that were measured, as SVG: GFLOP/s against the roof."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from isoconv.bench.results import Row
from isoconv.errors import ArgumentError, explain

_WIDTH, _LEFT, _RIGHT, _TOP, _LINE, _BAR = 720, 120, 110, 58, 20, 12


def roof_chart(rows: Sequence[Row]) -> str:
    """One bar a convolution of the section "layers": what ours reaches, before what the machine can
    do, with a mark where the fastest peer is.

    Raises ArgumentError where none was measured.
    """
    shown = [row for row in rows if row.section == "layers" and row.least("isoconv")]
    if not shown:
        expected = "the section layers among those measured"
        raise ArgumentError(explain("bench: chart", "no convolutions", expected))
    scale = (_WIDTH - _LEFT - _RIGHT) / max(row.flops / row.roof for row in shown)
    height = _TOP + _LINE * len(shown) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="sans-serif" font-size="12">',
        "<title>Convolutions: GFLOP/s against the roof</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{_LEFT}" y="20" font-weight="bold">GFLOP/s against the roof</text>',
        *_key(),
    ]
    for index, row in enumerate(shown):
        parts += _bar(row, _TOP + index * _LINE, scale)
    return "\n".join([*parts, "</svg>\n"])


def _key() -> list[str]:
    y = 30
    return [
        _rectangle(_LEFT, y, 14, "#2f6fb0"),
        f'<text x="{_LEFT + 20}" y="{y + 10}">isoconv</text>',
        _rectangle(_LEFT + 90, y, 14, "#dddddd"),
        f'<text x="{_LEFT + 110}" y="{y + 10}">the roof</text>',
        _rectangle(_LEFT + 186, y, 3, "#c2410c"),
        f'<text x="{_LEFT + 196}" y="{y + 10}">the fastest other library</text>',
    ]


def _bar(row: Row, y: float, scale: float) -> list[str]:
    ours, peer = row.least("isoconv"), row.ratio(*row.peers)
    assert ours is not None
    rate = row.flops / ours / 1e9
    roof = row.flops / row.roof / 1e9
    length = rate * scale * 1e9
    parts = [
        f'<text x="{_LEFT - 8}" y="{y + 10}" text-anchor="end">{escape(row.name)}</text>',
        _rectangle(_LEFT, y, roof * scale * 1e9, "#dddddd"),
        _rectangle(_LEFT, y, length, "#2f6fb0"),
    ]
    if peer is not None:
        parts.append(_rectangle(_LEFT + length / peer - 1.5, y - 2, 3, "#c2410c", _BAR + 4))
    right = f'x="{_WIDTH - 10}" y="{y + 10}" text-anchor="end"'
    return [*parts, f"<text {right}>{rate:.3g} of {roof:.3g}</text>"]


def _rectangle(x: float, y: float, width: float, color: str, height: float = _BAR) -> str:
    size = f'width="{width:.1f}" height="{height}"'
    return f'<rect x="{x:.1f}" y="{y}" {size} fill="{color}"/>'
