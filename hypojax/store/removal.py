"""Removal: every byte of a scan goes, and the last scan takes its row, so that table and arrays have no holes.

First the index says which scans go, so that whoever finds a removal broken off can finish it; last it says that some went, and no longer
which. Between, every step may be done twice: a chunk is copied to its new row before the record says so, and the old one goes after that,
so that no record ever speaks of a chunk of another scan. While that takes the root shows no table.
"""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from hypojax.reason import Reason, RunError
from hypojax.schema import COHORT_ARRAYS
from hypojax.storage import Location, inside, names, place, real, remove, replacing, writing
from hypojax.store.chunks import SCAN_GROUPS, scan_folders
from hypojax.store.evaluations import evaluation_paths, named
from hypojax.store.index import Index, put_index
from hypojax.store.inflight import read_entry
from hypojax.store.ledger import LEDGER, LedgerEntry, record_path
from hypojax.store.root import COLUMN, EXPORTS, hide_table, read_root, skeleton
from hypojax.store.sealed import DamagedDocumentError, scan_key
from hypojax.store.transfer import move_slot
from hypojax.tables.row_edits import without_rows

ASIDE: Final = "set-aside"
"""Folder beside the store for what lay in it and belonged to nothing."""

DERIVATIVES: Final = "derivatives"
"""Folder beside the store for label maps as BIDS has them."""

QUALITY_TABLE: Final = "qc.tsv"
"""Table beside the store of what people said of scans."""


REPORTS: Final = ("report", "report-shared")
"""Folders beside the store for pages, each of which has numbers of all scans."""

REPORT_PARTS: Final = ("index.html", "scans", "figures", "static", "shared.txt", "pages.jsonl")
"""What a report has; the last one marks a folder as one."""


def begin_removal(root: Location, index: Index, scans: Sequence[str]) -> Index:
    """Remove scans, as `finish_removal`, from a store that nobody else writes.

    Raises
    ------
    RunError
        ``NOTHING_FOUND``: the store has no such scan; ``DISK_FULL`` or ``NOT_WRITABLE``.
    """
    if unknown := [scan for scan in scans if scan not in index.slots]:
        raise RunError(Reason.NOTHING_FOUND, f"store {root} has no scan {unknown[0]!r}; nothing was removed")
    going = replace(index, removing=tuple(sorted({*index.removing, *scans})))
    put_index(root, going)
    return finish_removal(root, going)


def finish_removal(root: Location, index: Index) -> Index:
    """Remove the scans that the index says are being removed, and give the index without them.

    Raises
    ------
    RunError
        ``DISK_FULL`` or ``NOT_WRITABLE``: the next command that writes goes on.
    """
    order = order_without(index.ids, index.removing)
    _remove_tables(root, index)
    remove_reports(root.parent)
    for scan in index.removing:
        _remove_scan(root, scan, index, order)
    for slot, scan in enumerate(order):
        if slot != index.slots[scan]:
            move_slot(root, scan, slot)
    for array in COHORT_ARRAYS:
        for row in names(root / array.name / "c")[0]:
            if row.isdecimal() and int(row) >= len(order):
                remove(root / array.name / "c" / row)
    for key, document in skeleton(len(order)).items():
        place(root / key, document)
    removed = {"date": datetime.now(UTC).date().isoformat(), "scans": len(index.removing)}
    made = replace(index, scans=tuple(index.by_id[scan] for scan in order), removing=(), removed=(*index.removed, removed))
    put_index(root, made)
    return made


def reports_of(out: Location) -> list[Location]:
    """Folders with a report in that of a run; a folder of that name may be somebody's own."""
    found = [out / name for name in REPORTS if (out / name / REPORT_PARTS[-1]).is_file()]
    return [folder for folder in found if inside(real(folder), real(out))]


def remove_reports(out: Location) -> None:
    """Remove the reports in the folder of a run, and leave what others put beside their pages.

    Raises
    ------
    RunError
        ``NOT_WRITABLE``.
    """
    for folder in reports_of(out):
        for name in REPORT_PARTS:
            remove(folder / name)
        if isinstance(folder, Path):
            with suppress(OSError):  # something else is in it
                folder.rmdir()


def order_without(scans: Sequence[str], removing: Iterable[str]) -> tuple[str, ...]:
    """Scans in order of their slots when some have gone: the last ones take the places of those.

    >>> order_without(["a", "b", "c", "d", "e"], ["b", "d"])
    ('a', 'e', 'c')
    """
    gone = set(removing)
    count = len(scans) - len(gone)
    late = [scan for scan in scans[count:] if scan not in gone]
    return tuple(late.pop() if scan in gone else scan for scan in scans[:count])


def _remove_tables(root: Location, index: Index) -> None:
    """Remove the table and its exports, which have a row for each scan; and rows of what people said of scans that go."""
    exported: list[str] = []
    with suppress(DamagedDocumentError, ValueError):
        exported = list(json.loads(str(read_root(root).attributes.get(EXPORTS, "{}"))))
    for name in (name for name in exported if COLUMN.fullmatch(name)):  # first: the root alone says which files these are
        remove(root.parent / name)
    for name in hide_table(root, index=index):
        remove(root / name)
    _remove_ratings(root.parent / QUALITY_TABLE, index.removing)


def _remove_ratings(said: Location, scans: Sequence[str]) -> None:
    """Remove rows of what people said of scans that go, while nobody adds one."""
    with suppress(FileNotFoundError):
        if without_rows(before := said.read_bytes(), key="scan", values=scans) == before:
            return
        with writing(said), replacing(said) as file:
            file.write(without_rows(said.read_bytes(), key="scan", values=scans))


def _remove_scan(root: Location, scan: str, index: Index, order: Sequence[str]) -> None:
    """Remove all that is stored of a scan, its record last, which names its label maps."""
    slot = index.slots[scan]
    entry, _ = read_entry(record_path(root, scan), scan)
    for key in entry.derivatives:
        path = root.parent / DERIVATIVES / key
        if inside(real(path), real(root.parent / DERIVATIVES)):  # a record from elsewhere may name any file
            remove(path)
            _remove_empty(path, root.parent / DERIVATIVES)
    taken = slot < len(order) and _slot_of(read_entry(record_path(root, order[slot]), order[slot])[0]) == slot
    for folder in scan_folders(scan, slot)[: len(SCAN_GROUPS) if taken else None]:
        remove(root / folder)
    for path in evaluation_paths(root):
        if named(scan).search(path.read_bytes()):
            remove(path.parent)
    aside = root.parent / ASIDE / root.name
    for name in (*(f"{group}/{scan_key(scan)}" for group in (*SCAN_GROUPS, LEDGER)), *(array.name for array in COHORT_ARRAYS)):
        remove(aside / name)
    remove(root / LEDGER / scan_key(scan))


def _slot_of(entry: LedgerEntry) -> int | None:
    """The row of a scan by its record."""
    return entry.record["slot"] if entry.record is not None else None


def _remove_empty(path: Location, top: Location) -> None:
    """Remove the folders above a file, below ``top``, that are empty without it; buckets have none."""
    if isinstance(path, Path):
        with suppress(OSError):
            for folder in path.parents:
                if folder == top:
                    return
                folder.rmdir()
