"""How much visitors may send and keep: bytes and files of a session, bytes of all sessions, and what stays free of the disk."""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from hypojax.app.visits import Session, Sessions
from hypojax.reason import Reason, RunError

FILES: Final = 5000
"""Files of a session: some series of DICOM have a thousand."""

AT_ONCE: Final = 4
"""Uploads of a session at the same time."""

KEPT_FREE: Final = 1_000_000_000
"""Bytes of the disk that stay free."""

LOOKED: Final = 16_000_000
"""Bytes after which the free disk is looked at again."""

OVERHEAD: Final = 10_000_000
"""Bytes that a request may have besides its files."""


NO_ROOM: Final = "there is no room for more scans on the server now; try again in an hour, or send fewer files"


class UploadLimits:
    """All that is coming, and what may come.

    Parameters
    ----------
    sessions
        All sessions.
    session_bytes, disk_bytes
        Most bytes of the uploads of a session, and of all that all sessions have.
    kept_free
        Bytes of the disk that stay free.
    """

    def __init__(self, sessions: Sessions, *, session_bytes: int, disk_bytes: int, kept_free: int = KEPT_FREE) -> None:
        self.sessions, self.session_bytes, self.disk_bytes, self.kept_free = sessions, session_bytes, disk_bytes, kept_free
        self.lock = threading.Lock()
        self.disk_left = disk_bytes
        self._promised = 0
        self._rooms: dict[str, Room] = {}

    def begin(self, session: Session) -> "Room":
        """What is left for the uploads of a session, one more of which begins now; `end` must follow.

        Raises
        ------
        RunError
            ``BUSY``: there are too many of this session.
        """
        files, taken = size_of(session.uploads)
        self._look()
        with self.lock:
            room = self._rooms.get(session.id) or Room(self, session, FILES - files, self.session_bytes - taken)
            if room.uploads >= AT_ONCE:
                raise RunError(Reason.BUSY, f"{AT_ONCE} uploads of yours are on their way; wait until one has ended")
            room.uploads += 1
            self._rooms[session.id] = room
            return room

    def end(self, room: "Room") -> None:
        """An upload has ended."""
        with self.lock:
            room.uploads -= 1
            if not room.uploads:
                self._rooms.pop(room.session.id, None)

    @contextmanager
    def promised(self, most: int) -> Iterator[int]:
        """Bytes that may be made of what was sent, such as the files of a zip, which nobody else gets while the block runs.

        Parameters
        ----------
        most
            Bytes that are wanted; fewer are given where the disk has no more.

        Raises
        ------
        RunError
            ``DISK_FULL``: there are none.
        """
        self._look()
        with self.lock:
            given = min(most, self.disk_left, shutil.disk_usage(self.sessions.root).free - self.kept_free)
            if given <= 0:
                raise RunError(Reason.DISK_FULL, NO_ROOM)
            self._promised += given
            self.disk_left -= given
        try:
            yield given
        finally:
            with self.lock:
                self._promised -= given
            self._look()

    def _look(self) -> None:
        """Measure what all sessions have; what is being written now may count twice, and never too little."""
        everything = size_of(self.sessions.root)[1]
        with self.lock:
            left = self.disk_bytes - everything - self._promised
            self.disk_left = min(self.disk_left, left) if self._rooms else left


class Room:
    """What is left for the uploads of a session that are coming now.

    Parameters
    ----------
    limits, session
        Whose.
    files
        Files that may come.
    own
        Bytes that may come.
    """

    def __init__(self, limits: UploadLimits, session: Session, files: int, own: int) -> None:
        self.limits, self.session, self.files, self.own = limits, session, files, own
        self.uploads = 0
        self._until_look = 0

    def expect(self, length: str) -> None:
        """Refuse at once what says itself that it is too long.

        Parameters
        ----------
        length
            Header ``Content-Length``.

        Raises
        ------
        RunError
            ``TOO_LARGE``.
        """
        if length.isdecimal() and len(length) < 20 and int(length) > self.own + OVERHEAD:
            raise self._too_large()

    def take_file(self) -> None:
        """One more file.

        Raises
        ------
        RunError
            ``TOO_LARGE``: there are too many.
        """
        with self.limits.lock:
            self.files -= 1
        if self.files < 0:
            raise RunError(Reason.TOO_LARGE, f"you may send {FILES} files in all; send a series as one zip")

    def take(self, count: int) -> None:
        """So many more bytes.

        Raises
        ------
        RunError
            ``TOO_LARGE``: the session has no room left; ``DISK_FULL``: the server has none.
        """
        with self.limits.lock:
            self.own -= count
            self.limits.disk_left -= count
            self._until_look -= count
        if self.own < 0:
            raise self._too_large()
        if self._until_look < 0:
            self._until_look = min(LOOKED, shutil.disk_usage(self.session.folder).free - self.limits.kept_free)
        if self.limits.disk_left < 0 or self._until_look < 0:
            raise RunError(Reason.DISK_FULL, NO_ROOM)

    def _too_large(self) -> RunError:
        limit = self.limits.session_bytes / 1e6
        return RunError(Reason.TOO_LARGE, f"you may send {limit:,.0f} MB in all; send fewer files, or compressed ones (.nii.gz)")


def size_of(folder: Path) -> tuple[int, int]:
    """Files of a folder and all below it, and their bytes; what goes meanwhile does not count."""
    files = size = 0
    for above, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                size += os.lstat(Path(above) / name).st_size
                files += 1
    return files, size
