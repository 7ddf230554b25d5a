"""Random numbers from a key and a counter: Philox-2x32-10.

Salmon, Moraes, Dror and Shaw, Parallel Random Numbers: As Easy as 1, 2, 3 (SC 2011).
"""

from __future__ import annotations

from isoconv.codegen.emit import Builder, Value
from isoconv.codegen.numerics import op

_WORD = 2**32 - 1
_MULTIPLIER = 0xD256D193
_WEYL = 0x9E3779B9
_ROUNDS = 10


def random_bits(b: Builder, key: Value, counter: Value) -> Value:
    """64 random bits in each lane, from i64 lanes: the low half of the key, and the counter."""
    # Words stand in the low halves of 64 bits, whose products need no wider type.
    left, right = op(b, "and", counter, _WORD), op(b, "lshr", counter, 32)
    key = op(b, "and", key, _WORD)
    for turn in range(_ROUNDS):
        if turn:
            key = op(b, "and", op(b, "add", key, _WEYL), _WORD)
        product = op(b, "mul", left, _MULTIPLIER)
        mixed = b.op("xor", b.op("xor", op(b, "lshr", product, 32), key), right)
        left, right = mixed, op(b, "and", product, _WORD)
    return b.op("or", left, op(b, "shl", right, 32))


def uniform(b: Builder, key: Value, counter: Value, scalar: str) -> Value:
    """Numbers in [0, 1), evenly: the highest 24 ("float") or 53 ("double") of the random bits."""
    digits = 24 if scalar == "float" else 53
    whole = op(b, "lshr", random_bits(b, key, counter), 64 - digits)
    if scalar == "float":
        whole = b.convert("trunc", whole, "i32")
        return op(b, "fmul", b.convert("sitofp", whole, scalar), 2.0**-digits)
    return op(b, "fmul", b.convert("uitofp", whole, scalar), 2.0**-digits)
