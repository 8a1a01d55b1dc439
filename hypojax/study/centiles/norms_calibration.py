"""Are z-scores what they say? Share of people beyond ±1.96, and mean and SD of z, by age, with exact intervals."""

from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float64
from scipy import stats

BAND: Final = 10.0
"""Years of an age band."""

LEAST_IN_BAND: Final = 10
"""People of a band below which it is joined with its neighbour."""

FAR: Final = 1.959963984540054
"""z beyond which 5 % of people should lie."""


class CalibrationRow(NamedTuple):
    """Calibration of one region in one age band; all ages together have the whole range.

    Parameters
    ----------
    region, age_from, age_to
        Ages from (inclusive) to (exclusive), years.
    n
        People.
    outside, outside_low, outside_high
        Share beyond ±1.96 with its exact 95 % binomial interval (Clopper and Pearson 1934); .05 is right.
    below_5, below_50, below_95
        Shares below these centiles.
    z_mean, z_mean_low, z_mean_high
        Mean of z with its 95 % interval (t); 0 is right.
    z_sd, z_sd_low, z_sd_high
        SD of z with its 95 % interval (chi-squared); 1 is right.
    """

    region: str
    age_from: float
    age_to: float
    n: int
    outside: float
    outside_low: float
    outside_high: float
    below_5: float
    below_50: float
    below_95: float
    z_mean: float
    z_mean_low: float
    z_mean_high: float
    z_sd: float
    z_sd_low: float
    z_sd_high: float


def calibration(z: xr.DataArray, age: Float64[np.ndarray, " scan"], *, band: float = BAND) -> pd.DataFrame:
    """Calibration of z-scores by region and age band, and over all ages.

    In people on whom the norms were fitted it shows whether the form of the model is right; only people whom the norms have not seen show
    whether the norms are right for them.

    Parameters
    ----------
    z
        (scan, region); missing is left out.
    age
        Years.
    band
        Years of a band; bands of fewer than ten people are joined with a neighbour.

    Returns
    -------
    The fields of `CalibrationRow`, one row a region and band; the first of each region is of all ages.
    """
    rows = []
    for region in z["region"].to_numpy():
        scores = z.sel(region=region).to_numpy()
        known = np.isfinite(scores) & np.isfinite(age)
        scores, ages = scores[known], age[known]
        if len(scores) < 2:
            continue
        edges = age_bands(ages, band=band)
        rows.append(_row(str(region), float(edges[0]), float(edges[-1]), scores))
        if len(edges) > 2:
            rows += [_row(str(region), low, high, scores[(ages >= low) & (ages < high)]) for low, high in pairwise(edges)]
    return pd.DataFrame(rows, columns=list(CalibrationRow._fields))


def age_bands(age: Float64[np.ndarray, " person"], *, band: float = BAND) -> list[float]:
    """Edges of age bands, years: multiples of ``band``, without those that would leave a band with too few people.

    >>> age_bands(np.repeat([25.0, 31.0, 45.0], [12, 4, 20]))
    [20.0, 30.0, 50.0]
    """
    edges = np.arange(np.floor(age.min() / band), np.floor(age.max() / band) + 2) * band
    kept = [float(edges[0])]
    for edge in edges[1:-1]:
        if ((age >= kept[-1]) & (age < edge)).sum() >= LEAST_IN_BAND:
            kept.append(float(edge))
    if len(kept) > 1 and (age >= kept[-1]).sum() < LEAST_IN_BAND:
        kept.pop()
    return [*kept, float(edges[-1])]


def binomial_interval(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact interval of a share (Clopper and Pearson 1934).

    >>> [round(end, 4) for end in binomial_interval(0, 10)]
    [0.0, 0.3085]
    """
    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else float(stats.beta.ppf(tail, hits, n - hits + 1))
    high = 1.0 if hits == n else float(stats.beta.ppf(1 - tail, hits + 1, n - hits))
    return low, high


def _row(region: str, age_from: float, age_to: float, z: Float64[np.ndarray, " person"]) -> CalibrationRow:
    """Calibration of these people."""
    n, mean, sd = len(z), float(z.mean()), float(z.std(ddof=1))
    hits = int((np.abs(z) > FAR).sum())
    half = float(stats.t.ppf(0.975, n - 1)) * sd / n**0.5
    low, high = (sd * float(((n - 1) / stats.chi2.ppf(tail, n - 1)) ** 0.5) for tail in (0.975, 0.025))
    below_5, below_50, below_95 = (float((z < stats.norm.ppf(share)).mean()) for share in (0.05, 0.5, 0.95))
    of_z = (mean, mean - half, mean + half, sd, low, high)
    return CalibrationRow(region, age_from, age_to, n, hits / n, *binomial_interval(hits, n), below_5, below_50, below_95, *of_z)
