"""Fits the polynomials of the elementary functions and prints src/isoconv/codegen/coefficients.py.

    python tools/fit_functions.py > src/isoconv/codegen/coefficients.py

Each fit is a minimax polynomial found by Remez' exchange (Remez 1934) in 60 digits with mpmath, in
the variable and weighted by the error that the code using it cares about. The error printed beside
it is the largest one left after the coefficients are rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mpmath import mp, mpf

mp.dps = 60

Real = Callable[[mpf], mpf]
POINTS = 400
DIGITS = {"float32": 24, "float64": 53}


@dataclass(frozen=True)
class Fit:
    """A polynomial for `function` from `low` to `high[dtype]`, of `degrees[dtype]`.

    weight: what makes the error of the polynomial the one that counts, up to its sign.
    """

    name: str
    says: str
    function: Real
    weight: Real
    low: mpf
    high: dict[str, mpf]
    degrees: dict[str, int]


def round_to(value: mpf, digits: int) -> mpf:
    """The nearest number of so many bits."""
    mantissa, exponent = mp.frexp(value)
    return mp.ldexp(mp.nint(mp.ldexp(mantissa, digits)), int(exponent) - digits)


def evaluate(coefficients: list[mpf], x: mpf) -> mpf:
    """The polynomial with the lowest coefficient first."""
    return mp.polyval(coefficients[::-1], x)


def minimax(values: list[mpf], weights: list[mpf], grid: list[mpf], degree: int) -> list[mpf]:
    """Coefficients, lowest first, of the polynomial of least weighted error on the grid."""
    count = degree + 1
    chosen = [round(i * (len(grid) - 1) / count) for i in range(count + 1)]
    for _ in range(60):
        # Weighted errors at the chosen points are to be equal, with alternating signs.
        system = mp.matrix(count + 1, count + 1)
        right = mp.matrix(count + 1, 1)
        for row, at in enumerate(chosen):
            for power in range(count):
                system[row, power] = grid[at] ** power
            system[row, count] = (-1) ** row / weights[at]
            right[row] = values[at]
        found = list(mp.lu_solve(system, right))[:count]
        following = extremes(errors(values, weights, grid, found), count + 1)
        if following == chosen:
            return found
        chosen = following
    raise ArithmeticError("the exchange does not settle")


def errors(
    values: list[mpf], weights: list[mpf], grid: list[mpf], coefficients: list[mpf]
) -> list[mpf]:
    """The weighted error at each point of the grid."""
    return [
        weight * (value - evaluate(coefficients, x))
        for value, weight, x in zip(values, weights, grid, strict=True)
    ]


def extremes(error: list[mpf], count: int) -> list[int]:
    """`count` places of alternating sign where the error is largest."""
    peaks: list[int] = []
    for at, value in enumerate(error):
        if peaks and (value > 0) == (error[peaks[-1]] > 0):
            if abs(value) > abs(error[peaks[-1]]):
                peaks[-1] = at
        else:
            peaks.append(at)
    while len(peaks) > count:
        drop_smallest(peaks, error, len(peaks) - count)
    if len(peaks) < count:
        raise ArithmeticError(f"only {len(peaks)} extremes of {count}; use a finer grid")
    return peaks


def drop_smallest(peaks: list[int], error: list[mpf], excess: int) -> None:
    """Takes out the least peak: one at an end, or two neighbours, so that the signs alternate."""
    if excess == 1:
        del peaks[0 if abs(error[peaks[0]]) < abs(error[peaks[-1]]) else -1]
        return
    least = min(range(len(peaks)), key=lambda i: abs(error[peaks[i]]))
    if least in (0, len(peaks) - 1):
        del peaks[least]
        return
    del peaks[least : least + 2]


def fit(task: Fit, dtype: str) -> tuple[list[mpf], mpf]:
    """Rounded coefficients, lowest first, and the largest weighted error they leave."""
    high, degree = task.high[dtype], task.degrees[dtype]
    middle, half = (high + task.low) / 2, (high - task.low) / 2
    angles = [mp.pi * (i + mpf("0.5")) / POINTS for i in range(POINTS)]
    grid = [middle - half * mp.cos(angle) for angle in angles]
    values = [task.function(x) for x in grid]
    weights = [abs(task.weight(x)) for x in grid]
    rounded = [round_to(c, DIGITS[dtype]) for c in minimax(values, weights, grid, degree)]
    return rounded, max(map(abs, errors(values, weights, grid, rounded)))


def same(high: mpf) -> dict[str, mpf]:
    return {"float32": high, "float64": high}


def root(z: mpf) -> mpf:
    return mp.sqrt(z)


def atanh_tail(z: mpf) -> mpf:
    s = mp.sqrt(z)
    return (mp.atanh(s) / s - 1 - z / 3) / z**2


LOG2 = mp.log(2)
SMALL_EXP = LOG2 / 2 * mpf("1.001")
EIGHTH_TURN = mp.pi / 4 * mpf("1.01")

FITS = [
    Fit(
        "EXP",
        "exp(x) = 1 + x + x^2 p(x)",
        lambda x: (mp.expm1(x) - x) / x**2,
        lambda x: x**2 / mp.expm1(x),
        -SMALL_EXP,
        same(SMALL_EXP),
        {"float32": 5, "float64": 10},
    ),
    Fit(
        "LOG",
        "log(1 + x) = x + x^2 p(x)",
        lambda x: (mp.log1p(x) - x) / x**2,
        lambda x: x**2 / mp.log1p(x),
        -mpf(1) / 3,
        same(mpf(1) / 3),
        {"float32": 8, "float64": 20},
    ),
    Fit(
        "ATANH",
        "atanh(x) = x (1 + x^2 / 3 + x^4 p(x^2))",
        atanh_tail,
        lambda z: z**2,
        mpf(0),
        same(mpf("0.0401")),
        {"float64": 7},
    ),
    Fit(
        "TANH",
        "tanh(x) = x + x^3 p(x^2)",
        lambda z: (mp.tanh(root(z)) / root(z) - 1) / z,
        lambda z: root(z) ** 3 / mp.tanh(root(z)),
        mpf(0),
        same(mpf(1)),
        {"float32": 6, "float64": 15},
    ),
    Fit(
        "ERF",
        "erf(x) = x + x p(x^2)",
        lambda z: mp.erf(root(z)) / root(z) - 1,
        lambda z: root(z) / mp.erf(root(z)),
        mpf(0),
        same(mpf(1)),
        {"float32": 6, "float64": 12},
    ),
    Fit(
        "ERFC",
        "erfc(x) = exp(-x p(x)), x from 1 to where 1 - erfc(x) rounds to 1",
        lambda x: -mp.log(mp.erfc(x)) / x,
        lambda x: x * mp.erfc(x),
        mpf(1),
        {"float32": mpf(4), "float64": mpf(6)},
        {"float32": 6, "float64": 17},
    ),
    Fit(
        "SIN",
        "sin(x) = x + x^3 p(x^2)",
        lambda z: (mp.sin(root(z)) / root(z) - 1) / z,
        lambda z: root(z) ** 3 / mp.sin(root(z)),
        mpf(0),
        same(EIGHTH_TURN**2),
        {"float64": 5},
    ),
    Fit(
        "COS",
        "cos(x) = 1 - x^2 / 2 + x^4 p(x^2)",
        lambda z: (mp.cos(root(z)) - 1 + z / 2) / z**2,
        lambda z: z**2,
        mpf(0),
        same(EIGHTH_TURN**2),
        {"float64": 5},
    ),
]

HEAD = '''"""Constants of the elementary functions, printed by tools/fit_functions.py: do not edit.

