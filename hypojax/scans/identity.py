"""Who is who: an id for every scan that no other has, and the dataset within which a label of a subject stands for one person."""

import dataclasses
from collections.abc import Collection, Iterable, Sequence

from hypojax.location import Location, real
from hypojax.reason import Reason, RunError
from hypojax.scans.found import Find, Scan
from hypojax.tables import merged


def settle(finds: Sequence[Find]) -> list[Scan]:
    """Give every scan an id of its own: datasets put their name before it where ids of several inputs clash.

    Raises
    ------
    RunError
        ``DUPLICATE_SCAN`` naming both files.
    """
    roots = {find.dataset for find in finds if find.dataset}
    if _clash(finds):
        names = dataset_names(roots)
        finds = [_prefixed(find, names[find.dataset]) if find.dataset else find for find in finds]
    return unique(scan for find in finds for scan in find.scans)


def in_datasets(finds: Sequence[Find], *, named: str = "") -> tuple[list[Find], dict[str, Location]]:
    """The same with the dataset of every scan, and the folder of each dataset by its name.

    Parameters
    ----------
    finds
        What was found. A scan that has a dataset already, from a table of scans, keeps it.
    named
        The name that the user chose for all of them; no folder stands for it.
    """
    homes = [home for find in finds if find.scans and (home := find.home)]
    names = dict.fromkeys(homes, named) if named else folder_names(homes)
    settled = [_of_dataset(find, names.get(find.home, named) if find.home else named) for find in finds]
    return settled, {} if named else {name: home for home, name in names.items()}


def folder_names(folders: Iterable[Location], *, taken: Collection[str] = ()) -> dict[Location, str]:
    """A name for each folder: its own, with a number behind it where another has it.

    >>> from pathlib import Path
    >>> list(folder_names(map(Path, ("/b/bids", "/a/bids", "/b/other"))).values())
    ['bids', 'bids-2', 'other']
    """
    names: dict[Location, str] = {}
    for folder in sorted(set(folders), key=lambda folder: folder.parts):
        names[folder] = free_name(folder.name or folder.anchor.rstrip("/") or "root", {*taken, *names.values()})
    return names


def free_name(name: str, taken: Collection[str]) -> str:
    """The name, with the first number behind it that makes it one that nobody has.

    >>> free_name("bids", {"bids", "bids-2"})
    'bids-3'
    """
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free


def dataset_names(roots: Iterable[Location]) -> dict[Location, str]:
    """What goes before ids that clash: the last part of a dataset's path, or as many as tell it from the others.

    >>> from hypojax.location import locate
    >>> list(dataset_names(locate(place) for place in ("/a/bids", "/b/bids", "/b/other")).values())
    ['a_bids', 'b_bids', 'other']
    """
    places = sorted(set(roots), key=lambda place: place.parts)

    def alone(place: Location, depth: int) -> bool:
        return sum(other.parts[-depth:] == place.parts[-depth:] for other in places) == 1

    depths = {place: next((depth for depth in range(1, len(place.parts)) if alone(place, depth)), len(place.parts)) for place in places}
    return {place: "_".join(part for part in place.parts[-depth:] if part != place.anchor) for place, depth in depths.items()}


def unique(scans: Iterable[Scan]) -> list[Scan]:
    """The scans; a file named twice is taken once, with the columns of both.

    Raises
    ------
    RunError
        ``DUPLICATE_SCAN`` where two files claim one id.
    """
    kept: dict[str, Scan] = {}
    for scan in scans:
        first = kept.setdefault(scan.id, scan)
        if real(first.path) != real(scan.path):
            raise RunError(
                Reason.DUPLICATE_SCAN,
                f"two files claim the scan id {scan.id!r}: {first.path} and {scan.path}; "
                "rename one, or list both in a table with columns 'scan' and 'path'",
            )
        kept[scan.id] = dataclasses.replace(first, columns=merged(first.columns, scan.columns))
    return list(kept.values())


def _clash(finds: Sequence[Find]) -> bool:
    """Whether an id stands for different files in a dataset and in another input."""
    claims: dict[str, set[tuple[Location | None, Location]]] = {}
    for find in finds:
        for scan in find.scans:
            claims.setdefault(scan.id, set()).add((find.dataset, real(scan.path)))
    return any(len({owner for owner, _ in claim}) > 1 and len({path for _, path in claim}) > 1 for claim in claims.values())


def _prefixed(find: Find, name: str) -> Find:
    """The same scans with the name of their dataset before their ids."""
    return dataclasses.replace(find, scans=tuple(dataclasses.replace(scan, id=f"{name}_{scan.id}") for scan in find.scans))


def _of_dataset(find: Find, name: str) -> Find:
    """The same scans with the name of their dataset."""
    return dataclasses.replace(find, scans=tuple(dataclasses.replace(scan, dataset=scan.dataset or name) for scan in find.scans))
