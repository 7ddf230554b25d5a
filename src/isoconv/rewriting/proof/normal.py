"""The normal form: exact equations that hold axis by axis, applied until none applies.

Views rise through elementwise operations and merge; axes of a form that do nothing, or whose
taps span all there is, become part of the batch or the channels. Sizes are numbers here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Any, Literal

from isoconv.ir.geometry import Axis
from isoconv.ir.graph import Node, rewrite
from isoconv.ir.ops import OPS, make
from isoconv.ir.sizes import number
from isoconv.rewriting.proof.groups import aligned
from isoconv.rewriting.proof.maxima import maximum

Shape = tuple[int, ...]
Views = Literal["rise", "sink", "stay"]

MERGED = "views in a row are one view"
TWICE = "relu of relu is relu"
RAISED = "a view of an elementwise operation is that operation on views"
ABSORBED = "zeros around a valid convolution are its padding"
SINGLE = "a window with one place reads what its taps meet"
PICKED = "some results of a convolution are those of one with other edges and strides"
UNIT = "an axis of one tap and no step is no axis"
WHOLE = "taps that span a whole axis are channels"
JOINED = "an elementwise operation on parts is that operation on all of them"
ROWS = "rows of a table are its product with ones where they stand"
FRAMES = "windows that neither overlap nor leave gaps are frames"


ROWS_MOST, ONES_MOST = 256, 100_000
"""The most rows of a table, and ones and zeros, for which rows are written as a product."""


class Normal:
    """Brings nodes into normal form; `used` holds the titles of the equations that were needed.

    views: whether views "rise" above elementwise operations; or transposes "sink" below them,
    towards the result; or views "stay", so that what several operations read stays one node.
    """

    def __init__(self, views: Views = "rise") -> None:
        self.views = views
        self.used: dict[str, None] = {}

    def __call__(self, ends: Sequence[Node]) -> list[Node]:
        return rewrite(ends, self.change)

    def change(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        attrs = dict(node.attrs)
        if node.op == "conv" and attrs["face"] == "y":
            x, w = inputs
            return self.conv(x, w, attrs["axes"], attrs["groups"])
        views: dict[str, Callable[..., Node]] = {
            "reshape": self.reshape,
            "transpose": self.transpose,
            "broadcast": self.broadcast,
            "slice": self.slice,
            "reverse": self.reverse,
            "pad": self.pad,
            "cast": self.cast,
        }
        if node.op in views:
            return views[node.op](inputs[0], **attrs)
        if OPS[node.op].kind == "elementwise":
            return self.elementwise(node.op, inputs, attrs)
        if node.op == "concat":
            return self.concat(inputs, attrs["axis"])
        if node.op == "gather":
            return self.gather(*inputs)
        if node.op in ("pool_max", "reduce_max"):
            return maximum(self, node.op, inputs[0], attrs["axes"])
        return make(node.op, *inputs, **attrs)

    # -- elementwise ---------------------------------------------------------------------------

    def elementwise(self, op: str, inputs: Sequence[Node], attrs: dict[str, Any]) -> Node:
        """The operation on operands that are not repeated where it repeats them itself."""
        shape = make(op, *inputs, **attrs).shape
        new = list(inputs)
        for place, operand in enumerate(inputs):
            if operand.op == "broadcast":
                trial = [*new[:place], operand.inputs[0], *new[place + 1 :]]
                if make(op, *trial, **attrs).shape == shape:
                    new = trial
        if op == "relu" and new[0].op == "relu":
            self.used[TWICE] = None
            return new[0]
        sunk = self._sunk(op, new, attrs) if self.views == "sink" else None
        return sunk or make(op, *new, **attrs)

    def _sunk(self, op: str, inputs: list[Node], attrs: dict[str, Any]) -> Node | None:
        """The operation below the transpose that one of its operands is, with a reshape or not."""
        shape: Any = make(op, *inputs, **attrs).shape
        bare = [each.inputs[0] if each.op == "reshape" else each for each in inputs]
        whole = [each.shape == shape for each in inputs]
        found = [i for i, each in enumerate(bare) if each.op == "transpose" and whole[i]]
        if not found:
            return None
        self.used[RAISED] = None
        place, turned = found[0], bare[found[0]]
        middle: Any = turned.shape
        perm = turned["perm"]
        back = tuple(perm.index(axis) for axis in range(len(perm)))
        new = [
            turned.inputs[0]
            if at == place
            else self.transpose(self._reshape_part(each, shape, middle), back)
            for at, each in enumerate(inputs)
        ]
        return self.reshape(self.transpose(self.elementwise(op, new, attrs), perm), shape)

    def cast(self, x: Node, dtype: str) -> Node:
        return x if x.dtype == dtype else make("cast", x, dtype=dtype)

    def _raised(self, x: Node, view: Callable[[Node], Node]) -> Node | None:
        """The view of an elementwise result, as that operation on views; None for others."""
        if OPS[x.op].kind != "elementwise" or self.views == "stay":
            return None
        self.used[RAISED] = None
        return self.elementwise(x.op, [view(each) for each in x.inputs], dict(x.attrs))

    def concat(self, parts: Sequence[Node], axis: int) -> Node:
        """Parts that are the same operation elementwise, as that operation on what is joined."""
        first = parts[0]
        alike = OPS[first.op].kind == "elementwise" and all(
            (part.op, part.attrs) == (first.op, first.attrs) for part in parts
        )
        if not alike:
            return make("concat", *parts, axis=axis)
        operands = [self._operand(each, parts, axis) for each in zip(*_inputs(parts), strict=True)]
        if any(each is None for each in operands):
            return make("concat", *parts, axis=axis)
        self.used[JOINED] = None
        return self.elementwise(first.op, [n for n in operands if n], dict(first.attrs))

    def _operand(self, given: Sequence[Node], parts: Sequence[Node], axis: int) -> Node | None:
        """One operand of joined parts: the one that all share, or theirs joined."""
        if all(each is given[0] and each.shape[axis] == 1 for each in given):
            return given[0]
        along = all(a.shape[axis] == b.shape[axis] for a, b in zip(given, parts, strict=True))
        across = {(*each.shape[:axis], *each.shape[axis + 1 :]) for each in given}
        return self.concat(given, axis) if along and len(across) == 1 else None

    # -- tables --------------------------------------------------------------------------------

    def gather(self, table: Node, rows: Node) -> Node:
        """Rows of a table as its product with ones where they stand, for tables of some rows."""
        count = number(table.shape[0])
        if count > ROWS_MOST or count * prod(map(number, rows.shape)) > ONES_MOST:
            return make("gather", table, rows)
        unit = self.unit(count, table.dtype)
        if table is not unit:
            self.used[ROWS] = None
            flat = self.reshape(table, (count, prod(map(number, table.shape[1:]))))
            y = self.conv(self.gather(unit, rows), flat, (), 1)
            return self.reshape(y, (*map(number, rows.shape), *map(number, table.shape[1:])))
        source, attrs = (rows.inputs[0], dict(rows.attrs)) if rows.inputs else (rows, {})
        if rows.op == "reshape":
            return self.reshape(self.gather(unit, source), (*map(number, rows.shape), count))
        if rows.op == "slice":
            whole = {"start": 0, "shape": count, "step": 1}
            wider = {name: (*attrs[name], size) for name, size in whole.items()}
            return self.slice(self.gather(unit, source), **wider)
        return make("gather", unit, rows)

    def unit(self, count: int, dtype: str) -> Node:
        """The unit matrix: rows of a one and `count` zeros, read without their breaks."""
        ones = make("full", value=1.0, shape=(count, 1), dtype=dtype)
        wide = self.pad(ones, (0, 0), (0, count), (0, 0), 0.0)
        flat = self.reshape(wide, (count * (count + 1),))
        return self.reshape(self.slice(flat, (0,), (count * count,), (1,)), (count, count))

    # -- views ---------------------------------------------------------------------------------

    def reshape(self, x: Node, shape: Shape) -> Node:
        if x.shape == shape:
            return x
        if x.op == "reshape":
            return self.reshape(x.inputs[0], shape)
        if x.op == "full":
            return make("full", value=x["value"], shape=shape, dtype=x.dtype)
        if x.op == "pad":
            below = self._reshape_below_pad(x, shape)
            if below is not None:
                return below
        source: Any = x.shape
        lifted = self._raised(x, lambda each: self._reshape_part(each, source, shape))
        return lifted or make("reshape", x, shape=shape)

    def _reshape_part(self, x: Node, source: Shape, shape: Shape) -> Node:
        """An operand of what has the shape `source`, reshaped as that is reshaped."""
        if x.shape == source:
            return self.reshape(x, shape)
        wide: list[Any] = list(x.shape)
        target: list[int] = []
        for before, after in aligned(source, shape):
            if all(x.shape[axis] == 1 for axis in before):
                target += [1] * len(after)
                continue
            for axis in before:
                wide[axis] = source[axis]
            target += [shape[axis] for axis in after]
        return self.reshape(self.broadcast(x, tuple(wide)), tuple(target))

    def _reshape_below_pad(self, x: Node, shape: Shape) -> Node | None:
        """A pad of a reshape, where the axes that are padded stay axes of their own."""
        inner: Any = x.inputs[0].shape
        new: list[int] = list(shape)
        sides: dict[str, list[int]] = {side: [0] * len(shape) for side in _SIDES}
        source: Any = x.shape
        for before, after in aligned(source, shape):
            padded = [axis for axis in before if any(x[side][axis] for side in _SIDES)]
            if not padded:
                continue
            places = [axis for axis in after if shape[axis] == source[padded[0]]]
            if (
                len(padded) > 1
                or not places
                or prod(source[axis] for axis in before) != (source[padded[0]])
            ):
                return None
            new[places[0]] = inner[padded[0]]
            for side in _SIDES:
                sides[side][places[0]] = x[side][padded[0]]
        attrs = {side: tuple(each) for side, each in sides.items()}
        return self.pad(self.reshape(x.inputs[0], tuple(new)), value=x["value"], **attrs)

    def transpose(self, x: Node, perm: Shape) -> Node:
        if perm == tuple(range(len(perm))):
            return x
        if x.op == "pad":
            sides = {side: tuple(x[side][axis] for axis in perm) for side in _SIDES}
            return self.pad(self.transpose(x.inputs[0], perm), value=x["value"], **sides)
        lifted = (
            None
            if self.views == "sink"
            else self._raised(x, lambda each: self.transpose(each, perm))
        )
        return lifted or self._merged(x, perm)

    def _merged(self, x: Node, perm: Shape) -> Node:
        """The transpose without axes of size 1, those that stay together made one."""
        shape: Any = x.shape
        runs: list[list[int]] = []
        for axis in perm:
            if shape[axis] == 1:
                continue
            follows = runs and all(shape[each] == 1 for each in range(runs[-1][-1] + 1, axis))
            if follows and runs[-1][-1] < axis:
                runs[-1].append(axis)
            else:
                runs.append([axis])
        order = sorted(range(len(runs)), key=lambda i: runs[i])
        sizes = [prod(shape[axis] for axis in runs[i]) for i in order]
        final = tuple(shape[axis] for axis in perm)
        small = self.reshape(x, tuple(sizes))
        inner = tuple(order.index(i) for i in range(len(runs)))
        if inner != tuple(range(len(inner))):
            if small.op == "transpose":
                first = small["perm"]
                self.used[MERGED] = None
                whole = tuple(first[i] for i in inner)
                return self.reshape(self.transpose(small.inputs[0], whole), final)
            small = make("transpose", small, perm=inner)
        return self.reshape(small, final)

    def broadcast(self, x: Node, shape: Shape) -> Node:
        if x.shape == shape:
            return x
        if x.op == "broadcast":
            return self.broadcast(x.inputs[0], shape)
        if x.op == "full":
            return make("full", value=x["value"], shape=shape, dtype=x.dtype)
        return make("broadcast", x, shape=shape)

    def slice(self, x: Node, start: Shape, shape: Shape, step: Shape) -> Node:
        if x.shape == shape:
            return x
        step = tuple(1 if n == 1 else each for n, each in zip(shape, step, strict=True))
        if x.op == "slice":
            inner = zip(x["start"], x["step"], start, strict=True)
            begin = tuple(first + each * more for first, each, more in inner)
            steps = tuple(one * two for one, two in zip(x["step"], step, strict=True))
            return self.slice(x.inputs[0], begin, shape, steps)

        picked = self._picked(x, start, shape, step) if x.op == "conv" else None
        if picked is not None:
            return picked

        def part(each: Node) -> Node:
            whole = [size == 1 for size in each.shape]

            def pick(values: Shape, other: int) -> Shape:
                pairs = zip(whole, values, shape, strict=True)
                return tuple(other if one and n != 0 else v for one, v, n in pairs)

            return self.slice(each, pick(start, 0), pick(shape, 1), pick(step, 1))

        return self._raised(x, part) or make("slice", x, start=start, shape=shape, step=step)

    def reverse(self, x: Node, axes: Shape) -> Node:
        axes = tuple(axis for axis in axes if x.shape[axis] != 1)
        if not axes:
            return x
        if x.op == "reverse":
            return self.reverse(x.inputs[0], tuple(sorted(set(axes) ^ set(x["axes"]))))
        lifted = self._raised(x, lambda each: self.reverse(each, axes))
        return lifted or make("reverse", x, axes=axes)

    def pad(self, x: Node, low: Shape, high: Shape, interior: Shape, value: float) -> Node:
        if not any(low) and not any(high) and not any(interior):
            return x
        if min(*low, *high) < 0 and not any(interior) and max(*low, *high) <= 0:
            sizes: Any = [n + lo + hi for n, lo, hi in zip(x.shape, low, high, strict=True)]
            start, ones = tuple(-each for each in low), (1,) * x.rank
            return self.slice(x, start, tuple(sizes), ones)
        once = not any(interior) and x.op == "pad" and x["value"] == value
        if once and not any(x["interior"]) and min(*low, *high, *x["low"], *x["high"]) >= 0:
            both = {side: _plus(x[side], new) for side, new in (("low", low), ("high", high))}
            return self.pad(x.inputs[0], interior=interior, value=value, **both)
        return make("pad", x, low=low, high=high, interior=interior, value=value)

    # -- the form ------------------------------------------------------------------------------

    def conv(self, x: Node, w: Node, axes: tuple[Axis, ...], groups: int) -> Node:
        batch, count = x.rank - 1 - len(axes), len(axes)
        if x.op == "pad" and x["value"] == 0 and self._around(x, batch):
            self.used[ABSORBED] = None
            sides = zip(axes, x["low"][batch:-1], x["high"][batch:-1], strict=True)
            wider = [replace(a, low=a.low + lo, high=a.high + hi) for a, lo, hi in sides]
            return self.conv(x.inputs[0], w, tuple(wider), groups)
        for place, axis in enumerate(axes):
            size: Any = x.shape[batch + place]
            low, high = (max(0, -number(edge)) for edge in (axis.low, axis.high))
            if low or high:
                x = self._cut(x, batch + place, low, size - low - high, 1)
                edges = {"low": number(axis.low) + low, "high": number(axis.high) + high}
                return self.conv(x, w, _with(axes, place, replace(axis, **edges)), groups)
            output: Any = axis.output(size)
            if output == 1 and axis != Axis(size):
                single = self._single(x, w, axes, groups, place)
                if single is not None:
                    return single
            if axis.taps == 1 and axis.low == axis.high == 0:
                if axis.stride > 1:
                    at = batch + place
                    x = self._cut(x, at, 0, output, axis.stride)
                    return self.conv(x, w, _with(axes, place, Axis(1)), groups)
                if size == 1 or place == 0:
                    return self._without(x, w, axes, groups, place)
            if axis.taps == 1 and axis.dilation > 1:
                return self.conv(x, w, _with(axes, place, replace(axis, dilation=1)), groups)
            last = place == count - 1 and groups == 1 and axis.low == 0 and axis.dilation == 1
            if last and axis.taps > 1 and axis.stride == axis.taps and number(axis.high) <= 0:
                return self._frames(x, w, axes, place, output)
            if last and axis.taps == size and size > 1 and axis.high == 0:
                return self._frames(x, w, axes, place, 1)
        return self._flat_batch(x, w, axes, groups)

    def _picked(self, x: Node, start: Shape, shape: Shape, step: Shape) -> Node | None:
        """Results at some places of a form, where whole axes stay but for the spatial ones."""
        axes = x["axes"]
        ends = [*range(x.rank - 1 - len(axes)), x.rank - 1]
        if x["face"] != "y" or any(shape[at] != x.shape[at] for at in ends) or 0 in shape:
            return None
        new = []
        for at, axis in enumerate(axes, x.rank - 1 - len(axes)):
            size, stride = number(x.inputs[0].shape[at]), axis.stride * step[at]
            low = number(axis.low) - start[at] * axis.stride
            high = (shape[at] - 1) * stride + axis.span - size - low
            if start[at] == 0 and shape[at] == x.shape[at]:
                high = number(axis.high)
            if size + min(low, 0) + min(high, 0) < 1:
                # Nothing but zeros is read.
                return None
            new.append(replace(axis, stride=stride, low=low, high=high))
        self.used[PICKED] = None
        data, w = x.inputs
        return self.conv(data, w, tuple(new), x["groups"])

    def _around(self, x: Node, batch: int) -> bool:
        """Whether a pad adds only zeros around spatial axes."""
        inside = any(x["interior"]) or min(*x["low"], *x["high"]) < 0
        ends = [*range(batch), x.rank - 1]
        return not inside and not any(x["low"][axis] or x["high"][axis] for axis in ends)

    def _cut(self, x: Node, at: int, start: int, size: int, step: int) -> Node:
        starts, steps, shape = [0] * x.rank, [1] * x.rank, list(x.shape)
        starts[at], steps[at], shape[at] = start, step, size
        return self.slice(x, tuple(starts), tuple(map(number, shape)), tuple(steps))

    def _single(
        self, x: Node, w: Node, axes: tuple[Axis, ...], groups: int, place: int
    ) -> Node | None:
        """One output position: the taps that meet nothing fall away, and so does what is unread."""
        at, axis = x.rank - 1 - len(axes) + place, axes[place]
        low: Any = axis.low
        size: Any = x.shape[at]
        met = [k for k in range(axis.taps) if 0 <= k * axis.dilation - low < size]
        if not met:
            return None
        self.used[SINGLE] = None
        x = self._cut(x, at, met[0] * axis.dilation - low, len(met), axis.dilation)
        w = self._cut(w, place, met[0], len(met), 1)
        return self.conv(x, w, _with(axes, place, Axis(len(met))), groups)

    def _without(self, x: Node, w: Node, axes: tuple[Axis, ...], groups: int, place: int) -> Node:
        """The form without an axis of one tap that is the first one, or of size 1."""
        self.used[UNIT] = None
        at = x.rank - 1 - len(axes) + place
        shape: Any = x.shape
        size = shape[at]
        rest = (*axes[:place], *axes[place + 1 :])
        weights: Any = (*w.shape[:place], *w.shape[place + 1 :])
        narrow = x if place == 0 else self.reshape(x, (*shape[:at], *shape[at + 1 :]))
        y = self.conv(narrow, self.reshape(w, weights), rest, groups)
        final: Any = y.shape if place == 0 else (*y.shape[:at], size, *y.shape[at:])
        return self.reshape(y, final)

    def _frames(self, x: Node, w: Node, axes: tuple[Axis, ...], place: int, output: int) -> Node:
        """The last axis cut into frames of its taps, which become channels."""
        taps = axes[place].taps
        self.used[WHOLE if output == 1 else FRAMES] = None
        cut: Any = self._cut(x, x.rank - 2, 0, output * taps, 1)
        x = self.reshape(cut, (*cut.shape[:-2], output, taps * cut.shape[-1]))
        kernel: Any = (*w.shape[:-3], 1, taps * w.shape[-2], w.shape[-1])
        return self.conv(x, self.reshape(w, kernel), _with(axes, place, Axis(1)), 1)

    def _flat_batch(self, x: Node, w: Node, axes: tuple[Axis, ...], groups: int) -> Node:
        batch = x.rank - 1 - len(axes)
        shape: Any = x.shape
        flat = self.reshape(x, (prod(shape[:batch]), *shape[batch:]))
        y: Any = make("conv", flat, w, face="y", axes=axes, groups=groups, sizes=flat.shape[1:-1])
        return self.reshape(y, (*shape[:batch], *y.shape[1:]))


def _inputs(nodes: Sequence[Node]) -> list[tuple[Node, ...]]:
    return [node.inputs for node in nodes]


_SIDES = ("low", "high", "interior")


def _plus(left: Sequence[int], right: Sequence[int]) -> Shape:
    return tuple(x + y for x, y in zip(left, right, strict=True))


def _with(axes: tuple[Axis, ...], place: int, axis: Axis) -> tuple[Axis, ...]:
    return (*axes[:place], axis, *axes[place + 1 :])
