"""Parts of the page as HTML: a template with texts of one language; everything that is put in is escaped."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from hypojax.app.shown_html import number_text
from hypojax.app.words import Words
from hypojax.reason import visible

if TYPE_CHECKING:
    import gradio as gr
    from jinja2 import Environment

TEMPLATES: Final = Path(__file__).parent / "templates"
"""Templates of parts; they hold no text of their own."""

CONNECT: Final = "globalThis.hypojaxApp.connect(element, trigger, watch)"
"""Script of a part whose buttons, lists and file fields send an event ``submit`` (`hypojax/app/static/app.js`)."""

QUIET_EVENT: Final[Mapping[str, Any]] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
"""Options of every event of the page: at once, without Gradio's own signs of waiting, and not a part of the documented API."""


def page_part(template: str, words: Words, language: str, values: Mapping[str, Any]) -> str:
    """A part of the page.

    Templates have, beside ``values``: ``t(key, **values)``, a text of the language; ``number(value, digits)``; ``language``.

    Parameters
    ----------
    template
        Name of a file in `TEMPLATES`.
    words
        All texts.
    language
        Code of the language.
    values
        What is put in; text is escaped.

    Returns
    -------
    HTML.
    """
    functions = {"t": partial(_text, words, language), "number": partial(number_text, language=language), "language": language}
    return _environment().get_template(template).render({**values, **functions})


def live_part(name: str) -> "gr.HTML":
    """A place of the page for parts that the server fills, whose controls send events, and whose news are read aloud."""
    import gradio as gr

    return gr.HTML(elem_id=name, elem_classes="house", apply_default_css=False, js_on_load=CONNECT, padding=False)


def on_open(fill: Callable[..., Any], outputs: "Sequence[gr.components.Component]", known: "gr.State | None" = None) -> None:
    """Fill the tab that is being built whenever the page is loaded or the tab is opened; ``known`` is what the page keeps for ``fill``."""
    import gradio as gr
    from gradio.context import Context

    page, tab = Context.root_block, Context.block
    if page is None or not isinstance(tab, gr.Tab):
        raise RuntimeError("a tab is filled while it is being built")
    gr.on([page.load, tab.select], fill, known, list(outputs), **QUIET_EVENT)


def pointed(request: "gr.Request | None", what: str) -> str:
    """What the tab that opens is to show, as a button of another tab says in a cookie; a stranger may say anything."""
    return "" if request is None else unquote(str(request.cookies.get(f"hypojax-{what}") or ""))


def sent(event: "gr.EventData", name: str) -> object:
    """What a part sent under a name; None where there is no such thing. A stranger may send anything."""
    data = event._data
    return data.get(name) if isinstance(data, dict) else None


def _text(words: Words, language: str, key: str, **values: object) -> str:
    return words.text(key, language, **values)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=lambda value: visible(value, keep="\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\n") if type(value) is str else value,
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
