"""Numbers of what is shown of a cohort: how many scans, and their means by group."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from hypojax.app.cohort_filter import Mask, column_texts
from hypojax.app.cohort_view import VOLUME, CohortView
from hypojax.cohort.ratings import REJECT
from hypojax.reporting.plot_columns import ScanGroups, grouping_of

WOMEN, MEN = "F", "M"


class ScanCounts(NamedTuple):
    """How many scans are what, of some scans of a cohort."""

    found: int
    done: int
    failed: int
    waiting: int
    doubtful: int
    rated: int
    rejected: int
    copies: int


class Spread(NamedTuple):
    """Number of known values, their mean and standard deviation; NaN where there are too few."""

    n: int
    mean: float
    deviation: float


class GroupRow(NamedTuple):
    """What is known of a group: scans that count, age (years), women of those whose sex is known, volumes (mm³) by region."""

    label: str
    scans: int
    age: Spread
    women: tuple[int, int]
    volumes: dict[str, Spread]


def scan_counts(view: CohortView, keep: Mask, rated: pd.Series) -> ScanCounts:
    """Counts over the scans that are kept."""
    scans = view.scans[keep]
    status, held = scans["status"], rated[keep]
    done = (status == "done").to_numpy()
    return ScanCounts(
        found=len(scans),
        done=int(done.sum()),
        failed=int((status == "failed").sum()),
        waiting=int((status == "pending").sum()),
        doubtful=int((done & (scans["doubts"] > 0).to_numpy()).sum()),
        rated=int((held != "").sum()),
        rejected=int((done & (held == REJECT).to_numpy()).sum()),
        copies=int((done & _copies(view)[keep]).sum()),
    )


def counting(view: CohortView, keep: Mask, rated: pd.Series) -> Mask:
    """Scans that count in means and plots, as in a study: measured, no copy of another scan, and not rejected."""
    done = (view.scans["status"] == "done").to_numpy()
    return keep & done & ~_copies(view) & (rated != REJECT).to_numpy()


def groups_shown(view: CohortView, by: str) -> ScanGroups | None:
    """Which scan is of which group of a column; None where it has fewer than two."""
    return grouping_of(pd.DataFrame({by: column_texts(view.scans, by)}), by) if by in view.scans else None


def group_rows(view: CohortView, counted: Mask, groups: ScanGroups | None, regions: Sequence[str]) -> list[GroupRow]:
    """A row a group that has scans; one without a label for all where there is one group."""
    return list(_rows(view.scans, counted, groups, regions))


def spread_of(values: np.ndarray) -> Spread:
    """Mean and standard deviation (n - 1) of what is known.

    >>> spread_of(np.array([1.0, 3.0, np.nan]))
    Spread(n=2, mean=2.0, deviation=1.4142135623730951)
    """
    known = values[np.isfinite(values)]
    mean = float(known.mean()) if known.size else float("nan")
    return Spread(known.size, mean, float(known.std(ddof=1)) if known.size > 1 else float("nan"))


def _rows(scans: pd.DataFrame, counted: Mask, groups: ScanGroups | None, regions: Sequence[str]) -> Iterator[GroupRow]:
    parts = [("", counted)] if groups is None else [(label, counted & (groups.codes == code)) for code, label in enumerate(groups.labels)]
    for label, part in parts:
        own = scans[part]
        if groups is not None and own.empty:
            continue
        sexes = [text for text in column_texts(own, "sex") if text in (WOMEN, MEN)]  # codes may mean either
        ages = own["age"].to_numpy(np.float64) if "age" in own else np.array([])
        volumes = {region: spread_of(own[f"{VOLUME}{region}"].to_numpy(np.float64)) for region in regions if f"{VOLUME}{region}" in own}
        yield GroupRow(label, len(own), spread_of(ages), (sexes.count(WOMEN), len(sexes)), volumes)


def _copies(view: CohortView) -> Mask:
    return np.array([bool(first) for first in view.cohort["duplicate_of"].values], bool)
