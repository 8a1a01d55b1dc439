"""What a browser or a script is told when it is refused: a status of HTTP and a sentence, from the error that was raised."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from hypojax.reason import Reason, RunError

STATUS: Final[Mapping[Reason, HTTPStatus]] = {
    Reason.NO_ACCESS: HTTPStatus.FORBIDDEN,
    Reason.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Reason.DISK_FULL: HTTPStatus.INSUFFICIENT_STORAGE,
    Reason.BUSY: HTTPStatus.SERVICE_UNAVAILABLE,
    Reason.NOTHING_FOUND: HTTPStatus.NOT_FOUND,
}
"""Status by reason; a bad request otherwise."""

REFUSED: Final = (RunError, TimeoutError, ClientDisconnect)
"""Errors that are a refusal and no fault of ours."""


def refused(status: HTTPStatus, sentence: str) -> Response:
    """A refusal in words.

    Parameters
    ----------
    status
        Of HTTP.
    sentence
        For a person; the first letter becomes a capital one.
    """
    return PlainTextResponse(sentence[:1].upper() + sentence[1:], status)


def answer_of(error: Exception) -> Response:
    """The refusal that one of the errors `REFUSED` stands for; of any other error that the server has a fault."""
    if isinstance(error, RunError):
        return refused(STATUS.get(error.reason, HTTPStatus.BAD_REQUEST), str(error))
    if isinstance(error, REFUSED):
        return refused(HTTPStatus.REQUEST_TIMEOUT, "The request was not sent to its end.")
    return refused(HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong on the server; load the page again.")


async def _handled(_: Request, error: Exception) -> Response:
    return answer_of(error)


HANDLERS: Final[Mapping[type[Exception], Callable[[Request, Exception], Awaitable[Response]]]] = dict.fromkeys(REFUSED, _handled)
"""For a `starlette.applications.Starlette`, whose own answer to an error would be that of a fault."""
