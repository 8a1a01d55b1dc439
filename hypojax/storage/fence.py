"""Objects behind a fence: written only by whoever still holds what the fence asks for, however long it was stopped in between.

A process can be stopped between any two instructions, longer than any lease lasts, and then go on. So no clock can tell whether it may
still write. What an object is now is asked first, then whether the writer still holds its place, and then the server is asked to take the
object only if it still is what it was. Where another took the place before the second step, the writer hears of it; where one took it
after, whatever that one wrote makes the third step fail.

Two things a bucket cannot do. On S3 the tag of an object is a digest of its bytes: an object that became another and then the same again
looks untouched. And an object cannot be deleted under a condition: the fence is asked, and the object deleted if it is there.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

import hypojax.storage.request as requests
from hypojax.reason import Reason, RunError
from hypojax.storage.bucket import ObjectPath

if TYPE_CHECKING:
    from hypojax.storage.location import Location

TRIES: Final = 20
"""Times that an object may turn out to be another one while its writer holds the place: somebody writes there who knows of no lease."""

FIRST, LONGEST = 0.01, 0.5
"""Seconds between these tries, doubled from the first on."""


@runtime_checkable
class Fence(Protocol):
    """What a writer must still hold."""

    def check(self) -> None:
        """Ask the server, and raise `HypojaxError` where it is lost."""


class Open:
    """A fence that lets everybody through."""

    def check(self) -> None:
        """Nothing to ask."""


@dataclass(frozen=True, order=True)
class FencedPath(ObjectPath):
    """A place in a bucket to which only the holder of something may write; so are all places found from it.

    Parameters
    ----------
    fence
        Asked before each write.
    """

    fence: Fence = field(default_factory=Open, compare=False, repr=False)

    def write_bytes(self, data: bytes) -> None:
        """Put the object, whole or not at all, where the fence still holds.

        Raises
        ------
        HypojaxError
            What the fence raises; ``BUSY`` where others write the same object all the time.
        """
        seen = requests.version(self.bucket, self.key)
        self.fence.check()
        self._put(data, seen)

    def write_all(self, objects: Mapping[str, bytes]) -> None:
        """Put several objects below, many at once; errors as `write_bytes`."""
        with ThreadPoolExecutor(requests.THREADS, thread_name_prefix="hypojax-bucket") as pool:
            seen = list(pool.map(lambda key: requests.version(self.bucket, (self / key).key), objects))
            self.fence.check()
            for _ in pool.map(lambda key, version: (self / key)._put(objects[key], version), objects, seen):
                pass

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Delete the object where the fence still holds; nothing is asked of the server twice where it is not there."""
        if self.is_file():
            self.fence.check()
            super().unlink(missing_ok=True)
        elif not missing_ok:
            super().unlink()

    def delete_below(self, keys: Sequence[str]) -> None:
        """Delete objects by their keys relative to here, where the fence still holds."""
        if keys:
            self.fence.check()
            super().delete_below(keys)

    def swap(self, data: bytes, *, seen: requests.Version | None) -> requests.Version | None:
        """As `ObjectPath.swap`, where the fence still holds."""
        self.fence.check()
        return super().swap(data, seen=seen)

    def _put(self, data: bytes, seen: requests.Version | None) -> None:
        """Put the object where it is as it was seen before the fence was asked; ask again where it is not."""
        for number in range(TRIES):
            if ObjectPath.swap(self, data, seen=seen) is not None:
                return
            time.sleep(min(LONGEST, FIRST * 2**number))
            seen = requests.version(self.bucket, self.key)
            self.fence.check()
        message = f"{self} is written by somebody else at the same time, again and again"
        raise RunError(Reason.BUSY, f"{message}; let one program alone write there, then run the same command again")


def fenced(place: "Location", fence: Fence) -> "Location":
    """A place behind a fence, another one where it has one already; a place on a disk is left as it is.

    >>> from pathlib import Path
    >>> fenced(Path("out"), Open())
    PosixPath('out')
    """
    if isinstance(place, FencedPath):
        return replace(place, fence=fence)
    return FencedPath(place.bucket, place.key, fence) if isinstance(place, ObjectPath) else place


def check_fence(place: "Location") -> None:
    """Ask whether the fence of a place still holds; nothing is asked where it has none.

    Raises
    ------
    HypojaxError
        What the fence raises.
    """
    if isinstance(place, FencedPath):
        place.fence.check()


def fence_of(place: "Location") -> Fence:
    """The fence of a place; an open one where it has none."""
    return place.fence if isinstance(place, FencedPath) else Open()
