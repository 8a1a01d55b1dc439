"""Scans that were found in another place than the store has them from: moved, mounted elsewhere, or another image under the same id."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from hypojax.execute.lock import Say, table_lock
from hypojax.execute.outcome import ScanResult, refusal
from hypojax.execute.output import STORE, entry_of, known_entries, refuse_raw
from hypojax.execute.readahead import overlapped, threads_for
from hypojax.reason import HypojaxError, Reason, RunError, ScanError
from hypojax.scans import Discovery, Image, Scan, discover, read
from hypojax.scans.found import free_name, unique
from hypojax.storage import Location, Place, inside, locate, locate_all, real
from hypojax.store import CohortStore, Native, ScanEntry, ScanRecord
from hypojax.store.index import relocate

SAME: Final = "same"
"""The image that the store has."""

AGAIN: Final = "again"
"""A scan that failed, or that counts for nothing: nothing is lost where its new file is taken."""


def find(inputs: Place | Iterable[Place], *, out: Location, dataset: str = "", strict_tables: bool = False) -> Discovery:
    """What the inputs hold, without what an earlier run wrote into ``out``, under the names that the store there knows.

    ``dataset`` is the name of the dataset of all scans; that of its folder when empty.
    ``strict_tables`` refuses tables of people that are not as they should be.

    Raises
    ------
    RunError
        Nothing found, two files with one id, or ``out`` is itself a folder of scans.
    """
    places = locate_all(inputs)
    refuse_raw(out)
    found = discover(places, dataset=dataset, strict_tables=strict_tables)
    own = real(out)
    foreign = tuple(scan for scan in found.scans if not inside(real(scan.path), own))
    if not foreign:
        message = f"all {len(found.scans)} images found lie in the output folder {out}; name the folder of the scans as INPUT"
        raise RunError(Reason.NOTHING_FOUND, message)
    return adopt(replace(found, scans=foreign), known_entries(out))


@dataclass(frozen=True)
class Moved:
    """What became of scans that lie elsewhere than before.

    Parameters
    ----------
    store
        The store, which has the new places of those that are the same.
    refused
        Scan → why it was left alone, where it is another image.
    """

    store: CohortStore
    refused: Mapping[str, ScanResult] = field(default_factory=dict)


def settle_moved(store: CohortStore, scans: Sequence[Scan], *, out: Location, say: Say) -> Moved:
    """Look at scans that the store has from another file: where that is the same image the store takes the new place of it.

    Parameters
    ----------
    store
        The store, with the scans among its inputs.
    scans
        Scans as they were found now, of which this run does some or all.
    out
        Output folder.
    say
        Told of what was found.
    """
    moved = [scan for scan in scans if real(locate(store.index.by_id[scan.id]["path"])) != real(scan.path)]
    if not moved:
        return Moved(store)
    example = f"{moved[0].id}: {moved[0].path}, before {store.index.by_id[moved[0].id]['path']}"
    say(f"{len(moved)} scans lie elsewhere than before ({example}): comparing what they hold")
    with closing(overlapped(moved, lambda scan: compare(store, scan), depth=threads_for(), threads=threads_for())) as found:
        verdicts = dict(zip((scan.id for scan in moved), found, strict=True))
    refused = {scan: verdict for scan, verdict in verdicts.items() if isinstance(verdict, ScanResult)}
    taken = [scan for scan in moved if scan.id not in refused]
    if same := [scan for scan in taken if verdicts[scan.id] == SAME]:
        say(f"{len(same)} of them are the same images, so what the store has of them is kept under the new paths")
    for scan in taken:
        if verdicts[scan.id] == AGAIN:
            store.withdraw(scan.id)
    for result in refused.values():
        say(f"left alone: {result.message}")
    with table_lock(out) as common:
        index = relocate(common / STORE, [entry_of(scan) for scan in taken])
    return Moved(CohortStore(store.root, index=index), refused)


def compare(store: CohortStore, scan: Scan) -> str | ScanResult:
    """Whether a scan that lies elsewhere is the one that the store has; the refusal where it is another, or cannot be told."""
    record = store.record(scan.id)
    if record is None or not _holds_image(record):
        return AGAIN
    try:
        if same_image(read(scan.id, scan.path), store.read_native(scan.id)):
            return SAME
    except ScanError as error:
        return AGAIN if record["status"] == "failed" else refusal(scan.id, error, seconds=0.0)
    if record["status"] == "failed":
        return AGAIN
    before = store.index.by_id[scan.id]["path"]
    message = f"{scan.path} is another image than {before}, which the store has under this id, and whose results are kept"
    advice = "give it another id in a table with columns 'scan' and 'path', name another OUT, or do all scans again with --recompute"
    return refusal(scan.id, HypojaxError(Reason.DUPLICATE_SCAN, f"{message}; {advice}"), seconds=0.0)


def same_image(image: Image, native: Native) -> bool:
    """Whether voxels, their type, scaling and place are those that a store has."""
    return (
        image.voxels.dtype == native.voxels.dtype
        and (image.slope, image.intercept) == (native.slope, native.intercept)
        and np.array_equal(image.affine, native.affine)
        and np.array_equal(image.voxels, native.voxels, equal_nan=image.voxels.dtype.kind == "f")
    )


def _holds_image(record: ScanRecord) -> bool:
    """Whether the voxels of a scan were stored with its record."""
    return any(key.startswith("native/") for key in record["files"])


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
