"""A cohort as the page looks at it: one row a scan with its person, volumes, flags and doubts, and the ratings beside it."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from hypojax.cohort import people
from hypojax.cohort.ratings import RATING_COLUMNS, RATINGS, latest_ratings, read_ratings
from hypojax.reason import Reason, RunError
from hypojax.reporting.doubts import doubt_order, find_doubts
from hypojax.reporting.report_data import USUAL_COLUMNS, ReportData, ReportSettings, page_files, people_shown
from hypojax.reporting.snapshot import read_snapshot
from hypojax.schema import HEAD_DIMS, MODEL_DIMS, REGIONS

STORE: Final = "cohort.zarr"
"""Folder of the store in that of a cohort."""

LEDGER: Final = "ledger"

IMAGE_DIMS: Final = (*MODEL_DIMS, *HEAD_DIMS)

VOLUME: Final = "volume "
"""Begins the names of columns of volumes: ``volume hypothalamus``, mm³."""


@dataclass(frozen=True, eq=False)
class CohortView:
    """A cohort that was opened; nothing of it is changed.

    Parameters
    ----------
    name
        As the list of cohorts has it.
    folder
        Where it lies, links followed.
    mark
        Stands for the state of the ledger that it was read from.
    cohort
        As `hypojax.open_cohort` gives it, images lazily.
    scans
        One row a scan, its id as index: ``status``, ``dataset``, ``flags`` (text), ``doubts`` (their number), ``found`` (text that is
        searched, in lower case), those of ``age`` (years), ``sex``, ``group`` and ``site`` that there are, and `VOLUME` of every region.
    people
        One row a scan: age (years), sex, group and site, those that there are.
    doubts
        Scan → sentences why somebody should look at it.
    order
        All scans, the most doubtful first.
    notes
        What was taken for age, sex, group and site, one sentence each.
    read
        When it was read.
    """

    name: str
    folder: Path
    mark: str
    cohort: xr.Dataset
    scans: pd.DataFrame
    people: pd.DataFrame
    doubts: Mapping[str, tuple[str, ...]]
    order: tuple[str, ...]
    notes: tuple[str, ...]
    read: datetime

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Columns of the people tables, and entities of BIDS."""
        return tuple(people(self.cohort))

    @cached_property
    def files(self) -> dict[str, str]:
        """Scan → file of its page; of measured scans only."""
        done = set(self.scans.index[self.scans["status"] == "done"])
        return {scan: file for scan, file in page_files(self.order).items() if scan in done}

    @cached_property
    def scan_of(self) -> dict[str, str]:
        """File of a page → its scan."""
        return {file: scan for scan, file in self.files.items()}

    @cached_property
    def table(self) -> xr.Dataset:
        """The cohort without its images."""
        return self.cohort.drop_dims([dim for dim in IMAGE_DIMS if dim in self.cohort.dims])

    def report(self, *, norms: Path | None = None) -> ReportData:
        """What pages of its scans are drawn from; every measured scan has one."""
        return ReportData(
            cohort=self.cohort,
            names={scan: scan for scan in self.order},
            files=self.files,
            order=self.order,
            doubts=self.doubts,
            ratings=self.ratings(),
            people=self.people,
            settings=ReportSettings(norms=norms),
        )

    def ratings(self) -> pd.DataFrame:
        """What people said of its scans until now, as `read_ratings` has it; empty where the table is a link to elsewhere."""
        if not inside(self.folder / RATINGS, self.folder):
            return pd.DataFrame(columns=list(RATING_COLUMNS), dtype=object)
        return read_ratings(self.folder)[0]

    def rated(self) -> pd.Series:
        """The rating that holds of every scan, empty where nobody rated it."""
        return latest_ratings(self.ratings(), self.scans.index.tolist())[0]


