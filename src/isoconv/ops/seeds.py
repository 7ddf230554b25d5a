"""Where randomness comes from: a generator for initial values, and seeds that programs advance."""

from __future__ import annotations

import random as python_random
from collections.abc import Mapping
from typing import Any

import numpy as np

from isoconv.errors import ArgumentError, explain
from isoconv.ir.ops import make
from isoconv.ops.recorder import current
from isoconv.ops.tensor import Tensor
from isoconv.ops.variable import Variable

_generator = np.random.default_rng()


def generator() -> np.random.Generator:
    """The generator of initial values and shuffles; `set_random_seed` starts it anew."""
    return _generator


def generator_state() -> dict[str, Any]:
    """Where that generator stands, as JSON data."""
    return dict(_generator.bit_generator.state)


def set_generator_state(state: Mapping[str, Any]) -> None:
    """Puts the generator where it stood."""
    global _generator
    _generator = np.random.default_rng(0)
    _generator.bit_generator.state = dict(state)


def set_random_seed(seed: int) -> None:
    """Makes everything random repeat: ours, Python's and NumPy's. seed: from 0 to 2**32 - 1."""
    global _generator
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ArgumentError(explain("set_random_seed", repr(seed), "an integer from 0 to 2**32-1"))
    python_random.seed(seed)
    np.random.seed(seed)
    _generator = np.random.default_rng(seed)
    GLOBAL.state.assign(_state(seed))


class SeedGenerator:
    """A seed that gives another key at each use; a layer with randomness owns one.

    seed: an integer, or None for one drawn from `generator()`. name: of its state.
    """

    def __init__(self, seed: int | None = None, name: str = "seed_generator") -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise ArgumentError(explain("seed", repr(seed), "an integer or None"))
        self.seed = seed
        start = _state(int(generator().integers(2**63)) if seed is None else seed)
        self.state = Variable(start, dtype="int64", trainable=False, name=name)

    def next(self) -> Tensor:
        """A key of its own inside a trace; the program advances the state when it runs."""
        key = Tensor(current().read(self.state))
        self.state.assign(Tensor(make("add", key.node, _one())))
        return key


def key_of(seed: int | SeedGenerator | None) -> Tensor:
    """The key that a random operation uses: of a seed always the same, of a generator the next."""
    if seed is None:
        return GLOBAL.next()
    if isinstance(seed, SeedGenerator):
        return seed.next()
    return Tensor(make("full", value=int(_state(seed)), shape=(), dtype="int64"))


def _one() -> Any:
    return make("full", value=1, shape=(), dtype="int64")


def _state(seed: int) -> np.int64:
    """A start far from those of neighbouring seeds."""
    words = np.random.SeedSequence(abs(seed)).generate_state(1, np.uint64)
    return np.int64(words[0] >> 1)


GLOBAL = SeedGenerator(name="global_seed")
"""The generator of operations that were given no seed."""
