"""Helpers by Keras' names."""

from isoconv.naming import clear as clear_session
from isoconv.ops.seeds import set_random_seed
from isoconv.registry import (
    custom_object_scope,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from isoconv.utils.arrays import pad_sequences, to_categorical

__all__ = [
    "clear_session",
    "custom_object_scope",
    "get_registered_name",
    "get_registered_object",
    "pad_sequences",
    "register_keras_serializable",
    "set_random_seed",
    "to_categorical",
]
