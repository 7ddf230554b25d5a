"""Models, by Keras' names."""

from isoconv.models.model import Model
from isoconv.models.sequential import Sequential

__all__ = ["Model", "Sequential"]
