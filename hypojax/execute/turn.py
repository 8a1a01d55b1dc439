"""Whose turn it is to write: a run and its workers, which may outlive the process that sent them, but never meet those of the next run.

A worker holds the file of its run while it writes scans; the next run waits until nobody does, then puts its own name into it.
"""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from hypojax.reason import Reason, RunError
from hypojax.storage.partial import lock
from hypojax.store.objects import writing

TURN: Final = ".hypojax.turn"
"""First part of the name of such a file; one for runs of all scans, one for each shard."""


@dataclass(frozen=True)
class Turn:
    """The turn of one run.

    Parameters
    ----------
    path
        The file that says so; None in a bucket, where an object is whole whoever writes it.
    name
        Of the run.
    """

    path: Path | None
    name: str

    @contextmanager
    def working(self) -> Iterator[None]:
        """Hold the turn while a worker writes, so that no other run begins meanwhile.

        Raises
        ------
        RunError
            ``BUSY``: another run has begun since. ``NOT_WRITABLE``.
        """
        if self.path is None:
            yield
            return
        with _opened(self.path) as file:
            lock(file, fcntl.LOCK_SH)
            file.seek(0)
            if file.read() != self.name:
                message = f"another run has begun to write into {self.path.parent}, so this worker leaves it alone"
                raise RunError(Reason.BUSY, f"{message}; wait until that run ends, then run the same command again")
            yield


def take_turn(out: Path, name: str, *, shard: str, say: Callable[[str], None]) -> Turn:
    """Make it the turn of a run, once workers of runs before have put down what they had in hand.

    Parameters
    ----------
    out
        Output folder, held by this process.
    name
        Of the run.
    shard
        Which share of the scans the run does; empty for all. Shards have their turns side by side.
    say
        Told when there is somebody to wait for.

    Raises
    ------
    RunError
        ``NOT_WRITABLE``.
    """
    whole, own = out / f"{TURN}.lock", out / f"{TURN}{shard}.lock"
    for path in {whole, own} if shard else {own, *out.glob(f"{TURN}*.lock")}:
        with _opened(path) as file:
            try:
                lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"workers of an earlier run are still writing into {out}: waiting until they have finished what they have in hand")
                lock(file, fcntl.LOCK_EX)
            with writing(path):
                file.truncate(0)
                file.write(name)
                file.flush()
    return Turn(own.absolute(), name)


def _opened(path: Path) -> IO[str]:
    """The file, made when it is not there."""
    with writing(path):
        return path.open("a+")
