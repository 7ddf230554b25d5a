"""Pictures (`isoconv.draw`); matplotlib is fetched when it is needed, for .svg it is not."""

from isoconv.drawing.activity import activations
from isoconv.drawing.curves import history
from isoconv.drawing.field import field
from isoconv.drawing.graph import model
from isoconv.drawing.kernel import kernel, kernel_animation
from isoconv.drawing.picture import Picture, save
from isoconv.drawing.weights import weights

__all__ = [
    "Picture",
    "activations",
    "field",
    "history",
    "kernel",
    "kernel_animation",
    "model",
    "save",
    "weights",
]
