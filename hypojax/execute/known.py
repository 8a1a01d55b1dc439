"""Scans that a store knows already: what was found again keeps its id, and a second dataset with the same labels gets ids of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hypojax.scans import Discovery, Scan
from hypojax.scans.found import free_name, unique
from hypojax.storage import Location, inside, locate, real
from hypojax.store import ScanEntry

Entries = Mapping[str, ScanEntry]


def adopt(found: Discovery, known: Sequence[ScanEntry]) -> Discovery:
    """What was found, under the names that a store has for it.

    - A file that the store knows keeps its id and the name of its dataset, whatever other inputs are named this time.
    - Where the store has an id for a file of another dataset that is still there, the name of the dataset goes before the new ids.
      Where that file is gone, or is of the same dataset, the id stays: the store says what to do.
    - A name of a dataset that the store has for other files gets a number behind it.

    Parameters
    ----------
    found
        What a search found.
    known
        All inputs of the store.

    Raises
    ------
    RunError
        ``DUPLICATE_SCAN`` where two files claim one id all the same.
    """
    files: dict[Location, dict[str, ScanEntry]] = {}
    for entry in known:
        files.setdefault(real(locate(entry["path"])), {})[entry["scan"]] = entry
    entries = {entry["scan"]: entry for entry in known}
    again = {scan.id: _of_file(scan, files[place]) for scan in found.scans if known and (place := real(scan.path)) in files}
    names = _as_before(found, files, again)
    new = [replace(scan, dataset=names.get(scan.dataset, scan.dataset)) for scan in found.scans]
    homes = {names[name]: folder for name, folder in found.datasets.items()}
    strange = {scan.dataset for scan in new if scan.id not in again and _of_others(scan, entries, homes.get(scan.dataset))}

    def settled(scan: Scan) -> Scan:
        if scan.id in again:
            return replace(scan, id=again[scan.id]["scan"])
        return replace(scan, id=f"{scan.dataset}_{scan.id}") if scan.dataset in strange else scan

    scans = sorted(unique(map(settled, new)), key=lambda scan: scan.id)
    said = [f"the output has other scans with ids of dataset {name!r}: its new ids begin with {name}_" for name in sorted(strange)]
    return replace(found, scans=tuple(scans), notes=(*found.notes, *said), datasets=homes)


def _of_file(scan: Scan, entries: Entries) -> ScanEntry:
    """What the store has of a scan's file, which links may let stand for several scans: under the same id, else the first."""
    return entries.get(scan.id) or entries[min(entries)]


def _as_before(found: Discovery, files: Mapping[Location, Entries], again: Entries) -> dict[str, str]:
    """Name of a dataset as found → as the store has it: that of the first of its scans that is known, else one that no other has."""
    before: dict[str, str] = {}
    for scan in found.scans:
        if scan.dataset in found.datasets and scan.id in again and (name := again[scan.id].get("dataset", "")):
            before.setdefault(scan.dataset, name)
    names: dict[str, str] = {}
    for name, folder in found.datasets.items():
        elsewhere = (entries.values() for place, entries in files.items() if not inside(place, folder))
        taken = {entry.get("dataset", "") for entries in elsewhere for entry in entries}
        others = {other for key, other in before.items() if key != name}
        names[name] = before.get(name) or free_name(name, {*taken, *others, *names.values()})
    return names


def _of_others(scan: Scan, entries: Entries, folder: Location | None) -> bool:
    """Whether the store has the id of a scan for a file of another dataset (in another folder, where one is known) that is still there."""
    entry = entries.get(scan.id)
    if entry is None or entry.get("dataset") == scan.dataset:
        return False
    place = locate(entry["path"])
    return not (folder and inside(real(place), folder)) and _is_there(place)


def _is_there(place: Location) -> bool:
    """Whether there is a file; none at a path that cannot be."""
    try:
        return place.exists()
    except OSError:
        return False
