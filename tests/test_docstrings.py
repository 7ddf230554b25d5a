"""Every argument of what users call is named where it is documented."""

import importlib
import inspect
import re
import sys

import pytest

import isoconv

MODULES = [*isoconv._MODULES.values(), "isoconv.torch.nn", "isoconv.compat.tf1"]
MODULES += ["isoconv.compat.tf1.layers", "isoconv.utils.conv_utils", "isoconv.interop.torch"]
# Of these the methods too: users call them and write their own.
BASES = [
    *(isoconv.Layer, isoconv.Model, isoconv.Sequential, isoconv.Variable),
    *(isoconv.losses.Loss, isoconv.metrics.Metric, isoconv.optimizers.Optimizer),
    *(isoconv.callbacks.Callback, isoconv.initializers.Initializer, isoconv.layers.Dense),
    *(isoconv.regularizers.Regularizer, isoconv.constraints.Constraint),
]


def told(thing, owner=None):
    """The docstrings that speak of it: its own and its module's, those of the classes it comes
    from, PyTorch's too.
    """
    classes = owner.__mro__ if owner else thing.__mro__ if inspect.isclass(thing) else ()
    places = [thing, type(thing).__call__, sys.modules[thing.__module__], *classes]
    places += [vars(each).get(getattr(thing, "__name__", None)) for each in classes]
    return "\n".join(getattr(each, "__doc__", None) or "" for each in places)


def unnamed(thing, owner=None):
    named = told(thing, owner)
    if inspect.isclass(thing) and (
        thing.__init__ is object.__init__ or issubclass(thing, Exception)
    ):
        return []
    given = inspect.signature(thing).parameters.values()
    asked = [
        each.name for each in given if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)
    ]
    own = [name for name in asked if name not in ("self", "cls") and not name.startswith("_")]
    return [name for name in own if not re.search(rf"\b{name}\b", named)]


def functions():
    for module in map(importlib.import_module, MODULES):
        for name in getattr(module, "__all__", None) or vars(module):
            thing = getattr(module, name)
            place = getattr(thing, "__module__", None) or ""
            if not name.startswith("_") and callable(thing) and place.startswith("isoconv"):
                yield f"{module.__name__}.{name}", thing, None
    for name in isoconv._NAMES:
        yield f"isoconv.{name}", getattr(isoconv, name), None


def methods():
    for owner in BASES:
        for base in owner.__mro__:
            for name, found in vars(base).items() if "isoconv" in base.__module__ else ():
                method = getattr(found, "__func__", found)
                if not name.startswith("_") and inspect.isfunction(method):
                    yield f"{base.__module__}.{base.__name__}.{name}", method, owner


@pytest.mark.parametrize("listed", [functions, methods])
def test_docstrings_name_every_argument(listed):
    missing = {name: unnamed(thing, owner) for name, thing, owner in listed()}
    assert {name: arguments for name, arguments in missing.items() if arguments} == {}


def test_a_missing_name_is_seen():
    def function(first, second=0):
        """Takes first."""

    assert unnamed(function) == ["second"]
