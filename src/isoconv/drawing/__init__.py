"""Pictures (`isoconv.draw`); matplotlib is fetched when it is needed, for .svg it is not."""

from isoconv.drawing.curves import history
from isoconv.drawing.graph import model
from isoconv.drawing.kernel import kernel, kernel_animation
from isoconv.drawing.picture import Picture, save

__all__ = ["Picture", "history", "kernel", "kernel_animation", "model", "save"]
