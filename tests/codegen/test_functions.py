"""The elementary functions: errors in ulps, special values, the same bits at every vector width."""

import ctypes
import math
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest

from isoconv.codegen import coefficients, philox
from isoconv.codegen.emit import SCALARS, Builder, Value, vector_type
from isoconv.codegen.flags import flush_denormals, restore
from isoconv.codegen.functions import FUNCTIONS, random_bits, uniform
from isoconv.plan.machine import Machine
from isoconv.reference import random
from isoconv.runtime import jit
from isoconv.runtime.host import host, machine_for

Array = np.ndarray[Any, Any]
Emit = Callable[..., Value]

DTYPES = ("float32", "float64")
WIDEST = {"float32": 16, "float64": 8}

# The largest errors allowed, in units in the last place.
BOUNDS = {
    "exp": (1.0, 1.0),
    "expm1": (1.5, 2.0),
    "log": (1.0, 1.0),
    "log1p": (1.75, 1.75),
    "tanh": (1.0, 1.0),
    "erf": (1.25, 1.25),
    "sin": (0.51, 1.0),
    "cos": (0.51, 1.0),
    "pow": (0.51, 2.5),
}

# Where the arguments are drawn from, evenly; beside them come all magnitudes.
RANGES: dict[str, list[tuple[float, float]]] = {
    "exp": [(-87, 88), (-1, 1)],
    "expm1": [(-1, 1), (-40, 88), (-0.01, 0.01)],
    "log": [(0.5, 2), (0.95, 1.05), (1e-3, 100)],
    "log1p": [(-0.9999, 3), (-0.1, 0.1), (0, 1e6)],
    "tanh": [(-2, 2), (-10, 10), (0.9, 1.1)],
    "erf": [(-2, 2), (-6, 6), (0.9, 1.1)],
    "sin": [(-4, 4), (-1e5, 1e5)],
    "cos": [(-4, 4), (-1e5, 1e5)],
}
WIDE_RANGES: dict[str, list[tuple[float, float]]] = {"exp": [(-708, 709)], "expm1": [(0, 709)]}
# Beyond these there is no result, or none that is promised.
DOMAINS = {"log": (0, math.inf), "log1p": (-1, math.inf), "sin": (-1e5, 1e5), "cos": (-1e5, 1e5)}
UNARY = sorted(RANGES)


# -- running --------------------------------------------------------------------------------------


def machines() -> dict[str, Machine]:
    """Kinds of code that run here: the vectors of this machine, and of a narrower one."""
    found = {"host": host()}
    if host().triple.startswith("x86_64"):
        found["avx2"] = machine_for(host().triple, "x86-64-v3")
    return found


def loop_text(
    symbol: str, emit: Emit, inputs: Sequence[str], output: str, lanes: int, machine: Machine
) -> str:
    """A loop that applies emit(b, *values) to arrays, `lanes` elements a turn.

    inputs, output: the LLVM types of the elements.
    """
    b = Builder(machine)
    saved = flush_denormals(b)
    with b.loop(0, Value("%n", "i64"), lanes) as loop:
        values = []
        for i, scalar in enumerate(inputs):
            place = b.at(Value(f"%x{i}", "ptr"), loop.index, scalar)
            values.append(b.load(place, vector_type(scalar, lanes)))
        b.store(emit(b, *values), b.at(Value("%y", "ptr"), loop.index, output))
    restore(b, saved)
    b.lines.append("  ret void")
    pointers = ", ".join(f"ptr %x{i}" for i in range(len(inputs)))
    return b.function(f"void @{symbol}({pointers}, ptr %y, i64 %n)")


def apply(emit: Emit, output: str, arrays: Sequence[Array], lanes: int, machine: Machine) -> Array:
    """emit(b, *values) at each element of the arrays; `output` is a NumPy dtype."""
    scalars = [SCALARS[np.dtype(a.dtype).name.replace("uint", "int")] for a in arrays]
    stored = SCALARS[output.replace("uint", "int")]
    text = loop_text("apply", emit, scalars, stored, lanes, machine)
    address = jit.function(text, "apply", lambda: text, machine)
    count = len(arrays[0])
    padded = [np.pad(a, (0, -count % lanes), mode="edge") for a in arrays]
    result = np.empty(len(padded[0]), output)
    types = [ctypes.c_void_p] * (len(arrays) + 1)
    run = ctypes.CFUNCTYPE(None, *types, ctypes.c_int64)(address)
    run(*(a.ctypes.data for a in padded), result.ctypes.data, len(result))
    return result[:count]


