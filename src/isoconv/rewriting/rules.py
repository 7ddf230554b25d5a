"""All rules on graphs, in the order in which they are tried."""

from __future__ import annotations

from isoconv.rewriting import axes, branches, lookups, normalization, products, transposes
from isoconv.rewriting.rule import Rule

EXACT: tuple[Rule, ...] = transposes.RULES
"""Rules that keep all bits and need no weights: for every program."""

PREDICTION: tuple[Rule, ...] = (
    *normalization.RULES,
    *branches.RULES,
    *products.RULES,
    *lookups.RULES,
)
"""Rules that compute with weights beforehand: for prediction only."""

LAST: tuple[Rule, ...] = axes.RULES
"""Rules that keep all bits and take a form out of the shape that others know: after all others."""

ALL: tuple[Rule, ...] = (*EXACT, *PREDICTION, *LAST)
