"""Repair: what is damaged or lost in a store and can be made again from the rest of it, with no scan read."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from hypojax.reason import Reason, RunError
from hypojax.storage import PARTIAL, Location, digest, each, keys, names, place
from hypojax.store.evaluations import EVALUATIONS
from hypojax.store.index import Index, joined, put_index, read_index
from hypojax.store.ledger import LEDGER, LedgerEntry, ScanRecord, parse_entry, read_records
from hypojax.store.root import SCANS, read_root
from hypojax.store.sealed import NAME, DamagedDocumentError, encode, group_document, scan_key, unseal

ASIDE: Final = "set-aside"
"""Folder beside the store for what lay in it and belongs to nothing."""


def rebuilt_index(root: Location) -> Index | None:
    """The index as the ledger's records tell it; None where none of them holds.

    Settings are those of most records. Inputs that never had a record are not among the scans: the next run brings them back.
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
    scans = {entry.origin["input"]["scan"]: entry.origin["input"] for entry in entries}
    return Index(settings=made[0]["settings"], provenance=provenance, scans=tuple(scans[scan] for scan in sorted(scans)))


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
    done += _groups(root)
    for sentences in each(root, lambda record: tuple(_documents(root, record)), read_records(root, index.ids)):
        done += sentences
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
        yield f"the index was rebuilt from the records of {len(index.scans)} scans; the next run adds inputs that had none"


def _groups(root: Location) -> Iterator[str]:
    """Write the document of the group that holds all scans where it is not what it must be."""
    path, shared = root / SCANS / NAME, encode(group_document({}))
    if _bytes(path) != shared:
        place(path, shared)
        yield f"{SCANS}/{NAME} was written again"


def _documents(root: Location, record: ScanRecord) -> Iterator[str]:
    """Write documents of a scan's groups and arrays again where another document has a copy, if it gives the digest in the record."""
    folder = root / SCANS / scan_key(record["scan"])
    for key, expected in record["files"].items():
        if not key.endswith(NAME) or ((data := _bytes(folder / key)) is not None and digest(data) == expected):
            continue
        for candidate in _copies(folder, key):
            if digest(candidate) == expected:
                place(folder / key, candidate)
                yield f"scan {record['scan']!r}: {key} was written again"


def _copies(folder: Location, key: str) -> Iterator[bytes]:
    """What a document may have been: that of a group of groups, or that of an array as its group's document has it."""
    yield encode(group_document({}))
    group, _, rest = key.partition("/")
    try:
        document: dict[str, Any] = json.loads(_bytes(folder / group / NAME) or b"{}")
        array = document["consolidated_metadata"]["metadata"][rest.removesuffix(f"/{NAME}")]
    except (ValueError, TypeError, KeyError):
        return
    yield json.dumps(array, indent=2).encode()


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
    records: Mapping[str, Mapping[str, str]] = {scan_key(record["scan"]): record["files"] for record in read_records(root, index.ids)}
    known = {scan_key(scan) for scan in index.ids}
    for key in keys(root / LEDGER):
        folder, _, name = key.rpartition("/")
        if key != NAME and not (folder in known and name.removesuffix(PARTIAL) == NAME):
            yield f"{LEDGER}/{key}"
    for key in keys(root / SCANS):
        folder, _, name = key.partition("/")
        if key != NAME and not (folder in known and (folder not in records or name in records[folder])):
            yield f"{SCANS}/{key}"
    yield from _foreign_arrays(root)


def _foreign_arrays(root: Location) -> Iterator[str]:
    """Keys of arrays and groups at the root that the table does not have."""
    try:
        description = read_root(root)
    except DamagedDocumentError:
        return
    for name in names(root)[0]:
        if name not in {SCANS, LEDGER, EVALUATIONS, *description.columns, *description.replaced}:
            inner = keys(root / name)
            yield from (f"{name}/{key}" for key in inner if NAME in inner or any(each.startswith("c/") for each in inner))


def _bytes(path: Location) -> bytes | None:
    """Bytes of a file; None where there is none that can be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None