def computed(
    name: str, arrays: Sequence[Array], lanes: int = 0, machine: Machine | None = None
) -> Array:
    dtype = arrays[0].dtype.name
    lanes = lanes or WIDEST[dtype]
    return apply(FUNCTIONS[name], dtype, arrays, lanes, machine or host())


# -- arguments and errors -------------------------------------------------------------------------


def arguments(name: str, dtype: str, count: int) -> list[Array]:
    """Arrays of arguments, `count` from each range and `count` of all magnitudes."""
    rng = np.random.default_rng(0)
    if name == "pow":
        return power_arguments(dtype, count, rng)
    ranges = RANGES[name] + (WIDE_RANGES.get(name, []) if dtype == "float64" else [])
    parts = [rng.uniform(low, high, count) for low, high in ranges]
    scale = 120 if dtype == "float32" else 1000
    parts.append(2.0 ** rng.uniform(-scale, scale, count) * rng.choice([-1, 1], count))
    if name in ("sin", "cos"):
        # As near to the zeros as numbers of this format come.
        parts.append(np.rint(rng.uniform(0, 63_000, count)) * (np.pi / 2))
    x = np.concatenate(parts).astype(dtype)
    low, high = DOMAINS.get(name, (-math.inf, math.inf))
    return [x[(x > low) & (x < high)]]


def power_arguments(dtype: str, count: int, rng: np.random.Generator) -> list[Array]:
    """Bases of all magnitudes and near 1, with exponents such that the results spread evenly."""
    bases = [rng.uniform(0, 3, count), 2.0 ** rng.uniform(-100, 100, count)]
    x = np.concatenate([*bases, rng.uniform(0.99, 1.01, count)]).astype(dtype)
    x = x[x != 1]
    limit = 87 if dtype == "float32" else 708
    y = rng.uniform(-limit, limit, len(x)) / np.log(x.astype("float64"))
    return [x, y.astype(dtype)]


def worst_error(name: str, dtype: str, found: Array, arrays: Sequence[Array]) -> float:
    """The largest error in ulps among the results that are normal numbers."""
    measure = narrow_errors if dtype == "float32" else wide_errors
    # NumPy's maximum is NaN where one of the errors is.
    return float(np.max(measure(name, found, arrays)))


def narrow_errors(name: str, found: Array, arrays: Sequence[Array]) -> Array:
    """Against float64, whose own errors are of the order of 1e-8 float32 ulps."""
    exact = in_float64(name, arrays)
    form = np.finfo(np.float32)
    normal = (np.abs(exact) >= form.tiny) & (np.abs(exact) <= form.max)
    _, exponents = np.frexp(exact[normal])
    errors: Array = np.abs(found[normal] - exact[normal]) / np.ldexp(1.0, exponents - 24)
    return errors


def in_float64(name: str, arrays: Sequence[Array]) -> Array:
    """The function as NumPy has it; float64 because some NumPy's float32 functions err more."""
    named: dict[str, Callable[..., Any]] = {"erf": np.vectorize(math.erf), "pow": np.power}
    function = named.get(name) or getattr(np, name)
    with np.errstate(all="ignore"):
        return np.asarray(function(*(a.astype("float64") for a in arrays)))


def wide_errors(name: str, found: Array, arrays: Sequence[Array]) -> Array:
    """Against mpmath with 40 digits."""
    function = {"pow": mpmath.power}.get(name) or getattr(mpmath, name)
    form = np.finfo(np.float64)
    errors = []
    with mpmath.workdps(40):
        for y, *x in zip(found.tolist(), *(a.tolist() for a in arrays), strict=True):
            exact = function(*map(mpmath.mpf, x))
            if form.tiny <= abs(exact) <= form.max:
                unit = mpmath.ldexp(1, mpmath.frexp(exact)[1] - 53)
                errors.append(float(abs(y - exact) / unit))
    return np.array(errors)


