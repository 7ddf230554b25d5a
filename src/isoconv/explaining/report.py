"""The explanation of a layer or model: data, text in sections, and a table for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from isoconv.errors import ArgumentError
from isoconv.explaining import layer_words, model_words
from isoconv.explaining.facts import FormFacts, KernelFacts, LayerFacts, RuleFacts, Shape
from isoconv.explaining.others import forms_of_text
from isoconv.explaining.tracing import unknown_layer
from isoconv.sections import Section, as_html, as_text


@dataclass(frozen=True)
class Explanation:
    """What a layer or model does with an input of some shape; shapes leave out the batch.

    single: whether it is one layer. layers: those that call no others, in order. kernels: what runs
    here when it predicts `batch` samples. rules: what was rewritten before they were chosen.
    parameters: all, `trainable` those that training changes. memory: bytes for the batch; "between"
    is what kernels hand to each other. forms: of a single layer, the equal ones that one rule leads
    to.
    """

    name: str
    single: bool
    batch: int
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    layers: tuple[LayerFacts, ...]
    kernels: tuple[KernelFacts, ...]
    rules: tuple[RuleFacts, ...]
    parameters: int
    trainable: int
    memory: dict[str, int]
    machine: dict[str, Any]
    forms: tuple[FormFacts, ...] = ()

    @property
    def multiply_adds(self) -> int:
        """Of one sample, padding counted as if it were there."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def seconds(self) -> float | None:
        """What the kernels took by themselves, together; None where they were not timed."""
        times = [kernel.seconds for kernel in self.kernels if kernel.seconds is not None]
        return sum(times) if times else None

    def of_layer(self, name: str) -> Explanation:
        """One of the layers by itself, by its path."""
        for each in self.layers:
            if each.name == name:
                return self._alone(each)
        raise ArgumentError(unknown_layer(self.name, name, [each.name for each in self.layers]))

    def _alone(self, layer: LayerFacts) -> Explanation:
        trainable = sum(weight.count for weight in layer.weights if weight.trainable)
        return replace(
            self,
            name=layer.name,
            single=True,
            inputs=layer.inputs,
            outputs=(layer.output,),
            layers=(layer,),
            kernels=tuple(kernel for kernel in self.kernels if layer.name in kernel.layers),
            parameters=layer.parameters,
            trainable=trainable,
            memory=layer.memory,
            forms=forms_of_text(layer.spec, layer.inputs),
        )

    def sections(self, positions: Sequence[int] = ()) -> list[Section]:
        """What is said, in order. positions: outputs of a single layer whose inputs are listed."""
        if self.single:
            (layer,) = self.layers
            return layer_words.sections(layer, self.forms, self.kernels, self.machine, positions)
        return model_words.sections(self)

    def as_data(self) -> dict[str, Any]:
        """All of it as JSON data."""
        layers = [
            asdict(layer)
            | {
                "parameters": layer.parameters,
                "multiply_adds": layer.multiply_adds,
                "causal": layer.causal,
            }
            for layer in self.layers
        ]
        whole = {"multiply_adds": self.multiply_adds, "seconds": self.seconds}
        return asdict(self) | whole | {"layers": layers}

    def __str__(self) -> str:
        return as_text(self.sections())

    def _repr_html_(self) -> str:
        return as_html(self.sections())
