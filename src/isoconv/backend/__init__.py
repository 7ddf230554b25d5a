"""Keras 2's backend by its names (`import isoconv.backend as K`): it computes at once on arrays and
variables, and draws on what `Input` gives.
"""

from isoconv.backend.functions import (
    clear_session,
    function,
    in_test_phase,
    in_train_phase,
    learning_phase,
    set_learning_phase,
)
from isoconv.backend.operations import *  # noqa: F403
from isoconv.backend.operations import __all__ as _operations
from isoconv.backend.values import *  # noqa: F403
from isoconv.backend.values import __all__ as _values
from isoconv.settings import (
    epsilon,
    floatx,
    image_data_format,
    set_floatx,
    set_image_data_format,
)

__all__ = [
    "clear_session",
    "epsilon",
    "floatx",
    "function",
    "image_data_format",
    "in_test_phase",
    "in_train_phase",
    "learning_phase",
    "set_floatx",
    "set_image_data_format",
    "set_learning_phase",
    *_operations,
    *_values,
]
