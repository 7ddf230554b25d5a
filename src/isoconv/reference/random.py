"""What a random number is: Philox-2x32-10 of a key and the element's place, in plain NumPy.

Salmon, Moraes, Dror and Shaw, Parallel Random Numbers: As Easy as 1, 2, 3 (SC 2011), section 3.3.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def philox(key: np.uint64, counter: Array) -> Array:
    """64 random bits for each counter (uint64), by the low 32 bits of the key.

    The counter's low word is the first of the two that the rounds exchange, as is the result's.
    """
    high, low = np.divmod(np.asarray(counter, np.uint64), np.uint64(2**32))
    for step in range(10):
        round_key = np.uint64((int(key) + step * 0x9E3779B9) % 2**32)
        over, under = np.divmod(low * np.uint64(0xD256D193), np.uint64(2**32))
        low, high = over ^ round_key ^ high, under
    return high * np.uint64(2**32) + low


def uniform(key: np.uint64, shape: tuple[int, ...], dtype: str) -> Array:
    """Numbers in [0, 1): the highest 24 (float32) or 53 (float64) of the bits of each element.

    The counter of an element is its row-major index.
    """
    digits = {"float32": 24, "float64": 53}[dtype]
    drawn = philox(key, np.arange(math.prod(shape), dtype=np.uint64))
    whole = drawn // np.uint64(2 ** (64 - digits))
    result: Array = whole.astype(dtype) / np.dtype(dtype).type(2**digits)
    return result.reshape(shape)
