"""isoconv: convolution networks with Keras' contract, in NumPy and LLVM.

Importing this imports nothing else: each name is fetched when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isoconv import backend, layers, models, ops, settings, spec, training, utils
    from isoconv import drawing as draw
    from isoconv.autodiff import value_and_grad, vjp
    from isoconv.conversion.forms import forms, rewrite
    from isoconv.equivalence import equivalent
    from isoconv.explaining.activations import activations
    from isoconv.explaining.describe import explain
    from isoconv.explaining.ngrams import top_ngrams
    from isoconv.interop.onnx import from_onnx
    from isoconv.interop.torch.exported import from_torch
    from isoconv.layers.base import Layer
    from isoconv.layers.input import Input
    from isoconv.models.jit import jit
    from isoconv.models.model import Model
    from isoconv.models.saving import load_model
    from isoconv.models.sequential import Sequential
    from isoconv.ops import random
    from isoconv.ops.variable import Variable
    from isoconv.racing.race import race
    from isoconv.registry import register_keras_serializable
    from isoconv.rewriting.approximate import Numerics
    from isoconv.settings import (
        floatx,
        image_data_format,
        set_floatx,
        set_image_data_format,
    )
    from isoconv.training import (
        callbacks,
        constraints,
        initializers,
        losses,
        metrics,
        optimizers,
        regularizers,
    )

__version__ = "0.1.0"

# Where each public name lives: a module by itself, or a name within one.
_MODULES = {
    "backend": "isoconv.backend",
    "callbacks": "isoconv.training.callbacks",
    "constraints": "isoconv.training.constraints",
    "draw": "isoconv.drawing",
    "initializers": "isoconv.training.initializers",
    "layers": "isoconv.layers",
    "losses": "isoconv.training.losses",
    "metrics": "isoconv.training.metrics",
    "models": "isoconv.models",
    "ops": "isoconv.ops",
    "optimizers": "isoconv.training.optimizers",
    "random": "isoconv.ops.random",
    "regularizers": "isoconv.training.regularizers",
    "settings": "isoconv.settings",
    "spec": "isoconv.spec",
    "torch": "isoconv.torch",
    "training": "isoconv.training",
    "utils": "isoconv.utils",
}
_NAMES = {
    "Input": "isoconv.layers.input",
    "Layer": "isoconv.layers.base",
    "Model": "isoconv.models.model",
    "Sequential": "isoconv.models.sequential",
    "Variable": "isoconv.ops.variable",
    "activations": "isoconv.explaining.activations",
    "equivalent": "isoconv.equivalence",
    "explain": "isoconv.explaining.describe",
    "floatx": "isoconv.settings",
    "from_onnx": "isoconv.interop.onnx",
    "from_torch": "isoconv.interop.torch.exported",
    "image_data_format": "isoconv.settings",
    "forms": "isoconv.conversion.forms",
    "jit": "isoconv.models.jit",
    "Numerics": "isoconv.rewriting.approximate",
    "load_model": "isoconv.models.saving",
    "race": "isoconv.racing.race",
    "register_keras_serializable": "isoconv.registry",
    "rewrite": "isoconv.conversion.forms",
    "set_floatx": "isoconv.settings",
    "set_image_data_format": "isoconv.settings",
    "top_ngrams": "isoconv.explaining.ngrams",
    "value_and_grad": "isoconv.autodiff",
    "vjp": "isoconv.autodiff",
}

__all__ = [
    "Input",
    "Layer",
    "Model",
    "Numerics",
    "Sequential",
    "Variable",
    "activations",
    "backend",
    "callbacks",
    "constraints",
    "draw",
    "equivalent",
    "explain",
    "floatx",
    "forms",
    "from_onnx",
    "from_torch",
    "image_data_format",
    "initializers",
    "jit",
    "layers",
    "load_model",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "race",
    "random",
    "register_keras_serializable",
    "regularizers",
    "rewrite",
    "set_floatx",
    "set_image_data_format",
    "settings",
    "spec",
    "top_ngrams",
    "torch",
    "training",
    "utils",
    "value_and_grad",
    "vjp",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value: Any = import_module(_MODULES[name])
    elif name in _NAMES:
        value = getattr(import_module(_NAMES[name]), name)
    else:
        raise AttributeError(f"module 'isoconv' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
