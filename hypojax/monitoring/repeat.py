"""The same scans measured twice, with two versions of the weights: paired differences, and how much single scans scatter."""

from typing import Final

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float64
from scipy import stats

from hypojax.evaluation.summary import subjects_of
from hypojax.metrics import Interval, within_subject_cv
from hypojax.monitoring.comparison import Sides, limit_of, middle_of, spread_of
from hypojax.monitoring.difference import CONFIDENCE, POWER, Difference, wilson
from hypojax.monitoring.finding import Drift, Finding, Test, judged
from hypojax.monitoring.limits import Limits
from hypojax.monitoring.measure import WHOLES, Measure, Scale, flags_of, in_words, measures
from hypojax.monitoring.subject import counted, one_a_subject, repeats
from hypojax.ties import comparable

FEWEST: Final = 5
"""Scans measured twice that are enough, since each is its own control."""

FAR: Final = 0.1
"""A whole that changes by more in one scan is named."""

NAMED: Final = 5

HALVINGS: Final = 60
"""More than the digits of a double."""

Values = Float64[np.ndarray, "pair"]

TESTS: Final[dict[Scale, Test]] = {"ratio": "paired t on logarithms", "rank": "signed rank", "share": "McNemar"}


def compare_repeats(reference: xr.Dataset, new: xr.Dataset, *, limits: Limits | None = None) -> Drift:
    """What moved between two measurements of the same scans.

    Parameters
    ----------
    reference, new
        Cohorts that hold the same scan ids; scans that only one of them has are left out.
    limits
        What counts as moved; the usual when left out.

    Returns
    -------
    A finding for every measure that both have. A pair counts where both measurements know the value; several pairs of a
    subject count as one (`hypojax.monitoring.subject`), except in the within-scan coefficient of variation.
    """
    limits = limits or Limits()
    shared = [scan for scan in reference["scan"].values if scan in set(new["scan"].values)]
    first_cohort, second_cohort = reference.sel(scan=shared), new.sel(scan=shared)
    flags = flags_of(first_cohort, second_cohort)
    (known, first), (_, second) = (measures(side, flags=flags) for side in (first_cohort, second_cohort))
    who = subjects_of(first_cohort)
    findings = [_repeated(measure, (first, second), who, limits) for measure in known if measure.name in second]
    notes = (*repeats(measured_twice=first_cohort), *_far(first, second))
    return Drift(judged(findings, limits=limits), scans=(len(shared), len(shared)), paired=True, limits=limits, notes=notes)


def paired_ratio(first: Values, second: Values) -> Difference:
    """Geometric mean of the ratios within scans less one: paired t test on logarithms. Both positive.

    >>> round(paired_ratio(np.array([100.0, 200, 300]), np.array([102.0, 203, 309])).effect.estimate, 4)
    0.0216
    """
    steps = np.log(second / first)
    mean, error = float(steps.mean()), float(steps.std(ddof=1) / np.sqrt(len(steps)))
    if error < 1e-12:
        return Difference(Interval(*[float(np.expm1(mean))] * 3), 1.0 if abs(mean) < 1e-12 else 0.0, 0.0)
    freedom = len(steps) - 1
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    detectable = error * float(stats.norm.ppf((1 + CONFIDENCE) / 2) + stats.norm.ppf(POWER))
    effect = Interval(*(float(np.expm1(mean + step)) for step in (0.0, -reach, reach)))
    return Difference(effect, float(2 * stats.t.sf(abs(mean) / error, freedom)), float(np.expm1(detectable)))


def typical_change(first: Values, second: Values) -> Difference:
    """Typical change within a scan, in standard deviations of the first measurement: Wilcoxon's signed-rank test.

    The change is the median of the means of any two differences (Hodges and Lehmann 1963), its interval the one that belongs
    to the test (Hollander and Wolfe 1999, 3.3). The standard deviation is the robust one, from the median absolute
    deviation; the plain one where most values are the same; and where nothing varies at all, any change is infinite. What
    changes in fewer than three scans of ten hardly shows here: flags and failures count scans.

    >>> found = typical_change(np.arange(9.0), np.arange(9.0) + 1.4826)
    >>> round(found.effect.estimate, 3), round(found.p, 3)
    (0.5, 0.004)
    """
    steps = np.sort(second - first)
    if not steps.any():
        return Difference(Interval(0.0, 0.0, 0.0), 1.0, float("nan"))
    number, averages = len(steps), len(steps) * (len(steps) + 1) // 2
    reach = stats.norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt(averages * (2 * number + 1) / 12)
    lowest = max(1, int(averages / 2 - reach))
    ranks = (averages + 1) // 2, averages // 2 + 1, lowest, averages + 1 - lowest
    lower, upper, *ends = (_average_of_two(steps, rank) for rank in ranks)
    unit = float(stats.median_abs_deviation(first, scale="normal") or first.std(ddof=1))
    effect = Interval(*(_over(size, unit) for size in ((lower + upper) / 2, *ends)))
    tied = comparable(steps / np.abs(steps).max())  # equal steps tie in their ranks, whatever their last digits
    return Difference(effect, float(stats.wilcoxon(tied).pvalue), float("nan"))


