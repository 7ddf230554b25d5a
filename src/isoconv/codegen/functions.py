"""The elementary functions by the names of their operations, on any number of lanes.

No call leaves the code: they are polynomials, with no tables and no branches. Errors in units in
the last place stay below these in the tests (measured, not proved), where the result is a normal
number; a smaller one may be zero:

| | exp | expm1 | log | log1p | tanh | erf | sin, cos | pow |
|---|---|---|---|---|---|---|---|---|
| float32 | 1 | 1.5 | 1 | 1.75 | 1 | 1.25 | 0.51 | 0.51 |
| float64 | 1 | 2 | 1 | 1.75 | 1 | 1.25 | 1 | 2.5 |

An argument below the smallest normal number counts as zero. sin and cos are bounded so for |x| up
to 1e5 and have no result beyond 2**40.
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
