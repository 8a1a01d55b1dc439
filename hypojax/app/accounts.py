"""Users of the page and their passwords: a file of scrypt hashes, and a minute of waiting after five wrong passwords.

A line of the file is a user: ``NAME scrypt$N$R$P$SALT$HASH``. Whoever deletes a line ends the sessions of that user as well, and so does a
new password. A password costs as much time where there is no such user, so that nobody learns who has an account.
"""

import base64
import hashlib
import hmac
import os
import re
import secrets
import stat
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hypojax.reason import Reason, RunError, visible
from hypojax.storage.files import replacing

NAME: Final = re.compile(r"[A-Za-z0-9._@-]{1,64}")
COST, BLOCK, PARALLEL = 2**15, 8, 1
"""Of scrypt (RFC 7914): 32 MB and about a tenth of a second a password."""

SALT: Final = 16
SHORTEST: Final = 10
"""Characters of a password, at least."""

LONGEST: Final = 1024
"""Bytes of a password that are looked at, at most."""

WRONG: Final = 5
"""Wrong passwords of one user, or from one address, until both wait."""

WAIT: Final = 60.0
"""How long they wait, seconds."""

REMEMBERED: Final = 10_000
"""Users and addresses whose wrong passwords are counted at once."""

AT_ONCE: Final = 2
"""Passwords that are computed at once: each takes memory and a processor."""


@dataclass(frozen=True)
class PasswordHash:
    """A password as the file has it.

    Parameters
    ----------
    cost, block, parallel
        Of scrypt.
    salt, digest
        Drawn bytes, and what scrypt made of them and the password.
    """

    cost: int
    block: int
    parallel: int
    salt: bytes
    digest: bytes

    @classmethod
    def of(cls, password: str) -> "PasswordHash":
        """Of a new password, with a new salt."""
        salt = secrets.token_bytes(SALT)
        return cls(COST, BLOCK, PARALLEL, salt, _scrypt(password, salt, COST, BLOCK, PARALLEL))

    @classmethod
    def read(cls, text: str) -> "PasswordHash":
        """From what `str` gave.

        Raises
        ------
        ValueError
            It is none.
        """
        kind, cost, block, parallel, salt, digest = text.split("$")
        if kind != "scrypt" or not 1024 <= int(cost) <= 2**20 or not 1 <= int(block) <= 32 or not 1 <= int(parallel) <= 16:
            raise ValueError(f"no hash of scrypt: {kind}")
        return cls(int(cost), int(block), int(parallel), base64.b64decode(salt, validate=True), base64.b64decode(digest, validate=True))

    def __str__(self) -> str:
        salt, digest = (base64.b64encode(part).decode() for part in (self.salt, self.digest))
        return f"scrypt${self.cost}${self.block}${self.parallel}${salt}${digest}"

    def fits(self, password: str) -> bool:
        """Whether the password is this one."""
        return hmac.compare_digest(self.digest, _scrypt(password, self.salt, self.cost, self.block, self.parallel))


NOBODY: Final = PasswordHash(COST, BLOCK, PARALLEL, b"nobody has this!", b"")
"""What the password of an unknown user is held against; none fits."""


