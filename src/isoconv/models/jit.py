"""A model as one compiled function of arrays, for who calls it again and again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from isoconv.changes import epoch, stamp
from isoconv.errors import ArgumentError, explain
from isoconv.layers.base import Layer
from isoconv.models.model import Model
from isoconv.ops import tree
from isoconv.ops.compiled import Compiled, is_array
from isoconv.ops.convert import as_array
from isoconv.ops.ready import ReadyCalls
from isoconv.rewriting.approximate import Numerics
from isoconv.rewriting.rule import Step


def jit(
    model: Layer,
    *,
    rewrite: bool = True,
    numerics: Any = None,
    threads: int | None = None,
) -> Jitted:
    """The model, or a layer, as a function `(*x, out=None)` of arrays.

    Its weights stay live: what `assign` and `fit` change is seen by the next call. A new batch size
    or length compiles nothing.

    Args:
        model: a model or layer.
        rewrite: whether weights may be computed with beforehand, which changes rounding: scales
            of BatchNormalization, branches, products of kernels, tables of words. Without, the
            bits are those of `model(x)`.
        numerics: what error convolutions may have beyond that of rounding one sum after the
            other, so that they may take fewer operations; exact sums if left out. What was done
            with it is told by the function's `approximations`.
        threads: how many threads a call may use; all that `ISOCONV_THREADS` allows if left out.
            Their number changes no bit.
    """
    if not isinstance(model, Layer):
        raise ArgumentError(explain("jit: model", repr(model), "a model or a layer"))
    if not isinstance(rewrite, bool):
        raise ArgumentError(explain("jit: rewrite", repr(rewrite), "a bool"))
    if numerics is not None and not isinstance(numerics, Numerics):
        remedy = "Write isoconv.Numerics(rtol=1e-5)."
        raise ArgumentError(explain("jit: numerics", repr(numerics), "None or Numerics", remedy))
    if numerics is not None and not rewrite:
        remedy = "Leave one of them out: without rewriting, all sums are exact."
        raise ArgumentError(explain("jit: numerics", "rewrite=False", "rewrite=True", remedy))
    if threads is not None and (
        isinstance(threads, bool) or not isinstance(threads, int | np.integer) or threads < 1
    ):
        raise ArgumentError(explain("jit: threads", repr(threads), "an integer of at least 1"))
    return Jitted(model, rewrite, numerics, None if threads is None else int(threads))


class Jitted:
    """What `jit` gives."""

    def __init__(
        self, model: Layer, rewrite: bool, numerics: Numerics | None, threads: int | None
    ) -> None:
        self.model = model
        self._compiled = Compiled(
            model,
            model.runtime_axes_of,
            threads=threads,
            folding=rewrite,
            numerics=numerics,
        )
        self._ready = ReadyCalls()

    @property
    def approximations(self) -> tuple[Step, ...]:
        """What was done within the tolerance, in the programs compiled so far: of each convolution
        the layer (`where`), the scheme (`rule.title`) and the bound of its error (`bound`), as
        `Numerics` has it.
        """
        steps = (step for program in self._compiled.programs for step in program.steps)
        return tuple(step for step in steps if step.rule.numeric == "approximate")

    def __call__(self, *x: Any, out: Any = None) -> Any:
        """The outputs for one batch.

        x: an array an input. out: an array, or a list or dict of them, that the outputs are
        written to, of their shapes and dtypes; new ones are made if it is left out.
        """
        if out is None:
            result = self._ready.again(*x)
            if result is NotImplemented:
                result = self._ready.call(x)
            if result is not NotImplemented:
                return result
        since = stamp()
        drawn = isinstance(self.model, Model) and self.model.network is not None
        args: Any = (list(x),) if drawn and len(x) > 1 else x
        args, kwargs = self.model.prepare(args, {"training": False})
        self.model.ensure_built(args, kwargs)
        arrays = [as_array(leaf) for leaf in tree.leaves(args) if is_array(leaf)]
        program = self._compiled.program(arrays, args, kwargs, key=epoch())
        if out is not None:
            return program(arrays, out=self._places(out, program.trace.result))
        result = program(arrays)
        self._ready.keep(since, x, arrays, program)
        return result

    def _places(self, out: Any, result: Any) -> Sequence[Any]:
        given, wanted = list(tree.leaves(out)), len(list(tree.leaves(result)))
        if len(given) != wanted or not all(isinstance(each, np.ndarray) for each in given):
            where = self.model.where("jit: out")
            raise ArgumentError(explain(where, repr(out), f"{wanted} arrays, one an output"))
        return given
