"""Files that visitors send: written into their sessions as they come, and no further than the limits go.

The answer is that of Gradio (a list of paths), so that its page and `gradio_client` work. An upload that breaks off, is too slow or too
large leaves nothing.
"""

import asyncio
import os
import re
import secrets
import shutil
import unicodedata
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from hypojax.app.upload_limits import Room, UploadLimits
from hypojax.app.visits import Session, Sessions
from hypojax.reason import Reason, RunError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

SECONDS: Final = 30.0
"""How long the next piece of a file may take."""

DRAINED: Final = 2_000_000_000
"""Bytes of a refused upload that are taken and thrown away."""

WHOLE: Final = 3600.0
"""How long an upload may take, seconds."""

HEADERS: Final = 8192
"""Bytes of the headers of a part."""

FIELD: Final = "files"
PART: Final = ".part"
"""Ending of a file that is not there to its end."""

WORD: Final = re.compile(r"[^\w.+@ ()-]")
LONGEST: Final = 120
"""Bytes of a name of a file."""

Progress = Callable[[str, bytes], None]
"""Called with the name of a file and the bytes that came."""


class Incoming:
    """Writes the parts of one request into files.

    Parameters
    ----------
    session
        Whose.
    room
        What may come.
    progress
        Called with each piece.
    """

    def __init__(self, session: Session, room: Room, progress: Progress) -> None:
        self.session, self.room, self.progress = session, room, progress
        self.written: list[Path] = []
        self._folders: list[Path] = []
        self._file: IO[bytes] | None = None
        self._path = Path()
        self._headers: dict[bytes, bytes] = {}
        self._name, self._value, self._length = b"", b"", 0
        self.is_whole = False

    def callbacks(self) -> "MultipartCallbacks":
        """What the parser calls."""
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": lambda data, start, end: self._header(data[start:end], is_name=True),
            "on_header_value": lambda data, start, end: self._header(data[start:end], is_name=False),
            "on_header_end": self._end_header,
            "on_headers_finished": self._begin_file,
            "on_part_data": lambda data, start, end: self._write(data[start:end]),
            "on_part_end": self._end_file,
            "on_end": self._end,
        }

    def remove(self) -> None:
        """Leave nothing."""
        if self._file is not None:
            self._file.close()
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)

    def _begin_part(self) -> None:
        self._name, self._value, self._headers, self._length = b"", b"", {}, 0

    def _header(self, piece: bytes, *, is_name: bool) -> None:
        self._length += len(piece)
        if self._length > HEADERS:
            raise RunError(Reason.TOO_LARGE, f"the headers of a file have at most {HEADERS} bytes")
        if is_name:
            self._name += piece
        else:
            self._value += piece

    def _end_header(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name, self._value = b"", b""

    def _begin_file(self) -> None:
        kind, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if kind != b"form-data" or options.get(b"name") != FIELD.encode() or b"filename" not in options:
            raise RunError(Reason.USAGE, "files are sent in the field `files`")
        self.room.take_file()
        folder = self.session.uploads / secrets.token_hex(16)
        folder.mkdir(mode=0o700)
        self._folders.append(folder)
        self._path = folder / clean_name(options[b"filename"].decode("utf-8", "replace"))
        descriptor = os.open(f"{self._path}{PART}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        self._file = os.fdopen(descriptor, "wb")

    def _write(self, piece: bytes) -> None:
        self.room.take(len(piece))
        assert self._file is not None  # noqa: S101 - for the type
        self._file.write(piece)
        self.progress(self._path.name, piece)

    def _end_file(self) -> None:
        assert self._file is not None  # noqa: S101 - for the type
        self._file.close()
        self._file = None
        Path(f"{self._path}{PART}").rename(self._path)
        self.written.append(self._path)

    def _end(self) -> None:
        self.is_whole = True


async def take_upload(request: Request, sessions: Sessions, limits: UploadLimits) -> Response:
    """Write the files of a request; the answer lists their paths.

    Parameters
    ----------
    request
        ``multipart/form-data`` with files in the field ``files``.
    sessions
        All sessions.
    limits
        How much may come.
    """
    session = sessions.of(request)
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        return PlainTextResponse("Files are sent as multipart/form-data.", HTTPStatus.BAD_REQUEST)
    room = await asyncio.to_thread(limits.begin, session)
    incoming = Incoming(session, room, _progress(request.query_params.get("upload_id", "")))
    try:
        room.expect(request.headers.get("content-length", ""))
        await asyncio.wait_for(_parse(request, boundary, incoming), WHOLE)
    except BaseException as error:
        await asyncio.to_thread(incoming.remove)
        if isinstance(error, RunError):
            await _drain(request)
        raise
    finally:
        limits.end(room)
        session.touch()
        _done(request.query_params.get("upload_id", ""))
    return JSONResponse([str(path) for path in incoming.written])


async def _parse(request: Request, boundary: bytes, incoming: Incoming) -> None:
    """Write all pieces.

    Raises
    ------
    RunError
        ``TRUNCATED``: the end is missing; others of `Room`, or the body is not what it says.
    """
    try:
        parser = MultipartParser(boundary, incoming.callbacks())
        async for piece in _pieces(request):
            await asyncio.to_thread(parser.write, piece)
    except ValueError as error:
        raise RunError(Reason.USAGE, "the files were not sent as multipart/form-data; send them again") from error
    except (TimeoutError, ClientDisconnect):
        raise
    except OSError as error:
        raise RunError(Reason.DISK_FULL, "the server cannot keep the files now; try again later") from error
    if not incoming.is_whole:
        raise RunError(Reason.TRUNCATED, "the files were not sent to their end; send them again")


async def _drain(request: Request) -> None:
    """Take what is still coming and throw it away: a browser looks at an answer only after it has sent everything."""
    left = DRAINED
    with suppress(TimeoutError, ClientDisconnect, RuntimeError):
        async for piece in _pieces(request):
            left -= len(piece)
            if left < 0:
                return


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """Pieces of the body; each must come within `SECONDS`."""
    stream = request.stream()
    with suppress(StopAsyncIteration):
        while True:
            yield await asyncio.wait_for(anext(stream), SECONDS)


def clean_name(name: str) -> str:
    r"""A name of a file without folders, signs that mean something, and dots at its beginning.

    >>> clean_name("../../etc/passwd"), clean_name("C:\\scans\\a b.nii.gz"), clean_name("<img src=x>.nii"), clean_name("...")
    ('passwd', 'a b.nii.gz', '_img src_x_.nii', 'scan')
    """
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    clean = WORD.sub("_", last).strip(" .")
    while len(clean.encode()) > LONGEST:
        clean = clean[1:]
    return clean.strip(" .") or "scan"


def _progress(upload: str) -> Progress:
    """Tells Gradio's page how much has come."""
    if not upload:
        return lambda *_: None
    from gradio.routes import file_upload_statuses

    file_upload_statuses.track(upload)
    return lambda name, piece: file_upload_statuses.append(upload, name, piece)


def _done(upload: str) -> None:
    if upload:
        from gradio.routes import file_upload_statuses

        file_upload_statuses.set_done(upload)
