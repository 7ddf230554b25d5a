"""The literal meaning of each operation in plain NumPy: slow, obvious, the oracle of all else."""

from isoconv.reference.meaning import MEANING
from isoconv.reference.run import run

__all__ = ["MEANING", "run"]
