"""An object of a bucket as a file that is read from front to back, a few megabytes at a time."""

import io
from typing import Final

import hypojax.storage.bucket as requests

PIECE: Final = 1 << 23
"""Bytes asked for at once: a request costs some 30 ms, a scan is one to three of them, and memory stays bounded."""


class ObjectFile(io.RawIOBase):
    """The bytes of one object, all of the same version.

    Parameters
    ----------
    bucket, key
        The object.

    Raises
    ------
    FileNotFoundError, PermissionError, RunError
        As `hypojax.storage.fault` has them, at once or while reading; `ConflictError` where it is replaced meanwhile.
    """

    def __init__(self, bucket: str, key: str) -> None:
        self._bucket, self._key = bucket, key
        self._start, self._position = 0, 0
        self._piece = requests.read_piece(bucket, key, start=0, count=PIECE)

    @property
    def size(self) -> int:
        """Bytes of the whole object."""
        return self._piece.size

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The next byte's place."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to another place."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Fill the front of ``buffer``; 0 at the end."""
        if self._position >= self.size:
            return 0
        if not self._start <= self._position < self._start + len(self._piece.data):
            self._start, tag = self._position, self._piece.tag
            self._piece = requests.read_piece(self._bucket, self._key, start=self._start, count=PIECE, tag=tag)
        target, first = memoryview(buffer).cast("B"), self._position - self._start
        found = memoryview(self._piece.data)[first : first + len(target)]
        target[: len(found)] = found
        self._position += len(found)
        return len(found)
