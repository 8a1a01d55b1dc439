"""The cohort store: created from a list of scans, then written one scan at a time, ledger record last."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import xarray as xr

import hypojax.store.arrays as arrays  # noqa: PLR0402 - asking the package for its own module would be a cycle
import hypojax.store.root as table
from hypojax.reason import Reason, RunError, ScanError
from hypojax.storage import FencedPath, Location, Objects, digests, fenced, flush, place_all, prune
from hypojax.store.arrays import Native, NativeImage, StoredSegmentation
from hypojax.store.chunks import LABEL_ARRAYS, NATIVE, scan_folders
from hypojax.store.damage import Problem, verify
from hypojax.store.index import Index, ScanEntry, index_of, make_index, merge, put_index, read_index
from hypojax.store.inflight import ScanInHand, begun, read_entry, shut_out, take
from hypojax.store.ledger import (
    STATUSES,
    LedgerEntry,
    ScanRecord,
    read_record,
    read_records,
    record_path,
    regions_of_record,
    row_of_record,
)
from hypojax.store.removal import begin_removal, finish_removal
from hypojax.store.root import skeleton
from hypojax.store.sealed import NAME, check_file, scan_key

Stored = TypeVar("Stored")


class CohortStore:
    """One cohort on disk or in a bucket: a Zarr v3 group whose root arrays are the table.

    Layout::

        cohort.zarr/zarr.json, volume_mm3/, ...    the table, written whole from the ledger
        cohort.zarr/posterior, image, head         arrays over all scans, a chunk a scan, in the order of the table
        cohort.zarr/native/<scan>                  voxels exactly as in the file
        cohort.zarr/labels/<scan>                  label maps on the same voxels
        cohort.zarr/ledger/zarr.json               settings and inputs, in order of their slots
        cohort.zarr/ledger/<scan>/zarr.json        a marker while a process works on the scan, or where one died of it;
                                                   at last its record

    A scan is done when its ledger record says so. Without a record, whatever is stored of it counts for nothing and
    is written again, to the same bytes. Several threads may write different scans.

    Parameters
    ----------
    root
        Folder of the store.
    index
        Its settings and inputs.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = Path(tempfile.mkdtemp())
    >>> entry = ScanEntry(scan="sub-01", path="sub-01_T1w.nii.gz", entities={}, columns={"age": 31})
    >>> store = CohortStore.create(folder / "cohort.zarr", scans=[entry], settings={"box_mm": 1.0})
    >>> store.missing()
    ('sub-01',)
    """

    def __init__(self, root: Location, *, index: Index) -> None:
        self.root = root
        self.index = index
        self._in_hand: dict[str, ScanInHand] = {}

    @classmethod
    def create(
        cls,
        root: Location,
        *,
        scans: Sequence[ScanEntry],
        settings: Mapping[str, Any],
        provenance: Mapping[str, Any] | None = None,
        anew: bool = False,
    ) -> "CohortStore":
        """A new store, or the one at ``root`` with these scans added.

        Parameters
        ----------
        root
            Folder of the store; made when it does not exist.
        scans
            Inputs; those the store has already keep their records.
        settings
            What all scans of a store must have in common (configuration, weights): other settings are refused.
        provenance
            What else the root attributes tell (versions, device); every value that occurred is kept.
        anew
            Take other settings than those the store was made with; records made with those count for nothing from then on.

        Raises
        ------
        RunError
            ``OTHER_SETTINGS`` with the keys that differ, ``DUPLICATE_SCAN``, ``STORE_DAMAGED``, ``NOT_WRITABLE``, ``DISK_FULL``.
        """
        index = make_index(scans, settings=settings, provenance=provenance or {})
        if (before := index_of(root)) is not None:
            before = finish_removal(root, before) if before.removing else before
            recorded = frozenset(record["scan"] for record in read_records(root, before.ids))
            index = merge(before, index, root=root, recorded=recorded, anew=anew)
        else:
            table.refuse_foreign(root)
            table.write_empty_table(root, index=index)
        # Room comes before the scans that need it.
        place_all(root, skeleton(len(index.scans)), through=True)
        put_index(root, index)
        return cls(root, index=index)

    @classmethod
    def open(cls, root: Location) -> "CohortStore":
        """The store at ``root``.

        Raises
        ------
        RunError
            ``NOTHING_FOUND`` or ``STORE_DAMAGED``.
        """
        return cls(root, index=read_index(root))

    @property
    def scans(self) -> tuple[ScanEntry, ...]:
        """All inputs, in order of their slots."""
        return self.index.scans

    def records(self) -> tuple[ScanRecord, ...]:
        """Every record that holds, in order of slots; one that is damaged, of another row, or made with other settings counts as none."""
        return tuple(record for record in read_records(self.root, self.index.ids) if self._counts(record))

    def record(self, scan: str) -> ScanRecord | None:
        """The record of one scan; None where there is none that holds."""
        return record if (record := read_record(self.root, scan)) is not None and self._counts(record) else None

    def missing(self) -> tuple[str, ...]:
        """Scans without a record: nothing stored of them counts."""
        recorded = {record["scan"] for record in self.records()}
        return tuple(scan for scan in self.index.ids if scan not in recorded)

    def unfinished(self) -> tuple[str, ...]:
        """Scans that are neither done nor failed: those of `missing`, and those with voxels but no segmentation."""
        finished = {record["scan"] for record in self.records() if record["status"] != "pending"}
        return tuple(scan for scan in self.index.ids if scan not in finished)

    def take_over(self, scans: Sequence[str]) -> None:
        """Shut out whoever wrote before and may still be on the way: from here on nothing of that changes the store.

        Parameters
        ----------
        scans
            Those that this process may write, if several share the store.

        Raises
        ------
        RunError
            ``DISK_FULL`` or ``NOT_WRITABLE``; ``BUSY``: another run took over meanwhile.
        """
        if self.index.removing:
            self.index = finish_removal(self.root, self.index)
        elif isinstance(self.root, FencedPath):
            put_index(self.root, self.index)
        shut_out(self.root, scans)

    def remove(self, scans: Sequence[str]) -> None:
        """Remove every byte of scans, from arrays, tables, label maps and evaluations; the input files are left alone.

        Nobody else may write the store meanwhile; the table must be made again after it. What breaks off is finished by the next writer.

        Raises
        ------
        RunError
            ``NOTHING_FOUND``: the store has no such scan; ``DISK_FULL`` or ``NOT_WRITABLE``.
        """
        shut_out(self.root, self.index.ids)
        self.index = begin_removal(self.root, self.index, scans)
        for scan in scans:
            self._in_hand.pop(scan, None)

    def begin(self, scan: str) -> ScanRecord | None:
        """Mark a scan as in flight and count it as begun, until `commit`; the record that it has, as `record`; errors as `write_native`."""
        self._in_hand.pop(scan, None)
        record = self._taken(scan, count=True).marker.entry.record
        return record if record is not None and self._counts(record) else None

    def begun(self, scan: str) -> int:
        """How often a scan was begun and never committed: a process worked on it when it died, or is working on it."""
        return begun(self.root, scan)

    def withdraw(self, scan: str) -> None:
        """Take back the record of a scan: nothing stored of it counts any more; errors as `write_native`."""
        self._taken(scan).withdraw()
        del self._in_hand[scan]

    def behind_marker(self, scan: str, place: Location) -> Location:
        """A place where something of a scan is written beside the store: in a bucket, only while the in-flight marker of the scan is there.

        Raises
        ------
        TakenError
            Another process has begun with the scan since.
        """
        marker = self._taken(scan).marker
        if isinstance(place, FencedPath):
            return fenced(place, marker)
        marker.check()
        return place

    def write_native(self, scan: str, image: NativeImage) -> None:
        """Store the voxels, geometry and header of a scan.

        Raises
        ------
        TakenError
            Another process has begun with the scan since.
        RunError
            ``DISK_FULL`` or ``NOT_WRITABLE``; ``BUSY``: another run took over.
        """
        self._write(scan, arrays.native_objects(scan, image))

    def write_segmentation(self, scan: str, segmented: StoredSegmentation) -> None:
        """Store label maps of a scan, its posteriors and what the networks saw; errors as `write_native`."""
        self._write(scan, arrays.segmented_objects(scan, self._slot(scan), segmented))
        grids = {"box_affine": segmented.box.grid, "head_affine": segmented.head.grid}
        self._taken(scan).affines = {name: grid.affine.tolist() for name, grid in grids.items()}

    def commit(
        self,
        scan: str,
        *,
        status: str,
        reason: Reason = Reason.NONE,
        message: str = "",
        row: Mapping[str, Any] | None = None,
        regions: Mapping[str, Mapping[str, Any]] | None = None,
        derivatives: Mapping[str, str] | None = None,
    ) -> ScanRecord:
        """Write the ledger record of a scan: from here on it counts.

        Parameters
        ----------
        scan
            A scan of this store.
        status
            ``done``, ``failed`` (of which only the voxels stay stored), or ``pending`` when only the voxels are stored.
        reason, message
            Why it failed.
        row
            Other columns of `schema.TABLE` by name; not finite numbers are stored as missing. The place of the box and of the head grid
            are known from `write_segmentation`.
        regions
            Region → ``volume_mm3``, ``volume_hard_mm3``, ``uncertainty_mm3``, ``missing_reason``.
        derivatives
            Key of every file of the scan below the derivatives folder → its SHA-256.

        Raises
        ------
        ValueError
            A finished scan lacks a region, or the scan or status is unknown.
        TakenError, RunError
            As `write_native`; the ledger stays as it is.
        """
        if status not in STATUSES:
            raise ValueError(f"status {status!r} is not one of {STATUSES}")
        slot, columns, volumes = self._slot(scan), row_of_record(row or {}), regions_of_record(regions or {}, status=status)
        held = self._taken(scan)
        record = ScanRecord(
            scan=scan,
            slot=slot,
            status=status,
            reason=str(reason),
            message=message,
            row={**columns, **held.affines},
            regions=volumes,
            # Of a scan that failed only its voxels stay, so that no array shows maps of it.
            files={key: held.files[key] for key in sorted(held.files) if status != "failed" or key.startswith(f"{NATIVE}/")},
            settings_sha256=self.index.settings_sha256,
        )
        self._put(record, derivatives or {})
        return record

    def derivatives(self, scan: str) -> Mapping[str, str]:
        """Key of every file of a finished scan below the derivatives folder → its SHA-256, as the ledger has it."""
        entry, _ = read_entry(record_path(self.root, scan), scan)
        return entry.derivatives if entry.record is not None and self._counts(entry.record) else {}

    def amend_derivatives(self, scan: str, derivatives: Mapping[str, str]) -> None:
        """Say in the ledger what the files of a finished scan below the derivatives folder are now; errors as `write_native`."""
        if dict(derivatives) != dict(self.derivatives(scan)):
            marker = self._taken(scan).marker
            marker.put(replace(marker.entry, marker="", begun=0, derivatives=dict(derivatives)), through=True)
            del self._in_hand[scan]

    def take_copy(self, record: ScanRecord, objects: Objects) -> None:
        """Store a scan as another store has it (`hypojax.store.transfer.copied`), its record last; errors as `write_native`."""
        self._write(record["scan"], objects)
        self._put(record, {})

    def read_native(self, scan: str) -> Native:
        """The voxels, geometry and header of a scan, as they were written.

        Raises
        ------
        ScanError
            ``STORE_DAMAGED``: they are not in the store, or not as they were written.
        """
        return self._read(scan, NATIVE, lambda: arrays.read_native(self.root, scan))

    def read_segmentation(self, scan: str) -> StoredSegmentation:
        """Label maps and posteriors of a scan, and what the networks saw; errors as `read_native`."""
        return self._read(scan, LABEL_ARRAYS, lambda: arrays.read_segmented(self.root, scan, self._slot(scan)))

    def open_scan(self, scan: str, *, group: str = NATIVE) -> xr.Dataset:
        """The voxels of a scan, or its label maps (``labels``), as a lazy Dataset, one Dask chunk an array; nothing is read yet.

        Raises
        ------
        ScanError
            ``STORE_DAMAGED``: it is not in the store, or its geometry is not as it was written.
        """
        return self._read(scan, group, lambda: arrays.open_scan_array(self.root, group, scan))

    def write_table(self, dataset: xr.Dataset, *, exports: Mapping[str, str] | None = None) -> None:
        """Replace the table at the root (`cohort.build` makes it); ``exports``: name of each file beside the store with the same → SHA-256.

        Raises
        ------
        RunError
            ``DISK_FULL`` or ``NOT_WRITABLE``; the ledger stays as it is.
        """
        table.write_table(
            self.root, dataset, index=self.index, ledger_sha256=self.index.ledger_sha256(self.records()), exports=exports or {}
        )

    def verify(self) -> tuple[Problem, ...]:
        """Everything that is not as it was written; see `hypojax.store.damage`."""
        return verify(self.root)

    def _counts(self, record: ScanRecord) -> bool:
        # A record of another row (a repair that broke off moved up scans) would lend its scan the chunks of another.
        return (record["settings_sha256"], record["slot"]) == (self.index.settings_sha256, self.index.slots.get(record["scan"]))

    def _slot(self, scan: str) -> int:
        if scan not in self.index.slots:
            raise ValueError(f"scan {scan!r} is not one of this store; create it with the scan among its inputs")
        return self.index.slots[scan]

    def _taken(self, scan: str, *, count: bool = False) -> ScanInHand:
        """The scan in hand, marked in flight first where it was not; ``count``: as begun one time more."""
        if scan not in self._in_hand:
            marker = take(self.root, scan, count=count)
            record = marker.entry.record
            self._in_hand[scan] = ScanInHand(marker, {**record["files"]} if record is not None and self._counts(record) else {})
        return self._in_hand[scan]

    def _write(self, scan: str, objects: Objects) -> None:
        held = self._taken(scan)
        if set(held.files) & set(objects):
            held.withdraw()
        place_all(self.behind_marker(scan, self.root), objects)
        held.files |= digests(objects)

    def _put(self, record: ScanRecord, derivatives: Mapping[str, str]) -> None:
        scan = record["scan"]
        held = self._taken(scan)
        if set(held.files) - set(record["files"]):
            held.withdraw()  # no record names what is about to go
        root, folders = self.behind_marker(scan, self.root), scan_folders(scan, record["slot"])
        prune(root, folders, keep=record["files"])
        flush(root, record["files"], folders)
        origin = {"input": self.index.by_id[scan], "settings": self.index.settings, "provenance": self.index.provenance}
        held.marker.put(LedgerEntry(record, origin=origin, derivatives=dict(derivatives)), through=True)
        del self._in_hand[scan]

    def _read(self, scan: str, group: str, reader: Callable[[], Stored]) -> Stored:
        try:
            # Chunks carry checksums of their own; affine, slope and types of arrays stand in documents, which do not.
            key, record = f"{group}/{scan_key(scan)}/{NAME}", self.record(scan)
            held = self._in_hand.get(scan)
            files = held.files if held is not None else record["files"] if record is not None else {}
            check_file(self.root / key, files.get(key))
            return reader()
        except (MemoryError, RunError):
            raise  # says nothing about what is stored
        except Exception as error:
            message = f"what the store has of it cannot be read ({error}); do the run again with --check, which writes it anew"
            raise ScanError(Reason.STORE_DAMAGED, scan, message) from error
