"""Templates to HTML files that ask nothing of any network: text is escaped, and only the page's own scripts run.

A page carries a Content-Security-Policy in a ``meta`` element, as it is opened from a folder. Scripts in the page are
allowed by the SHA-256 of their text, so that markup which came in by a name or a message would not run even if it was not
escaped. Chromium applies hashes and ``'self'`` to ``file://`` too. Templates write scripts by the functions here and never
as bare ``<script>`` elements, and no handlers as attributes.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup, escape

from hypojax.pages.palette import css_properties
from hypojax.reason import visible

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES: Final = Path(__file__).parent / "templates"
"""The frame of all pages (``base.html``), its style and its scripts; pages of other rooms extend it."""

_POLICY: Final = "content-security-policy-of-this-page"
"""Stands in the rendered text until all scripts of the page are known."""


KEPT: Final = "\n\t\N{NO-BREAK SPACE}"
"""Not printable to Python, and harmless."""

UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
"""Control codes, lines of their own, directions of writing, halves of characters."""


class _Verbatim(Markup):
    """The program's own scripts and styles, whose every character counts."""


class PageScripts:
    """The scripts that a page writes, and the policy that allows them and nothing else."""

    def __init__(self) -> None:
        self._sources: list[str] = []

    def inline(self, text: str) -> Markup:
        r"""A script in the page.

        Raises
        ------
        ValueError
            When the text has an end tag of a script, and would run on as markup.
        """
        text = text.replace("\r\n", "\n")
        if "</script" in text.lower() or ("<!--" in text and "<script" in text.lower()):
            raise ValueError("a script in a page must not contain '</script', or '<!--' with '<script'; write '<\\/script'")
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        self._sources.append(f"'sha256-{digest}'")
        return _Verbatim(f"<script>{text}</script>")

    def local(self, address: str) -> Markup:
        """A script in a file beside the page; ``file:`` also allows it where ``'self'`` is nothing for a page of a folder."""
        self._sources.extend(["'self'", "file:"])
        return Markup('<script src="{}"></script>').format(address)

    def policy(self, *, connect: str = "'none'", worker: bool = False) -> str:
        """The Content-Security-Policy.

        Styles may stand in the page: attributes have no hash, and bokeh writes style elements. Images are data, or files beside the page.
        """
        sources = " ".join(dict.fromkeys(self._sources)) or "'none'"
        workers = "; worker-src blob:" if worker else ""
        return (
            f"default-src 'none'; script-src {sources}; style-src 'unsafe-inline'; img-src data: blob: 'self' file:; "
            f"connect-src {connect}{workers}; base-uri 'none'; form-action 'none'"
        )


def render_page(
    template: str,
    values: Mapping[str, Any],
    *,
    folders: Sequence[Path] = (),
    connect: str = "'none'",
    worker: bool = False,
) -> str:
    """A template as HTML.

    Templates have, beside ``values``: ``inline_script(text)``, ``local_script(address)``, ``json_data(id, value)`` for data
    that a script reads by ``JSON.parse(document.getElementById(id).textContent)``, ``inline_style(text)``,
    ``source(name)``, the text of a file of the folders, and ``palette_css``.

    Parameters
    ----------
    template
        Name of the template; it extends ``base.html``.
    values
        What it shows. Text is escaped, and what is not printable is spelled out.
    folders
        Where its files lie; ``hypojax/pages/templates`` comes last.
    connect
        Where scripts may send requests to: nowhere, or ``'self'`` for a page that a server of this machine gives out.
    worker
        Whether the page's own scripts may start workers.
    """
    environment, scripts = _environment(tuple(folders)), PageScripts()
    functions = {
        "inline_script": scripts.inline,
        "local_script": scripts.local,
        "inline_style": inline_style,
        "json_data": json_data,
        "source": lambda name: environment.loader.get_source(environment, name)[0] if environment.loader else "",
        "palette_css": css_properties(),
        "policy": _POLICY,
    }
    text = environment.get_template(template).render({**values, **functions})
    return text.replace(_POLICY, str(escape(scripts.policy(connect=connect, worker=worker))), 1)


@cache
def _environment(folders: tuple[Path, ...]) -> "Environment":
    """Templates of these folders, compiled once for all pages of a process."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        finalize=_printable,
        keep_trailing_newline=True,
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )


def json_data(name: str, value: object) -> Markup:
    r"""Data of a page, which no browser takes for markup or runs.

    >>> json_data("d", "</script>")
    Markup('<script type="application/json" id="d">"\\u003c/script\\u003e"</script>')
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)  # ASCII: U+2028 and its like are escaped
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup('<script type="application/json" id="{}">{}</script>').format(name, Markup(text))  # noqa: S704 - escaped above


def inline_style(text: str) -> Markup:
    """A style sheet in the page.

    Raises
    ------
    ValueError
        When the text has an end tag of a style.
    """
    if "</style" in text.lower():
        raise ValueError("a style sheet in a page must not contain '</style'")
    return _Verbatim(f"<style>{text}</style>")


def _printable(value: object) -> object:
    """Text and markup without what a terminal or a browser would take for a command; scripts, styles and numbers as they are."""
    if type(value) is str:
        return visible(value, keep=KEPT)
    if type(value) is Markup and UNPRINTABLE.search(value):
        return Markup(visible(value, keep=KEPT))  # noqa: S704 - what is spelled out is no markup
    return value
