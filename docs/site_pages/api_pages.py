"""Pages of the library: a page a public room, made of the docstrings of its public names."""

import inspect
import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

from site_pages.pages import write_page

FIRST = "hypojax"
EXAMPLE = re.compile(r"^>>> .*(?:\n(?!\n).*)*", re.MULTILINE)


def write(folder: Path) -> None:
    """Write a page for `hypojax` and one for each of its public rooms, and the page that lists them."""
    package = import_module(FIRST)
    rooms = {name: found for name in package.__all__ if inspect.ismodule(found := getattr(package, name))}
    pages = {FIRST: package, **{f"{FIRST}.{name}": room for name, room in rooms.items()}}
    for name, room in pages.items():
        write_page(folder / f"{name}.md", page(name, room))
    listed = "\n".join(f"api/{name}" for name in pages)
    text = f"(api)=\n# API\n\nPublic names, from their docstrings.\n\n```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n"
    write_page(folder.parent / "api.md", text)


def page(name: str, room: ModuleType) -> str:
    """The page of a room: its docstring, a table of its names, then each name that `hypojax` itself does not have."""
    public = [one for one in getattr(room, "__all__", ()) if not one.startswith("_") and not inspect.ismodule(getattr(room, one))]
    own = [one for one in public if name == FIRST or getattr(import_module(FIRST), one, None) is not getattr(room, one)]
    summary = [f".. currentmodule:: {name}", "", ".. autosummary::", "   :nosignatures:", "", *(f"   {one}" for one in own)]
    described = [line for one in own for line in (f".. {_directive(getattr(room, one))}:: {name}.{one}", *_options(getattr(room, one)), "")]
    parts = [f"# {name}", room_docstring(room), _rst(summary), _elsewhere(public, own), _rst(described)]
    return "\n\n".join(filter(None, parts)) + "\n"


def room_docstring(room: ModuleType) -> str:
    """The docstring of a room as Markdown, in which such docstrings have their tables; examples become code."""
    text = re.sub(r"``(.+?)``", r"`\1`", inspect.cleandoc(str(room.__doc__))).replace("::\n", ":\n")
    text = re.sub(r"^(\w+)\n-+\n", r"**\1**\n\n", text, flags=re.MULTILINE)
    return EXAMPLE.sub(lambda found: f"```pycon\n{found[0].rstrip()}\n```\n", text).replace("  # doctest: +SKIP", "")


def _elsewhere(public: Sequence[str], own: Sequence[str]) -> str:
    """Names of a room that stand on the page of `hypojax`."""
    shared = [one for one in public if one not in own]
    return "Also here: " + ", ".join(f"{{py:obj}}`hypojax.{one}`" for one in shared) + "." if shared else ""


def _rst(lines: Sequence[str]) -> str:
    """A block of directives."""
    return "```{eval-rst}\n" + "\n".join(lines).rstrip() + "\n```"


def _directive(value: object) -> str:
    """How a name is documented."""
    if inspect.isclass(value):
        return "autoexception" if issubclass(value, BaseException) else "autoclass"
    return "autofunction" if callable(value) else "autodata"


def _options(value: object) -> list[str]:
    """Classes show their public methods."""
    return ["   :members:"] if inspect.isclass(value) else []
