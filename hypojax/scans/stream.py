"""The decoded bytes of a file, asked for piece by piece: gzip with every checksum verified, or plain.

nibabel stops at the last voxel and so never looks at the checksum that follows it: 16 of 20 flipped bits gave wrong
voxels in silence. Here the stream is read to its very end. The decoder is ISA-L (15 ms for 12 MB; zlib-ng 23 ms,
nibabel's 60 ms on the same cores; `benchmarks/decode.py`).
"""

import io
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from isal import igzip_lib

from hypojax.reason import HypojaxError, Reason
from hypojax.storage import ConflictError, Location, ObjectFile, ObjectPath

GZIP_MAGIC: Final = b"\x1f\x8b"

PIECE: Final = 1 << 18
"""Compressed bytes read at a time."""

MOST_INFLATED: Final = 1 << 22
"""Decoded bytes held at a time, whatever the compressed bytes would give."""

DEFLATE_RATIO: Final = 1032
"""No deflate stream decodes to more than this many times its size (one 258-byte match in two bits)."""


class GzipStream(io.RawIOBase):
    """The decoded bytes of a gzip file of one or more members.

    The end of the stream is only reported once every member's checksum and length were found right, and nothing but
    zero padding follows.

    Parameters
    ----------
    file
        The compressed bytes.

    Raises
    ------
    HypojaxError
        While reading: ``TRUNCATED`` or ``CORRUPTED``.

    Examples
    --------
    >>> import gzip
    >>> GzipStream(io.BytesIO(gzip.compress(b"voxels"))).read(3)
    b'vox'
    """

    def __init__(self, file: io.RawIOBase | io.BytesIO) -> None:
        self._file = file
        self._front = b""
        self._member = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_GZIP)
        self._pending = b""
        self._ended = False

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Fill the front of ``buffer``; 0 says that the stream is over and was found intact."""
        view = memoryview(buffer).cast("B")
        if self._front:
            front, self._front = self._front[: len(view)], self._front[len(view) :]
            view[: len(front)] = front
            return len(front)
        while view and not self._ended:
            piece = self._inflate(min(len(view), MOST_INFLATED))
            if piece:
                view[: len(piece)] = piece
                return len(piece)
        return 0

    def peek(self, count: int) -> bytes:
        """The next ``count`` decoded bytes, or fewer at the end, which will be read all the same."""
        self._front = take(self, count)
        return self._front

    def _inflate(self, most: int) -> bytes:
        """Up to ``most`` decoded bytes; none where only a member or a piece of input came to its end."""
        if self._member.eof:
            self._next_member()
            return b""
        data = self._compressed() if self._member.needs_input else b""
        try:
            return self._member.decompress(data, most)
        except igzip_lib.IsalError as error:  # type: ignore[misc]  # the stub declares an instance
            raise HypojaxError(
                Reason.CORRUPTED, f"its compressed bytes are damaged ({error}); fetch the file again or exclude the scan"
            ) from error

    def _compressed(self) -> bytes:
        """The next compressed bytes of an unfinished member."""
        data, self._pending = self._pending or self._file.read(PIECE) or b"", b""
        if not data:
            raise HypojaxError(Reason.TRUNCATED, "its compressed bytes end too early; fetch the file again or exclude the scan")
        return data

    def _next_member(self) -> None:
        """Go on to the next member, or find that the file is over."""
        rest = self._member.unused_data
        while len(rest := rest.lstrip(b"\0")) < len(GZIP_MAGIC):
            more = self._file.read(PIECE)
            if not more:
                break
            rest += more
        self._ended = not rest
        if self._ended:
            return
        if not rest.startswith(GZIP_MAGIC):
            raise HypojaxError(
                Reason.CORRUPTED,
                "something else follows its compressed image; fetch the file again, or compress it anew, or exclude the scan",
            )
        self._member, self._pending = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_GZIP), rest


@dataclass(frozen=True)
class Source:
    """An opened file.

    Parameters
    ----------
    stream
        Its decoded bytes.
    most
        More decoded bytes than this it cannot hold; known without decoding.
    file_bytes
        Of the file as it lies there.
    """

    stream: io.RawIOBase
    most: int
    file_bytes: int


@contextmanager
def open_source(path: Location) -> Iterator[Source]:
    """Open a file by what it holds, not by its name: gzip, once or twice, or plain.

    Raises
    ------
    HypojaxError
        ``UNREADABLE`` or ``EMPTY_FILE``; errors of the disk while reading become ``UNREADABLE`` too.
    """
    try:
        size = 0 if isinstance(path, ObjectPath) else _regular_size(path)
        with path.open("rb", buffering=0) as file:
            size = _not_empty(file.size) if isinstance(file, ObjectFile) else size
            zipped = take(file, len(GZIP_MAGIC)) == GZIP_MAGIC
            file.seek(0)
            yield _unzipped(file, size) if zipped else Source(file, size, size)
    except ConflictError as error:
        raise HypojaxError(Reason.UNREADABLE, f"{error} while it was being read; run the same command again") from error
    except OSError as error:
        problem = error.strerror or str(error)
        raise HypojaxError(
            Reason.UNREADABLE, f"the file cannot be read ({problem}); check that it is there and may be read, or exclude the scan"
        ) from error


def _unzipped(file: io.RawIOBase, size: int) -> Source:
    """The decoded bytes of a gzip file; of one that was compressed once more, as some converters do, those within."""
    stream = GzipStream(file)
    if stream.peek(len(GZIP_MAGIC)) != GZIP_MAGIC:
        return Source(stream, size * DEFLATE_RATIO, size)
    return Source(GzipStream(stream), size * DEFLATE_RATIO**2, size)


def _regular_size(path: Path) -> int:
    """Bytes of a regular, non-empty file."""
    if path.is_symlink() and not path.exists():
        raise HypojaxError(Reason.UNREADABLE, "the file is a link to nothing here; fetch its content (datalad get) or exclude the scan")
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise HypojaxError(Reason.UNREADABLE, "it is not a regular file; name an image file or a DICOM series folder")
    return _not_empty(status.st_size)


def _not_empty(size: int) -> int:
    """The size of a file with something in it."""
    if size == 0:
        raise HypojaxError(Reason.EMPTY_FILE, "the file is empty (0 bytes); fetch it again or exclude the scan")
    return size


def fill(stream: io.RawIOBase, view: memoryview) -> int:
    """Read into the whole of ``view``; fewer bytes than it has mean that the stream is over."""
    done = 0
    while done < len(view):
        count = stream.readinto(view[done:])
        if not count:
            break
        done += count
    return done


def take(stream: io.RawIOBase, count: int) -> bytes:
    """The next ``count`` bytes, or fewer at the end of the stream.

    >>> import gzip
    >>> take(GzipStream(io.BytesIO(gzip.compress(b"head"))), 8)
    b'head'
    """
    buffer = bytearray(count)
    return bytes(buffer[: fill(stream, memoryview(buffer))])
