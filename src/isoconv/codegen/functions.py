"""The elementary functions by the names of their operations, on any number of lanes.

No call leaves the code: they are polynomials, with no tables and no branches. Errors in units in
the last place, as tests/codegen/test_functions.py bounds them; a result or argument below the
smallest normal number counts as zero.
"""

from __future__ import annotations

from collections.abc import Callable

from isoconv.codegen.emit import Value
from isoconv.codegen.exponential import erf, exp, expm1, tanh
from isoconv.codegen.logarithm import log, log1p, pow
from isoconv.codegen.philox import random_bits, uniform
from isoconv.codegen.trigonometric import cos, sin

__all__ = ["FUNCTIONS", "random_bits", "uniform"]

FUNCTIONS: dict[str, Callable[..., Value]] = {
    "exp": exp,
    "expm1": expm1,
    "log": log,
    "log1p": log1p,
    "tanh": tanh,
    "erf": erf,
    "sin": sin,
    "cos": cos,
    "pow": pow,
}
