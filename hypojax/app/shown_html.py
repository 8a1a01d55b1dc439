"""HTML of the tabs: tables, sentences and numbers; every text is escaped."""

from collections.abc import Iterable, Sequence
from math import isfinite

from markupsafe import Markup, escape

THIN = "\N{NARROW NO-BREAK SPACE}"
"""Between thousands: a comma or point there would be the decimal sign of another language."""


def number_text(value: float, digits: int = 0, *, language: str = "en") -> str:
    """A number as the reader of a language writes it; a dash where it is missing.

    >>> number_text(12345.25, 1), number_text(12345.25, 1, language="de"), number_text(float("nan"))
    ('12\u202f345.2', '12\u202f345,2', '–')
    """
    if not isfinite(value):
        return "–"
    text = f"{value:,.{digits}f}".replace("-", "−")
    return text.replace(",", THIN).replace(".", "," if language == "de" else ".")


def sentences_html(sentences: Iterable[str], *, lang: str = "") -> Markup:
    """Sentences as paragraphs."""
    return Markup("").join(Markup("<p{}>{}</p>").format(_spoken(lang), sentence) for sentence in sentences)


def heading_html(text: str) -> Markup:
    """Heading of a part of a tab."""
    return Markup("<h3>{}</h3>").format(text)


def list_html(sentences: Iterable[str], *, lang: str = "") -> Markup:
    """Sentences as a list; nothing where there are none."""
    items = Markup("").join(Markup("<li>{}</li>").format(sentence) for sentence in sentences)
    return Markup("<ul{}>{}</ul>").format(_spoken(lang), items) if items else items


def table_html(caption: str, header: Sequence[str], rows: Iterable[Sequence[object]], *, name: str) -> Markup:
    """A table that scrolls sideways where it is too wide; the first cell of a row is its head. Cells that are `Markup` stay as they are."""
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(cell) for cell in header)
    body = Markup("").join(_row(row) for row in rows)
    parts = Markup('<div class="scroll" tabindex="0" role="region" aria-label="{}"><table class="numbers" id="{}"><caption>{}</caption>')
    return parts.format(caption, name, caption) + Markup("<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>").format(head, body)


def section_html(name: str, parts: Iterable[Markup], *, language: str) -> Markup:
    """Parts of a tab, in the language that they are in."""
    return Markup('<div class="shown" id="{}" lang="{}">{}</div>').format(name, language, Markup("").join(parts))


def _spoken(lang: str) -> Markup:
    """Attribute of the language of a text."""
    return Markup(' lang="{}"').format(lang) if lang else Markup("")


def _row(cells: Sequence[object]) -> Markup:
    first, *others = (escape(cell) for cell in cells)
    return Markup('<tr><th scope="row">{}</th>{}</tr>').format(
        first, Markup("").join(Markup("<td>{}</td>").format(cell) for cell in others)
    )
