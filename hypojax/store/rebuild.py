"""Repair: what is damaged or lost in a store and can be made again from the rest of it, with no scan read."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypojax.reason import Reason, RunError
from hypojax.schema import COHORT_ARRAYS
from hypojax.storage import PARTIAL, Location, each, keys, names, place
from hypojax.store.chunks import SCAN_GROUPS, scan_folders
from hypojax.store.index import Index, joined, put_index, read_index
from hypojax.store.ledger import LEDGER, LedgerEntry, parse_entry, read_records
from hypojax.store.removal import ASIDE, finish_removal
from hypojax.store.root import OWN, REMOVED, hide_table, read_root, skeleton
from hypojax.store.sealed import NAME, DamagedDocumentError, scan_key, unseal
from hypojax.store.transfer import move_slot
from hypojax.tables.cells import counted


def rebuilt_index(root: Location) -> Index | None:
    """The index as the ledger's records tell it; None where none of them holds.

    Settings are those of most records, removals those that the root has. Inputs that never had a record are not among the scans: the
    next run brings them back. Scans come in order of their slots; where one is missing between them `repair` moves those behind it up.
    """
    entries = [entry for entry in each(root, lambda key: _entry(root, key), names(root / LEDGER)[0]) if entry is not None and entry.origin]
    counted = Counter(entry.record["settings_sha256"] for entry in entries if entry.record is not None)
    if not counted:
        return None
    chosen, _ = counted.most_common(1)[0]
    made = [entry.origin for entry in entries if entry.record is not None and entry.record["settings_sha256"] == chosen]
    provenance: dict[str, str] = {}
    for origin in made:
        for name, value in origin["provenance"].items():
            provenance[name] = joined(provenance.get(name, ""), value)
    entries.sort(key=lambda entry: (entry.record is None, entry.record["slot"] if entry.record else 0, entry.origin["input"]["scan"]))
    scans = {entry.origin["input"]["scan"]: entry.origin["input"] for entry in entries}
    return Index(settings=made[0]["settings"], provenance=provenance, scans=tuple(scans.values()), removed=_removed(root))


def _removed(root: Location) -> tuple[Mapping[str, Any], ...]:
    """When scans were removed, and how many, as the root says; none where that does not hold either."""
    with suppress(DamagedDocumentError, ValueError):
        return tuple(json.loads(str(read_root(root).attributes.get(REMOVED, "[]"))))
    return ()


def repair(root: Location) -> tuple[str, ...]:
    """Make again what can be made from the rest of the store, and set aside what belongs to nothing.

    The table is left to whoever can build it (`hypojax.cohort`), voxels and label maps to the next run with ``--check``.

    Returns
    -------
    What was done, a sentence each.

    Raises
    ------
    RunError
        ``NOTHING_FOUND``: there is no store; ``STORE_DAMAGED``: its index is lost, and no record holds from which to rebuild it;
        ``NOT_WRITABLE`` or ``DISK_FULL``.
    """
    done = list(_index(root))
    index = read_index(root)
    if index.removing:
        index = finish_removal(root, index)
        done.append("the removal of scans that broke off was finished")
    for key, expected in skeleton(len(index.scans)).items():
        if _bytes(root / key) != expected:
            place(root / key, expected)
            done.append(f"{key} was written again")
    moving = [record for record in read_records(root, index.ids) if record["slot"] != index.slots[record["scan"]]]
    if moving:
        hide_table(root, index=index)  # whose rows are those of before
    for record in moving:
        move_slot(root, record["scan"], index.slots[record["scan"]])
        done.append(f"scan {record['scan']!r} was moved from row {record['slot']} to row {index.slots[record['scan']]}")
    done += _set_aside(root, index)
    return tuple(done)


def _entry(root: Location, key: str) -> LedgerEntry | None:
    """The entry in a folder of the ledger, whatever scan it is of; None where it does not hold."""
    try:
        data = (root / LEDGER / key / NAME).read_bytes()
        scan = str(unseal(data)["attributes"]["scan"])
        return parse_entry(data, scan) if scan_key(scan) == key else None
    except (OSError, DamagedDocumentError, KeyError):
        return None


def _index(root: Location) -> Iterator[str]:
    """Rebuild the index where it does not hold."""
    try:
        read_index(root)
    except RunError as error:
        if error.reason is not Reason.STORE_DAMAGED:
            raise
        index = rebuilt_index(root)
        if index is None:
            message = f"the index of store {root} is damaged, and no record of its ledger holds from which to rebuild it"
            raise RunError(Reason.STORE_DAMAGED, f"{message}; restore it from a copy, or run again into a new output folder") from error
        put_index(root, index)
        yield f"the index was rebuilt from the records of {counted(len(index.scans), 'scan')}; the next run adds inputs that had none"


def _set_aside(root: Location, index: Index) -> Iterator[str]:
    """Move what belongs to nothing out of the store, beside it, so that nobody takes it for a part of the cohort."""
    for key in list(foreign_keys(root, index)):
        data = _bytes(root / key)
        if data is not None:
            place(root.parent / ASIDE / root.name / key, data)
            (root / key).unlink(missing_ok=True)
            _remove_empty(root / key)
            yield f"{key} belongs to nothing and was moved to {root.parent / ASIDE}"


def _remove_empty(path: Location) -> None:
    """Remove the folders above a file that are empty without it; buckets have none."""
    if isinstance(path, Path):
        with suppress(OSError):
            for folder in path.parents:
                folder.rmdir()


def foreign_keys(root: Location, index: Index) -> Iterator[str]:
    """Keys of all that is neither of the ledger, nor of a scan with a record or one at work, nor of the table, nor the user's own."""
    files = {record["scan"]: record["files"] for record in read_records(root, index.ids)}
    homes = {folder: scan for scan, slot in index.slots.items() for folder in scan_folders(scan, slot)}
    known = {scan_key(scan) for scan in index.ids}
    for key in keys(root / LEDGER):
        folder, _, name = key.rpartition("/")
        if key != NAME and not (folder in known and name.removesuffix(PARTIAL) == NAME):
            yield f"{LEDGER}/{key}"
    for top in (*SCAN_GROUPS, *(array.name for array in COHORT_ARRAYS)):
        depth = 2 if top in SCAN_GROUPS else 3
        for key in (f"{top}/{key}" for key in keys(root / top) if key != NAME):
            scan = homes.get("/".join(key.split("/")[:depth]))
            if scan is None or (scan in files and key not in files[scan]):
                yield key
    yield from _foreign_arrays(root)


def _foreign_arrays(root: Location) -> Iterator[str]:
    """Keys of arrays and groups at the root that the table does not have."""
    try:
        description = read_root(root)
    except DamagedDocumentError:
        return
    for name in names(root)[0]:
        if name not in {*OWN, *description.columns, *description.replaced}:
            inner = keys(root / name)
            yield from (f"{name}/{key}" for key in inner if NAME in inner or any(each.startswith("c/") for each in inner))


def _bytes(path: Location) -> bytes | None:
    """Bytes of a file; None where there is none that can be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None
