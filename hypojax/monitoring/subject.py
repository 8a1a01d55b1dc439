"""One value a subject: repeated scans of one person are no independent ones, and tests of scans would be too sure.

- **Volumes and uncertainty** are means over the scans of a subject, geometric ones as their tests are of logarithms. A mean
  of three scans and a single scan have the same expectation, however many scans either batch has of a subject.
- **Everything else** is that of the subject's first scan that has it. Ranks, shares and distributions of means are not those
  of single scans (of three scans one is sooner flagged), so batches with other numbers of sessions would differ by that alone.

A subject with scans in both batches counts in each; two samples that share people differ less by chance than the tests allow for.
"""

from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr

from hypojax.evaluation.summary import subjects_of
from hypojax.monitoring.measure import Scale

Counted = Literal["scans", "subjects"]


def by_subject(values: pd.DataFrame, cohort: xr.Dataset) -> pd.DataFrame:
    """Values of scans, a row each, with whose scan it is as their index: columns dataset and subject, else the scan itself."""
    return values.set_axis(pd.Index(subjects_of(cohort), name="subject"), axis=0)


def one_a_subject(values: pd.DataFrame, scale: Scale) -> pd.DataFrame:
    """One row a subject: geometric means on the scale of ratios, else the first.

    >>> repeated = pd.DataFrame({"volume": [1.0, 4.0, 3.0]}, index=["a", "a", "b"])
    >>> [one_a_subject(repeated, scale)["volume"].round(6).tolist() for scale in ("ratio", "rank")]
    [[2.0, 3.0], [1.0, 3.0]]
    """
    if scale == "ratio":
        return mean_of_subject(values.apply(np.log)).apply(np.exp)
    return values[~values.index.duplicated()]


def mean_of_subject(values: pd.DataFrame) -> pd.DataFrame:
    """One row a subject: means, subjects in the order of their first scans."""
    return values if values.index.is_unique else values.groupby(level=0, sort=False).mean()


def counted(scans: int, subjects: int) -> Counted:
    """What the values of a group are values of."""
    return "scans" if scans == subjects else "subjects"


def repeats(**cohorts: xr.Dataset) -> tuple[str, ...]:
    """A sentence for each cohort (by its name, words joined by ``_``) with several scans of a subject."""
    sizes = {name.replace("_", " "): (cohort.sizes["scan"], len(set(subjects_of(cohort)))) for name, cohort in cohorts.items()}
    how = "one value a subject (volumes and uncertainty: geometric mean of its scans; all else: its first scan)"
    return tuple(f"{name}: {scans} scans of {subjects} subjects: {how}" for name, (scans, subjects) in sizes.items() if scans > subjects)
