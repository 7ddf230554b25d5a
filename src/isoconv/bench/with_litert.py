"""LiteRT, the runtime of TFLite files (XNNPACK's kernels), as a contender. It predicts.

The files are written here, with the package's own schema: channels last, one axis as rows of height
1, normalizations folded into kernels and activations fused, as its converter does.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from types import ModuleType
from typing import Any

import numpy as np

from isoconv import optional
from isoconv.bench.cases import Array, Shape
from isoconv.bench.contender import Contender, Prepared
from isoconv.bench.networks import (
    Conv,
    Dense,
    Embedding,
    GlobalPool,
    MaxPool,
    Network,
    Step,
    assemble,
    folded,
)

_PACKAGE = "ai-edge-litert"


class LiteRT(Contender):
    """Its interpreter, with the delegate to XNNPACK that it takes by itself."""

    name = "litert"

    def version(self) -> str:
        optional.require("ai_edge_litert", "bench")
        return f"{_PACKAGE} {metadata.version(_PACKAGE)}"

    def layer(self, shape: Shape) -> Prepared | None:
        x, kernel, bias = shape.arrays()
        file = TFLite(x)
        options = (shape.strides, shape.dilations, shape.groups)
        y = file.convolution(file.entry, kernel, bias, *options)
        return self._prepared(file.written(y), x)

    def network(self, network: Network, batch: int) -> Prepared | None:
        x, _ = network.data(batch)
        return self._prepared(written(network, batch), x)

    def _prepared(self, file: bytes, x: Array) -> Prepared:
        module = optional.require("ai_edge_litert.interpreter", "bench")
        interpreter = module.Interpreter(model_content=file, num_threads=self.threads)
        interpreter.allocate_tensors()
        entry = interpreter.get_input_details()[0]["index"]
        result = interpreter.get_output_details()[0]["index"]
        interpreter.set_tensor(entry, flat_rows(x))
        rows = x.ndim == 3

        def read(_: Any) -> Array:
            y: Array = interpreter.get_tensor(result)
            return y[:, 0] if rows and y.ndim == 4 else y

        return Prepared(interpreter.invoke, read)


def flat_rows(x: Array) -> Array:
    """Data of one axis as images of height 1."""
    return x[:, None] if x.ndim == 3 else x


def written(network: Network, batch: int) -> bytes:
    """The network as a TFLite file."""
    file = TFLite(network.data(batch)[0])
    return file.written(assemble(file, network, file.entry, network.weights()))


class TFLite:
    """A TFLite file as it is drawn, operator by operator; values are numbers of tensors."""

    def __init__(self, x: Array) -> None:
        self.schema: ModuleType = optional.require("ai_edge_litert.schema_py_generated", "bench")
        self._buffers = [self.schema.BufferT()]
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: list[int] = []
        self.entry = self._tensor(flat_rows(x).shape, x.dtype)

    def written(self, y: int) -> bytes:
        """The file whose output is y."""
        schema = self.schema
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs, graph.outputs = [self.entry], [y]
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers = 3, [graph], self._buffers
        model.operatorCodes = []
        for number in self._codes:
            code = schema.OperatorCodeT()
            # Numbers above 126 stand in the newer field alone.
            code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
            model.operatorCodes.append(code)
        builder = optional.require("flatbuffers", "bench").Builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    # -- a builder of networks -----------------------------------------------------------------

    def step(self, step: Step, x: int, weights: Sequence[Array]) -> int:
        """The step's output for x."""
        if isinstance(step, Conv):
            return self._convolution(step, x, weights)
        if isinstance(step, Dense):
            kernel, bias = weights
            constants = [self._constant(np.ascontiguousarray(kernel.T)), self._constant(bias)]
            shape = (self._shape(x)[0], step.units)
            return self._operator("FULLY_CONNECTED", [x, *constants], shape, "FullyConnected")
        if isinstance(step, Embedding):
            batch, length = self._shape(x)
            rows = [self._constant(weights[0]), x]
            found = self._operator("GATHER", rows, (batch, length, step.columns), "Gather")
            return self._reshaped(found, (batch, 1, length, step.columns))
        if isinstance(step, MaxPool):
            return self._max_pool(step, x)
        batch, height, width, channels = self._shape(x)
        if isinstance(step, GlobalPool):
            name = "MEAN" if step.kind == "Average" else "REDUCE_MAX"
            axes = self._constant(np.array([1, 2], np.int32))
            return self._operator(name, [x, axes], (batch, channels), "Reducer", keepDims=False)
        return self._reshaped(x, (batch, height * width * channels))

    def add(self, x: int, other: int, activation: str) -> int:
        """The sum, activated."""
        fused = self._fused(activation)
        return self._operator("ADD", [x, other], self._shape(x), "Add", **fused)

    def convolution(
        self,
        x: int,
        kernel: Array,
        bias: Array,
        strides: Sequence[int],
        dilations: Sequence[int],
        groups: int,
        padded: bool = False,
        activation: str = "linear",
    ) -> int:
        """A convolution; padded: so that outputs keep their positions."""
        if kernel.ndim == 3:
            kernel = kernel[None]
            strides, dilations = (1, *strides), (1, *dilations)
        *taps, _, filters = kernel.shape
        batch, *spatial, channels = self._shape(x)
        if not padded:
            reach = [(k - 1) * d for k, d in zip(taps, dilations, strict=True)]
            sizes = zip(spatial, reach, strides, strict=True)
            spatial = [(n - r - 1) // s + 1 for n, r, s in sizes]
        axes = "DHW"[-len(taps) :]
        given = {f"stride{axis}": s for axis, s in zip(axes, strides, strict=True)}
        given |= {f"dilation{axis}Factor": d for axis, d in zip(axes, dilations, strict=True)}
        given |= {"padding": 0 if padded else 1} | self._fused(activation)
        depthwise = groups == channels == filters > 1
        if depthwise:
            name, options = "DEPTHWISE_CONV_2D", "DepthwiseConv2D"
            weights = np.moveaxis(kernel, -2, 0)
            given["depthMultiplier"] = 1
        elif len(taps) == 2:
            name, options = "CONV_2D", "Conv2D"
            weights = np.moveaxis(kernel, -1, 0)
        else:
            name, options, weights = "CONV_3D", "Conv3D", kernel
        constants = [self._constant(np.ascontiguousarray(weights)), self._constant(bias)]
        return self._operator(name, [x, *constants], (batch, *spatial, filters), options, **given)

    def _convolution(self, step: Conv, x: int, weights: Sequence[Array]) -> int:
        rank = len(step.kernel)
        same = step.padded and step.strides == 1
        if not same:
            x = self._zeros(x, step.margins)
        return self.convolution(
            x,
            *folded(weights),
            strides=(step.strides,) * rank,
            dilations=(step.dilation,) * rank,
            groups=step.groups(self._shape(x)[-1]),
            padded=same,
            activation=step.activation,
        )

    def _max_pool(self, step: MaxPool, x: int) -> int:
        rows = self._shape(x)[1] == 1
        x = self._zeros(x, (0 if rows else step.margin, step.margin))
        batch, height, width, channels = self._shape(x)
        sizes = (1 if rows else step.size, step.size)
        strides = (1 if rows else step.strides, step.strides)
        pairs = zip((height, width), sizes, strides, strict=True)
        shape = (batch, *((n - k) // s + 1 for n, k, s in pairs), channels)
        given = dict(zip(("filterHeight", "filterWidth"), sizes, strict=True))
        given |= dict(zip(("strideH", "strideW"), strides, strict=True))
        return self._operator("MAX_POOL_2D", [x], shape, "Pool2D", padding=1, **given)

    def _zeros(self, x: int, margins: Sequence[int]) -> int:
        if not any(margins):
            return x
        batch, *spatial, channels = self._shape(x)
        margins = (0,) * (len(spatial) - len(margins)) + tuple(margins)
        pairs = np.array([(0, 0), *((m, m) for m in margins), (0, 0)], np.int32)
        shape = (batch, *(n + 2 * m for n, m in zip(spatial, margins, strict=True)), channels)
        return self._operator("PAD", [x, self._constant(pairs)], shape, "Pad")

    def _reshaped(self, x: int, shape: Sequence[int]) -> int:
        wanted = self._constant(np.array(shape, np.int32))
        return self._operator("RESHAPE", [x, wanted], shape, "Reshape", newShape=list(shape))

    # -- tensors and operators -----------------------------------------------------------------

    def _shape(self, tensor: int) -> tuple[int, ...]:
        return tuple(self._tensors[tensor].shape)

    def _tensor(self, shape: Sequence[int], dtype: Any, buffer: int = 0) -> int:
        tensor = self.schema.TensorT()
        types = self.schema.TensorType
        tensor.type = types.INT32 if dtype == np.int32 else types.FLOAT32
        tensor.shape, tensor.buffer, tensor.name = list(shape), buffer, f"t{len(self._tensors)}"
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def _constant(self, array: Array) -> int:
        buffer = self.schema.BufferT()
        buffer.data = array.reshape(-1).view(np.uint8)
        self._buffers.append(buffer)
        return self._tensor(array.shape, array.dtype, len(self._buffers) - 1)

    def _operator(
        self, name: str, inputs: list[int], shape: Sequence[int], kind: str, **given: Any
    ) -> int:
        schema = self.schema
        number = getattr(schema.BuiltinOperator, name)
        if number not in self._codes:
            self._codes.append(number)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs = self._codes.index(number), inputs
        operator.outputs = [self._tensor(shape, np.float32)]
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, f"{kind}Options")
        operator.builtinOptions = getattr(schema, f"{kind}OptionsT")()
        for field, value in given.items():
            setattr(operator.builtinOptions, field, value)
        self._operators.append(operator)
        return int(operator.outputs[0])

    def _fused(self, activation: str) -> dict[str, int]:
        names = {"linear": "NONE", "relu": "RELU", "relu6": "RELU6"}
        kinds = self.schema.ActivationFunctionType
        return {"fusedActivationFunction": getattr(kinds, names[activation])}
