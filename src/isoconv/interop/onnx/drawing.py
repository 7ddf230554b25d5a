"""What ONNX graphs are drawn into: layers and calls with unique names, traced as they are drawn."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from isoconv import dtypes
from isoconv.errors import DtypeError, explain
from isoconv.interop.onnx.site import Array, Drawn, Site, check_size
from isoconv.ir.sizes import Dim, Size, name, names, substitute
from isoconv.layers import Input, Parameter, WithSizes
from isoconv.ops import tree
from isoconv.ops.dispatch import FUNCTIONS, draw_again
from isoconv.ops.recorder import Recorder, record_into
from isoconv.ops.tensor import Tensor
from isoconv.ops.variable import Variable


class Sketch:
    """A model being drawn.

    inputs: its inputs. learned: the names of constants that training may change where they become
    weights by themselves; others are numbers of the program. weights: of each variable that was
    given a value, the name in the file, the variable, and the transposition between them.
    """

    def __init__(self) -> None:
        self.inputs: list[Drawn] = []
        self.weights: list[tuple[str, Variable, tuple[int, ...] | None]] = []
        self.learned: set[str] = set()
        self._recorder = Recorder()
        self._taken: set[str] = set()
        self._used: Counter[str] = Counter()
        self._parameters: dict[str, Drawn] = {}
        self._dimensions: dict[str, Size] = {}

    def input(self, label: str, shape: Sequence[int | str | None], dtype: str) -> Drawn:
        """A new input; sizes of one name are the same."""
        number = len(self.inputs)
        sizes: tuple[int | None, ...] = tuple(s if isinstance(s, int) else None for s in shape)
        drawn = Input(batch_shape=sizes, dtype=dtype, name=self.unique(label))
        dims: list[Dim] = []
        for axis, (size, given) in enumerate(zip(sizes, shape, strict=True)):
            own = name(f"x{number}_{axis}")
            known = self._dimensions.setdefault(given, own) if isinstance(given, str) else own
            dims.append(known if size is None else size)
        check_size(dims, f"input {label!r}")
        node = self._recorder.argument(f"x{number}", tuple(dims), dtype)
        self.inputs.append(Drawn(drawn, Tensor(node)))
        return self.inputs[-1]

    def unique(self, wanted: str) -> str:
        """A name that a layer may have, not used yet: "/block/conv/Conv" becomes "block.conv"."""
        parts = [part for part in re.split(r"[/;:]+", wanted) if part]
        base = re.sub(r"[^\w.\-]+", "_", ".".join(dict.fromkeys(parts))) or "node"
        label = base
        while label in self._taken:
            self._used[base] += 1
            label = f"{base}_{self._used[base]}"
        self._taken.add(label)
        return label

    # -- weights -------------------------------------------------------------------------------

    def parameter(self, value: Array, label: str, site: Site) -> Drawn:
        """A constant as a weight by itself; one for each name."""
        if label and label in self._parameters:
            return self._parameters[label]
        if value.dtype.name not in dtypes.ALL:
            wanted = f"a constant of {', '.join(dtypes.ALL)}"
            raise DtypeError(explain(site.label, value.dtype, wanted))
        named = replace(site, name=label or f"{site.name}.constant")
        found: Drawn = self.layer(
            named,
            Parameter,
            self.inputs[:1],
            {"value": (value, label, None)},
            "",
            {
                "shape": value.shape,
                "dtype": value.dtype.name,
                "trainable": label in self.learned,
            },
        )
        if label:
            self._parameters[label] = found
        return found

    def layer(
        self,
        site: Site,
        make: Any,
        inputs: Sequence[Drawn],
        weights: Mapping[str, Any],
        suffix: str,
        arguments: Mapping[str, Any],
    ) -> Any:
        """Draws `make(**arguments)` on the inputs; see Site.layer."""
        options = {"dtype": inputs[0].dtype, **arguments}
        if not dtypes.is_float(options["dtype"]) and make is not Parameter:
            options["dtype"] = "float32"
        layer = make(name=self.unique(site.name + suffix), **options)
        given = [each.drawn for each in inputs]
        drawn = layer(given[0] if len(given) == 1 else given)
        for attribute, entry in weights.items():
            value, label, turned = entry if isinstance(entry, tuple) else (entry, "", None)
            variable = getattr(layer, attribute)
            variable.assign(np.asarray(value))
            self.weights.append((label, variable, turned))
        traced = [each.traced for each in inputs]
        return self._pair(drawn, layer, (traced[0] if len(traced) == 1 else traced,), {}, site)

    # -- calls ---------------------------------------------------------------------------------

    def call(
        self, site: Site, function: str, args: Sequence[Any], kwargs: Any, tensors: int
    ) -> Any:
        """Draws a call of a function of isoconv.ops; see Site.call."""
        if any(isinstance(leaf, Size) for leaf in _sizes_in(kwargs)):
            return self._with_sizes(site, function, list(args), kwargs, tensors)
        label = self.unique(site.name)
        drawn = draw_again(function, label, tree.transform(_as_drawn, tuple(args)), kwargs)
        traced = tree.transform(_as_traced, tuple(args))
        return self._pair(drawn, FUNCTIONS[function], traced, kwargs, site)

    def _with_sizes(
        self, site: Site, function: str, args: list[Drawn], options: Any, tensors: int
    ) -> Any:
        """The call as a layer that is told where the sizes come from: from the tensors themselves
        where they have them, else from the model's inputs.
        """
        near = {
            dim: name(f"x{number}_{axis}")
            for number, tensor in enumerate(args)
            for axis, dim in enumerate(tensor.dims)
            if isinstance(dim, Size)
        }
        far: dict[str, Dim] = {}
        needed = set[str]()
        for leaf in _sizes_in(options):
            if isinstance(leaf, Size) and leaf not in near:
                needed |= names(leaf)
        inputs = list(args)
        for label in sorted(needed):
            source, axis = self._source(label)
            if all(source is not each for each in inputs):
                inputs.append(source)
            place = next(i for i, each in enumerate(inputs) if each is source)
            far[label] = name(f"x{place}_{axis}")
        if not inputs:
            inputs = self.inputs[:1]

        def written(value: Any) -> Any:
            if isinstance(value, slice):
                return {"slice": [written(v) for v in (value.start, value.stop, value.step)]}
            if not isinstance(value, Size):
                return value
            return {"size": str(near.get(value) or substitute(value, far))}

        said = {key: tree.transform(written, _lists(value)) for key, value in options.items()}
        arguments = {"function": function, "options": said, "tensors": min(len(args), tensors)}
        return self.layer(site, WithSizes, inputs, {}, "", arguments)

    def _source(self, label: str) -> tuple[Drawn, int]:
        """The input and its axis that a size is that of."""
        size = name(label)
        return next((each, each.dims.index(size)) for each in self.inputs if size in each.dims)

    def _pair(self, drawn: Any, function: Any, args: Any, kwargs: Any, site: Site) -> Any:
        with record_into(self._recorder):
            traced = function(*args, **kwargs)
        pairs = [Drawn(*each) for each in zip(tree.leaves(drawn), tree.leaves(traced), strict=True)]
        for each in pairs:
            check_size(each.dims, site.label)
        return pairs if isinstance(drawn, list | tuple) else pairs[0]


def _as_drawn(leaf: Any) -> Any:
    return leaf.drawn if isinstance(leaf, Drawn) else leaf


def _as_traced(leaf: Any) -> Any:
    return leaf.traced if isinstance(leaf, Drawn) else leaf


def _lists(value: Any) -> Any:
    return [_lists(each) for each in value] if isinstance(value, list | tuple) else value


def _sizes_in(value: Any) -> list[Any]:
    """All leaves of options, those within slices too."""
    found: list[Any] = []
    for leaf in tree.leaves(value):
        found += [leaf.start, leaf.stop, leaf.step] if isinstance(leaf, slice) else [leaf]
    return found
