"""The package itself: public names load when they are used, and rooms of the same name do not hide them."""

import re
import subprocess
import sys
from importlib import import_module, metadata
from inspect import isfunction
from pathlib import Path

import pytest

import hypojax


@pytest.mark.parametrize("name", sorted(hypojax.__all__))
def test_every_public_name_is_there_and_explains_itself(name: str) -> None:
    assert getattr(hypojax, name).__doc__


def test_no_room_hides_a_public_function() -> None:
    rooms = {path.stem for path in Path(hypojax.__file__).parent.iterdir() if path.suffix == ".py" or path.is_dir()}
    functions = {name for name in hypojax.__all__ if callable(getattr(hypojax, name))}
    assert not rooms & functions


def test_every_name_in_the_docs_is_there_and_those_for_users_need_no_import_but_that_of_hypojax() -> None:
    """Each name, in a process that has imported nothing else; a page about the rooms names rooms too, which an import finds."""
    root = Path(__file__).parent.parent
    users = [root / "README.md", root / "docs" / "reference" / "python.md", *(root / "docs" / "how-to").glob("*.md")]
    pages = {path: path.read_text(encoding="utf-8") for path in (*users, *(root / "docs").glob("*.md"))}
    named = {page: set(re.findall(r"(?<!\.)\bhypojax(?!\.sif\b)(?:\.[A-Za-z_]\w*)+(?=[`(\s])", text)) for page, text in pages.items()}
    plain = sorted(set.union(*(named[page] for page in users)) | {f"hypojax.{name}" for name in hypojax.__all__})
    assert {"hypojax.evaluate", "hypojax.segment", "hypojax.train"} <= set(plain)
    rooms = sorted(set.union(*named.values()))
    code = "\n".join(["import pkgutil, hypojax", *plain, f"for name in {rooms}: pkgutil.resolve_name(name)"])
    subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)


def test_types_in_public_signatures_are_public() -> None:
    """Those of hypojax; each is to be had from `hypojax` or from the room that holds it."""
    public = {getattr(hypojax, name) for name in hypojax.__all__ if isinstance(getattr(hypojax, name), type)}
    rooms = [
        import_module(f"hypojax.{room}")
        for room in ("execute", "evaluation", "monitoring", "reporting.report_run", "scans.in_memory", "store", "training")
    ]
    public |= {getattr(room, name) for room in rooms for name in getattr(room, "__all__", ()) if isinstance(getattr(room, name), type)}
    functions = [getattr(hypojax, name) for name in hypojax.__all__ if isfunction(getattr(hypojax, name))]
    assert len(functions) > 10
    missing = {
        f"{function.__name__}: {word}"
        for function in functions
        for annotation in (*function.__annotations__.values(),)
        for word in re.findall(r"hypojax\.[\w.]+\.(\w+)", str(annotation))
        if word not in {kind.__name__ for kind in public} | {"ObjectPath", "FencedPath", "VoxelArray"}
    }
    assert not missing


WRONG = """
import numpy as np, hypojax
from hypojax import execute
from hypojax.settings import RunSettings
from hypojax.evaluation import compare
takes = {
    "one path or URL, or several": lambda: hypojax.run(3, "out"),
    "a place is a path": lambda: hypojax.run([b"in"], "out"),
    "not NoneType": lambda: execute.ingest("in", None),
    "several in a list, not dict": lambda: execute.plan({"in": 1}),
    "or a URL (s3://bucket/key), not float": lambda: hypojax.open_cohort(1.5),
    "a place is a path (text": lambda: hypojax.Segmenter.load(["a"]),
    "weights is a folder": lambda: RunSettings(weights=3),
    "a nibabel image, a DataArray": lambda: hypojax.segment(["a.nii", "b.nii"]),
    "matrix of 4 × 4 numbers": lambda: hypojax.segment(np.ones((3, 3, 3)), affine="straight"),
    "a nibabel image, a DataArray, a Dataset": lambda: hypojax.preprocess(3),
    "not ndarray": lambda: compare(np.ones(3), "reference"),
    "not list": lambda: hypojax.drift(["a"]),
}
for sentence, call in takes.items():
    try:
        call()
    except TypeError as error:
        assert isinstance(error, hypojax.RunError) and sentence in str(error), (sentence, error)
    else:
        raise AssertionError(sentence)
"""
"""In a process of its own: under pytest, jaxtyping would refuse the types first."""


def test_what_a_function_does_not_take_is_refused_in_a_sentence_that_says_what_it_takes() -> None:
    subprocess.run([sys.executable, "-c", WRONG], check=True)


def test_import_loads_nothing() -> None:
    code = "import hypojax, sys; print(sorted(name for name in sys.modules if name.startswith(('hypojax.', 'numpy', 'jax', 'xarray'))))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_version_and_names() -> None:
    assert hypojax.__version__ == metadata.version("hypojax")
    assert dir(hypojax) == sorted(hypojax.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        hypojax.nonsense  # noqa: B018
