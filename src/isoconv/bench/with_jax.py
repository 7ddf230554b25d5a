"""JAX as a contender: functions on arrays with channels last, compiled by XLA."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from isoconv import optional, settings
from isoconv.bench.cases import Shape
from isoconv.bench.contender import Contender, Prepared
from isoconv.bench.networks import (
    EPSILON,
    Conv,
    Dense,
    Embedding,
    GlobalPool,
    MaxPool,
    Network,
    Step,
    assemble,
)
from isoconv.bench.ours import gradients

# The letters of spatial axes in XLA's names for layouts.
_AXES = "DHW"


class Jax(Contender):
    """JAX takes all the processor's cores, so it takes part only where ours does too."""

    name = "jax"

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self.takes_part = threads == settings.threads()

    @property
    def jax(self) -> ModuleType:
        return optional.require("jax", "bench")

    def version(self) -> str:
        return f"jax {self.jax.__version__}"

    def layer(self, shape: Shape) -> Prepared | None:
        if not self.takes_part:
            return None
        x, kernel, bias = map(self.jax.numpy.asarray, shape.arrays())
        options = (shape.strides, "VALID", shape.dilations, shape.groups)
        run = self.jax.jit(lambda x, w, b: self._conv(x, w, *options) + b)
        return self._prepared(run, x, kernel, bias)

    def face(self, shape: Shape, face: str) -> Prepared | None:
        if not self.takes_part:
            return None
        jax = self.jax
        x, kernel, bias = map(jax.numpy.asarray, shape.arrays())
        dy = jax.numpy.asarray(shape.cotangent())
        options = (shape.strides, "VALID", shape.dilations, shape.groups)

        def forward(*operands: Any) -> Any:
            return self._conv(operands[0], operands[1], *options) + operands[2]

        wanted = (0,) if face == "x" else (1, 2)

        def pulled(operands: Any, dy: Any) -> Any:
            gradients_of = jax.vjp(forward, *operands)[1](dy)
            return [gradients_of[each] for each in wanted]

        run = jax.jit(pulled)
        wait = jax.block_until_ready
        return Prepared(lambda: wait(run((x, kernel, bias), dy)), gradients)

    def network(self, network: Network, batch: int) -> Prepared | None:
        if not self.takes_part:
            return None
        weights = self.jax.tree.map(self.jax.numpy.asarray, network.weights())
        run = self.jax.jit(lambda weights, x: self._forward(network, weights, x))
        return self._prepared(run, weights, self.jax.numpy.asarray(network.data(batch)[0]))

    def training(self, network: Network, batch: int) -> Prepared | None:
        """Adam as Keras writes it, in the same compiled function as the gradients."""
        if not self.takes_part:
            return None
        jax, jnp = self.jax, self.jax.numpy
        x, y = map(jnp.asarray, network.data(batch))

        def loss_of(weights: Any) -> Any:
            outputs = self._forward(network, weights, x)
            if network.loss == "mse":
                return ((outputs - y) ** 2).mean()
            chosen = jax.nn.log_softmax(outputs)
            return -jnp.take_along_axis(chosen, y[:, None], 1).mean()

        def step(state: Any) -> Any:
            count, weights, means, squares = state
            loss, gradients = jax.value_and_grad(loss_of)(weights)
            means = jax.tree.map(lambda m, g: m + (g - m) * 0.1, means, gradients)
            squares = jax.tree.map(lambda v, g: v + (g * g - v) * 0.001, squares, gradients)
            rate = 1e-3 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
            weights = jax.tree.map(
                lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-7), weights, means, squares
            )
            return loss, (count + 1, weights, means, squares)

        weights = jax.tree.map(jnp.asarray, network.weights())
        zeros = jax.tree.map(jnp.zeros_like, weights)
        state = [(jnp.asarray(1.0), weights, zeros, zeros)]
        compiled = jax.jit(step)

        def run() -> Any:
            loss, state[0] = compiled(state[0])
            return loss.block_until_ready()

        return Prepared(run, np.asarray)

    def _prepared(self, run: Any, *arguments: Any) -> Prepared:
        return Prepared(lambda: run(*arguments).block_until_ready(), np.asarray)

    def _conv(
        self,
        x: Any,
        kernel: Any,
        strides: Sequence[int],
        padding: Any,
        dilations: Sequence[int],
        groups: int,
    ) -> Any:
        axes = _AXES[: kernel.ndim - 2]
        return self.jax.lax.conv_general_dilated(
            x,
            kernel,
            strides,
            padding,
            rhs_dilation=dilations,
            dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
            feature_group_count=groups,
        )

    def _forward(self, network: Network, weights: Any, x: Any) -> Any:
        return assemble(self, network, x, weights)

    # -- a builder of networks -----------------------------------------------------------------

    def step(self, step: Step, x: Any, weights: Sequence[Any]) -> Any:
        """The step's output for x."""
        axes = tuple(range(1, x.ndim - 1))
        if isinstance(step, Conv):
            return self._convolution(step, x, weights)
        if isinstance(step, Dense):
            return x @ weights[0] + weights[1]
        if isinstance(step, Embedding):
            return weights[0][x]
        if isinstance(step, MaxPool):
            lax = self.jax.lax
            window, strides = ((1, *(n for _ in axes), 1) for n in (step.size, step.strides))
            margins = ((0, 0), *((step.margin,) * 2 for _ in axes), (0, 0))
            return lax.reduce_window(x, -np.inf, lax.max, window, strides, margins)
        if isinstance(step, GlobalPool):
            return x.mean(axes) if step.kind == "Average" else x.max(axes)
        return x.reshape(len(x), -1)

    def add(self, x: Any, other: Any, activation: str) -> Any:
        """The sum, activated."""
        return self._activated(x + other, activation)

    def _convolution(self, step: Conv, x: Any, weights: Sequence[Any]) -> Any:
        kernel, *vectors = weights
        rank = len(step.kernel)
        y = self._conv(
            x,
            kernel,
            (step.strides,) * rank,
            [(margin, margin) for margin in step.margins],
            (step.dilation,) * rank,
            step.groups(x.shape[-1]),
        )
        if step.norm:
            scale, offset, mean, variance = vectors
            y = (y - mean) * (scale / self.jax.numpy.sqrt(variance + EPSILON)) + offset
        else:
            y = y + vectors[0]
        return self._activated(y, step.activation)

    def _activated(self, x: Any, activation: str) -> Any:
        return x if activation == "linear" else getattr(self.jax.nn, activation)(x)
