"""Arithmetic modulo a prime near 2^31: exact products of matrices, and functions left open.

An open function is one of which only its name is used: a fixed random function of the residues.
"""

from __future__ import annotations

from fractions import Fraction
from math import isfinite
from typing import Any
from zlib import crc32

import numpy as np

Array = np.ndarray[Any, Any]

PRIMES = (2147483647, 2147483629)
"""The two largest primes below 2^31."""

_HALF = 16


class Field:
    """Residues modulo `prime`, as int64 arrays; `seed` fixes the open functions.

    sums: whether what stands for looking up a row adds up to 1 over all rows, as it does for the
    row that is looked up; else nothing is known of it.
    """

    def __init__(self, prime: int, seed: int = 0, sums: bool = False) -> None:
        self.prime, self.sums = prime, sums
        self._seed = seed
        self._numbers: dict[tuple[float, str], int] = {}

    def random(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        return generator.integers(1, self.prime, shape, dtype=np.int64)

    def of(self, value: float, dtype: str) -> int:
        """The residue of a number of this dtype: floats are binary fractions."""
        key = (float(value), dtype)
        if key not in self._numbers:
            rounded = float(np.asarray(value, dtype))
            if isfinite(rounded):
                number = Fraction(rounded)
                below = pow(number.denominator, -1, self.prime)
                self._numbers[key] = number.numerator * below % self.prime
            else:
                self._numbers[key] = int(self.open("extreme", _kind(np.float64(rounded))))
        return self._numbers[key]

    def exactly(self, values: Array) -> Array:
        """The residues of numbers: m * 2^e for floats, open ones for infinities and NaN."""
        if values.dtype.kind in "iub":
            return values.astype(np.int64) % self.prime
        finite = np.isfinite(values)
        if not finite.all():
            known = self.exactly(np.where(finite, values, 0))
            return np.where(finite, known, self.open("extreme", _kind(values)))
        mantissa, exponent = np.frexp(values.astype(np.float64))
        whole = np.ldexp(mantissa, 53).astype(np.int64) % self.prime
        exponents, place = np.unique(exponent, return_inverse=True)
        powers = [pow(2, int(e) - 53, self.prime) for e in exponents]
        return whole * np.asarray(powers, np.int64)[place.reshape(exponent.shape)] % self.prime

    def plus(self, left: Array, right: Array) -> Array:
        """Sums of residues; sooner than by division."""
        return self._lifted(left + right - self.prime)

    def minus(self, left: Array, right: Array) -> Array:
        """Differences of residues."""
        return self._lifted(left - right)

    def _lifted(self, values: Array) -> Array:
        """The residues of numbers above -prime and below it."""
        values += (values >> 63) & self.prime
        return values

    def product(self, left: Array, right: Array) -> Array:
        """left [..., m, k] times right [..., k, n], by halves whose products float64 holds."""
        high, low = (left >> _HALF).astype(float), (left & 0xFFFF).astype(float)
        over, under = (right >> _HALF).astype(float), (right & 0xFFFF).astype(float)
        top = (high @ over).astype(np.int64) % self.prime
        middle = (high @ under + low @ over).astype(np.int64) % self.prime
        bottom = (low @ under).astype(np.int64) % self.prime
        shifted = top * (2 ** (2 * _HALF) % self.prime) + middle * 2**_HALF + bottom
        result: Array = shifted % self.prime
        return result

    def inverse(self, values: Array) -> Array:
        """1 / values, by Fermat's theorem; 0 for 0."""
        if values.max(initial=0) <= 1:
            return values
        result, square, exponent = np.ones_like(values), values, self.prime - 2
        while exponent:
            if exponent & 1:
                result = result * square % self.prime
            square = square * square % self.prime
            exponent >>= 1
        return result

    def open(self, name: str, *values: Any) -> Array:
        """An open function of residues, by its name (splitmix64 of name, seed and arguments)."""
        state: Any = np.uint64(crc32(name.encode()) * 2**20 + self._seed)
        with np.errstate(over="ignore"):
            for value in values:
                mixed = (np.asarray(value).astype(np.uint64) ^ state) + np.uint64(
                    0x9E3779B97F4A7C15
                )
                mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                state = mixed ^ (mixed >> np.uint64(31))
        result: Array = (np.asarray(state) % np.uint64(self.prime)).astype(np.int64)
        return result

    def reduce(self, matrix: Array) -> tuple[Array, list[int]]:
        """The reduced row echelon form of a matrix, and its pivot columns."""
        rows = matrix.copy() % self.prime
        pivots: list[int] = []
        for column in range(rows.shape[1]):
            rank = len(pivots)
            if rank == len(rows):
                break
            found = np.flatnonzero(rows[rank:, column])
            if not found.size:
                continue
            swap = rank + int(found[0])
            rows[[rank, swap]] = rows[[swap, rank]]
            scale = pow(int(rows[rank, column]), -1, self.prime)
            rows[rank, column:] = rows[rank, column:] * scale % self.prime
            others = np.flatnonzero(rows[:, column])
            others = others[others != rank]
            change = rows[others, column, None] * rows[rank, column:] % self.prime
            rows[others, column:] = (rows[others, column:] - change) % self.prime
            pivots.append(column)
        return rows, pivots

    def rank(self, matrix: Array) -> int:
        return len(self.reduce(matrix if matrix.shape[1] <= matrix.shape[0] else matrix.T)[1])


def _kind(values: Any) -> Array:
    """Which of the numbers that are not finite each is: 0 for -inf, 1 for inf, 2 for NaN."""
    return np.where(np.isnan(values), 2, np.where(values > 0, 1, 0))
