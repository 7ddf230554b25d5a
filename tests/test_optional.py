"""An optional package is imported, or the error says what to install."""

import math

import pytest

from isoconv import optional
from isoconv.errors import MissingPackageError
from isoconv.optional import require


def test_installed_module_is_returned():
    assert require("math", "plot") is math


@pytest.mark.parametrize("module", ["no_such_package", "no_such_package.part"])
def test_missing_package_names_the_extra(module):
    with pytest.raises(MissingPackageError, match=r"pip install 'isoconv\[plot\]'") as caught:
        require(module, "plot")
    assert caught.value.name == "no_such_package"


def test_keras_without_all_that_it_runs_on_is_told(monkeypatch):
    monkeypatch.setattr(optional, "find_spec", lambda name: name == "keras" or None)
    with pytest.raises(MissingPackageError, match=r"none of jax, torch, tensorflow.*isoconv\[x\]"):
        optional.keras("x")


def test_what_an_installed_package_lacks_is_its_own_error(tmp_path, monkeypatch):
    (tmp_path / "half_installed.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency") as caught:
        require("half_installed", "plot")
    assert not isinstance(caught.value, MissingPackageError)