def changed_share(first: Values, second: Values) -> Difference:
    """Difference of paired shares: McNemar's exact test; the interval is that of who changed among all (Wilson).

    >>> changed_share(np.zeros(10), np.ones(10)).effect.estimate
    1.0
    """
    up, down = int((second > first).sum()), int((second < first).sum())
    changed, scans = up + down, len(first)
    if not changed:
        return Difference(Interval(0.0, 0.0, 0.0), 1.0, float("nan"))
    _, low, high = wilson(up, of=changed)
    ends = ((2 * end - 1) * changed / scans for end in (low, high))
    return Difference(Interval((up - down) / scans, *ends), float(stats.binomtest(up, changed).pvalue), float("nan"))


def _average_of_two(values: Values, rank: int) -> float:
    """The mean of that rank, 1 the smallest, among those of any two sorted values, a value and itself included.

    Found by halving: a list of all of them would be 1.6 GB for 20,000 scans.
    """
    low, high = float(values[0]), float(values[-1])
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        ordered = int(np.searchsorted(values, 2 * middle - values, side="right").sum())
        below = (ordered + int(np.searchsorted(values, middle, side="right"))) // 2
        low, high = (low, middle) if below >= rank else (middle, high)
    return high


def _over(size: float, unit: float) -> float:
    """A size in a unit; infinite where the unit is zero.

    >>> _over(1.0, 2.0), _over(-1.0, 0.0), _over(0.0, 0.0)
    (0.5, -inf, 0.0)
    """
    if unit:
        return size / unit
    return float(np.copysign(np.inf, size)) if size else 0.0


def _repeated(measure: Measure, both: Sides, who: np.ndarray, limits: Limits) -> Finding:
    """What became of one measure."""
    pairs = np.stack([side[measure.name].to_numpy(dtype=np.float64) for side in both], axis=1)
    rows = np.isfinite(pairs).all(axis=1)
    known = pairs[rows]
    subjects = one_a_subject(pd.DataFrame(known, index=who[rows]), measure.scale).to_numpy()
    sides = subjects[:, 0], subjects[:, 1]
    difference = {"ratio": paired_ratio, "rank": typical_change, "share": changed_share}[measure.scale]
    whole = measure.kind == "volume" and measure.name.removeprefix("volume_mm3 ") in WHOLES
    enough = len(subjects) >= min(limits.minimum, FEWEST)
    return Finding(
        measure=measure,
        test=TESTS[measure.scale],
        scans=(len(subjects), len(subjects)),
        counted=counted(len(known), len(subjects)),
        middles=(middle_of(sides[0], measure.scale), middle_of(sides[1], measure.scale)),
        spreads=(spread_of(sides[0], measure.scale), spread_of(sides[1], measure.scale)),
        difference=difference(*sides) if enough else None,
        limit=limits.quality if measure.scale == "rank" else limit_of(measure.scale, limits),
        within_scan_cv=within_subject_cv(known) if whole and enough else float("nan"),
    )


def _far(first: pd.DataFrame, second: pd.DataFrame) -> list[str]:
    """Scans whose wholes changed most, by name."""
    notes = []
    for region in ("icv", "hypothalamus"):
        name = f"volume_mm3 {region}"
        if name in first and name in second:
            steps = second[name] / first[name] - 1
            far = steps[steps.abs() > FAR].sort_values(key=np.abs, ascending=False)
            listed = ", ".join(f"{scan} {step:+.0%}" for scan, step in far.head(NAMED).items())
            more = ", …" if len(far) > NAMED else ""
            notes += [f"{in_words(region)} changed by more than {FAR:.0%} in {len(far)} scans: {listed}{more}"] if len(far) else []
    return notes