Polynomials have the lowest coefficient first; the error beside each is the largest possible one of
the function, relative (of 1 - erfc(x) and of sin and cos: absolute), but for rounding on the way.
"""
'''


def show_polynomials() -> None:
    for task in FITS:
        print(f"\n# {task.says}")
        print(f"{task.name} = {{")
        for dtype, name in (("float32", "float"), ("float64", "double")):
            if dtype in task.degrees:
                coefficients, error = fit(task, dtype)
                print(f"    # Error 2**{float(mp.log(error, 2)):.1f}.")
                print(f'    "{name}": (')
                for number in coefficients:
                    print(f"        {float(number)!r},")
                print("    ),")
        print("}")


def split(value: mpf, digits: tuple[int, ...]) -> list[mpf]:
    """Numbers of so many bits, each the nearest to what those before it leave."""
    parts: list[mpf] = []
    for count in digits:
        parts.append(round_to(value - mp.fsum(parts), count))
    return parts


# A constant in parts; a first part of fewer bits than the format can be multiplied by an exponent
# without rounding.
PARTS: list[tuple[str, str, mpf, dict[str, tuple[int, ...]]]] = [
    ("LN2", "log(2)", LOG2, {"float": (24, 24), "double": (53, 53)}),
    ("LN2_SHORT", "log(2), the first part times an exponent exact", LOG2, {"double": (42, 53)}),
    ("HALF_PI", "pi / 2", mp.pi / 2, {"double": (53, 53, 53)}),
    ("THIRD", "1 / 3", mpf(1) / 3, {"double": (53, 53)}),
]


def show_parts() -> None:
    for name, says, value, digits in PARTS:
        print(f"\n# {says}")
        print(f"{name} = {{")
        for kind, counts in digits.items():
            numbers = ", ".join(repr(float(part)) for part in split(value, counts))
            print(f'    "{kind}": ({numbers}),')
        print("}")


def show_range() -> None:
    print("\n# The least and the greatest x for which exp(x) is a normal number.")
    print("EXP_RANGE = {")
    for kind, digits, exponent in (("float", 24, 128), ("double", 53, 1024)):
        normal = mp.log(mp.ldexp(1, 2 - exponent))
        largest = mp.log(mp.ldexp(1, exponent) - mp.ldexp(1, exponent - digits))
        low, high = round_to(normal, digits), round_to(largest, digits)
        # One step of the format, where rounding went the wrong way.
        step = mp.ldexp(1, mp.frexp(high)[1] - digits)
        low, high = low + step * (low < normal), high - step * (high > largest)
        print(f'    "{kind}": ({float(low)!r}, {float(high)!r}),')
    print("}")


if __name__ == "__main__":
    print(HEAD, end="")
    show_polynomials()
    show_parts()
    show_range()
