"""What is stored of a scan, moved to another row of its store or copied into another store."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from hypojax.reason import Reason, RunError
from hypojax.schema import COHORT_ARRAYS
from hypojax.storage import Location, digest, digests, place, remove, swap
from hypojax.store.chunks import scan_folders
from hypojax.store.inflight import read_entry
from hypojax.store.ledger import ScanRecord, entry_bytes, record_path


def move_slot(root: Location, scan: str, slot: int) -> None:
    """Give a scan another row: its chunks first, then its record, then the old chunks go.

    Raises
    ------
    RunError
        ``DISK_FULL`` or ``NOT_WRITABLE``; ``BUSY``: somebody else writes its record.
    """
    path = record_path(root, scan)
    entry, seen = read_entry(path, scan)
    if entry.record is None or entry.record["slot"] == slot:
        return
    old = entry.record["slot"]
    moved = {_moved(key, slot) if _is_chunk(key) else key: (key, digest) for key, digest in entry.record["files"].items()}
    for key, (before, _) in moved.items():
        if key != before:
            with suppress(FileNotFoundError):  # its record names it all the same, and so does verification
                place(root / key, (root / before).read_bytes())
    files = {key: moved[key][1] for key in sorted(moved)}
    record = ScanRecord(**{**entry.record, "slot": slot, "files": files})
    if swap(path, entry_bytes(replace(entry, record=record), scan), seen=seen, through=True) is None:
        raise RunError(Reason.BUSY, f"the record of scan {scan!r} is written by somebody else; run the same command again")
    for array in COHORT_ARRAYS:
        remove(root / array.name / "c" / str(old))


def _is_chunk(key: str) -> bool:
    """Whether an object is a chunk of an array over all scans."""
    return key.split("/", maxsplit=1)[0] in {array.name for array in COHORT_ARRAYS}


def _moved(key: str, slot: int) -> str:
    """Key of the same chunk in another row."""
    name, chunk, _, rest = key.split("/", 3)
    return f"{name}/{chunk}/{slot}/{rest}"


def copied(root: Location, found: ScanRecord, *, scan: str, slot: int) -> tuple[ScanRecord, Mapping[str, bytes]]:
    """The record and all objects of a scan in the store at ``root``, as a store has them where it has another id and row.

    Raises
    ------
    RunError
        ``STORE_DAMAGED``: an object is not what was written.
    """
    places = dict(zip(scan_folders(found["scan"], found["slot"]), scan_folders(scan, slot), strict=True))
    objects: dict[str, bytes] = {}
    for key, expected in found["files"].items():
        home = next(folder for folder in places if key.startswith(f"{folder}/"))
        data = (root / key).read_bytes() if (root / key).is_file() else b""
        if digest(data) != expected:
            raise damaged_source(root, found["scan"], f"{key} is missing or damaged")
        objects[places[home] + key[len(home) :]] = data
    return ScanRecord(**{**found, "scan": scan, "slot": slot, "files": digests(objects)}), objects


def damaged_source(root: Location, scan: str, what: str) -> RunError:
    """Why a store cannot be merged."""
    return RunError(
        Reason.STORE_DAMAGED, f"scan {scan!r} of {root}: {what}; run there again with --check, or hypojax repair, then merge again"
    )
