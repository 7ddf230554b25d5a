"""All rules on layers. Rows 3, 6, 8, 14 and 20 trace to the same program in both forms, up to the
shape of the weights, so there are no rules on graphs for them but those that move transposes.
"""

from __future__ import annotations

from isoconv.conversion import groups, merging, places, steps
from isoconv.conversion.rule import LayerRule

ALL: tuple[LayerRule, ...] = (*places.RULES, *groups.RULES, *steps.RULES, *merging.RULES)
"""Every rule; row 22 (Winograd, FFT) has none, because nothing approximate exists."""
