"""The reference and the new batch: which scans of which outputs they are, how the outputs were made, and which scans are copies."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import xarray as xr
from jaxtyping import Bool

from hypojax.cohort import open_cohort
from hypojax.monitoring.limits import Choice
from hypojax.reason import Reason, RunError
from hypojax.storage import real
from hypojax.tables import text_of
from hypojax.tables.cells import counted
from hypojax.tables.dates import SHIFTED, span_of

DATES: Final = ("acq_time", "scan_date", "acquisition_date", "date")
"""Columns that may hold the date of a scan; BIDS has the first."""

MADE_BY: Final = ("hypojax", "weights_head_sha256", "weights_box_sha256")
"""Attributes of a cohort that say what measured it."""

Mask = Bool[np.ndarray, "scan"]

NAMED: Final = 3
"""Scans that a note names."""


@dataclass(frozen=True)
class Batches:
    """What is compared.

    Parameters
    ----------
    reference, new
        Parts of cohorts.
    same
        Whether they are the same scans, measured twice.
    notes
        Notes, one sentence each.
    """

    reference: xr.Dataset
    new: xr.Dataset
    same: bool
    notes: tuple[str, ...]


def open_batches(reference: Path, new: Path | None = None, *, choice: Choice | None = None) -> Batches:
    """Open what is compared.

    Parameters
    ----------
    reference
        Output folder of the reference; of both where ``new`` is left out.
    new
        Output folder of the new batch.
    choice
        Which scans are new.

    Raises
    ------
    RunError
        ``NOTHING_FOUND``, ``STORE_DAMAGED``, or ``USAGE``: a column is not there, or one side has no scans.
    """
    choice = choice or Choice()
    first, copies = without_copies(open_cohort(reference), name="reference")
    if new is None:
        if not choice.chooses:
            raise RunError(Reason.USAGE, "only one folder was given: give NEW too, or split it with --since or --select")
        mask, notes = chosen(first, choice)
        return _checked(Batches(first.isel(scan=~mask), first.isel(scan=mask), same=False, notes=(*_sizes(first, mask), *copies, *notes)))
    second, more = without_copies(open_cohort(new), name="new batch")
    mask, notes = chosen(second, choice) if choice.chooses else (np.ones(second.sizes["scan"], bool), [])
    return _checked(_matched(first, second.isel(scan=mask), choice, [*_making(first, second), *copies, *more, *notes]))


def chosen(cohort: xr.Dataset, choice: Choice) -> tuple[Mask, list[str]]:
    """Which scans are new, and what was noticed.

    Raises
    ------
    RunError
        ``USAGE``: a column is not there, or holds no dates.
    """
    notes: list[str] = []
    mask = np.ones(cohort.sizes["scan"], bool)
    for name, value in choice.conditions.items():
        mask &= _text(_column(cohort, name)) == value
    if choice.since is not None:
        late, said = _since(cohort, choice)
        mask, notes = mask & late, [*notes, *said]
    return mask, notes


def without_copies(cohort: xr.Dataset, *, name: str) -> tuple[xr.Dataset, list[str]]:
    """The scans of a cohort without those that have the voxels of one before them, and a sentence where there are any.

    Cohorts of older versions do not record copies.

    >>> cohort = xr.Dataset({"duplicate_of": ("scan", ["", "a"])}, coords={"scan": ["a", "b"]})
    >>> kept, said = without_copies(cohort, name="reference")
    >>> kept.scan.values.tolist(), said
    (['a'], ['1 scan of the reference has the same voxels as another (b): counted once'])
    """
    if "duplicate_of" not in cohort:
        return cohort, []
    copies = cohort["duplicate_of"].values != ""
    if not copies.any():
        return cohort, []
    ids = [str(scan) for scan in cohort["scan"].values[copies]]
    shown = ", ".join(ids[:NAMED]) + (", …" if len(ids) > NAMED else "")
    many = "1 scan of the {} has" if len(ids) == 1 else f"{len(ids)} scans of the {{}} have"
    return cohort.isel(scan=np.flatnonzero(~copies)), [f"{many.format(name)} the same voxels as another ({shown}): counted once"]


def shared_voxels(reference: xr.Dataset, new: xr.Dataset) -> list[str]:
    """A sentence where scans of the new batch have the voxels of scans of the reference."""
    if not all("voxels_checksum" in side for side in (reference, new)):
        return []
    known = set(reference["voxels_checksum"].values.tolist()) - {""}
    count = sum(value in known for value in new["voxels_checksum"].values.tolist())
    which = counted(count, "scan has", many="scans have")
    return [f"of {new.sizes['scan']} in the new batch {which} the same voxels as scans of the reference: counted in both"] if count else []


def _since(cohort: xr.Dataset, choice: Choice) -> tuple[Mask, list[str]]:
    """Which scans are of the date asked for or later, and what was noticed."""
    known = [name for name in DATES if name in cohort.variables]
    named = [choice.date] if choice.date else known or DATES[:1]
    spans = {name: [span_of(text) for text in _text(_column(cohort, name))] for name in named}
    name = next((name for name, found in spans.items() if any(found)), None)
    since = span_of(choice.since or "")
    if name is None or since is None:
        raise RunError(Reason.USAGE, f"column {next(iter(spans))!r} contains no dates such as 2024-06-30; name another column with --date")
    certain = [span is not None and (since[0] <= span[0] or span[1] <= since[0]) for span in spans[name]]
    vague = sum(span is not None and not sure for span, sure in zip(spans[name], certain, strict=True))
    moved = sum(span is not None and span[0].year < SHIFTED for span in spans[name])
    said = {
        f"{counted(spans[name].count(None), 'scan')} without a date in {name!r} counted as not new": None in spans[name],
        f"{counted(vague, 'scan')} counted as not new: {name!r} gives only a year or month that contains {choice.since}": vague > 0,
        f"{counted(moved, 'date')} in {name!r} before {SHIFTED}, as BIDS has it for shifted dates: compared without a change": moved > 0,
    }
    late = [sure and span is not None and since[0] <= span[0] for span, sure in zip(spans[name], certain, strict=True)]
    return np.array(late, bool), [sentence for sentence, holds in said.items() if holds]


def _column(cohort: xr.Dataset, name: str) -> xr.DataArray:
    columns = [str(column) for column in cohort.variables if cohort[column].dims == ("scan",)]
    if name not in columns:
        raise RunError(Reason.USAGE, f"the cohort has no column {name!r}; it has: {', '.join(columns)}")
    return cohort[name]


def _text(column: xr.DataArray) -> np.ndarray:
    """Values of a column as text; 3.0 is 3."""
    return np.array([text_of(value) for value in column.values.tolist()], object)


def _matched(first: xr.Dataset, second: xr.Dataset, choice: Choice, notes: list[str]) -> Batches:
    paths = [dict(zip(side["scan"].values.tolist(), side["path"].values.tolist(), strict=True)) for side in (first, second)]
    shared = [scan for scan in paths[0] if scan in paths[1]]
    one = [scan for scan in shared if real(Path(paths[0][scan])) == real(Path(paths[1][scan]))]
    if choice.same == "yes":
        return Batches(first.sel(scan=shared), second.sel(scan=shared), same=True, notes=(*notes, *_alone(first, second, len(shared))))
    if choice.same == "no" or not one:
        clash = [f"{counted(len(shared), 'id')} in both for different files, counted as different scans; if they are the same: --same yes"]
        return Batches(first, second, same=False, notes=(*notes, *(clash if shared and choice.same == "auto" else [])))
    fresh = [scan for scan in paths[1] if scan not in set(one)]
    if _made(first) != _made(second) or not fresh:
        return Batches(first.sel(scan=one), second.sel(scan=one), same=True, notes=(*notes, *_alone(first, second, len(one))))
    known = f"{counted(len(one), 'scan')} of the new batch also in the reference: counted only there"
    return Batches(first, second.sel(scan=fresh), same=False, notes=(*notes, known))


def _alone(first: xr.Dataset, second: xr.Dataset, shared: int) -> list[str]:
    once = first.sizes["scan"] + second.sizes["scan"] - 2 * shared
    return [f"{counted(once, 'scan')} in only one of the two: left out"] if once else []


def _made(cohort: xr.Dataset) -> dict[str, str]:
    return {name: str(cohort.attrs[name]) for name in MADE_BY if name in cohort.attrs}


def _making(first: xr.Dataset, second: xr.Dataset) -> list[str]:
    made, again = _made(first), _made(second)
    names = [name for name in MADE_BY if made.get(name) != again.get(name)]
    said = [f"{name} {made.get(name, 'unknown')[:12]} → {again.get(name, 'unknown')[:12]}" for name in names]
    return [f"made with other software or weights: {', '.join(said)}"] if said else []


def _sizes(cohort: xr.Dataset, mask: Mask) -> list[str]:
    return [f"the new batch: {int(mask.sum())} of {counted(cohort.sizes['scan'], 'scan')}, all others the reference"]


def _checked(batches: Batches) -> Batches:
    """The same with a note on scans not processed yet; refuse a side without scans."""
    notes = list(batches.notes)
    for name, side in (("reference", batches.reference), ("new batch", batches.new)):
        if not side.sizes["scan"]:
            why = "the two have no scan in common" if batches.same else "check --since and --select, or the folder"
            raise RunError(Reason.USAGE, f"the {name} has no scans; {why}")
        if waiting := int((side["status"].values == "pending").sum()):
            notes.append(f"{counted(waiting, 'scan')} of the {name} not processed yet: not compared; finish its run first")
    notes += [] if batches.same else shared_voxels(batches.reference, batches.new)
    return Batches(batches.reference, batches.new, same=batches.same, notes=tuple(notes))
