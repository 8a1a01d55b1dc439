"""Scans that were found in another place than the store has them from: moved, mounted elsewhere, or another image under the same id."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from hypojax.execute.lock import Say, settling
from hypojax.execute.outcome import ScanResult, refusal
from hypojax.execute.output import STORE, entry_of
from hypojax.execute.readahead import overlapped, threads_here
from hypojax.reason import HypojaxError, Reason, ScanError
from hypojax.scans import Image, Scan, read
from hypojax.storage import Location, locate, real
from hypojax.store import CohortStore, Native, ScanRecord
from hypojax.store.index import relocate

SAME: Final = "same"
"""The image that the store has."""

AGAIN: Final = "again"
"""A scan that failed, or that counts for nothing: nothing is lost where its new file is taken."""


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
    with closing(overlapped(moved, lambda scan: compare(store, scan), depth=threads_here(), threads=threads_here())) as found:
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
    with settling(out) as common:
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
