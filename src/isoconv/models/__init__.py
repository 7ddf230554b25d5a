"""Models, by Keras' names."""

from isoconv.models.model import Model
from isoconv.models.saving import load_model, save_model
from isoconv.models.sequential import Sequential

__all__ = ["Model", "Sequential", "load_model", "save_model"]