@dataclass
class Accounts:
    """The users of a file, read again when it changes.

    Parameters
    ----------
    file
        The file.
    clock
        Seconds that only grow.

    Raises
    ------
    RunError
        ``NO_ACCESS``: the file is not there, is not readable, or others may read it; ``USAGE``: a line is no user, or there is none.
    """

    file: Path
    clock: Callable[[], float] = time.monotonic
    _seen: tuple[int, int] = (0, 0)
    _users: Mapping[str, PasswordHash] = field(default_factory=dict)
    _wrong: dict[str, tuple[int, float]] = field(default_factory=dict)
    _lock: AbstractContextManager[bool] = field(default_factory=threading.Lock)
    _computing: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(AT_ONCE))

    def __post_init__(self) -> None:
        """Read the file now, so that a server without users does not begin."""
        if not self.users():
            raise RunError(Reason.USAGE, f"{self.file} names no user; add one with: hypojax app --add-user NAME --auth-file {self.file}")

    def users(self) -> Mapping[str, PasswordHash]:
        """Users by name, as the file has them now; while it cannot be read there are none."""
        try:
            found = self.file.stat()
        except OSError:
            return {} if self._seen != (0, 0) else read_users(self.file)
        with self._lock:
            if self._seen != (now := (found.st_mtime_ns, found.st_ino)):
                self._users = read_users(self.file)
                self._seen = now
            return self._users

    def mark(self, user: str) -> str:
        """What a session of this user remembers: it changes with the password; empty for an unknown user."""
        found = self.users().get(user)
        return hashlib.sha256(f"{user} {found}".encode()).hexdigest() if found else ""

    def waiting(self, user: str, address: str) -> int:
        """Seconds until this user, or this address, may try a password again; 0 for now."""
        with self._lock:
            ends = [self._wrong.get(key, (0, 0.0)) for key in _keys(user, address)]
        left = max((last + WAIT - self.clock() for count, last in ends if count >= WRONG), default=0.0)
        return max(0, int(left + 0.999))

    def log_in(self, user: str, password: str, address: str) -> bool:
        """Whether user and password are right; each wrong try is counted.

        Parameters
        ----------
        user, password
            As typed.
        address
            Where the request comes from.
        """
        with self._computing:
            if self.waiting(user, address):  # asked here: of many that come at once, those after the fifth wait
                return False
            users = self.users()
            is_right = users.get(user, NOBODY).fits(password) and user in users
            with self._lock:
                for key in _keys(user, address):
                    if is_right:
                        self._wrong.pop(key, None)
                    else:
                        self._count(key)
        return is_right

    def _count(self, key: str) -> None:
        now = self.clock()
        count, last = self._wrong.pop(key, (0, now))
        self._wrong[key] = (count + 1 if now - last < WAIT else 1, now)
        while len(self._wrong) > REMEMBERED:
            del self._wrong[next(iter(self._wrong))]


def read_users(file: Path) -> dict[str, PasswordHash]:
    """Users of a file by name.

    Raises
    ------
    RunError
        ``NO_ACCESS``: it is not there, cannot be read, or others may read or write it; ``USAGE``: a line is no user.
    """
    how = f"add a user with: hypojax app --add-user NAME --auth-file {visible(str(file))}"
    try:
        mode, text = file.stat().st_mode, file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(Reason.NO_ACCESS, f"{visible(str(file))} cannot be read ({error}); {how}") from error
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise RunError(Reason.NO_ACCESS, f"other users of this machine may open {visible(str(file))}; forbid it with: chmod 600 {file}")
    users = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            name, password = line.split()
            users[name] = PasswordHash.read(password)
        except ValueError:
            raise RunError(Reason.USAGE, f"{visible(str(file))}, line {number}, is no user; delete the line, and {how}") from None
    return users


def add_user(file: Path, name: str, password: str) -> bool:
    """Write a user, or a new password of one, into a file that only its owner may open.

    Parameters
    ----------
    file
        The file; made where it is not there.
    name
        Letters, digits and ``. _ @ -``, 64 at most.
    password
        `SHORTEST` characters at least.

    Returns
    -------
    Whether the user is new.

    Raises
    ------
    RunError
        ``USAGE``: the name or the password cannot be used; ``NOT_WRITABLE``: the file cannot be written.
    """
    if not NAME.fullmatch(name):
        raise RunError(Reason.USAGE, f"{visible(name)!r} cannot be the name of a user; take letters, digits, and . _ @ -, 64 at most")
    if len(password) < SHORTEST or len(password.encode()) > LONGEST:
        raise RunError(Reason.USAGE, f"the password has {len(password)} characters; take {SHORTEST} or more")
    users = read_users(file) if file.exists() else {}
    is_new = name not in users
    users[name] = PasswordHash.of(password)
    before = os.umask(0o077)
    try:
        with replacing(file) as sink:
            os.fchmod(sink.fileno(), 0o600)
            sink.write("".join(f"{user} {entry}\n" for user, entry in sorted(users.items())).encode())
    except OSError as error:
        raise RunError(Reason.NOT_WRITABLE, f"{visible(str(file))} cannot be written ({error.strerror}); name another file") from error
    finally:
        os.umask(before)
    return is_new


def _keys(user: str, address: str) -> tuple[str, str]:
    """Under which wrong passwords are counted; what a stranger sends is not kept."""
    return f"user {hashlib.sha256(user.encode('utf-8', 'replace')).hexdigest()}", f"address {address}"


def _scrypt(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    """Of the first `LONGEST` bytes of a password."""
    text = password.encode("utf-8", "replace")[:LONGEST]
    return hashlib.scrypt(text, salt=salt, n=cost, r=block, p=parallel, maxmem=256 * cost * block + 2**20, dklen=32)
