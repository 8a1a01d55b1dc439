"""Who may write into an output folder: one run, or the shards of one run together, after the workers of runs before.

- ``.hypojax.lock``: a run of all scans holds it alone; shards share it, and each holds ``.hypojax.shard-I-of-N.lock`` alone. Runs of
  named scans (`ChosenScans`) share it too, and each holds a ``.hypojax.shard-SCAN.lock`` for every scan.
- ``.hypojax.workers.lock``, of a run on a cluster (each shard has one of its own): its workers share it while they write, since they may
  outlive the process that sent them. The next run waits until nobody holds it, and then puts its own name into it, which bars them.
- ``.hypojax.table.lock``: held for moments by whoever writes what all shards have in common, index and table.

On a disk locks go with the process, however it ends, and stay with one that is stopped: nobody takes over from it. File systems without
locks do without; there, and where a file server forgets the locks of a host that was cut off, in-flight markers are what is left
(`hypojax.store.inflight`).

In a bucket they are leases, which can be lost while a process is stopped. So whatever is written there asks first whether the lease is
still held (`hypojax.storage.fence`). A run of all scans and shards each take their own lease first and then look for those of the
others, so that of two that come at once at least one is refused.
"""

import fcntl
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from hypojax.reason import Reason, RunError
from hypojax.storage import Location, ObjectPath, fence_of, fenced, lock, remote, writing
from hypojax.storage.lease import INTERVAL, NAME, Lease, acquire, lease, refuse_holder
from hypojax.store.sealed import scan_key

RUN: Final = ".hypojax"
WORKERS: Final = ".hypojax.workers"
TABLE: Final = ".hypojax.table"
SHARD: Final = ".shard-"
"""Parts of the names of locks, as above; on a disk they end in ``.lock``, in a bucket they are folders with a lease."""

FORM: Final = re.compile(r"([0-9]+)/([0-9]+)")
"""A shard on the command line."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Shard:
    """One share of several.

    Parameters
    ----------
    number
        Which, from 1.
    count
        Of how many.

    Raises
    ------
    RunError
        ``USAGE``: there is no such share.

    Examples
    --------
    >>> [Shard(number, 2).share(["a", "b", "c"]) for number in (1, 2)]
    [['a', 'c'], ['b']]
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        """Refuse a share that is none."""
        if not 1 <= self.number <= self.count:
            raise RunError(Reason.USAGE, f"shard {self} is none; I/N needs I from 1 to N, for example: --shard 3/100")

    def __str__(self) -> str:
        """As on the command line."""
        return f"{self.number}/{self.count}"

    def share(self, scans: Sequence[str]) -> list[str]:
        """The scans of this share: every N-th of all, in order of their ids. All shares together are all scans, each once."""
        return sorted(scans)[self.number - 1 :: self.count]

    @property
    def holders(self) -> dict[str, str]:
        """End of the name of its lock → who holds that, in words."""
        return {f"{self.number}-of-{self.count}": f"shard {self}"}


@dataclass(frozen=True)
class ChosenScans:
    """Scans that one run was given by name, while others that were given other scans write beside it.

    Such runs bring their own scans alone, so that all of them are their share. Two that have a scan in common exclude each other.

    Parameters
    ----------
    scans
        Their ids.

    Examples
    --------
    >>> ChosenScans(("sub-01_ses-1",)).holders
    {'sub-01_ses-1': "a run of scan 'sub-01_ses-1'"}
    """

    scans: tuple[str, ...]

    def share(self, scans: Sequence[str]) -> list[str]:
        """All scans of the run, in order of their ids."""
        return sorted(scans)

    @property
    def holders(self) -> dict[str, str]:
        """End of the name of each lock → who holds that, in words."""
        return {scan_key(scan): f"a run of scan {scan!r}" for scan in self.scans}


Share = Shard | ChosenScans
"""What a run does that does not do all scans of an output."""


def parse_shard(text: str) -> Shard:
    """The share that a command line names.

    Raises
    ------
    RunError
        ``USAGE``: it is not I/N.

    >>> parse_shard("3/100")
    Shard(number=3, count=100)
    """
    if (found := FORM.fullmatch(text)) is None:
        raise RunError(Reason.USAGE, f"--shard {text!r} is not I/N; for example: --shard 3/100")
    return Shard(int(found[1]), int(found[2]))


@dataclass(frozen=True)
class WorkerLock:
    """What lets the workers of one run write.

    Parameters
    ----------
    path
        The lock file; None in a bucket, where an object is whole whoever writes it.
    run
        Name of the run.
    """

    path: Path | None
    run: str

    def admit(self) -> None:
        """Let the workers of this run write; errors as `held`."""
        if self.path is not None:
            with _opened(self.path) as file:
                _write(file, self.run, self.path)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock while a worker writes, so that no other run begins meanwhile.

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
            if file.read() != self.run:
                message = f"another run has begun to write into {self.path.parent}, so this worker leaves it alone"
                raise RunError(Reason.BUSY, f"{message}; wait until that run ends, then run the same command again")
            yield