def read_view(name: str, folder: Path) -> CohortView:
    """Open a cohort, also while a run goes on: records are read whole or not at all.

    Raises
    ------
    RunError
        ``NOTHING_FOUND`` or ``STORE_DAMAGED``.
    """
    mark = ledger_mark(folder / STORE)  # before it is read: what changes meanwhile changes the mark
    cohort = read_snapshot(folder).cohort
    doubts = find_doubts(cohort)
    shown, notes = people_shown(cohort, ReportSettings())
    return CohortView(
        name=name,
        folder=folder,
        mark=mark,
        cohort=cohort,
        scans=scan_rows(cohort, shown, doubts),
        people=shown,
        doubts=doubts,
        order=doubt_order(cohort, doubts),
        notes=tuple(notes),
        read=datetime.now().astimezone(),
    )


def scan_rows(cohort: xr.Dataset, shown: pd.DataFrame, doubts: Mapping[str, tuple[str, ...]]) -> pd.DataFrame:
    """One row a scan, as `CohortView` has it."""
    scans = pd.Index([str(scan) for scan in cohort["scan"].values], name="scan")
    flags = cohort["flag"].values.tolist()
    raised = cohort["flagged"].values
    texts = [" ".join(flags[place] for place in np.flatnonzero(row)) if row.any() else "" for row in raised]
    own = {
        "status": cohort["status"].values,
        "dataset": cohort["dataset"].values if "dataset" in cohort.coords else [""] * len(scans),
        "flags": texts,
        "doubts": [len(doubts.get(scan, ())) for scan in scans],
    }
    known = [str(region) for region in cohort["region"].values]
    volumes = {
        f"{VOLUME}{region}": cohort["volume_mm3"].values[:, known.index(region)].astype(np.float64) for region in REGIONS if region in known
    }
    usual = shown[[name for name in USUAL_COLUMNS if name in shown]].set_axis(scans, axis="index")
    table = pd.concat([pd.DataFrame(own, index=scans), usual, pd.DataFrame(volumes, index=scans)], axis=1)
    return table.assign(found=_searched(table, cohort, doubts))


def _searched(table: pd.DataFrame, cohort: xr.Dataset, doubts: Mapping[str, tuple[str, ...]]) -> list[str]:
    """What a text is looked for in: id, people, flags, notes and doubts, not the path of a file."""
    columns = [table.index.tolist(), *(table[name].tolist() for name in ("dataset", "flags", "group", "site") if name in table)]
    columns += [cohort["notes"].values.tolist()] if "notes" in cohort else []
    rows = (" ".join(str(cell) for cell in cells if cell is not None) for cells in zip(*columns, strict=True))
    return [f"{row} {' '.join(doubts.get(scan, ()))}".casefold() for scan, row in zip(table.index, rows, strict=True)]


def ledger_mark(root: Path) -> str:
    """Stands for the state of the ledger of a store on this disk: another one where a record was written, replaced or removed since.

    Raises
    ------
    RunError
        ``NOTHING_FOUND``: there is no store.
    """
    found = hashlib.sha256()
    try:
        with os.scandir(root / LEDGER) as entries:
            paths = sorted(entry.path for entry in entries)
    except OSError as error:
        raise RunError(Reason.NOTHING_FOUND, "the cohort is gone; choose one of the list") from error
    for path in paths:
        try:
            said = os.stat(f"{path}/zarr.json" if os.path.isdir(path) else path)  # noqa: PTH112, PTH116 - ten thousand of them
        except OSError:
            continue
        found.update(f"{path} {said.st_mtime_ns} {said.st_ino} {said.st_size}\n".encode(errors="surrogateescape"))
    return found.hexdigest()


def is_cohort(path: Path, top: Path) -> bool:
    """Whether a folder holds a cohort, and both it and its store lie below ``top`` once links are followed."""
    try:
        return (path / STORE / LEDGER).is_dir() and inside(path, top) and inside(path / STORE, top)
    except OSError:
        return False


def inside(path: Path, top: Path) -> bool:
    """Whether a path, links followed, is a folder or lies below it."""
    try:
        return path.resolve().is_relative_to(top.resolve())
    except (OSError, RuntimeError, ValueError):
        return False
