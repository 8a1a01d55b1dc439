"""What all pages of a report are drawn from: the cohort, its people, ratings and doubts, read once."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import pandas as pd
import xarray as xr

from hypojax.reason import Reason, RunError, visible
from hypojax.reporting.report_settings import ReportSettings
from hypojax.reporting.shared_cohort import share_cohort, share_ratings
from hypojax.reporting.snapshot import read_snapshot
from hypojax.storage import Location, Place, locate
from hypojax.study.people.columns import USUAL, close_names, take_columns
from hypojax.study.study_settings import StudySettings

USUAL_COLUMNS: Final = ("age", "sex", "group", "site")
"""What is shown of people where it is known, unless the report is meant to be shared."""

MOST_PAGES: Final = 500
"""Scans that all get a page without being asked for."""

LONGEST_FILE: Final = 80
"""Characters of a page's file name that are the scan's."""

ALL, FLAGGED_ONLY = "all", "flagged"

__all__ = ["ReportData", "ReportSettings", "page_files", "people_shown", "read_report_data", "report_data", "scans_with_page"]


@dataclass(frozen=True, eq=False)
class ReportData:
    """What all pages are drawn from; with ``share`` nothing in it tells who a scan is of.

    Parameters
    ----------
    cohort
        As `hypojax.open_cohort` gives it, of the scans that are recorded so far.
    names
        Scan → the name that pages show.
    files
        Scan → file of its page below the report (``scans/sub-01.html``); only scans that get one.
    order
        All scans, the most doubtful first.
    doubts
        Scan → sentences why somebody should look at it; empty where nothing was found.
    ratings
        What people said of scans: columns ``scan``, ``rating``, ``comment``, ``rater``, ``time``.
    people
        One row a scan: ``age`` (years), ``sex``, ``group``, ``site``, and the columns asked for; only those that there are.
    settings
        Of the report.
    study
        The folder of study results; None where there is none.
    notes
        What was taken or left out, one sentence each.
    records
        Scan → digest of its ledger record; empty where the cohort was made in memory.
    """

    cohort: xr.Dataset
    names: Mapping[str, str]
    files: Mapping[str, str]
    order: tuple[str, ...]
    doubts: Mapping[str, tuple[str, ...]]
    ratings: pd.DataFrame
    people: pd.DataFrame
    settings: ReportSettings
    study: Location | None = None
    notes: tuple[str, ...] = ()
    records: Mapping[str, str] = field(default_factory=dict)


def read_report_data(place: Place, settings: ReportSettings, *, ratings: Location | None = None) -> ReportData:
    """All that the pages of a report are drawn from, also while a run goes on.

    Parameters
    ----------
    place
        The output folder of a run, or its store: a path, or a URL.
    settings
        Of the report.
    ratings
        Folder that has ``qc.tsv``. Default: that of the run.

    Raises
    ------
    RunError
        ``NOTHING_FOUND``: there is no cohort; ``STORE_DAMAGED``; ``USAGE``: a scan or column that was named does not exist.
    """
    from hypojax.cohort.ratings import read_ratings

    folder = output_folder(locate(place))
    cohort, records = read_snapshot(place)
    said, notes = read_ratings(ratings or folder)
    study = folder / "study"
    return report_data(cohort, settings, ratings=said, study=study if study.is_dir() else None, notes=notes, records=records)


def report_data(
    cohort: xr.Dataset,
    settings: ReportSettings,
    *,
    ratings: pd.DataFrame | None = None,
    study: Location | None = None,
    notes: Sequence[str] = (),
    records: Mapping[str, str] | None = None,
) -> ReportData:
    """The same from a cohort in memory; parameters and errors as `read_report_data`."""
    from hypojax.cohort import without_places
    from hypojax.reporting.doubts import doubt_order, find_doubts

    people, said = people_shown(cohort, settings)
    ratings = pd.DataFrame(columns=["scan", "rating", "comment", "rater", "time"], dtype=object) if ratings is None else ratings
    if settings.share:
        own = {str(scan): number for number, scan in enumerate(cohort["scan"].values)}
        cohort = share_cohort(cohort)
        new = cohort["scan"].values.tolist()
        settings = replace(settings, scans=tuple(new[own[scan]] if scan in own else scan for scan in settings.scans))
        ratings = share_ratings(ratings, {scan: new[number] for scan, number in own.items()})
        records = {new[own[scan]]: found for scan, found in (records or {}).items()}
        people, notes, said = people.set_axis(pd.Index(new, name="scan"), axis="index"), [], []
    else:
        cohort = without_places(cohort)
    doubts = find_doubts(cohort)
    order = doubt_order(cohort, doubts)
    chosen = scans_with_page(cohort, doubts, settings.scans)
    files = page_files(order)
    return ReportData(
        cohort=cohort,
        names={scan: scan for scan in order},
        files={scan: files[scan] for scan in order if scan in chosen},
        order=order,
        doubts=doubts,
        ratings=ratings,
        people=people,
        settings=settings,
        study=study,
        notes=(*notes, *said),
        records=records or {},
    )


def people_shown(cohort: xr.Dataset, settings: ReportSettings) -> tuple[pd.DataFrame, list[str]]:
    """Columns of people that pages show, one row a scan, and what was taken as what.

    Raises
    ------
    RunError
        ``USAGE``: a column that was named does not exist.
    """
    from hypojax.cohort import people

    scans = pd.Index([str(scan) for scan in cohort["scan"].values], name="scan")
    table = pd.DataFrame({name: cohort[name].values for name in people(cohort)}, index=scans)
    taken = take_columns(table, StudySettings(), meanings={})
    asked = {name.casefold(): name for name in settings.columns}
    if unknown := [name for name in settings.columns if name not in taken.people and name not in table and name not in USUAL]:
        known = [name for name in table if name not in unknown]
        raise RunError(Reason.USAGE, f"--columns {visible(unknown[0])}: no such column; {close_names(unknown[0], known)}")
    usual = [name for name in USUAL_COLUMNS if name in taken.took and (not settings.share or name in asked)]
    further = [name for name in settings.columns if name not in usual and name in table]
    return pd.concat([taken.people[usual], table[further]], axis=1), taken.notes


def scans_with_page(cohort: xr.Dataset, doubts: Mapping[str, Sequence[str]], asked: Sequence[str]) -> frozenset[str]:
    """Scans that get a page of their own: of those that are done.

    Raises
    ------
    RunError
        ``USAGE``: a scan that was named does not exist.
    """
    scans = [str(scan) for scan in cohort["scan"].values]
    done = {scan for scan, status in zip(scans, cohort["status"].values, strict=True) if status == "done"}
    if not asked:
        asked = (ALL,) if len(done) <= MOST_PAGES else (FLAGGED_ONLY,)
    if unknown := [scan for scan in asked if scan not in {*scans, ALL, FLAGGED_ONLY}]:
        raise RunError(Reason.USAGE, f"{visible(unknown[0])}: no such scan; {close_names(unknown[0], scans)}")
    if ALL in asked:
        return frozenset(done)
    found = {scan for scan in asked if scan in done}
    return frozenset(found | ({scan for scan in done if doubts.get(scan)} if FLAGGED_ONLY in asked else set()))


def page_files(scans: Iterable[str]) -> dict[str, str]:
    """Scan → file of its page below the report: safe on any disk and in any link, no two alike, also where case does not count.

    >>> page_files(["sub-01_ses-1", "a/../b"])
    {'sub-01_ses-1': 'scans/sub-01_ses-1.html', 'a/../b': 'scans/a_b-900ea8b7.html'}
    """
    plain = {scan: re.sub(r"[^A-Za-z0-9_-]+", "_", scan).strip("_-")[:LONGEST_FILE] for scan in scans}
    times: dict[str, int] = {}
    for name in plain.values():
        times[name.casefold()] = times.get(name.casefold(), 0) + 1
    exact = {scan: name == scan and times[name.casefold()] == 1 for scan, name in plain.items()}
    return {scan: f"scans/{name if exact[scan] else f'{name}-{_mark(scan)}'}.html" for scan, name in plain.items()}


def _mark(scan: str) -> str:
    """Eight digits that tell names apart which are the same once they are made safe."""
    return hashlib.sha256(scan.encode(errors="surrogatepass")).hexdigest()[:8]


def output_folder(place: Location) -> Location:
    """The output folder: of its own, or that which holds the store."""
    return place.parent if place.name == "cohort.zarr" else place
