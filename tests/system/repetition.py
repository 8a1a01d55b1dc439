"""The run that nothing befell, and the comparison of another with it."""

from pathlib import Path

import pandas as pd
import xarray as xr

from hypojax import execute
from hypojax.cohort import open_cohort
from hypojax.reason import Reason, RunError

TIMED = "seconds"
"""The one column that a repetition may change: how long each scan took."""


def scans_table(folder: Path, shared: Path, *, subjects: int) -> Path:
    """A table of real scans; ``subjects`` of the small kind."""
    found = sorted((shared / "bids" / "ds000011").glob("sub-*/anat/*_T1w.nii.gz"))[:subjects]
    assert len(found) == subjects
    path = folder / "scans.tsv"
    path.write_text("\n".join(["scan\tpath", *(f"{scan.name.partition('_')[0]}\t{scan}" for scan in found)]) + "\n", encoding="utf-8")
    return path


def undisturbed(table: Path, out: Path) -> Path:
    """The same scans, done in this process from beginning to end."""
    outcome = execute.run([table], out=out)
    assert (outcome.failed, outcome.pending) == (0, 0)
    return out


def done(out: Path) -> int:
    """Scans done so far, in a store that another process makes and fills."""
    try:
        return execute.status(out).done
    except RunError as error:
        if error.reason is not Reason.NOTHING_FOUND:
            raise
        return 0


def assert_same(out: Path, reference: Path) -> None:
    """Every value of every column is the same, and so is every file of the derivatives."""
    found, wanted = (table(folder) for folder in (out, reference))
    xr.testing.assert_identical(found, wanted)
    for name in ("volumes.parquet", "volumes.tsv"):
        read = pd.read_parquet if name.endswith("parquet") else pd.read_table
        frames = [read(folder / name).drop(columns=TIMED) for folder in (out, reference)]
        pd.testing.assert_frame_equal(*frames, check_exact=True)
    files = [
        {path.relative_to(folder): path.read_bytes() for path in folder.joinpath("derivatives").rglob("*.nii.gz")}
        for folder in (out, reference)
    ]
    assert files[0] == files[1] != {}


def table(out: Path) -> xr.Dataset:
    """The table of a cohort without what a repetition may change; its own attributes tell of the run: settings, devices, checksums."""
    cohort = open_cohort(out)
    assert set(cohort.status.values.tolist()) == {"done"}
    return cohort.drop_vars(TIMED).drop_attrs(deep=False).load()
