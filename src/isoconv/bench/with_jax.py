"""JAX as a contender: functions on arrays with channels last, compiled by XLA."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from isoconv import optional, settings
from isoconv.bench.cases import Network, Shape
from isoconv.bench.contender import Prepared, weights_of

# The letters of spatial axes in XLA's names for layouts.
_AXES = "DHW"


class Jax:
    """JAX takes all the processor's cores, so it takes part only where ours does too."""

    name = "jax"

    def __init__(self, threads: int) -> None:
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

    def network(self, network: Network, batch: int) -> Prepared | None:
        if not self.takes_part:
            return None
        weights = self.jax.tree.map(self.jax.numpy.asarray, weights_of(network))
        run = self.jax.jit(lambda weights, x: self._forward(network, weights, x))
        return self._prepared(run, weights, self.jax.numpy.asarray(network.data(batch)[0]))

    def training(self, network: Network, batch: int) -> Prepared | None:
        """Adam as Keras writes it, in the same compiled function as the gradients."""
        if not self.takes_part:
            return None
        jax, jnp = self.jax, self.jax.numpy
        x, y = map(jnp.asarray, network.data(batch))

        def loss_of(weights: Any) -> Any:
            chosen = jax.nn.log_softmax(self._forward(network, weights, x))
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

        weights = jax.tree.map(jnp.asarray, weights_of(network))
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
        padding: str,
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
        given = iter(weights)
        for spec in network.layers:
            if spec["kind"] == "conv":
                kernel, bias = next(given)
                ones = (1,) * (kernel.ndim - 2)
                x = self._conv(x, kernel, ones, spec["padding"].upper(), ones, 1) + bias
                x = self.jax.nn.relu(x)
            elif spec["kind"] == "dense":
                kernel, bias = next(given)
                x = x @ kernel + bias
            else:
                x = self._pooled(spec, x)
        return x

    def _pooled(self, spec: Mapping[str, Any], x: Any) -> Any:
        axes = tuple(range(1, x.ndim - 1))
        if spec["kind"] == "max_pool":
            window = (1, *(spec["size"] for _ in axes), 1)
            lax, low = self.jax.lax, -np.inf
            return lax.reduce_window(x, low, lax.max, window, window, "VALID")
        if spec["kind"] == "global_average":
            return x.mean(axes)
        return x.max(axes) if spec["kind"] == "global_max" else x.reshape(len(x), -1)
