"""Derivatives for users: of layers, models and functions, by the gradient rules of the program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from isoconv import dtypes, gradient
from isoconv.changes import epoch
from isoconv.errors import ArgumentError, ShapeError, explain
from isoconv.ir.graph import Node
from isoconv.ops import tree
from isoconv.ops.compiled import Compiled, no_axes, runtime_specs
from isoconv.ops.convert import as_array, as_tensor, constant
from isoconv.ops.program import Program, Spec
from isoconv.ops.recorder import current, recording, training_scope
from isoconv.ops.tensor import Tensor
from isoconv.ops.variable import Variable
from isoconv.recompute import Recomputation


def gradients(
    outputs: Any,
    wrt: Sequence[Tensor | Variable],
    cotangents: Any = None,
    recompute: bool = False,
) -> list[Tensor]:
    """Inside a trace: what reaches each of `wrt` when `cotangents` reach the outputs.

    outputs: a Tensor, or any structure of them. cotangents: the same structure; 1 for each
    scalar output if left out. Variables mean the values they had when the program began.
    recompute: whether values are computed again on the way back rather than kept, where that saves
    memory; it changes no bit.
    """
    recorder = current()
    ends: list[Tensor] = [as_tensor(leaf) for leaf in tree.leaves(outputs)]
    if cotangents is None:
        flows = [constant(1, end.dtype, end.dims) for end in ends]
    else:
        flows = [as_tensor(flow, end.dtype) for flow, end in paired(ends, cotangents)]
    nodes: list[Node] = [
        recorder.variable(each) if isinstance(each, Variable) else each.node for each in wrt
    ]
    last = [end.node for end in ends]
    read = Recomputation(last) if recompute else None
    found = gradient.vjp(last, nodes, [flow.node for flow in flows], read)
    return [Tensor(node) for node in found]


def paired(ends: Sequence[Any], cotangents: Any) -> list[tuple[Any, Any]]:
    """Each cotangent with the output it belongs to; ShapeError where they do not fit."""
    flows = list(tree.leaves(cotangents))
    if len(flows) != len(ends):
        raise ArgumentError(explain("cotangents", f"{len(flows)} tensors", f"{len(ends)}"))
    for flow, end in zip(flows, ends, strict=True):
        shape = tuple(getattr(flow, "shape", ()))
        fits = len(shape) == end.ndim and all(
            None in pair or pair[0] == pair[1] for pair in zip(shape, end.shape, strict=True)
        )
        if not fits:
            raise ShapeError(explain("cotangents", f"shape {shape}", f"shape {end.shape}"))
    return list(zip(flows, ends, strict=True))


def vjp(fn: Any, *args: Any, training: bool = False) -> tuple[Any, Callable[..., Any]]:
    """The value of `fn` and the function that pulls cotangents back through it.

    fn: a layer, a model, or a function written in isoconv.ops. args: what it is called on.
    training: whether layers behave as in training.
    Returns y and pullback: `pullback(dy)` gives a tuple of the gradients by each argument (None
    for integers), and for a layer or model, last, the list of gradients by its trainable_weights
    as they are when it is called. It can be differentiated in turn.
    """
    if recording() is not None:
        return _in_trace(fn, args, training)
    return _at_once(fn, args, training)


def value_and_grad(loss_fn: Callable[..., Any], weights: Sequence[Variable]) -> Callable[..., Any]:
    """A function that gives `loss_fn`'s value and its gradients by `weights`.

    loss_fn: gives a scalar, written in isoconv.ops; it may call layers and models. The arrays it
    takes are data: a new size of their first axis compiles nothing.
    """
    chosen = list(weights)
    for weight in chosen:
        if not isinstance(weight, Variable):
            raise ArgumentError(explain("value_and_grad: weights", repr(weight), "variables"))

    def both(*args: Any, **kwargs: Any) -> tuple[Tensor, list[Tensor]]:
        loss = as_tensor(loss_fn(*args, **kwargs))
        if loss.ndim:
            given = f"a loss of shape {loss.shape}"
            remedy = "Reduce it with isoconv.ops.mean or sum."
            raise ShapeError(explain("value_and_grad", given, "a scalar", remedy))
        return loss, gradients(loss, chosen)

    compiled = Compiled(both, lambda index, array: (0,) if array.ndim else ())
    return lambda *args, **kwargs: (both if recording() else compiled)(*args, **kwargs)


# -- inside a trace ---------------------------------------------------------------------------


def _in_trace(fn: Any, args: Any, training: bool) -> tuple[Any, Callable[..., Any]]:
    recorder = current()
    # Arguments may be equal, or depend on each other; as stand-ins they are apart.
    own = tree.transform(_apart, args)
    stand_ins = [leaf.node for leaf in tree.leaves(own)]
    with training_scope(training):
        raw = tree.transform(as_tensor, fn(*own))
    weights: list[Variable] = fn.trainable_weights if _is_layer(fn) else []

    def settled(tensor: Tensor) -> Tensor:
        return Tensor(recorder.resolve([tensor.node], only=stand_ins)[0], tensor.mask)

    def pullback(dy: Any) -> tuple[Any, ...]:
        wrt = [leaf for leaf in tree.leaves(own) if dtypes.is_float(leaf.dtype)]
        found = iter(map(settled, gradients(raw, [*wrt, *weights], dy)))
        by_argument: tuple[Any, ...] = tree.transform(
            lambda leaf: next(found) if dtypes.is_float(leaf.dtype) else None, own
        )
        return (*by_argument, list(found)) if _is_layer(fn) else by_argument

    return tree.transform(settled, raw), pullback


def _apart(leaf: Any) -> Tensor:
    tensor = as_tensor(leaf)
    return Tensor(current().stand_in(tensor.node), tensor.mask)


def _is_layer(fn: Any) -> bool:
    return hasattr(fn, "trainable_weights")


# -- at once ----------------------------------------------------------------------------------


def _call(fn: Callable[..., Any], args: Any, training: bool) -> Any:
    with training_scope(training):
        return fn(*args)


def _pull(fn: Any, args: Any, flows: Any, training: bool) -> tuple[Any, ...]:
    result: tuple[Any, ...] = _in_trace(fn, args, training)[1](flows)
    return result


_FORWARD = Compiled(_call)
_BACKWARD = Compiled(_pull, keep_updates=False)


def _at_once(fn: Any, args: Any, training: bool) -> tuple[Any, Callable[..., Any]]:
    axes = no_axes
    kwargs: dict[str, Any] = {}
    if _is_layer(fn):
        args, kwargs = fn.prepare(args, {"training": training})
        fn.ensure_built(args, kwargs)
        axes = fn.runtime_axes_of
    args = tree.transform(as_array, args)
    arrays = list(tree.leaves(args))
    if _is_layer(fn):
        forward: Program = fn.program(arrays, args, kwargs)
    else:
        forward = _FORWARD.program(arrays, (fn, args, training), {}, key=epoch())
    # The way back draws the random numbers of the way forth.
    states = {variable: variable.numpy() for variable in forward.trace.updated}
    y = forward(arrays)
    ends = list(tree.leaves(forward.trace.result))

    def pullback(dy: Any) -> Any:
        if recording() is not None:
            with current().holding(states):
                return _in_trace(fn, args, training)[1](dy)
        flows = [as_array(flow).astype(end.dtype) for flow, end in paired(list_y, dy)]
        given = [*arrays, *flows]
        specs = [*runtime_specs(arrays, axes), *(Spec(end.dims, end.dtype) for end in ends)]
        held = (fn, args, flows, training)
        return _BACKWARD.program(given, held, {}, key=epoch(), specs=specs)(given, states)

    list_y = list(tree.leaves(y))
    return y, pullback
