"""Sessions of the page: a visitor is a cookie, and a cookie is a private folder with her uploads and a cohort of her own.

A session is named by a digest of its cookie: who sees the name of a folder cannot make the cookie of it. All that is known of a session
lies in its folder, so that a server which was killed and started again finds it. It ends `LIFE` after its last request or last result.
"""

import hashlib
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hypojax.reason import Reason, RunError

if TYPE_CHECKING:
    import gradio as gr
    from starlette.requests import Request

LIFE: Final = 3600.0
"""How long a session stays after its last request or last result, seconds."""

ID: Final = re.compile(r"[0-9a-f]{32}")
LAST: Final = "last"
"""File whose time of change is that of the last request or result."""

USER: Final = "user"
"""File that says who logged in: the name, and what `hypojax.app.accounts.Accounts.mark` gave."""

MOST: Final = 2000
"""Sessions that a server has at once."""

GOING: Final = ".going"
"""Ending of the folder of a session that is being removed."""


@dataclass(frozen=True)
class Session:
    """What one visitor has.

    Parameters
    ----------
    id
        Its public name, 32 hexadecimal digits. It is not the cookie, and opens nothing.
    folder
        Its private folder.
    """

    id: str
    folder: Path

    @property
    def uploads(self) -> Path:
        """Folder of the files that she sent."""
        return self.folder / "uploads"

    @property
    def cohort(self) -> Path:
        """Folder of her cohort, as `hypojax.run` writes it."""
        return self.folder / "cohort"

    @property
    def last(self) -> float:
        """When the last request or result was, seconds since the epoch; 0 where the session is gone."""
        try:
            return (self.folder / LAST).stat().st_mtime
        except OSError:
            return 0.0

    def touch(self) -> None:
        """Begin its hour anew: there was a request or a result. Nothing happens where the session is gone."""
        try:
            os.utime(self.folder / LAST)
        except OSError:
            return

    @property
    def is_empty(self) -> bool:
        """Whether nothing was sent yet."""
        try:
            return not any(any(folder.iterdir()) for folder in self.folder.iterdir() if folder.is_dir())
        except OSError:
            return False

    @property
    def user(self) -> tuple[str, str]:
        """Who logged in, and the mark of the password then; empty where nobody did."""
        try:
            name, mark = (self.folder / USER).read_text(encoding="utf-8").split()
        except (OSError, ValueError):
            return "", ""
        return name, mark

    def log_out(self) -> None:
        """Let nobody in with the cookie any more; the files go when the hour is over."""
        (self.folder / USER).unlink(missing_ok=True)

    def uploaded(self, path: str | Path) -> Path:
        """A file that this visitor sent, without links.

        Raises
        ------
        RunError
            ``NO_ACCESS``: no file of this session has this path.
        """
        try:
            found = Path(path).resolve(strict=True)
            if found.is_file() and found.is_relative_to(self.uploads.resolve()):
                return found
        except (OSError, ValueError, RuntimeError):
            pass
        raise RunError(Reason.NO_ACCESS, "this file is not among those that you sent; send it again")


class Sessions:
    """All sessions of a server.

    Parameters
    ----------
    root
        Private folder that only this server works in; made where it does not exist.
    cookie
        Name of the cookie. Browsers send cookies to all ports of a host: each server has a name of its own.
    """

    def __init__(self, root: Path, *, cookie: str) -> None:
        self.root, self.cookie = root, cookie
        self.is_busy: Callable[[Session], bool] = lambda _: False
        self.forget: Callable[[str], None] = lambda _: None
        self._lock = threading.Lock()
        root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def of(self, request: "gr.Request | Request") -> Session:
        """The session of a request that the guard let through.

        Raises
        ------
        RunError
            ``NO_ACCESS``: the cookie is missing, or the session ended an hour after its last request.
        """
        found = self.find(cookie_value(str(request.headers.get("cookie", "")), self.cookie))
        if found is None:
            raise RunError(Reason.NO_ACCESS, "this session has ended, and its files were deleted; load the page again to begin a new one")
        return found

    def find(self, secret: str) -> Session | None:
        """The session that has this cookie; None where there is none."""
        return self.by_id(session_id(secret)) if secret else None

    def by_id(self, name: str) -> Session | None:
        """The session of this public name; None where there is none."""
        folder = self.root / name
        return Session(name, folder) if ID.fullmatch(name) and (folder / LAST).is_file() else None

    def begin(self, user: str = "", mark: str = "") -> tuple[Session, str]:
        """A new session, and its cookie.

        Parameters
        ----------
        user, mark
            Who logged in, and what the accounts say of the password now.

        Raises
        ------
        RunError
            ``BUSY``: there are too many with scans.
        """
        if sum(1 for _ in self.root.iterdir()) >= MOST and not self._made_way():
            raise RunError(Reason.BUSY, "too many people use this page now; try again in an hour")
        secret = secrets.token_urlsafe(32)
        session = Session(session_id(secret), self.root / session_id(secret))
        for folder in (session.folder, session.uploads, session.cohort):
            folder.mkdir(mode=0o700)
        if user:
            (session.folder / USER).write_text(f"{user} {mark}\n", encoding="utf-8")
        (session.folder / LAST).touch(mode=0o600)
        return session, secret

    def _made_way(self) -> bool:
        """Whether the session could go that nobody used for longest among those without scans: whoever only knocks keeps nobody out."""
        unused = min((session for session in self.all() if session.is_empty), key=lambda session: session.last, default=None)
        if unused is not None:
            self.end(unused)
        return unused is not None

    def all(self) -> Iterator[Session]:
        """All sessions there are."""
        for entry in sorted(self.root.iterdir()):
            if found := self.by_id(entry.name):
                yield found

    def end(self, session: Session) -> None:
        """Remove a session with all its files."""
        self.forget(session.id)
        going = session.folder.with_suffix(GOING)
        with self._lock:
            if session.folder.is_dir():
                session.folder.rename(going)
        shutil.rmtree(going, ignore_errors=True)

    def clean(self) -> int:
        """Remove sessions whose hour is over and for which nothing is waiting or being measured; their number."""
        now, ended = time.time(), 0
        for session in self.all():
            if now - session.last > LIFE and not self.is_busy(session):
                self.end(session)
                ended += 1
        for rest in self.root.glob(f"*{GOING}"):
            shutil.rmtree(rest, ignore_errors=True)
        return ended


def session_id(secret: str) -> str:
    """Public name of the session that has this cookie.

    >>> session_id("a")
    'ca978112ca1bbdcafac231b39a23dc4d'
    """
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()[:32]


def cookie_value(header: str, name: str) -> str:
    """Value of a cookie in a header ``Cookie``; empty where it is missing.

    >>> cookie_value("a=1; hypojax-7860=x", "hypojax-7860")
    'x'
    """
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return found.value if found else ""
