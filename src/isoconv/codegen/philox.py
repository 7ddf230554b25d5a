"""Random numbers from a key and a counter: Philox-4x32-10.

Salmon, Moraes, Dror and Shaw, Parallel Random Numbers: As Easy as 1, 2, 3 (SC 2011).
"""

from __future__ import annotations

from isoconv.codegen.emit import Builder, Value
from isoconv.codegen.numerics import op

_WORD = 2**32 - 1
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10


def random_bits(b: Builder, key: Value, counter: Value) -> Value:
    """64 random bits in each lane, from i64 lanes: the first two of the four words of a block.

    The counter's upper 64 bits are 0.
    """
    # Words stand in the low halves of 64 bits, whose products need no wider type.
    zero = b.op("xor", counter, counter)
    words = [op(b, "and", counter, _WORD), op(b, "lshr", counter, 32), zero, zero]
    keys = [op(b, "and", key, _WORD), op(b, "lshr", key, 32)]
    for turn in range(_ROUNDS):
        if turn:
            keys = [
                op(b, "and", op(b, "add", each, step), _WORD)
                for each, step in zip(keys, _WEYL, strict=True)
            ]
        first, second = (
            op(b, "mul", word, factor)
            for word, factor in zip(words[::2], _MULTIPLIERS, strict=True)
        )
        words = [
            b.op("xor", b.op("xor", op(b, "lshr", second, 32), words[1]), keys[0]),
            op(b, "and", second, _WORD),
            b.op("xor", b.op("xor", op(b, "lshr", first, 32), words[3]), keys[1]),
            op(b, "and", first, _WORD),
        ]
    return b.op("or", words[0], op(b, "shl", words[1], 32))


def uniform(b: Builder, key: Value, counter: Value, scalar: str) -> Value:
    """Numbers in [0, 1), evenly: the highest 24 ("float") or 53 ("double") of the random bits."""
    digits = 24 if scalar == "float" else 53
    whole = op(b, "lshr", random_bits(b, key, counter), 64 - digits)
    if scalar == "float":
        whole = b.convert("trunc", whole, "i32")
        return op(b, "fmul", b.convert("sitofp", whole, scalar), 2.0**-digits)
    return op(b, "fmul", b.convert("uitofp", whole, scalar), 2.0**-digits)
