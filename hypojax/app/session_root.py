"""Where a server keeps its sessions: a folder of its own in the temporary folder of the machine, which nobody else may open.

``TMPDIR/hypojax-app-UID/HOST-PORT/`` has the same name when the server is started again, so that sessions are found; a lock that ends with
the process tells whether a server is running in it. The folder says what it is in a file.
"""

import fcntl
import os
import re
import shutil
import stat
import tempfile
from pathlib import Path
from typing import IO, Final

from hypojax.app.visits import Sessions
from hypojax.reason import Reason, RunError, visible

LOCK: Final = "running.lock"
NOTE: Final = "README.txt"
SESSIONS: Final = "sessions"
KEPT: Final = frozenset({LOCK, NOTE, SESSIONS})

ABOUT: Final = """This folder belongs to `hypojax app`, the page in the browser, which user {user} started.
It holds the scans of people who use the page. They are deleted one hour after the last request or result of each, by a running
server or when one is started. Where no server is running, the folder may be deleted.
"""


class SessionRoot:
    """The folder of one running server.

    Parameters
    ----------
    path
        The folder.
    lock
        File that is locked as long as the server runs.
    """

    def __init__(self, path: Path, lock: IO[bytes]) -> None:
        self.path, self._lock = path, lock

    @property
    def sessions(self) -> Path:
        """Folder of the sessions."""
        return self.path / SESSIONS

    def sweep(self) -> None:
        """Remove what Gradio left beside the sessions."""
        for entry in self.path.iterdir():
            if entry.name not in KEPT:
                _remove(entry)

    def close(self) -> None:
        """Let another server have it."""
        self._lock.close()


def open_root(host: str, port: int) -> SessionRoot:
    """Take the folder of the server at this address, empty of what is too old; clean those of servers that no longer run.

    Raises
    ------
    RunError
        ``NO_ACCESS``: the folder in the temporary folder is not ours, or others may open it; ``BUSY``: another server has it.
    """
    above = Path(tempfile.gettempdir()) / f"hypojax-app-{os.getuid()}"
    _private(above)
    name = f"{re.sub(r'[^0-9A-Za-z.]', '_', host)}-{port}"
    for entry in sorted(above.iterdir()):
        if entry.name != name and entry.is_dir() and (free := _taken(entry)):
            _clean(free)
            free.close()
    _private(above / name)
    root = _taken(above / name)
    if root is None:
        raise RunError(Reason.BUSY, f"another hypojax app has {visible(str(above / name))}; end it, or name another --port")
    (root.path / NOTE).write_text(ABOUT.format(user=os.getuid()), encoding="utf-8")
    _clean(root)
    return root


def _private(folder: Path) -> None:
    """Make a folder that only this user may open.

    Raises
    ------
    RunError
        ``NO_ACCESS``: what stands there is not that.
    """
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise RunError(Reason.NOT_WRITABLE, f"{visible(str(folder))} cannot be made ({error.strerror}); set TMPDIR to a folder") from error
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise RunError(
            Reason.NO_ACCESS,
            f"{visible(str(folder))} is not a folder that only you may open, and scans would lie in it; delete it, or set another TMPDIR",
        )


def _taken(folder: Path) -> SessionRoot | None:
    """A folder with its lock; None where a running server has it."""
    file = (folder / LOCK).open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return SessionRoot(folder, file)


def _clean(root: SessionRoot) -> None:
    """Remove what is too old, and uploads that a killed server left half."""
    root.sweep()
    Sessions(root.sessions, cookie="").clean()
    for part in root.sessions.glob("*/uploads/*/*.part"):
        part.unlink(missing_ok=True)


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)
