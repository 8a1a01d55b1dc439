"""Every text of the page, by key and language: one file of TOML a language in ``words``, so that others can be added without code.

A key is ``table.name``. Texts may hold placeholders (``{name}``), the same in every language.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import gradio as gr
    from starlette.requests import Request

FOLDER: Final = Path(__file__).parent / "words"
"""Where ``en.toml``, ``de.toml`` and others lie."""

USUAL: Final = "en"
"""Language of whoever asks for one that is not there."""

COOKIE: Final = "hypojax-language"
"""Cookie in which the browser keeps a language that its user chose on the page."""


class Words:
    """The texts of all languages.

    Parameters
    ----------
    folder
        Holds one file a language.

    >>> Words().text("frame.title")
    'hypojax'
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._texts = {path.stem: _flat(tomllib.loads(path.read_text(encoding="utf-8"))) for path in sorted(folder.glob("*.toml"))}

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of all languages."""
        return tuple(self._texts)

    def texts(self, language: str) -> Mapping[str, str]:
        """All texts of a language by key."""
        return self._texts[language]

    def text(self, key: str, language: str = USUAL, **values: object) -> str:
        """A text with its placeholders filled; it is no markup, and is escaped by whoever puts it into HTML.

        Raises
        ------
        KeyError
            No text has the key, or a placeholder has no value.
        """
        return self._texts[language if language in self._texts else USUAL][key].format(**values)

    def i18n(self) -> "gr.I18n":
        """The texts for Gradio: ``i18n()(key)`` is a label that follows the browser's language."""
        import gradio as gr

        return gr.I18n(**{language: dict(texts) for language, texts in self._texts.items()})

    def language_of(self, request: "gr.Request | Request | None") -> str:
        """The language of who asks: the one chosen on the page, or the first that the browser names; English where there is no such file.

        >>> Words().language_of(None)
        'en'
        """
        if request is None:
            return USUAL
        accepted = str(request.headers.get("accept-language", ""))
        wishes = (str(request.cookies.get(COOKIE, "")), accepted.split(",", 1)[0].split(";", 1)[0].split("-", 1)[0].strip().lower())
        return next((wish for wish in wishes if wish in self._texts), USUAL)


def placeholders(text: str) -> frozenset[str]:
    """Names of what a text leaves open.

    >>> sorted(placeholders("{done} of {all}"))
    ['all', 'done']
    """
    return frozenset(name for _, name, _, _ in Formatter().parse(text) if name is not None)


def _flat(tables: Mapping[str, object], before: str = "") -> dict[str, str]:
    """Tables within tables as one, with dots in its keys."""
    flat: dict[str, str] = {}
    for name, value in tables.items():
        flat |= _flat(value, f"{before}{name}.") if isinstance(value, Mapping) else {before + name: str(value)}
    return flat
