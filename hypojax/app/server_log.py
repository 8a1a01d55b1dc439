"""What the server writes to its log: that something failed, of what kind and where in the code, and nothing of a scan.

Messages of errors hold names and paths of files. Gradio prints whole tracebacks; here an error is its type and its place.
"""

import logging
import sys
import traceback
from collections.abc import Callable
from typing import Final

PRINTING: Final = ("gradio.queueing", "gradio.routes", "gradio.route_utils")
"""Modules of Gradio that print tracebacks."""

LOGGERS: Final = ("uvicorn", "uvicorn.error", "asyncio", "httpx", "")


def place_of(error: BaseException) -> str:
    """Kind of an error and where it was raised, without its message.

    >>> try:
    ...     {}["sub-01"]
    ... except KeyError as error:
    ...     place_of(error).partition(" in ")[0]
    'KeyError'
    """
    frames = [(frame.f_globals.get("__name__", "?"), number) for frame, number in traceback.walk_tb(error.__traceback__)]
    own = [place for place in frames if str(place[0]).startswith("hypojax")]
    places = dict.fromkeys((*own[-1:], *frames[-1:]))
    return f"{type(error).__name__} in {', '.join(f'{module}:{number}' for module, number in places)}"


class QuietHandler(logging.Handler):
    """Says what is logged; of errors the place only.

    Parameters
    ----------
    say
        Called with each sentence.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        """Say it."""
        if record.exc_info and record.exc_info[1] is not None:
            self._say(f"error in the server: {place_of(record.exc_info[1])}")
        elif record.name.startswith("uvicorn"):
            self._say(record.getMessage())
        else:
            self._say(f"the server has a warning of {record.name}:{record.lineno}")


class QuietTraceback:
    """Stands for the module `traceback` in Gradio.

    Parameters
    ----------
    say
        Called with each sentence.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def __getattr__(self, name: str) -> object:
        return getattr(traceback, name)

    def print_exc(self, *_: object, **__: object) -> None:
        """Say where the error that is being handled was raised."""
        if (error := sys.exc_info()[1]) is not None:
            self._say(f"error in the page: {place_of(error)}")


def log_quietly(say: Callable[[str], None]) -> None:
    """Let nothing of a scan into the log, from now on; Gradio must have been imported."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [QuietHandler(say)], False
        logger.setLevel(logging.WARNING)
    for module in PRINTING:
        if module in sys.modules:
            sys.modules[module].traceback = QuietTraceback(say)  # type: ignore[attr-defined]
