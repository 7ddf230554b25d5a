"""What a random number is: Philox-4x32-10 of a key and the element's place, in plain NumPy.

Salmon, Moraes, Dror and Shaw, Parallel Random Numbers: As Easy as 1, 2, 3 (SC 2011), section 3.3.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def philox(key: np.uint64, counter: Array, upper: int = 0) -> Array:
    """64 random bits for each counter (uint64): the first two words of its block, the first lowest.

    upper: the upper 64 bits of the 128 that the published algorithm counts with.
    """
    word = np.uint64(2**32)
    first = [np.asarray(counter, np.uint64), np.full_like(counter, upper, np.uint64)]
    a, b, c, d = (part for whole in first for part in (whole % word, whole // word))
    for step in range(10):
        left = np.uint64((int(key) + step * 0x9E3779B9) % 2**32)
        right = np.uint64(((int(key) >> 32) + step * 0xBB67AE85) % 2**32)
        over, under = np.divmod(a * np.uint64(0xD2511F53), word)
        above, below = np.divmod(c * np.uint64(0xCD9E8D57), word)
        a, b, c, d = above ^ b ^ left, below, over ^ d ^ right, under
    return b * word + a


def uniform(key: np.uint64, shape: tuple[int, ...], dtype: str) -> Array:
    """Numbers in [0, 1): the highest 24 (float32) or 53 (float64) of the bits of each element.

    The counter of an element is its row-major index.
    """
    digits = {"float32": 24, "float64": 53}[dtype]
    drawn = philox(key, np.arange(math.prod(shape), dtype=np.uint64))
    whole = drawn // np.uint64(2 ** (64 - digits))
    result: Array = whole.astype(dtype) / np.dtype(dtype).type(2**digits)
    return result.reshape(shape)
