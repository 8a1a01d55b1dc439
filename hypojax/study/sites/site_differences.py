"""Do sites differ in the location and spread of volumes, before and after harmonisation? One table for the report."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float64
from scipy import stats

from hypojax.study.formulas.design_record import design_from_text
from hypojax.study.people.sample import Sample

Groups = Sequence[Float64[np.ndarray, " _"]]

LEAST: Final = 2
"""Volumes of a site that a test takes."""


class SiteTest(NamedTuple):
    """A test of differences between sites.

    Parameters
    ----------
    region, volumes
        Of what; ``measured`` or ``harmonised``.
    test
        ``Welch F`` (means; Welch 1951), ``Kruskal-Wallis`` (ranks; 1952), ``Brown-Forsythe`` (spread round the median; 1974).
    statistic, df1, df2, p
        ``df2`` is NaN for Kruskal-Wallis, whose statistic is chi-squared.
    largest_difference
        Between two sites, in the unit of the volumes: of means, of medians, or of standard deviations, as the test asks.
    n
        Scans.
    """

    region: str
    volumes: str
    test: str
    statistic: float
    df1: float
    df2: float
    p: float
    largest_difference: float
    n: int


def site_differences(sample: Sample, found: xr.Dataset) -> pd.DataFrame:
    """Tests of differences between sites in measured and in harmonised volumes, with what the covariates do taken out.

    The covariates' effects are estimated with the sites in the model, each time anew. Harmonisation makes the sites alike in the scans it
    was estimated on, so a large p after it says that it worked, and not that new scans will be alike.

    Parameters
    ----------
    sample
        What was harmonised.
    found
        From `hypojax.study.sites.harmonisation.harmonise`.

    Returns
    -------
    The fields of `SiteTest`; sites with one volume of a region are left out of its tests.
    """
    design = design_from_text(found.attrs["design"])
    rows = found["harmonised"].to_numpy()
    site = found["site_of_scan"].to_numpy()[rows].astype(str)
    covariates = design.at(sample.people)[rows, 1:]
    tests = []
    for region in found["region"].to_numpy():
        for kind, volumes in (("measured", sample.volumes), ("harmonised", found["volume"])):
            groups = _residuals(volumes.sel(region=region).to_numpy()[rows], site, covariates)
            if len(groups) > 1:
                tests += _tests(str(region), kind, groups)
    return pd.DataFrame(tests, columns=list(SiteTest._fields))


def welch_f(groups: Groups) -> tuple[float, float, float, float]:
    """Welch's F for equal means with unequal variances (Welch 1951): F, df1, df2, p.

    >>> F, df1, df2, p = welch_f([np.array([1.0, 2, 3]), np.array([2.0, 3, 4])])
    >>> round(F, 6), df1, round(df2, 6)
    (1.5, 1.0, 4.0)
    """
    n, k = np.array([len(group) for group in groups]), len(groups)
    mean, weight = np.array([group.mean() for group in groups]), np.array([len(group) / group.var(ddof=1) for group in groups])
    grand = (weight * mean).sum() / weight.sum()
    lost = ((1 - weight / weight.sum()) ** 2 / (n - 1)).sum()
    statistic = (weight * (mean - grand) ** 2).sum() / (k - 1) / (1 + 2 * (k - 2) / (k**2 - 1) * lost)
    df2 = (k**2 - 1) / (3 * lost)
    return float(statistic), float(k - 1), float(df2), float(stats.f.sf(statistic, k - 1, df2))


def _residuals(values: np.ndarray, site: np.ndarray, covariates: np.ndarray) -> Groups:
    """Values of each site without what the covariates do."""
    known = np.isfinite(values)
    values, site, covariates = values[known], site[known], covariates[known]
    names, counts = np.unique(site, return_counts=True)
    indicator = (site[:, None] == names).astype(float)
    scale = np.sqrt((covariates**2).mean(axis=0))
    scale[scale == 0] = 1.0
    slopes = np.linalg.lstsq(np.hstack([indicator, covariates / scale]), values)[0][len(names) :]
    residuals = values - covariates / scale @ slopes
    found = [residuals[site == name] for name, count in zip(names, counts, strict=True) if count >= LEAST]
    return found if all(np.ptp(group) > 0 for group in found) else []


def _tests(region: str, kind: str, groups: Groups) -> list[SiteTest]:
    """The three tests of one region."""
    n, k = sum(map(len, groups)), len(groups)
    statistic, df1, df2, p = welch_f(groups)
    ranks, spread = stats.kruskal(*groups), stats.levene(*groups, center="median")
    medians, deviations = [np.median(group) for group in groups], [group.std(ddof=1) for group in groups]
    return [
        SiteTest(region, kind, "Welch F", statistic, df1, df2, p, float(np.ptp([group.mean() for group in groups])), n),
        SiteTest(region, kind, "Kruskal-Wallis", float(ranks.statistic), k - 1, np.nan, float(ranks.pvalue), float(np.ptp(medians)), n),
        SiteTest(region, kind, "Brown-Forsythe", float(spread.statistic), k - 1, n - k, float(spread.pvalue), float(np.ptp(deviations)), n),
    ]
