"""Whether layers, models and chains of layers are the same function, and why."""

from isoconv.equivalence.answer import Counterexample, Equivalence
from isoconv.equivalence.question import equivalent

__all__ = ["Counterexample", "Equivalence", "equivalent"]