def bound(name: str, dtype: str) -> float:
    return BOUNDS[name][DTYPES.index(dtype)]


# -- tests ----------------------------------------------------------------------------------------


def test_every_function_has_a_bound() -> None:
    assert set(BOUNDS) == set(FUNCTIONS) == {*UNARY, "pow"}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_errors_are_within_the_bounds(name: str, dtype: str) -> None:
    arrays = arguments(name, dtype, 100_000 if dtype == "float32" else 1_500)
    assert worst_error(name, dtype, computed(name, arrays), arrays) <= bound(name, dtype)


FITS = {
    "exp": "EXP",
    "expm1": "EXP",
    "log": "LOG",
    "log1p": "LOG",
    "tanh": "TANH EXP",
    "erf": "ERF ERFC EXP",
    "sin": "SIN COS",
    "cos": "SIN COS",
    "pow": "ATANH",
}


@pytest.mark.parametrize(
    ("name", "table", "dtype"),
    [
        (name, table, dtype)
        for name, tables in FITS.items()
        for table in tables.split()
        for dtype in DTYPES
        # Where there is no fit for it, float32 goes through float64.
        if SCALARS[dtype] in getattr(coefficients, table)
    ],
)
def test_planted_fault_in_a_coefficient_is_found(
    name: str, table: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit, scalar = getattr(coefficients, table), SCALARS[dtype]
    first, second, *rest = fit[scalar]
    wrong = second * (1 + (1e-3 if dtype == "float32" else 1e-11))
    monkeypatch.setitem(fit, scalar, (first, wrong, *rest))
    arrays = arguments(name, dtype, 20_000 if dtype == "float32" else 300)
    assert worst_error(name, dtype, computed(name, arrays), arrays) > bound(name, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_width_and_machine_change_no_bits(name: str, dtype: str) -> None:
    arrays = mixed_arguments(name, dtype)
    wide = computed(name, arrays)
    for machine in machines().values():
        for lanes in (1, 4, 8, 16):
            assert_same_bits(computed(name, arrays, lanes, machine), wide)


def mixed_arguments(name: str, dtype: str) -> list[Array]:
    """Ordinary and special ones."""
    pairs = zip(arguments(name, dtype, 2_000), special_arguments(name, dtype), strict=True)
    return [np.concatenate(pair) for pair in pairs]


def assert_same_bits(found: Array, expected: Array) -> None:
    """Equal in every bit, but for those of a NaN."""
    np.testing.assert_array_equal(found, expected)
    number = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found[number]), np.signbit(expected[number]))


def special_arguments(name: str, dtype: str) -> list[Array]:
    form = np.finfo(dtype)
    values = [0.0, 1.0, 2.0, 3.0, 0.5, 2.5, 1e5, math.inf]
    values += map(float, (form.tiny, form.eps, form.max))
    one = np.array([*values, *(-v for v in values), math.nan], dtype)
    if name != "pow":
        return [one]
    return [a.ravel() for a in np.meshgrid(one, one)]


