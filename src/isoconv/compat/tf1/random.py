"""`tf.random`: the seed."""

from isoconv.compat.tf1.graph import set_random_seed

__all__ = ["set_random_seed"]
