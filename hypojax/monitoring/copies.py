"""Scans that are there more than once under several names: one of each counts, since tests take scans of people for independent ones."""

from typing import Final

import numpy as np
import xarray as xr

NAMED: Final = 3
"""Scans that a note names."""


def without_copies(cohort: xr.Dataset, *, name: str) -> tuple[xr.Dataset, list[str]]:
    """The scans of a cohort without those that have the voxels of one before them, and a sentence where there are any.

    Cohorts of older versions do not say which these are.

    >>> cohort = xr.Dataset({"duplicate_of": ("scan", ["", "a"])}, coords={"scan": ["a", "b"]})
    >>> kept, said = without_copies(cohort, name="reference")
    >>> kept.scan.values.tolist(), said
    (['a'], ['1 scan of the reference has the voxels of another (b): counted once'])
    """
    if "duplicate_of" not in cohort:
        return cohort, []
    copies = cohort["duplicate_of"].values != ""
    if not copies.any():
        return cohort, []
    ids = [str(scan) for scan in cohort["scan"].values[copies]]
    shown = ", ".join(ids[:NAMED]) + (", …" if len(ids) > NAMED else "")
    many = "1 scan of the {} has" if len(ids) == 1 else f"{len(ids)} scans of the {{}} have"
    return cohort.isel(scan=np.flatnonzero(~copies)), [f"{many.format(name)} the voxels of another ({shown}): counted once"]


def shared_voxels(reference: xr.Dataset, new: xr.Dataset) -> list[str]:
    """A sentence where scans of the new batch have the voxels of scans of the reference."""
    if not all("voxels_checksum" in side for side in (reference, new)):
        return []
    known = set(reference["voxels_checksum"].values.tolist()) - {""}
    count = sum(value in known for value in new["voxels_checksum"].values.tolist())
    said = f"{count} of the {new.sizes['scan']} scans of the new batch have the voxels of scans of the reference: they count in both"
    return [said] if count else []
