"""Making a norms file: all that ``hypojax norms`` does."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from hypojax.pages import TextTable
from hypojax.storage import Disk, on_disk, place
from hypojax.study.centiles.norms import fit_norms
from hypojax.study.people.whole_sample import whole_sample
from hypojax.study.study_settings import StudySettings, check_settings
from hypojax.study.writing.study_extras import Source
from hypojax.study.writing.wording import region_name
from hypojax.tables.cells import counted


@dataclass(frozen=True)
class NormsResult:
    """Norms and where they were written.

    Parameters
    ----------
    norms
        As `hypojax.study.fit_norms` gives them.
    notes
        Who was taken, what was left out.
    brief
        People, shape and calibration of every region, for a terminal.
    paths
        The file.
    """

    norms: xr.Dataset
    notes: tuple[str, ...]
    brief: TextTable
    paths: tuple[Path, ...]


def write_norms(
    source: Source, *, out: Disk, settings: StudySettings | None = None, callback: Callable[[str], None] | None = None
) -> NormsResult:
    """Fit norms on a cohort or a table and write them as one netCDF file.

    Parameters
    ----------
    source
        Output folder of a run, a table file, the Dataset of `hypojax.open_cohort`, or a pandas table.
    out
        File for the norms.
    settings
        Which columns and regions are taken.
    callback
        Is given a sentence at each step.

    Raises
    ------
    RunError
        ``USAGE``: norms cannot be made of these data; ``NOT_WRITABLE`` or ``DISK_FULL``.
    """
    settings = settings or StudySettings()
    check_settings(settings)
    sample = whole_sample(source, settings)
    if callback is not None:
        scans, regions = counted(len(sample.people), "scan"), counted(sample.volumes.sizes["region"], "region")
        callback(f"{scans}, {regions}; fitting centiles takes seconds a region")
    norms = fit_norms(sample, settings=settings)
    path = on_disk(out)
    place(path, bytes(norms.to_netcdf(engine="h5netcdf")))
    return NormsResult(norms, tuple(filter(None, str(norms.attrs["notes"]).split("\n"))), _brief(norms), (path,))


def _brief(norms: xr.Dataset) -> TextTable:
    """One row a region."""
    rows = []
    for region in norms["region"].values.tolist():
        one = norms.sel(region=region)
        middle = one["curve"].sel(share=0.5).isel(sex=0)
        ends = [f"{float(middle.isel(curve_age=place)):,.0f}" for place in (0, -1)]
        rows.append(
            [
                region_name(region),
                f"{int(one['n'])}",
                str(one["shape"].values),
                " to ".join(ends),
                *_beyond(norms, region),
            ]
        )
    ages = norms["curve_age"].values
    header = (
        "region",
        "people",
        "shape",
        f"median at {ages[0]:.0f} and {ages[-1]:.0f} years ({norms['sex'].values[0]})",
        "beyond ±1.96",
        "by age band",
    )
    return TextTable(header, rows, title="Norms: of the people they were made of, 5 % should lie beyond ±1.96 in every band of age")


def _beyond(norms: xr.Dataset, region: str) -> tuple[str, str]:
    """Share of people beyond ±1.96 standard deviations, of all and in each band of age."""
    rows = norms.isel(calibration_row=np.flatnonzero(norms["calibration_region"].values == region))
    shares = [f"{100 * share:.1f} %" for share in rows["calibration_outside"].values.tolist()]
    low, high = rows["calibration_age_from"].values.tolist(), rows["calibration_age_to"].values.tolist()
    bands = [f"{start:g}-{end:g}: {share}" for start, end, share in zip(low[1:], high[1:], shares[1:], strict=True)]
    return shares[0], ", ".join(bands)
