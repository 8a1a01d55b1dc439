"""Whether a run is writing into a folder, without taking its lock: a run that begins at that moment would be refused."""

import fcntl
import re
from pathlib import Path
from typing import Final

from hypojax.execute.lock import RUN

LOCKS: Final = Path("/proc/locks")
"""Where Linux lists the locks of all processes."""

FLOCK: Final = re.compile(r"^\d+: FLOCK .*?:(\d+) 0 EOF$", re.MULTILINE)
"""A lock of a whole file, with its inode."""


def is_written(out: Path) -> bool:
    """Whether a run of all scans, or a shard of one, holds a cohort's folder.

    Where the list of locks names the inode of its lock file, the lock is asked for as well: another file system may have the same number.
    """
    path = out / f"{RUN}.lock"
    try:
        inode = path.stat().st_ino
        listed = LOCKS.read_text() if LOCKS.exists() else None
    except OSError:
        return False
    if listed is None:
        return _is_held(path, fcntl.LOCK_SH)
    return str(inode) in FLOCK.findall(listed) and _is_held(path, fcntl.LOCK_EX)


def _is_held(path: Path, mode: int) -> bool:
    """Whether another process holds a lock that bars this one; it is given back at once."""
    try:
        with path.open() as file:
            fcntl.flock(file, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
