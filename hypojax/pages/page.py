"""A page to read as plain data, and its two forms: HTML in one file that needs nothing else, and Markdown.

Rooms that report something (evaluation, monitoring) make a `Page` of text; how it looks is in ``templates``, once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isinf, isnan
from typing import Literal

from hypojax.pages.rendering import render_page
from hypojax.tables.writer import markdown_table, markdown_text

Emphasis = Literal["", "strong", "faint"]


@dataclass(frozen=True)
class Heading:
    """A heading below the title."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; ``strong`` ones carry the result."""

    text: str
    strong: bool = False


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: Sequence[str]


@dataclass(frozen=True)
class Figure:
    """A drawing as SVG.

    Parameters
    ----------
    svg
        The drawing itself, for HTML.
    file
        Where it also lies, seen from the page: what Markdown shows, which leaves out a drawing that lies nowhere.
    caption
        What it shows.
    """

    svg: str
    file: str = ""
    caption: str = ""


@dataclass(frozen=True)
class TextTable:
    """A table of text.

    Parameters
    ----------
    header
        Names of its columns.
    rows
        Their cells.
    title
        What it shows, for a heading above it.
    emphasis
        How each row is shown; all alike when empty.
    words
        Whether cells are sentences and not numbers.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    emphasis: Sequence[Emphasis] = ()
    words: bool = False


Block = Heading | Paragraph | Bullets | Figure | TextTable


@dataclass(frozen=True)
class Page:
    """A page: its title and its blocks in reading order."""

    title: str
    blocks: Sequence[Block]


def html(page: Page) -> str:
    """The page as one HTML file; everything but figures is escaped.

    >>> "<p>a &lt; b</p>" in html(Page("Title", [Paragraph("a < b")]))
    True
    """
    blocks = [(type(block).__name__, block) for block in page.blocks]
    return render_page("page.html", {"page": page, "blocks": blocks})


def markdown(page: Page) -> str:
    r"""The page as Markdown, without figures that lie in no file; text from files cannot become markup.

    >>> markdown(Page("Title", [Paragraph("moved", strong=True), Bullets(["a|b"])]))
    '# Title\n\n**moved**\n\n- a\\|b\n'
    """
    parts = [f"# {markdown_text(page.title)}", *(text for block in page.blocks if (text := _block(block)))]
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> str:
    match block:
        case Heading(text):
            return f"## {markdown_text(text)}"
        case Paragraph(text, strong):
            return f"**{markdown_text(text)}**" if strong else markdown_text(text)
        case Bullets(items):
            return "\n".join(f"- {markdown_text(item)}" for item in items)
        case TextTable(header, rows):
            return "\n".join(markdown_table([header, *rows]))
        case Figure(_, file, caption):
            return f"![{markdown_text(caption)}]({file})" if file else ""


def number(value: float, digits: int = 3) -> str:
    """A number for people.

    >>> number(0.91249), number(float("nan")), number(float("inf")), number(-1234.5, 0)
    ('0.912', '–', '∞', '-1,234')
    """
    if isnan(value):
        return "–"
    return ("-" if value < 0 else "") + "∞" if isinf(value) else f"{value:,.{digits}f}"


def per_cent(value: float, *, digits: int = 1) -> str:
    """A share in per cent.

    >>> per_cent(0.041)
    '4.1 %'
    """
    return f"{100 * value:.{digits}f} %".replace("-", "−")
