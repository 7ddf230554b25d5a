"""`forms` and `rewrite`: the equal forms of a layer, and a layer or model in a form by name."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from isoconv import spec
from isoconv.conversion.chain import Shape
from isoconv.conversion.describe import bytes_of, describe, multiply_adds_of
from isoconv.conversion.models import converted, merged
from isoconv.conversion.rule import LayerRule
from isoconv.conversion.rules import ALL
from isoconv.conversion.search import Found, reachable
from isoconv.errors import ArgumentError, explain
from isoconv.layers import __all__ as class_names
from isoconv.layers.base import Layer
from isoconv.layers.input import Input
from isoconv.models.model import Model
from isoconv.rewriting.equations import Numeric

_REWRITE_DEPTH = 3


@dataclass(frozen=True)
class Form:
    """A layer in one of its equal forms.

    name: its layers in words. rules: what led to it, in order; each knows its row, title, condition
    and numeric class. params: the numbers in its weights. macs: multiply-adds for one sample.
    bytes: of its weights and of what its layers give for one sample. (None where a length is
    unknown.) drawn: the model, whose weights take no memory before `model` is asked for.
    """

    name: str
    rules: tuple[LayerRule, ...]
    params: int
    macs: int | None
    bytes: int | None
    drawn: Model = field(repr=False)
    found: Found = field(repr=False)

    @property
    def numeric(self) -> Numeric:
        """The class of its least exact rule; "exact" for the same sums."""
        folds = any(rule.numeric != "exact" for rule in self.rules)
        return "folding" if folds else "exact"

    @property
    def model(self) -> Model:
        """The model with the weights that the layer has when this is first asked for."""
        self.found.fill()
        return self.drawn


def forms(layer: Layer | str, input_shape: Any, depth: int = 2) -> list[Form]:
    """The forms in which a layer is the same function, the layer itself first.

    Args:
        layer: any layer, or a spec such as "Conv1D(64, 3)"; its weights are carried over, and its
            initializers, regularizers and constraints are not. It is built if it is not yet.
        input_shape: without the batch; None for an unknown length.
        depth: the rules in a row that may lead to a form.

    The nearest forms come first. Nothing but shapes is computed before a form's `model` is asked
    for. Raises ArgumentError for what is no layer, no shape or no depth.
    """
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 0:
        raise ArgumentError(explain("forms: depth", repr(depth), "an integer of at least 0"))
    given = _named(layer, "forms")
    shape = _shape(given, input_shape, "forms")
    found = reachable([given], shape, depth)
    return [_form(each, shape, given) for each in found]


def rewrite(layer_or_model: Layer | str, to: str, input_shape: Any = None) -> Model:
    """A layer or model in another form, as a Model with its weights; `.rules` says by which rules.

    Args:
        layer_or_model: in a model, every layer is rewritten that can be. Or the spec of a layer.
        to: the class of a layer ("Conv2D", "Dense", ...) or a word for a form: "depthwise",
            "separable", "grouped", "split", "channels_first", "channels_last", "valid" (explicit
            padding), "undilated", "unstrided", "patches", "toeplitz", "frames", "block diagonal",
            "space to batch", "space to depth", "depth to space", "zeros between", "look-ups"; and
            "merged": layers in a row or side by side as one (BatchNormalization in inference).
        input_shape: without the batch, for a layer that was not built.

    Raises ArgumentError where no way is known, with the conditions of the rules that lead there.
    """
    given = _named(layer_or_model, "rewrite")
    if not isinstance(given, Layer):
        raise ArgumentError(explain("rewrite", repr(given), "a layer, a model or a spec"))
    word = _known_word(to)
    if isinstance(given, Model):
        model = given
        if model.network is None and input_shape is not None:
            model.build((None, *input_shape))
        model.drawn_network()
        result = merged(model) if word == "merged" else converted(model, partial(_to, word=word))
        if result is None:
            raise _no_way(f"any layer of {model.name}", word, to)
        return result
    shape = _shape(given, input_shape, "rewrite")
    found = _to(given, shape, word)
    if found is None:
        raise _no_way(describe(given), word, to)
    return _form(found, shape, given).model


def _to(layer: Layer, shape: Shape, word: str) -> Found | None:
    """The nearest chain that is of the form wanted."""
    for found in reachable([layer], shape, _REWRITE_DEPTH):
        if found.rules and _is_form(found, word, layer):
            return found
    return None


def _is_form(found: Found, word: str, given: Layer) -> bool:
    names = {type(each).__name__.lower() for each in found.plan}
    if word in names and type(given).__name__.lower() not in names:
        return True
    return found.rules[-1].to == word


def _known_word(to: Any) -> str:
    words = {rule.to for rule in ALL} | {name.lower() for name in class_names}
    word = to.lower().replace("_", " ") if isinstance(to, str) else ""
    for known in (word, word.replace(" ", "_")):
        if known in words:
            return known
    near = difflib.get_close_matches(word, sorted(words), 3)
    remedy = f"The nearest: {', '.join(near)}." if near else ""
    expected = f"a class of layer, or one of: {'; '.join(sorted({r.to for r in ALL}))}"
    raise ArgumentError(explain("rewrite: to", repr(to), expected, remedy))


def _no_way(shown: str, word: str, to: str) -> ArgumentError:
    """What to say where no chain of rules ends at the form wanted."""
    fitting = [
        rule for rule in ALL if rule.to == word or word in rule.after.lower().replace(" ", "")
    ]
    near = "; ".join(
        dict.fromkeys(f"{rule.title} (row {rule.number}: {rule.condition})" for rule in fitting)
    )
    remedy = f"The nearest: {near}." if near else ""
    return ArgumentError(f"rewrite: no known way from {shown} to {to}. {remedy}".rstrip())


def _named(given: Any, where: str) -> Any:
    """The one layer of a spec; anything else as it is."""
    if not isinstance(given, str):
        return given
    found = spec.layers(given)
    if len(found) > 1:
        remedy = "Ask for each by itself, or give a chain as a model to isoconv.rewrite."
        raise ArgumentError(explain(f"{where}: spec", f"{len(found)} layers", "one", remedy))
    return found[0]


def _shape(layer: Any, input_shape: Any, where: str) -> Shape:
    """The input's shape without the batch; the layer is built for it."""
    if not isinstance(layer, Layer):
        raise ArgumentError(explain(f"{where}: layer", repr(layer), "a layer"))
    if input_shape is None and layer.built and "input_shape" in layer.build_shapes:
        input_shape = layer.build_shapes["input_shape"][1:]
    if not isinstance(input_shape, list | tuple):
        expected = "the shape of one input without the batch, such as (600, 300)"
        raise ArgumentError(explain(f"{where}: input_shape", repr(input_shape), expected))
    shape = tuple(input_shape)
    if not layer.built:
        layer.build((None, *shape))
    layer.compute_output_shape((None, *shape))
    return shape


def _form(found: Found, shape: Shape, layer: Layer) -> Form:
    given = x = Input(shape, dtype=layer.input_dtype)
    for each in found.plan:
        x = each(x)
    model = Model(given, x)
    model.rules = found.rules
    params = sum(weight.size for weight in model.weights)
    counts = (params, multiply_adds_of(model), bytes_of(model))
    return Form(found.name, found.rules, *counts, model, found)
