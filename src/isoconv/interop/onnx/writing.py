"""Writing ONNX: a drawn model as a graph that people can read and every runtime takes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from isoconv import settings
from isoconv.atomic import replacing
from isoconv.errors import ArgumentError, InternalError, explain
from isoconv.interop.onnx.package import onnx
from isoconv.interop.onnx.sheet import Sheet, Value, straight, tensor_info
from isoconv.interop.onnx.tracing import Writer
from isoconv.interop.weight_map import WeightRow
from isoconv.ir.sizes import Shape, name
from isoconv.models import Model
from isoconv.ops import tree
from isoconv.ops.convert import as_tensor
from isoconv.ops.recorder import Recorder, record_into, training_scope
from isoconv.ops.tensor import KerasTensor, Tensor

OPSET = 24
"""What is written. The oldest onnx that isoconv's extra allows knows it."""

# More than this does not fit into a protocol buffer.
_LARGEST = (1 << 31) - (1 << 20)


def to_onnx(model: Any, path: str | os.PathLike[str] | None = None) -> Any:
    """The model, as it predicts, as an onnx.ModelProto; written to `path` if one is given.

    The batch and all sizes that the model leaves free stay free. Convolutions are Conv nodes with
    their weights turned; data in the model's own order is transposed only where two orders meet.
    Nodes and weights are named after the layers.

    Raises ArgumentError for a model that was not drawn yet, and for what ONNX has nothing for.
    """
    proto = written(model)[0]
    if path is not None:
        with replacing(path) as temporary:
            temporary.write_bytes(proto.SerializeToString())
    return proto


def save(model: Any, path: Path) -> None:
    """Writes the model to a file, for `Model.save`."""
    path.write_bytes(written(model)[0].SerializeToString())


def written(model: Any) -> tuple[Any, list[WeightRow]]:
    """Like `to_onnx`, and where each weight went."""
    if not isinstance(model, Model):
        raise ArgumentError(explain("to_onnx", repr(model), "a model"))
    size = sum(weight.array.nbytes for weight in model.weights)
    if size > _LARGEST:
        raise ArgumentError(explain(model.where("to_onnx"), f"{size} bytes", "less than 2 GiB"))
    network = model.drawn_network()
    recorder = Recorder(keep_calls=True)
    names = [_plain(tensor.name) for tensor in network.flat_inputs]
    with record_into(recorder), training_scope(False):
        arguments = [
            Tensor(recorder.argument(label, _dims(tensor, label), tensor.dtype))
            for tensor, label in zip(network.flat_inputs, names, strict=True)
        ]
        results = [as_tensor(leaf) for leaf in tree.leaves(network.run(arguments))]
    given = {
        argument.node: Value(label, straight(argument.ndim))
        for argument, label in zip(arguments, names, strict=True)
    }
    writer = Writer(recorder, given)
    sheet = writer.sheet
    for argument, label in zip(arguments, names, strict=True):
        sheet.unique(label)
        for axis, dim in enumerate(argument.dims):
            if not isinstance(dim, int):
                sheet.sources.setdefault(str(dim), (label, axis))
    writer.write([result.node for result in results])
    outputs = _outputs(writer, results, list(network.flat_outputs))
    graph = onnx("helper").make_graph(
        sheet.nodes,
        model.name,
        [tensor_info(n, a.dims, a.dtype) for n, a in zip(names, arguments, strict=True)],
        outputs,
        sheet.initializers,
    )
    return _model(graph), sheet.rows


def _plain(label: str) -> str:
    """A name of a size or an input, as an identifier."""
    found = "".join(char if char.isalnum() else "_" for char in label)
    return found if found[:1].isalpha() else f"input_{found}"


def _dims(tensor: KerasTensor, label: str) -> Shape:
    """The sizes of an input, those not known by name: "batch", else after the input."""
    return tuple(
        (name("batch") if axis == 0 else name(f"{label}_{axis}")) if size is None else size
        for axis, size in enumerate(tensor.shape)
    )


def _outputs(writer: Writer, results: list[Tensor], drawn: list[KerasTensor]) -> list[Any]:
    """What the graph says of its outputs, which are named after the layers that give them."""
    sheet: Sheet = writer.sheet
    names: dict[str, str] = {}
    infos = []
    made = {output for node in sheet.nodes for output in node.output}
    for result, tensor in zip(results, drawn, strict=True):
        wanted = tensor.name if tensor.call is None else tensor.call.name
        value, label = writer.value(result.node), writer.label(result.node)
        found = sheet.plain(value, wanted, label)
        made |= {output for node in sheet.nodes[-1:] for output in node.output}
        if found not in made or found in names:
            found = sheet.node("Identity", [found], wanted)
            made.add(found)
        names[found] = sheet.unique(_plain(wanted))
        infos.append(tensor_info(names[found], result.dims, result.dtype))
    sheet.rename(names)
    return infos


def _model(graph: Any) -> Any:
    helper = onnx("helper")
    opsets = [helper.make_opsetid("", OPSET)]
    proto = helper.make_model(
        graph,
        producer_name="isoconv",
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
    )
    try:
        onnx("checker").check_model(proto, full_check=settings.verify())
    except Exception as error:  # ValidationError, or what its C++ code raises
        raise InternalError(f"to_onnx: {error}") from error
    return proto
