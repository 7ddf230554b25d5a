"""Keras in float64 for those tests that ask for it."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import pytest


@pytest.fixture
def keras_in_float64() -> Iterator[None]:
    """Inside, Keras computes in float64 what nobody gave a dtype."""
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx(before)