@pytest.mark.parametrize("lanes", [1, 16])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_values(name: str, dtype: str, lanes: int) -> None:
    """The values of C's functions at zeros, infinities, NaN, the largest and smallest numbers."""
    arrays = special_arguments(name, dtype)
    if name in ("sin", "cos"):
        (x,) = arrays
        arrays = [x[~((np.abs(x) > 2.0**40) & np.isfinite(x))]]
    found = computed(name, arrays, lanes)
    with np.errstate(over="ignore"):
        expected = in_float64(name, arrays).astype(dtype)
    small = np.abs(expected) < np.finfo(dtype).tiny
    expected = np.where(small, np.copysign(0, expected), expected).astype(dtype)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    number = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found[number]), np.signbit(expected[number]))
    exact = number & (~np.isfinite(expected) | (expected == 0) | (np.abs(expected) == 1))
    np.testing.assert_array_equal(found[exact], expected[exact])
    np.testing.assert_allclose(found, expected, rtol=3 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_and_expm1_at_the_ends_of_their_range(dtype: str) -> None:
    low, high = (np.dtype(dtype).type(x) for x in coefficients.EXP_RANGE[SCALARS[dtype]])
    beyond = np.nextafter(high, np.inf, dtype=dtype)
    below = np.nextafter(low, -np.inf, dtype=dtype)
    x = np.array([below, low, high, beyond], dtype)
    found = computed("exp", [x])
    assert found[0] == 0
    assert np.finfo(dtype).tiny <= found[1] < found[2] <= np.finfo(dtype).max
    assert found[3] == np.inf
    assert computed("expm1", [x]).tolist() == [-1, -1, found[2], np.inf]


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_no_result_where_the_argument_has_no_place_in_its_period(name: str) -> None:
    x = np.array([2.0**39 + 0.25, 2.0**41, -1e300, 1e5])
    found = computed(name, [x])
    np.testing.assert_allclose(found[[0, 3]], getattr(np, name)(x[[0, 3]]), rtol=1e-15)
    assert np.isnan(found[1:3]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["tanh", "erf", "log1p", "expm1", "exp"])
def test_functions_hold_their_limits_and_keep_order(name: str, dtype: str) -> None:
    """No step backwards larger than the error allows, and none beyond -1 or 1."""
    x = np.sort(np.concatenate(arguments(name, dtype, 20_000)))
    y = computed(name, [x])
    if name in ("tanh", "erf"):
        assert np.abs(y).max() == 1
    steps = np.diff(y[np.isfinite(y)])
    assert (steps >= -2 * np.spacing(np.abs(y[np.isfinite(y)][1:]))).all()


TARGETS = {
    "avx512": ("x86_64-unknown-linux-gnu", "znver4"),
    "avx2": ("x86_64-unknown-linux-gnu", "x86-64-v3"),
    "neon": ("aarch64-unknown-linux-gnu", "neoverse-n1"),
}


@pytest.mark.parametrize("target", TARGETS)
def test_code_neither_calls_nor_branches(target: str) -> None:
    machine = machine_for(*TARGETS[target])
    b = Builder(machine)
    for dtype in DTYPES:
        lanes = machine.lanes(dtype)
        for name, function in FUNCTIONS.items():
            x = b.load(Value("%x", "ptr"), vector_type(SCALARS[dtype], lanes))
            b.store(function(b, *[x] * (2 if name == "pow" else 1)), Value("%y", "ptr"))
        counter = b.load(Value("%x", "ptr"), vector_type("i64", lanes))
        b.store(uniform(b, counter, counter, SCALARS[dtype]), Value("%y", "ptr"))
    b.lines.append("  ret void")
    text = jit.assembly(b.function("void @all(ptr %x, ptr %y)"), machine)
    assert re.search(r"\b(vfmadd|fmla)", text)
    assert not re.search(r"^\s+(call|bl|b|j\w+)\s", text, re.MULTILINE)


# Reads the arguments of one function after another, and writes the results.
PROGRAM = """
#include <stdio.h>
#include <stdlib.h>
static void *take(long bytes) {
  void *array = malloc(bytes);
  if (fread(array, 1, bytes, stdin) != bytes) exit(1);
  return array;
}
#define UNARY(f, n) { void f(void *, void *, long); void *x = take(n * WIDTH); \\
  f(x, x, n); fwrite(x, WIDTH, n, stdout); }
#define BINARY(f, n) { void f(void *, void *, void *, long); void *x = take(n * WIDTH); \\
  f(x, take(n * WIDTH), x, n); fwrite(x, WIDTH, n, stdout); }
int main(void) {
"""


@pytest.mark.skipif(
    not (shutil.which("qemu-aarch64") and shutil.which("aarch64-linux-gnu-gcc")),
    reason="needs qemu-user and a C compiler for AArch64",
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_another_processor_changes_no_bits(dtype: str, tmp_path: Path) -> None:
    machine = machine_for(*TARGETS["neon"])
    scalar, lanes = SCALARS[dtype], machine.lanes(dtype)
    program, given, expected = PROGRAM, b"", []
    for name, function in FUNCTIONS.items():
        arrays = mixed_arguments(name, dtype)
        arrays = [a[: len(a) // lanes * lanes] for a in arrays]
        kind = "BINARY" if len(arrays) == 2 else "UNARY"
        program += f"  {kind}(apply_{name}, {len(arrays[0])})\n"
        text = loop_text(f"apply_{name}", function, [scalar] * len(arrays), scalar, lanes, machine)
        (tmp_path / f"{name}.o").write_bytes(jit.compile_object(text, machine))
        given += b"".join(a.tobytes() for a in arrays)
        expected.append(computed(name, arrays))
    (tmp_path / "main.c").write_text(program + "}\n")
    width = f"-DWIDTH={np.dtype(dtype).itemsize}"
    compiler = ["aarch64-linux-gnu-gcc", "-static", width, "-o", "program", "main.c"]
    subprocess.run([*compiler, *(f"{name}.o" for name in FUNCTIONS)], check=True, cwd=tmp_path)
    emulated = ["qemu-aarch64", str(tmp_path / "program")]
    done = subprocess.run(emulated, input=given, check=True, capture_output=True)
    assert_same_bits(np.frombuffer(done.stdout, dtype), np.concatenate(expected))


# -- random numbers -------------------------------------------------------------------------------


def drawn(keys: Array, counters: Array, lanes: int, machine: Machine) -> Array:
    return apply(random_bits, "uint64", [keys, counters], lanes, machine)


def test_random_bits_are_the_published_ones() -> None:
    counters = np.zeros(1, np.uint64)
    assert int(drawn(counters, counters, 1, host())[0]) == 0xE169C58D6627E8D5  # of Random123


@pytest.mark.parametrize("bit", [0, 31, 32, 62, 63])
def test_every_bit_of_the_key_counts(bit: int) -> None:
    counters = np.arange(64, dtype=np.uint64)
    found = drawn(np.full_like(counters, 1 << bit), counters, 8, host())
    assert (found != random.philox(np.uint64(0), counters)).all()


@pytest.mark.parametrize("lanes", [1, 4, 8, 16])
@pytest.mark.parametrize("kind", machines())
def test_random_bits_equal_the_reference(kind: str, lanes: int) -> None:
    rng = np.random.default_rng(0)
    counters = np.concatenate(
        [np.arange(1000, dtype=np.uint64), rng.integers(2**64, size=1000, dtype=np.uint64)]
    )
    for key in rng.integers(2**64, size=3, dtype=np.uint64):
        found = drawn(np.full_like(counters, key), counters, lanes, machines()[kind])
        np.testing.assert_array_equal(found, random.philox(key, counters))


def test_planted_fault_in_the_rounds_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(philox, "_ROUNDS", 9)
    counters = np.arange(16, dtype=np.uint64)
    found = drawn(np.zeros_like(counters), counters, 8, host())
    assert (found != random.philox(np.uint64(0), counters)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", machines())
def test_uniform_equals_the_reference(kind: str, dtype: str) -> None:
    key, shape = np.uint64(12345), (40, 50)
    expected = random.uniform(key, shape, dtype)
    assert expected.dtype == dtype
    counters = np.arange(expected.size)
    keys = np.full_like(counters, int(key))
    for lanes in (1, 4, 8, 16):
        found = apply(
            lambda b, key, counter: uniform(b, key, counter, SCALARS[dtype]),
            dtype,
            [keys, counters],
            lanes,
            machines()[kind],
        )
        np.testing.assert_array_equal(found.reshape(shape), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_uniform_fills_the_interval_evenly(dtype: str) -> None:
    numbers = random.uniform(np.uint64(7), (200_000,), dtype)
    assert 0 <= numbers.min() < 1e-4
    assert 1 - 1e-4 < numbers.max() < 1
    counts, _ = np.histogram(numbers, 100, (0, 1))
    # Chi-squared with 99 degrees of freedom: beyond these once in a million.
    assert 45 < ((counts - 2000) ** 2 / 2000).sum() < 180