@dataclass(frozen=True)
class Hold:
    """An output folder that this process holds.

    Parameters
    ----------
    out
        The folder, in a bucket behind a fence that holds while the lock is held: everything is written through it.
    workers
        What lets workers of this run write.
    check
        Raises `RunError` (``BUSY``) where another run took over, which only happens in a bucket.
    """

    out: Location
    workers: WorkerLock
    check: Callable[[], None] = lambda: None


@contextmanager
def locked(out: Location, *, shard: Share | None = None, say: Say = lambda _: None) -> Iterator[Hold]:
    """Hold the output folder (made when it is not there), so that no two processes ever do the same scans.

    A whole run holds it alone; shards hold it together, each its own share alone. Either waits for workers of runs before,
    which may go on for a while after the process that sent them was killed.

    Parameters
    ----------
    out
        The folder.
    shard
        The share of a run that does not do all scans.
    say
        Called when there is somebody to wait for.

    Raises
    ------
    RunError
        ``BUSY``: another run holds it; ``NOT_WRITABLE``; ``USAGE``: named scans, each with a lock of its own, in a bucket.
    """
    run = f"hypojax-{uuid.uuid4().hex[:12]}"
    own = {f"{SHARD}{end}": who for end, who in shard.holders.items()} if shard else {}
    share = next(iter(own), "")
    if remote(out):
        if isinstance(shard, ChosenScans):
            message = f"{out} is in a bucket, where runs of named scans cannot write side by side"
            raise RunError(Reason.USAGE, f"{message}; name a folder as OUT, or use hypojax run --shard I/N")
        with lease(out / f"{RUN}{share}" if share else out) as held:
            _refuse_others(out, shard=shard, interval=held.interval)
            yield Hold(fenced(out, held.fence()), WorkerLock(None, run), held.check)
        return
    with ExitStack() as locks:
        mode = (fcntl.LOCK_SH if shard else fcntl.LOCK_EX) | fcntl.LOCK_NB
        locks.enter_context(_held(out, RUN, mode, who="a run of all scans" if shard else "another run"))
        for name, who in own.items():
            locks.enter_context(_held(out, f"{RUN}{name}", fcntl.LOCK_EX | fcntl.LOCK_NB, who=who))
        _wait_for_workers(out, run, share=share, say=say)
        yield Hold(out, WorkerLock((out / f"{WORKERS}{share}.lock").absolute(), run))


def remove_share_locks(out: Path) -> None:
    """Remove the lock files of shares that ended. Only whoever holds ``out`` alone may: then no share is at work or begins."""
    for path in out.glob(f"{RUN}{SHARD}*.lock"):
        path.unlink(missing_ok=True)


@contextmanager
def table_lock(out: Location) -> Iterator[Location]:
    """Hold what all shards write, after waiting for whoever has it; gives the folder through which to write it.

    Raises
    ------
    RunError
        ``NOT_WRITABLE``.
    """
    if not remote(out):
        with _held(out, TABLE, fcntl.LOCK_EX, who="a shard"):
            yield out
        return
    held = _waited_for(out.resolve() / TABLE)
    try:
        yield fenced(out, held.fence(around=fence_of(out)))
    finally:
        held.give_back()


def _refuse_others(out: ObjectPath, *, shard: Share | None, interval: float) -> None:
    """Refuse to go on where a run of all scans is at work beside a shard, or a shard beside a run of all scans."""
    others = [out] if shard else [out / name for name in out.names()[0] if name.startswith(f"{RUN}{SHARD}")]
    with ThreadPoolExecutor(max(1, len(others))) as pool:  # each may have to be watched for a while
        for _ in pool.map(lambda other: refuse_holder(other / NAME, interval=interval), others):
            pass


def _waited_for(place: ObjectPath) -> Lease:
    """A lease, after waiting for its holder; the wait ends, since a lease whose holder died is free after three intervals."""
    while True:
        try:
            return acquire(place / NAME, interval=INTERVAL)
        except RunError as error:
            if error.reason is not Reason.BUSY:
                raise
            time.sleep(INTERVAL / 10)


def _wait_for_workers(out: Path, run: str, *, share: str, say: Say) -> None:
    """Wait until workers of runs before have finished what they have in hand, and bar them; those of other shards write beside this one."""
    whole, own = out / f"{WORKERS}.lock", out / f"{WORKERS}{share}.lock"
    for path in {whole, own} if share else out.glob(f"{WORKERS}*.lock"):
        if not path.exists():
            continue  # no run on a cluster has been here
        with _opened(path) as file:
            try:
                lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"workers of an earlier run are still writing into {out}: waiting until they have finished what they have in hand")
                lock(file, fcntl.LOCK_EX)
            _write(file, run, path)


def _write(file: IO[str], run: str, path: Path) -> None:
    """Put the name of a run into a lock file, whose workers alone may write from then on."""
    with writing(path):
        file.truncate(0)
        file.write(run)
        file.flush()


@contextmanager
def _held(out: Path, name: str, mode: int, *, who: str) -> Iterator[None]:
    """Hold one lock file."""
    with _opened(out / f"{name}.lock") as handle:
        try:
            lock(handle, mode)
        except BlockingIOError as error:
            message = f"{who} is writing into {out}; wait until it ends, then run the same command again, or name another OUT"
            raise RunError(Reason.BUSY, message) from error
        yield


def _opened(path: Path) -> IO[str]:
    """A lock file, made with its folder when it is not there."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+")
