"""A run that is stopped as SIGSTOP does it, but at a step that a test chooses: between the last question and the write itself."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

import hypojax.storage.request as requests

LIMIT = 120.0

LEASE = ".hypojax.lease"
"""Whoever stops before he holds it has lost nothing; whoever renews it stops with the others."""


@dataclass
class Stopped:
    """A function in a thread of its own, which stops, with all threads that it started, before one of its writes into a bucket.

    Parameters
    ----------
    work
        The function.
    at
        Told method and key of each write and how many came before: whether to stop there.
    """

    work: Callable[[], object]
    at: Callable[[str, str, int], bool]
    writes: list[tuple[str, str]] = field(default_factory=list)
    error: BaseException | None = None
    _lock: Any = field(default_factory=threading.Lock)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _going_on: threading.Event = field(default_factory=threading.Event)
    _ended: threading.Event = field(default_factory=threading.Event)

    def meet(self, method: str, key: str) -> None:
        """Called before a write: stops here, or where another thread has stopped."""
        with self._lock:
            if not self._going_on.is_set() and not self._stopping.is_set() and not key.endswith(LEASE):
                if self.at(method, key, len(self.writes)):
                    self._stopping.set()
                self.writes.append((method, key))
        if self._stopping.is_set():
            assert self._going_on.wait(LIMIT)

    def stop(self) -> bool:
        """Start it, and return when it has stopped (True) or come to its end without."""
        thread = threading.Thread(target=self._run, daemon=True)
        thread.owner = self  # type: ignore[attr-defined]
        thread.start()
        while not self._stopping.wait(0.01):
            if self._ended.is_set():
                return False
        return True

    def go_on(self) -> None:
        """Let it go on to its end."""
        self._going_on.set()
        assert self._ended.wait(LIMIT)

    def _run(self) -> None:
        try:
            self.work()
        except BaseException as error:  # noqa: BLE001 - for the test to look at
            self.error = error
        finally:
            self._ended.set()


@contextmanager
def stoppable() -> Iterator[None]:
    """Threads inherit from the thread that starts them whether they can be stopped, and writes into buckets ask."""
    start = threading.Thread.start

    def started(thread: threading.Thread) -> None:
        thread.owner = getattr(thread, "owner", None) or getattr(threading.current_thread(), "owner", None)  # type: ignore[attr-defined]
        start(thread)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", started)
        for name in ("exchange", "write", "delete"):
            patch.setattr(requests, name, met(name, getattr(requests, name)))
        yield


def met(name: str, request: Callable[..., Any]) -> Callable[..., Any]:
    """A request that its owner meets first."""

    def asked(bucket: str, key: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401  (as the request has them)
        owner = getattr(threading.current_thread(), "owner", None)
        if owner is not None:
            owner.meet(name, key if isinstance(key, str) else " ".join(key))
        return request(bucket, key, *arguments, **options)

    return asked
