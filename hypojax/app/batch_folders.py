"""Folders of scans below ``--inputs``: listed a few at a time, named by their path below it, and never one outside, also not by a link."""

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from hypojax.app.batch_refusal import BatchRefusedError
from hypojax.reason import visible
from hypojax.scans.bids import SUBJECT, is_dataset, is_image
from hypojax.scans.tree import EXCLUDED, NOT_OURS

MOST_SHOWN: Final = 50
"""Folders in one list; a filter finds the others."""

MOST_SEARCHED: Final = 5000
"""Folders looked at for one list."""

DEEPEST: Final = 3
"""Levels below ``--inputs`` on which folders are offered."""

FIRST_ENTRIES: Final = 300
"""Entries of a folder looked at to see whether it holds an image."""

SLICES: Final = (".dcm", ".ima")

STORE: Final = "cohort.zarr"
"""What makes a folder one of results."""


@dataclass(frozen=True)
class FoldersFound:
    """Folders that fit a filter.

    Parameters
    ----------
    names
        Their paths below ``--inputs``.
    more
        Whether there may be others: a filter that says more finds them.
    """

    names: tuple[str, ...]
    more: bool = False


def folders_below(root: Path, *, contains: str = "", limit: int = MOST_SHOWN) -> FoldersFound:
    """Folders of scans below ``root``: those of the first level first, each level in order of names.

    Parameters
    ----------
    root
        Folder whose folders are offered; itself as ``.`` where it holds scans directly.
    contains
        Text that a name must have in it, in capital or small letters.
    limit
        Most names in the answer.
    """
    root, wanted = root.resolve(), contains.strip().casefold()
    searched = list(islice(_below(root), MOST_SEARCHED + 1))
    fitting = (name for name, place in searched[:MOST_SEARCHED] if wanted in name.casefold() and holds_scans(place))
    found = tuple(islice(fitting, limit + 1))
    return FoldersFound(found[:limit], more=len(found) > limit or len(searched) > MOST_SEARCHED)


def chosen_folder(root: Path, name: str) -> Path:
    """The folder of that name below ``root``, with all links followed.

    Raises
    ------
    BatchRefusedError
        It is not there, lies outside, or holds no scan; or something in it is a link that leads outside.
    """
    root = root.resolve()
    outside = BatchRefusedError("folder_outside", f"{visible(name)} is no folder below the inputs of this server; choose one of the list")
    if "\0" in name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise outside
    try:
        place = (root / name).resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise outside from error
    if not place.is_relative_to(root) or not place.is_dir():
        raise outside
    if not holds_scans(place):
        raise BatchRefusedError("folder_empty", f"no scan was seen in {visible(name)}; choose another folder")
    if link := link_outside(place, root):
        where = visible(str(link.relative_to(root)))
        raise BatchRefusedError("folder_links", f"{where} is a link to something outside the inputs of this server; copy it", link=where)
    return place


def holds_scans(folder: Path) -> bool:
    """Whether a folder is a BIDS dataset, or an image lies at or below it among the first entries; never one of results."""
    if (folder / STORE).exists():
        return False
    return is_dataset(folder) or any(_is_scan(entry) for entry in islice(_entries(folder, DEEPEST), FIRST_ENTRIES))


def link_outside(folder: Path, root: Path) -> Path | None:
    """The first link at or below a folder that leads outside of ``root``; None where there is none. Links inside are followed once."""
    waiting, seen = [folder], {folder}
    while waiting:
        for entry in _scanned(waiting.pop()):
            place = Path(entry.path)
            target = _resolved(place) if entry.is_symlink() else place
            if target is None or not target.is_relative_to(root):
                return place
            if entry.is_dir() and target not in seen:
                seen.add(target)
                waiting.append(target)
    return None


def _below(root: Path) -> Iterator[tuple[str, Path]]:
    """Folders at and below ``root`` with their names, level by level; datasets and folders of results are not entered."""
    waiting, seen = deque([(root, 0)]), {root}
    while waiting:
        place, level = waiting.popleft()
        waiting.extend((inner, level + 1) for inner in (_entered(place, root, seen) if level < DEEPEST else ()))
        if place != root or is_dataset(root) or any(map(_is_scan, _scanned(root))):
            yield place.relative_to(root).as_posix(), place


def _entered(place: Path, root: Path, seen: set[Path]) -> list[Path]:
    """Folders in one that are offered too: real ones below ``root`` that were not seen before, in order of names."""
    if is_dataset(place) or (place / STORE).exists():
        return []
    named = sorted(entry.name for entry in _scanned(place) if entry.is_dir() and _offered(entry.name))
    found = [real for name in named if (real := _resolved(place / name)) and real.is_relative_to(root) and real not in seen]
    seen.update(found)
    return found


def _offered(name: str) -> bool:
    """Whether a folder of that name may be a dataset of its own."""
    return not (name.startswith(".") or name.lower() in (*NOT_OURS, *EXCLUDED) or name.endswith(".zarr") or SUBJECT.fullmatch(name))


def _entries(folder: Path, levels: int) -> Iterator[os.DirEntry[str]]:
    """Entries at and below a folder, its own first; links to folders are not entered."""
    own = list(islice(_scanned(folder), FIRST_ENTRIES))
    yield from own
    for entry in own:
        if levels and entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            yield from _entries(Path(entry.path), levels - 1)


def _is_scan(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is an image or a slice of one, by its name."""
    return is_image(Path(entry.path)) or entry.name.lower().endswith(SLICES)


def _scanned(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Entries of one folder; none where it may not be listed."""
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError:
        return


def _resolved(place: Path) -> Path | None:
    """A place with all links followed; None where one leads nowhere, or in a circle."""
    try:
        return place.resolve(strict=True)
    except (OSError, RuntimeError):
        return None
