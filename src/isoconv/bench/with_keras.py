"""Keras on TensorFlow as a contender: it trains. The backend is chosen when Keras is imported, by
KERAS_BACKEND, so it runs in a process of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from isoconv import optional
from isoconv.bench.contender import Contender, Prepared
from isoconv.bench.networks import (
    Conv,
    Dense,
    Flatten,
    GlobalPool,
    MaxPool,
    Network,
    Step,
    assemble,
)

ENVIRONMENT = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}


class KerasTensorFlow(Contender):
    """Its `train_on_batch`, compiled by TensorFlow."""

    name = "keras tf"

    def version(self) -> str:
        tensorflow = optional.require("tensorflow", "tensorflow")
        return f"keras {self._keras.__version__} on tensorflow {tensorflow.__version__}"

    @property
    def _keras(self) -> Any:
        threading = optional.require("tensorflow", "tensorflow").config.threading
        if not threading.get_intra_op_parallelism_threads():
            threading.set_intra_op_parallelism_threads(self.threads)
        return optional.require("keras", "tensorflow")

    def training(self, network: Network, batch: int) -> Prepared | None:
        keras = self._keras
        inputs = keras.Input(network.input)
        model = keras.Model(inputs, assemble(self, network, inputs, network.weights()))
        losses = keras.losses
        entropy = losses.SparseCategoricalCrossentropy(from_logits=True)
        loss = losses.MeanSquaredError() if network.loss == "mse" else entropy
        model.compile(keras.optimizers.Adam(1e-3), loss)
        x, y = network.data(batch)
        return Prepared(lambda: model.train_on_batch(x, y), np.asarray)

    # -- a builder of networks, those that are trained ------------------------------------------

    def step(self, step: Step, x: Any, weights: Sequence[Any]) -> Any:
        """The step's output for x."""
        layers = self._keras.layers
        rank = len(x.shape) - 2
        if isinstance(step, Conv):
            layer = getattr(layers, f"Conv{rank}D")(
                step.filters,
                step.kernel,
                padding="same" if step.padded else "valid",
                dilation_rate=step.dilation,
                activation=step.activation,
            )
        elif isinstance(step, Dense):
            layer = layers.Dense(step.units)
        elif isinstance(step, MaxPool):
            layer = getattr(layers, f"MaxPooling{rank}D")(step.size, step.strides)
        elif isinstance(step, GlobalPool):
            layer = getattr(layers, f"Global{step.kind}Pooling{rank}D")()
        else:
            assert isinstance(step, Flatten)
            layer = layers.Flatten()
        y = layer(x)
        layer.set_weights(list(weights))
        return y

    def add(self, x: Any, other: Any, activation: str) -> Any:
        """The sum."""
        return self._keras.layers.Add()([x, other])
