"""Volumes and people of a cohort of hypojax."""

from collections.abc import Iterable
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from hypojax.cohort.rows import people as people_names
from hypojax.reason import Reason, RunError, visible
from hypojax.schema import DATASET, FLAG_TEXT, FLAGGED
from hypojax.study.formulas.terms import VOLUME
from hypojax.study.people.measurements import SERVICE, Measurements, with_ids
from hypojax.study.people.region_columns import asked_names, asked_regions
from hypojax.study.people.scan_ids import scan_ids
from hypojax.study.study_settings import StudySettings

VOLUMES, UNCERTAINTY, MISSING_REASON, HEAD = "volume_mm3", "uncertainty_mm3", "missing_reason", "icv"

BRAIN_MASK: Final = "brain_mask_mm3"
"""Volume of the voxels that are not zero, of skull-stripped scans: a stated proxy of the head size."""

KEPT: Final = ("hypojax_version", "weights_sha256")
"""Attributes of a cohort that its volumes carry on."""


def cohort_volumes(cohort: xr.Dataset, settings: StudySettings, *, outcome: str | None = None) -> Measurements:
    """Volumes (mm³) and people of a cohort; a volume with a reason why it is missing is missing.

    Parameters
    ----------
    cohort
        As `hypojax.open_cohort` gives it.
    settings
        Regions, and the column of subjects.
    outcome
        Of the formula, where it names one region.

    Raises
    ------
    RunError
        ``USAGE``: it is no cohort, has an id twice, or lacks a region.
    """
    if VOLUMES not in cohort or "scan" not in cohort.coords or "region" not in cohort.coords:
        raise RunError(Reason.USAGE, f"the Dataset has no {VOLUMES} over scan and region; give what hypojax.open_cohort returns")
    scans = pd.Index([str(name) for name in cohort["scan"].to_numpy()], dtype=object)
    if scans.has_duplicates:
        twice = visible(str(scans[scans.duplicated()][0]))
        raise RunError(Reason.USAGE, f"the cohort has scan {twice!r} more than once: keep one of them")
    volumes = _by_region(cohort, VOLUMES, scans).astype(np.float64)
    why = _by_region(cohort, MISSING_REASON, scans).fillna("")
    volumes = volumes.where(np.isfinite(volumes.to_numpy()) & (why.reindex(columns=volumes.columns, fill_value="") == ""))
    raw = _columns(cohort, (*people_names(cohort), DATASET.name, BRAIN_MASK), scans)
    ids = scan_ids(raw.reset_index(names="scan"), settings, place="the cohort")
    asked = asked_names(settings.region, outcome)
    chosen, notes = asked_regions(asked, list(volumes.columns), is_one=outcome not in (None, VOLUME), is_default=False)
    service = _columns(cohort, [name for name in SERVICE if name != FLAG_TEXT.name], scans).assign(**_flags(cohort, scans))
    raw = raw.drop(columns=[name for name in service if name in raw]).rename(columns={HEAD: f"{HEAD}_participant"})
    measured = {HEAD: volumes[HEAD]} if HEAD in volumes else {}
    return Measurements(
        volumes=volumes,
        uncertainty=_by_region(cohort, UNCERTAINTY, scans).astype(np.float64),
        people=pd.concat([with_ids(raw.assign(**measured), ids.subjects, ids.sessions), service], axis=1),
        regions=tuple(chosen),
        why_missing=why,
        units="mm3",
        took=ids.took,
        attrs={name: cohort.attrs[name] for name in KEPT if name in cohort.attrs},
        notes=(*ids.notes, *notes),
    )


def _by_region(cohort: xr.Dataset, name: str, scans: pd.Index) -> pd.DataFrame:
    """A variable over scans and regions as a table; without columns where there is none."""
    if name not in cohort:
        return pd.DataFrame(index=scans)
    regions = [str(region) for region in cohort["region"].to_numpy()]
    return pd.DataFrame(cohort[name].transpose("scan", "region").to_numpy(), index=scans, columns=regions)


def _columns(cohort: xr.Dataset, names: Iterable[str], scans: pd.Index) -> pd.DataFrame:
    """Variables over scans; text that is empty is missing."""
    columns = {name: pd.Series(cohort[name].to_numpy(), index=scans) for name in names if name in cohort.variables}
    texts = {name: column.where(column != "", None) for name, column in columns.items() if column.dtype == object}
    return pd.DataFrame({**columns, **texts}, index=scans)


def _flags(cohort: xr.Dataset, scans: pd.Index) -> dict[str, pd.Series]:
    """The quality flags of each scan as one text."""
    if FLAGGED.name not in cohort:
        return {}
    names = cohort["flag"].to_numpy()
    rows = cohort[FLAGGED.name].transpose("scan", "flag").fillna(False).to_numpy().astype(bool)
    return {FLAG_TEXT.name: pd.Series([" ".join(map(str, names[row])) for row in rows], index=scans, dtype=object)}
