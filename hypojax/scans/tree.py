"""The files below a folder, in an order that does not depend on the file system."""

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Final, overload

from hypojax.reason import Reason, RunError
from hypojax.storage import Location, ObjectPath

NOT_OURS: Final = ("@eadir", "__macosx", "#recycle", "#snapshot", "$recycle.bin", "lost+found", "system volume information")
"""Folders that operating systems and file servers make, in small letters: thumbnails, shadows of files, and what was deleted."""


def folders(root: Location, *, skip: Collection[str] = ()) -> Iterator[tuple[Location, list[str], list[str]]]:
    """Each folder at or below ``root`` with the names of its folders and files, sorted.

    Links to folders are followed once. Hidden files and folders, those that systems make, those named in ``skip`` and Zarr stores are
    left out.
    Who receives the names of folders may remove some, which are then not entered.

    Raises
    ------
    RunError
        ``USAGE`` where a folder may not be listed: scans must not go missing in silence.
    """
    if isinstance(root, ObjectPath):
        yield from _object_folders(root, skip=skip)
        return
    seen: set[str] = set()
    for place, inner, files in os.walk(root, onerror=_refuse, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            inner.clear()
            continue
        seen.add(real)
        inner[:] = _entered(inner, skip)
        yield Path(place), inner, sorted(name for name in files if not name.startswith("."))


@overload
def walk(root: Path, *, skip: Collection[str] = ()) -> Iterator[Path]: ...
@overload
def walk(root: Location, *, skip: Collection[str] = ()) -> Iterator[Location]: ...
def walk(root: Location, *, skip: Collection[str] = ()) -> Iterator[Location]:
    """All files at or below ``root``, as `folders` gives them."""
    for place, _, files in folders(root, skip=skip):
        yield from (place / name for name in files)


def _object_folders(root: ObjectPath, *, skip: Collection[str]) -> Iterator[tuple[ObjectPath, list[str], list[str]]]:
    """As `folders`, of a bucket."""
    found, files = root.names()
    inner = _entered(found, skip)
    yield root, inner, [name for name in files if not name.startswith(".")]
    for name in inner:
        yield from _object_folders(root / name, skip=skip)


def _entered(inner: Iterable[str], skip: Collection[str]) -> list[str]:
    """Names of the folders that are entered, in order."""
    ours = (name for name in inner if not name.startswith(".") and name.lower() not in NOT_OURS)
    return sorted(name for name in ours if name not in skip and not name.endswith(".zarr"))


def _refuse(error: OSError) -> None:
    """Raise for a folder that may not be listed."""
    raise RunError(Reason.USAGE, f"folder {error.filename} cannot be listed ({error.strerror}); allow it or name other inputs") from error
