"""The package itself: public names load when they are used, and rooms of the same name do not hide them."""

import importlib
import subprocess
import sys
from importlib import metadata

import pytest

import hypojax


@pytest.mark.parametrize("name", sorted(hypojax.__all__))
def test_every_public_name_is_there_and_explains_itself(name: str) -> None:
    assert getattr(hypojax, name).__doc__


def test_functions_keep_their_names_beside_rooms_of_the_same_name() -> None:
    rooms = [importlib.import_module(f"hypojax.{name}") for name in ("segment", "preprocess")]
    assert callable(hypojax.segment)
    assert callable(hypojax.preprocess)
    assert hasattr(rooms[0], "Segmenter")


def test_import_loads_nothing() -> None:
    code = "import hypojax, sys; print(sorted(name for name in sys.modules if name.startswith(('hypojax.', 'numpy', 'jax', 'xarray'))))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_version_and_names() -> None:
    assert hypojax.__version__ == metadata.version("hypojax")
    assert dir(hypojax) == sorted(hypojax.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        hypojax.nonsense  # noqa: B018
