"""What is kept of batches, for their owner alone: in ``COHORTS/.batches`` a record of each, and what its command said."""

import fcntl
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from hypojax.app.detached_process import ProcessMark
from hypojax.reason import Reason, RunError
from hypojax.storage import place

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""A name that is one folder on every file system, and no option of a command."""

FOLDER: Final = ".batches"

FIELDS: Final[Mapping[str, type[Any]]] = {"folder": str, "pid": int, "start": str, "begun": float, "cancelled": bool}

TAIL: Final = 20_000
"""Bytes at the end of what a command said in which its error is looked for."""

ERROR: Final = "error: "
"""How the command line begins the sentence that says why it ended."""


@dataclass(frozen=True)
class BatchRecord:
    """What is kept of a batch.

    Parameters
    ----------
    folder
        Path of the scans below ``--inputs``.
    pid, start
        The process, as `ProcessMark` has it.
    begun
        When it was started last, seconds since 1970.
    cancelled
        Whether it was asked to end since.
    """

    folder: str
    pid: int = 0
    start: str = ""
    begun: float = 0.0
    cancelled: bool = False

    @property
    def mark(self) -> ProcessMark | None:
        """The process; None where it ended before it could be looked at."""
        return ProcessMark(self.pid, self.start) if self.start else None


class BatchRecords:
    """The records of a folder of cohorts.

    Parameters
    ----------
    cohorts
        The folder of cohorts.

    Raises
    ------
    RunError
        ``NOT_WRITABLE``.
    """

    def __init__(self, cohorts: Path) -> None:
        self._folder = cohorts / FOLDER
        self._lock = threading.Lock()
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._folder.chmod(0o700)
        except OSError as error:
            raise RunError(Reason.NOT_WRITABLE, f"{cohorts} cannot be written ({error.strerror}); give another --cohorts") from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Decide alone, among the threads of this server and among servers with the same cohorts."""
        with self._lock, (self._folder / "lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def names(self) -> dict[str, float]:
        """Names of all batches, and when their records changed last, seconds since 1970."""
        return {path.stem: path.stat().st_mtime for path in self._folder.glob("*.json") if NAME.fullmatch(path.stem)}

    def get(self, name: str) -> BatchRecord | None:
        """What is kept of a batch; None where nothing is, or nothing that can be read."""
        if not NAME.fullmatch(name):
            return None
        try:
            found = json.loads((self._folder / f"{name}.json").read_bytes())
        except (OSError, ValueError):
            return None
        return BatchRecord(**found) if _is_record(found) else None

    def put(self, name: str, record: BatchRecord) -> None:
        """Keep what is known of a batch.

        Raises
        ------
        RunError
            ``NOT_WRITABLE`` or ``DISK_FULL``.
        """
        path = self._folder / f"{name}.json"
        place(path, json.dumps(asdict(record)).encode())
        path.chmod(0o600)

    def log(self, name: str) -> Path:
        """File of what the command of a batch says."""
        return self._folder / f"{name}.log"

    def last_error(self, name: str) -> str:
        """The last error that the command said; nothing where it said none."""
        try:
            with self.log(name).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
                said = file.read().decode(errors="replace")
        except OSError:
            return ""
        return next((line.removeprefix(ERROR) for line in reversed(said.splitlines()) if line.startswith(ERROR)), "")


def _is_record(found: object) -> bool:
    """Whether a JSON value is a record as it was kept."""
    return isinstance(found, dict) and set(found) == set(FIELDS) and all(isinstance(found[key], kind) for key, kind in FIELDS.items())
