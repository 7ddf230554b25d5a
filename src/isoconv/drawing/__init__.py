"""Pictures as matplotlib figures (`isoconv.draw`); matplotlib is fetched when one is drawn."""

from isoconv.drawing.curves import history

__all__ = ["history"]
