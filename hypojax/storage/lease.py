"""Who writes into an output folder in a bucket: a small object that says so, and that its holder renews.

A bucket has no locks, but it puts an object only where it still is as it was seen. The object holds a random token and a counter.
Its holder counts on every few seconds; whoever else wants it watches, and takes over where nothing was counted for three intervals.
Both go by their own clock that never runs backwards, so that hosts need not agree on the time of day.

The holder believes in its lease for two and a half intervals from the moment at which it *began* to renew it, which is before anyone
could see that renewal. Whoever watches waits three intervals from when it saw it. So the belief of the one has ended before that of
the other begins.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Final

from hypojax.reason import HypojaxError, Reason, RunError
from hypojax.storage.bucket import ObjectPath
from hypojax.storage.fence import Fence
from hypojax.storage.refusal import ConflictError
from hypojax.storage.request import Version

NAME: Final = ".hypojax.lease"
INTERVAL: Final = 10.0
"""Seconds between renewals."""

BELIEVED: Final = 2.5
"""Intervals for which a renewal is good for its holder."""

WATCHED: Final = 3.0
"""Intervals without a renewal after which another may take over."""

LOOKS: Final = 4
"""Looks at somebody else's lease in one interval."""


def now() -> float:
    """Seconds on a clock that nobody sets and that runs on while the machine sleeps, where there is one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True)
class LeaseState:
    """What the object says.

    Parameters
    ----------
    token
        Who holds it; empty when it was given back.
    holder
        Host and process, for people.
    count
        How often it was renewed.
    """

    token: str
    holder: str
    count: int = 0

    def encoded(self) -> bytes:
        """As the object holds it."""
        return json.dumps({"token": self.token, "holder": self.holder, "count": self.count}).encode() + b"\n"


def decoded(data: bytes) -> LeaseState:
    """The state in an object; one that cannot be read belongs to nobody who renews it."""
    try:
        found = json.loads(data)
        return LeaseState(str(found["token"]), str(found["holder"]), int(found["count"]))
    except (ValueError, TypeError, KeyError):
        return LeaseState("unreadable", "an unknown process")


@dataclass(frozen=True)
class LeaseFence:
    """Lets writers through while a lease is held, whichever process asks: workers of a run have none of their own.

    Parameters
    ----------
    path
        The object of the lease.
    token
        Of the holder.
    around
        A fence that must stand as well.
    """

    path: ObjectPath
    token: str
    around: Fence | None = None

    def check(self) -> None:
        """Ask the server whose the lease is.

        Raises
        ------
        RunError
            ``BUSY``: another took it, or it was given back.
        """
        try:
            token = decoded(self.path.read_bytes()).token
        except FileNotFoundError:
            token = ""
        if token != self.token:
            raise taken(self.path)
        if self.around is not None:
            self.around.check()


def taken(path: ObjectPath) -> RunError:
    """What to say where another holds a lease."""
    message = f"another run took over {path.parent}, since this one could not renew its lease in time; it stops here"
    return RunError(Reason.BUSY, f"{message}, and finished scans are kept: wait until the other ends, then run the same command again")


class Lease:
    """A lease that is held and renewed in a thread until it is given back.

    Parameters
    ----------
    path
        The object.
    state, version
        What was put, and the version that the bucket gave it.
    since
        When that put was begun, by `now`.
    interval
        Seconds between renewals.
    """

    def __init__(self, path: ObjectPath, state: LeaseState, version: Version, *, since: float, interval: float) -> None:
        self._path, self._state, self._version = path, state, version
        self._interval, self._good_until = interval, since + BELIEVED * interval
        self._lost: HypojaxError | None = None
        self._news, self._ended = threading.Condition(), threading.Event()
        self._thread = threading.Thread(target=self._renew_on, name="hypojax-lease", daemon=True)
        self._thread.start()

    def fence(self, around: Fence | None = None) -> LeaseFence:
        """What lets writers through while it is held."""
        return LeaseFence(self._path, self._state.token, around)

    @property
    def interval(self) -> float:
        """Seconds between renewals."""
        return self._interval

    @property
    def held(self) -> bool:
        """Whether nobody else can hold it at this moment."""
        return self._lost is None and not self._ended.is_set() and now() < self._good_until

    def check(self) -> None:
        """Return where the lease is held, after waiting for a renewal that is late.

        Raises
        ------
        RunError
            ``BUSY``: another run took over; or why it could not be renewed.
        """
        with self._news:
            self._news.wait_for(lambda: self.held or self._lost is not None or self._ended.is_set())
        if self._lost is not None:
            raise self._lost

    def give_back(self) -> None:
        """Stop renewing, and say so in the bucket."""
        self._ended.set()
        self._thread.join()
        if self._lost is not None:
            return
        try:
            if self._path.swap(LeaseState("", self._state.holder, self._state.count).encoded(), seen=self._version) is None:
                self._lost = taken(self._path)
        except (OSError, HypojaxError):
            return  # it ends by itself

    def _renew_on(self) -> None:
        """Renew until the end."""
        while self._lost is None and not self._ended.wait(self._interval):
            try:
                self._renew()
            except HypojaxError as error:
                self._lost = error
            except (ConflictError, OSError) as error:
                self._lost = RunError(Reason.NO_ACCESS, f"the lease {self._path} cannot be renewed ({error}); run the same command again")
            with self._news:
                self._news.notify_all()

    def _renew(self) -> None:
        """Count one on."""
        begun, state = now(), LeaseState(self._state.token, self._state.holder, self._state.count + 1)
        version = self._path.swap(state.encoded(), seen=self._version)
        if version is None:
            raise taken(self._path)
        self._state, self._version, self._good_until = state, version, begun + BELIEVED * self._interval


@contextmanager
def lease(root: ObjectPath, *, interval: float = INTERVAL) -> Iterator[Lease]:
    """Hold an output folder in a bucket for one run, so that two never write into one store at once.

    Parameters
    ----------
    root
        The output folder.
    interval
        Seconds between renewals; the same for all who use the folder. A lease whose holder died is free after three of them.

    Raises
    ------
    RunError
        ``BUSY``: another run holds it, at once or while this one goes on; ``NO_ACCESS`` or ``UNREACHABLE``; ``NOT_WRITABLE``.
    """
    try:
        held = acquire(root / NAME, interval=interval)
    except OSError as error:
        message = f"cannot write {root / NAME}: {error.strerror}; choose an output folder that you may write to"
        raise RunError(Reason.NOT_WRITABLE, message) from error
    try:
        yield held
    finally:
        held.give_back()
    held.check()  # an error of the run itself comes first


def acquire(path: ObjectPath, *, interval: float) -> Lease:
    """Take a lease that is free, or that its holder has not renewed while it was watched."""
    state = LeaseState(token_hex(16), f"process {os.getpid()} on {socket.gethostname()}")
    since, version = now(), path.swap(state.encoded(), seen=None)
    while version is None:
        seen = _watched(path, interval)
        since, version = now(), path.swap(state.encoded(), seen=seen)
    return Lease(path, state, version, since=since, interval=interval)


def refuse_holder(path: ObjectPath, *, interval: float) -> None:
    """Return once nobody holds a lease that is not one's own: who died with it is shut out from here on.

    Raises
    ------
    RunError
        ``BUSY``: it is renewed.
    """
    while True:
        try:
            state = decoded(path.read_version()[0])
        except FileNotFoundError:
            return
        if not state.token:
            return
        seen = _watched(path, interval)
        if seen is None or path.swap(LeaseState("", state.holder, state.count).encoded(), seen=seen) is not None:
            return


def _watched(path: ObjectPath, interval: float) -> Version | None:
    """The version of a lease that may be taken: given back, gone, or not renewed for three intervals.

    Raises
    ------
    RunError
        ``BUSY``: it was renewed.
    """
    first: Any = None
    while True:
        try:
            data, version = path.read_version()
        except FileNotFoundError:
            return None
        state, looked = decoded(data), now()
        if not state.token:
            return version
        if first is None:
            first, since = version, looked
        if version != first:
            message = f"another run ({state.holder}) is writing into {path.parent}"
            raise RunError(Reason.BUSY, f"{message}; wait until it ends, then run the same command again, or name another OUT")
        if looked - since > WATCHED * interval:
            return version
        time.sleep(interval / LOOKS)
