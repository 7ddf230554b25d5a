"""Models, by Keras' names."""

from isoconv.models.model import Model, clone_model
from isoconv.models.saving import load_model, save_model
from isoconv.models.sequential import Sequential

__all__ = ["Model", "Sequential", "clone_model", "load_model", "save_model"]
