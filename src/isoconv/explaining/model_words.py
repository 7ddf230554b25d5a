"""A model in words: a table by layer, with totals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from isoconv.explaining.facts import LayerFacts
from isoconv.explaining.layer_words import tile
from isoconv.naming import shortened
from isoconv.sections import WIDTH, Section, duration, size

if TYPE_CHECKING:
    from isoconv.explaining.report import Explanation

# More are told as data only.
_MOST_KERNELS = 12

_HEAD = ("layer", "output", "params", "mult-adds", "field", "time")

# Letters of a name: in a table, there at least, and beside other words.
_NAME, _LEAST, _BRIEF = 24, 12, 12


def sections(whole: Explanation) -> list[Section]:
    """The table by layer, the totals, the kernels."""
    taken = " and ".join(map(str, whole.inputs))
    given = " and ".join(map(str, whole.outputs))
    seconds = whole.seconds
    rows = _known([_HEAD, *(_row(layer, seconds) for layer in whole.layers)])
    found = [
        Section(f"{whole.name} on {taken} gives {given}"),
        Section("Layers", (), _fitting(rows), head=True, right=(2, 3, 4, 5)),
        Section("Totals", _totals(whole)),
    ]
    if whole.rules:
        found.append(_rules(whole))
    return [*found, _kernels(whole)]


def _rules(whole: Explanation) -> Section:
    """What was rewritten, each rule with all the layers that it changed."""
    layers: dict[tuple[str, str], list[str]] = {}
    for rule in whole.rules:
        where = layers.setdefault((rule.title, rule.numeric), [])
        if rule.layer not in where:
            where.append(rule.layer)
    rows = [("rule", "class", "layers")]
    for (title, numeric), names in layers.items():
        told = ", ".join(shortened(name, _NAME) for name in names[:4])
        told += f" and {len(names) - 4} more" if len(names) > 4 else ""
        rows.append((title, numeric, told))
    return Section("Rewritten for prediction", (), rows, head=True)


def _known(rows: Sequence[tuple[str, ...]]) -> Sequence[tuple[str, ...]]:
    """The rows without a last column that says nothing, such as times that were not measured."""
    return rows if any(row[-1] for row in rows[1:]) else [row[:-1] for row in rows]


def _fitting(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The rows, their long names as short as the other columns ask for."""
    others = [max(map(len, column)) for column in zip(*rows, strict=True)][1:]
    room = WIDTH - sum(others) - 2 * (len(others) + 1)
    most = min(max(room, _LEAST), _NAME)
    return [(shortened(name, most), *rest) for name, *rest in rows]


def _row(layer: LayerFacts, seconds: float | None) -> tuple[str, ...]:
    return (
        layer.name,
        "x".join(map(str, layer.output)) or "()",
        f"{layer.parameters:,}" if layer.parameters else "",
        amount(layer.multiply_adds) if layer.multiply_adds else "",
        "x".join(map(str, layer.field.count)) or "none",
        _share(layer, seconds),
    )


def _share(layer: LayerFacts, seconds: float | None) -> str:
    if seconds is None:
        return ""
    if layer.seconds is not None:
        return f"{layer.seconds / seconds:.0%}"
    return f"in {shortened(layer.merged, _BRIEF)}" if layer.merged else ""


def _totals(whole: Explanation) -> list[str]:
    fixed = whole.parameters - whole.trainable
    words = [
        f"{whole.parameters:,} parameters ({size(whole.memory['weights'])}), {fixed:,} of them not "
        f"trained; {whole.multiply_adds:,} multiply-adds a sample.",
        f"Memory for a batch of {whole.batch}: inputs {size(whole.memory['inputs'])}, between the "
        f"kernels {size(whole.memory['between'])}, outputs {size(whole.memory['outputs'])}.",
        "field: how much of the input one output in the middle reads, axis by axis.",
    ]
    if whole.seconds is not None:
        words.append(
            f"time: of {duration(whole.seconds)} that the kernels take by themselves here; "
            "'in x' is work done within the kernel of x."
        )
    return words


def _kernels(whole: Explanation) -> Section:
    """The kernels that take most, in the order in which they run."""
    cost = [kernel.seconds or kernel.work for kernel in whole.kernels]
    shown = sorted(sorted(range(len(cost)), key=lambda i: -cost[i])[:_MOST_KERNELS])
    rows = [("kernel", "for", "in registers", "instructions", "time")]
    for kernel in (whole.kernels[i] for i in shown):
        time = "" if kernel.seconds is None else duration(kernel.seconds)
        name = shortened(kernel.layers[0] if kernel.layers else "", _NAME)
        more = f" +{len(kernel.layers) - 1}" if len(kernel.layers) > 1 else ""
        rows.append((kernel.kind, name + more, _brief(tile(kernel)), amount(kernel.work), time))
    machine = whole.machine
    count = f"the {len(shown)} of {len(cost)} that take most" if len(shown) < len(cost) else "all"
    title = f"Kernels: {count} ({machine['processor']}, vectors of {machine['vector_bits']} bits)"
    return Section(title, (), _known(rows), head=True, right=(3, 4))


def _brief(text: str) -> str:
    return text.replace(" places", "").replace(" vectors of ", " x ").replace(" filters", "")


def amount(count: int) -> str:
    """A large number in thousands, millions or thousands of millions."""
    for scale, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return str(count)
