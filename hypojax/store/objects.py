"""Stored objects: bytes under a key, placed atomically and durably, and their digests. On a disk, or in a bucket.

A disk needs care: beside its place first, flushed, renamed. A bucket takes an object whole or not at all, and whoever asks next sees it.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from hypojax.reason import Reason, RunError
from hypojax.storage import FencedPath, Location, ObjectPath, each
from hypojax.storage.partial import PARTIAL, replacing

Objects = Mapping[str, bytes]
"""Key (path below some folder, with ``/``) → the bytes stored there."""

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal.

    >>> digest(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(data).hexdigest()


def digests(objects: Objects) -> dict[str, str]:
    """SHA-256 of every object, ordered by key."""
    return {key: digest(objects[key]) for key in sorted(objects)}


def file_digest(path: Location) -> str:
    """SHA-256 of a file in hexadecimal, read in blocks.

    Raises
    ------
    OSError
        The file is missing or unreadable.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(folder: Location, keys: Iterable[str]) -> Objects:
    """Objects below a folder by their keys, in a bucket many at once.

    Raises
    ------
    OSError
        One is missing or unreadable.
    """
    wanted = tuple(keys)
    return dict(zip(wanted, each(folder, lambda key: (folder / key).read_bytes(), wanted), strict=True))


def place(path: Location, data: bytes, *, through: bool = True) -> None:
    """Write a file whole or not at all: on a disk beside its place first, then renamed over it.

    Parameters
    ----------
    path
        Its place; folders are made.
    data
        Its bytes.
    through
        Whether they are on the disk before the renaming, so that not even a power cut leaves half a file there.

    Raises
    ------
    RunError
        ``DISK_FULL`` or ``NOT_WRITABLE``; what stood at ``path`` before stays.
    """
    with writing(path, len(data)):
        if isinstance(path, ObjectPath):
            path.write_bytes(data)
            return
        with replacing(path, through=through) as file:
            file.write(data)


def place_all(folder: Location, objects: Objects, *, through: bool = False) -> None:
    """Place several objects in the order given, in a bucket many at once; where nothing vouches for them yet, nothing waits for the disk.

    Raises
    ------
    RunError
        ``DISK_FULL`` or ``NOT_WRITABLE``.
    """
    if isinstance(folder, FencedPath):
        with writing(folder, sum(map(len, objects.values()))):
            folder.write_all(objects)
        return
    for _ in each(folder, lambda key: place(folder / key, objects[key], through=through), objects):
        pass


def flush(folder: Location) -> None:
    """Wait until the disk has every file below a folder: what comes next may vouch for them. A bucket has what it took.

    Raises
    ------
    RunError
        ``DISK_FULL`` or ``NOT_WRITABLE``.
    """
    if isinstance(folder, ObjectPath):
        return
    with writing(folder):
        # ext4, XFS and Btrfs put a new file's entry on the disk with the file; folders between need no call of their own.
        for path in (*(folder / key for key in keys(folder)), folder, folder.parent):
            _flush(path)


def keys(folder: Location) -> list[str]:
    """Keys of every file below a folder, in order; none where there is no folder."""
    if isinstance(folder, ObjectPath):
        return folder.below()
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def prune(folder: Location, *, keep: Mapping[str, str]) -> None:
    """Delete every file below ``folder`` whose key is not in ``keep``, and folders that are empty then.

    A worker that was believed lost may be writing the same scan: what it has in hand is left to it.

    Raises
    ------
    RunError
        ``NOT_WRITABLE``.
    """
    with writing(folder):
        stray = [key for key in keys(folder) if key.removesuffix(PARTIAL) not in keep]
        if isinstance(folder, ObjectPath):
            folder.delete_below(stray)
            return
        for key in stray:
            (folder / key).unlink(missing_ok=True)
        for path in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
            if not any(path.iterdir()):
                with suppress(FileNotFoundError):
                    path.rmdir()


def remove(folder: Location) -> None:
    """Delete a folder and all below it; nothing where there is none.

    Raises
    ------
    RunError
        ``NOT_WRITABLE``.
    """
    with writing(folder):
        if isinstance(folder, ObjectPath):
            folder.delete_below(folder.below())
        elif folder.exists():
            shutil.rmtree(folder)


@contextmanager
def writing(path: Location, size: int = 0) -> Iterator[None]:
    """Turn an `OSError` of the output folder into the `RunError` that says what to do.

    Parameters
    ----------
    path
        What is being written.
    size
        Its bytes, for the message.

    Raises
    ------
    RunError
        ``DISK_FULL`` or ``NOT_WRITABLE``.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise RunError(Reason.DISK_FULL, _full(path, size)) from error
        cause = error.strerror or str(error)
        raise RunError(Reason.NOT_WRITABLE, f"cannot write {path}: {cause}; choose an output folder that you may write to") from error


def _full(path: Location, size: int) -> str:
    """The sentence for a full disk."""
    return (
        f"no space left on the disk while writing {path} ({size / 1e6:.1f} MB); free space, or choose another output folder, "
        "then run the same command again: finished scans are kept"
    )


def _flush(path: Path) -> None:
    """Wait until the disk has a file, or the entries of a folder (where the system can: POSIX)."""
    if os.name != "posix" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems cannot flush a folder; they say so with EINVAL and order renames themselves.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)
