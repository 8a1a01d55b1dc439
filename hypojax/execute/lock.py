"""Who may write into an output folder: one run, or the shards of one run together.

Locks go with the process, however it ends; file systems without locks do without.
"""

import errno
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from hypojax.execute.shard import Shard
from hypojax.reason import Reason, RunError
from hypojax.store.objects import writing

LOCK: Final = ".hypojax.lock"
"""Held by one run alone, or shared by shards."""

SETTLING: Final = ".hypojax.settling.lock"
"""Held for moments, by whoever writes what all shards have in common: index and table."""

UNLOCKABLE: Final = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL})
"""How file systems without locks say so."""


@contextmanager
def locked(out: Path, *, shard: Shard | None = None) -> Iterator[None]:
    """Hold the output folder (made when it is not there), so that no two processes ever do the same scans.

    A whole run holds it alone; shards hold it together, each its own share alone.

    Raises
    ------
    RunError
        ``BUSY``: another run holds it; ``NOT_WRITABLE``.
    """
    if shard is None:
        with _held(out, LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB, who="another run"):
            yield
        return
    whole = _held(out, LOCK, fcntl.LOCK_SH | fcntl.LOCK_NB, who="a run of all scans")
    with whole, _held(out, f".hypojax.shard-{shard.number}-of-{shard.count}.lock", fcntl.LOCK_EX | fcntl.LOCK_NB, who=f"shard {shard}"):
        yield


@contextmanager
def settling(out: Path) -> Iterator[None]:
    """Hold what all shards write, after waiting for whoever has it.

    Raises
    ------
    RunError
        ``NOT_WRITABLE``.
    """
    with _held(out, SETTLING, fcntl.LOCK_EX, who="a shard"):
        yield


@contextmanager
def _held(out: Path, name: str, mode: int, *, who: str) -> Iterator[None]:
    """Hold one lock file."""
    with _opened(out / name) as handle:
        try:
            fcntl.flock(handle, mode)
        except BlockingIOError as error:
            message = f"{who} is writing into {out}; wait until it ends, then run the same command again, or name another OUT"
            raise RunError(Reason.BUSY, message) from error
        except OSError as error:
            if error.errno not in UNLOCKABLE:
                raise
        yield


def _opened(path: Path) -> IO[str]:
    """A lock file, made with its folder when it is not there."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a")
