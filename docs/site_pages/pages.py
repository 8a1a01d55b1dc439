"""Writing of generated pages: Markdown tables, and files that are touched only where their text changes."""

from collections.abc import Iterable, Sequence
from pathlib import Path

MADE = "% Made when the site is built, by docs/site_pages. Do not edit.\n\n"


def write_page(path: Path, text: str) -> None:
    """Write a page if it is not there with this text: Sphinx reads changed files again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != MADE + text:
        path.write_text(MADE + text, encoding="utf-8")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""A Markdown table.

    >>> print(table(["a"], [["1 | 2"]]))
    | a |
    |---|
    | 1 \| 2 |
    """
    lines = [header, *rows]
    cells = ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines]
    return "\n".join([cells[0], "|" + "---|" * len(header), *cells[1:]])


def code(text: str) -> str:
    """Text as code in a cell; nothing stays nothing.

    >>> code("mm3"), code("")
    ('`mm3`', '')
    """
    return f"`{text}`" if text else ""
