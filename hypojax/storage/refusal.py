"""What goes wrong with a bucket, in the words of the file system where it has some: what passes by itself, and what never will.

The library's own messages are not passed on: they span pages, and hold addresses and headers that nobody needs in a log.
"""

import errno
import os
import re
from dataclasses import dataclass
from typing import Final

from hypojax.reason import Reason, RunError

STATUS: Final = re.compile(r"status code: (\d{3})")
CODE: Final = re.compile(
    r"<Code>(\w{1,60})</Code>|\"(?:code|error)\":\s*\"?(\w{1,60})|x-ms-error-code\W{1,6}(\w{1,60})|\(code: (\w{1,60})\)"
)
"""How S3, Google and Azure name what is wrong."""

NO_BUCKET: Final = frozenset({"NoSuchBucket", "ContainerNotFound", "InvalidBucketName"})
FORBIDDEN: Final = frozenset(
    {"AccessDenied", "AllAccessDisabled", "AuthorizationPermissionMismatch", "AuthorizationFailure", "Forbidden", ""}
)
"""Codes of a 403 that speak of one object; the others speak of who asks."""

RACING: Final = frozenset({"ConditionalRequestConflict", "OperationAborted"})
"""Codes of a 409 that say that another request for the same object was under way."""

PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 509, 529})
"""Answers after which the same request may succeed."""

IDENTITY: Final = re.compile("Token|Auth|Credential")
"""What codes of a refusal have in common that speak of who asks."""

NOBODY: Final = re.compile(r"http://(169\.254\.\d+\.\d+|metadata\.google)|TokenRequest|MissingAccount|MissingBearer|MissingCredential")
"""Where credentials were to be had from the machine itself, and it has none."""

CREDENTIALS: Final = (
    "set the usual variables (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS, "
    "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY; AWS_SKIP_SIGNATURE=true for a public bucket), "
    "or for a profile of ~/.aws: python -m pip install boto3"
)

KINDS: Final = {"Timeout": "it does not answer in time", "timed out": "it does not answer in time", "Connect": "no connection can be made"}


class ConflictError(Exception):
    """An object is not the one that was seen before: somebody else has written it since."""


@dataclass(frozen=True)
class Refusal:
    """What is wrong.

    Parameters
    ----------
    error
        What to raise.
    passing
        Whether the same request may succeed later.
    """

    error: Exception
    passing: bool = False


@dataclass(frozen=True)
class Answer:
    """What obstore's error says of a server's answer.

    Parameters
    ----------
    kind
        Name of the error's class.
    text
        All that it says.
    status
        HTTP status; 0 where there was no answer.
    code
        The service's own word for it; may be empty.
    """

    kind: str
    text: str
    status: int
    code: str


def diagnose(error: Exception, where: str) -> Refusal:
    """What an error of obstore means for the object at ``where``.

    A missing object is `FileNotFoundError`, one that may not be touched `PermissionError`, another refusal of one object `OSError`, an
    object that somebody else wrote `ConflictError`. What concerns the bucket as a whole is a `RunError`: ``NO_ACCESS``, or ``UNREACHABLE``
    where waiting did not help.

    Examples
    --------
    >>> diagnose(FileNotFoundError("status code: 404"), "s3://bucket/key").error
    FileNotFoundError(2, 'No such file or directory')
    >>> diagnose(Exception("status code: 503 Slow Down"), "s3://bucket/key").passing
    True
    """
    text = str(error)
    status = int(found[1]) if (found := STATUS.search(text)) else 0
    code = next(filter(None, found.groups()), "") if (found := CODE.search(text)) else ""
    answer = Answer(type(error).__name__, text, status, code)
    lasting = _of_bucket(answer, where) or _of_object(answer, where)
    return Refusal(lasting) if lasting else Refusal(_unreachable(answer, where), passing=True)


def _of_bucket(answer: Answer, where: str) -> RunError | None:
    """What keeps every object of the bucket out of reach; None where nothing does."""
    problem, step = "", "renew them, then run the same command again"
    if NOBODY.search(answer.text):
        return no_credentials(where)
    if answer.code in NO_BUCKET:
        problem, step = f"there is no such bucket ({answer.code})", "create it, or correct its name"
    elif answer.status in (301, 307, 308) or "BareRedirect" in answer.text:
        problem, step = "the bucket lies in another region", "set AWS_REGION to it"
    elif _about_who_asks(answer):
        problem = f"the server does not accept the credentials ({answer.code or answer.status or 'they have expired'})"
    return RunError(Reason.NO_ACCESS, f"{where} is out of reach: {problem}; {step}") if problem else None


def _about_who_asks(answer: Answer) -> bool:
    """Whether a refusal is one of credentials, not of an object."""
    refused = answer.status == 401 or answer.kind == "UnauthenticatedError"
    return (
        refused or (answer.status == 403 and answer.code not in FORBIDDEN) or (answer.status == 400 and bool(IDENTITY.search(answer.code)))
    )


def no_credentials(where: str) -> RunError:
    """The refusal where nobody says who asks."""
    return RunError(Reason.NO_ACCESS, f"{where} is out of reach: no credentials were found; {CREDENTIALS}")


def _of_object(answer: Answer, where: str) -> Exception | None:
    """What is wrong with this object, however often it is asked for; None where that may pass."""
    if answer.code in RACING:
        return None
    if answer.status == 412 or answer.kind in ("AlreadyExistsError", "PreconditionError"):
        return ConflictError(f"{where} was written by somebody else")
    if answer.status == 404 or answer.kind == "FileNotFoundError":
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), where)
    if answer.status == 403 or answer.kind == "PermissionDeniedError" or (answer.code and answer.code in FORBIDDEN):
        return PermissionError(errno.EACCES, os.strerror(errno.EACCES), where)
    if answer.status and answer.status not in PASSING:
        return OSError(errno.EIO, f"the server refuses the request ({answer.code or answer.status})", where)
    return OSError(errno.EINVAL, "its name cannot be that of an object", where) if answer.kind == "ValueError" else None


def _unreachable(answer: Answer, where: str) -> RunError:
    """What to say once the retry timeout is over."""
    silent = next((said for sign, said in KINDS.items() if sign in answer.text), "the connection breaks")
    cause = f"the server answers {answer.status or answer.code}" if answer.status or answer.code else silent
    message = (
        f"{where} cannot be reached: {cause}; check the network and the server, then run the same command again: finished scans are kept"
    )
    return RunError(Reason.UNREACHABLE, message)
