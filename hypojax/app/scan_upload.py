"""Files of a visitor on their way to the service: the place to drop them, and what of an event may be believed."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from hypojax.app.page_parts import page_part, sent
from hypojax.app.words import Words
from hypojax.reason import Reason, RunError

if TYPE_CHECKING:
    import gradio as gr

    from hypojax.app.visits import Session

MOST_FILES: Final = 5000
"""Of one event; a DICOM series has a few hundred."""

LONGEST: Final = 4096
"""Characters of a path."""


def drop_html(words: Words, language: str, tab: str, *, sample: bool) -> str:
    """The place to drop files on, or to choose them.

    Parameters
    ----------
    words
        All texts.
    language
        Of who looks.
    tab
        Whose texts it shows: ``one_scan`` or ``many_scans``.
    sample
        Whether the sample scan is offered.

    Returns
    -------
    HTML.
    """
    sending = words.texts(language)["one_scan.sending"]
    return page_part("drop.html", words, language, {"tab": tab, "sample": sample, "sending": sending})


def sent_files(event: "gr.EventData", session: "Session") -> list[Path]:
    """Files that an event names, each one of the session.

    Raises
    ------
    RunError
        ``USAGE``: no list of paths. ``NO_ACCESS``: a file that the session did not send.
    """
    paths = sent(event, "paths")
    if not isinstance(paths, list) or not 0 < len(paths) <= MOST_FILES:
        raise RunError(Reason.USAGE, f"send 1 to {MOST_FILES} files at a time")
    if not all(isinstance(path, str) and len(path) <= LONGEST for path in paths):
        raise RunError(Reason.USAGE, "a file has no usable name; send it again")
    return [session.uploaded(path) for path in paths]


def sent_id(event: "gr.EventData") -> str:
    """The id of a scan that an event names; empty where it names none."""
    found = sent(event, "id")
    return found if isinstance(found, str) and len(found) == 32 and found.isalnum() else ""
