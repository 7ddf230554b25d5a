"""How much work a kernel is, in vector instructions: enough to share tasks out."""

from __future__ import annotations

from isoconv.ir.graph import Node
from isoconv.ir.ops import OPS
from isoconv.ir.sizes import Dim, ceildiv, product
from isoconv.plan.kernel import Kernel

# Work below this is not worth handing to another thread (some microseconds).
GRAIN = 16384
_LANES = 16
_SLOW = {"exp": 12, "expm1": 20, "log": 15, "log1p": 20, "tanh": 20, "erf": 20, "pow": 60}
_SLOW |= {"sin": 20, "cos": 20, "div": 8, "sqrt": 8, "random": 60, "rem": 200}


def work(kernel: Kernel) -> Dim:
    """The work of a whole kernel, in terms of its own sizes."""
    root = kernel.graph.outputs[0]
    vectors = ceildiv(product(root.shape), _LANES)
    light = sum(_weight(node) for node in kernel.graph.nodes)
    total = vectors * (light + 4)
    anchor = kernel.anchor
    if anchor is not None:
        total = total + _heavy(anchor)
    return total


def _weight(node: Node) -> int:
    if OPS[node.op].kind in ("elementwise", "view", "index"):
        return _SLOW.get(node.op, 1)
    return 0


def _heavy(anchor: Node) -> Dim:
    """The work of the operation that is more than one step an element."""
    vectors = ceildiv(product(anchor.shape), _LANES)
    if anchor.op == "conv":
        return ceildiv(multiply_adds(anchor), _LANES)
    if anchor.op in ("pool_max", "pool_argmax", "pool_take", "pool_scatter"):
        taps = 1
        for axis in anchor["axes"]:
            taps *= axis.taps
        return vectors * taps * 3
    return ceildiv(product(anchor.inputs[-1].shape), _LANES) * 2


def multiply_adds(conv: Node) -> Dim:
    """The multiply-adds of a form, padding counted as if it were there."""
    if conv["face"] == "y":
        _, w = conv.inputs
        return product(conv.shape) * product((*(a.taps for a in conv["axes"]), w.shape[-2]))
    if conv["face"] in ("x", "xt"):
        w, y = conv.inputs
        return product(y.shape) * product(w.shape[:-1])
    _, y = conv.inputs
    return product(y.shape) * product(conv.shape[:-1])
