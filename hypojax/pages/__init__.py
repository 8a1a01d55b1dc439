"""Pages and figures to read: a page is a list of blocks, written as one HTML file or as Markdown."""

from hypojax.pages.figures import interval_figure
from hypojax.pages.page import Bullets, Figure, Heading, Page, Paragraph, TextTable, html, markdown, number, per_cent

__all__ = [
    "Bullets",
    "Figure",
    "Heading",
    "Page",
    "Paragraph",
    "TextTable",
    "html",
    "interval_figure",
    "markdown",
    "number",
    "per_cent",
]
