"""Estimates with confidence intervals, by a bootstrap clustered by subject.

A subject with several scans is drawn with all of them or not at all (Davison and Hinkley 1997).
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int, Num, Shaped

RESAMPLES: Final = 2000

ELEMENTS: Final = 200_000
"""Subjects drawn in one go: what fits the cache."""

Statistic = Callable[[Num[np.ndarray, "scan"]], float]

SumStatistics = Callable[[Float64[np.ndarray, "*draws term"]], Float64[np.ndarray, "*draws statistic"]]

Drawn = Callable[..., Any]

Method = Literal["BCa", "percentile"]


class Interval(NamedTuple):
    """An estimate and its confidence interval, all in one unit; ends are NaN where there is too little data.

    Parameters
    ----------
    estimate
        The estimate.
    low, high
        Ends of the interval.

    Examples
    --------
    >>> Interval(0.9, 0.85, 0.93).holds(0.92)
    True
    """

    estimate: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value lies in the interval."""
        return self.low <= value <= self.high


def bootstrap(
    values: Num[np.ndarray, "scan"],
    *,
    subjects: Shaped[np.ndarray, "scan"] | None = None,
    statistic: Statistic | None = None,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    method: Method = "BCa",
    seed: int = 0,
) -> Interval:
    """A statistic of scans with its bootstrap interval, subjects drawn with replacement; the same seed, the same interval.

    `scipy.stats.bootstrap` draws and corrects (BCa: bias-corrected and accelerated, Efron 1987); what it draws here are subjects.

    Parameters
    ----------
    values
        One a scan; NaN and infinite ones are left out.
    subjects
        Subject of each scan; every scan is its own subject when left out.
    statistic
        Of the scans drawn; their mean when left out, which is much faster than any other.
    confidence
        Share of such intervals that hold the true value.
    resamples
        How often subjects are drawn.
    method
        ``BCa``, or the plain ``percentile`` interval, which is also used where the correction is not defined.
    seed
        Of the draws.

    Returns
    -------
    The estimate from all values and its interval; the ends are NaN below two subjects.

    Examples
    --------
    >>> bootstrap(np.array([0.75, 0.75, 0.75]))
    Interval(estimate=0.75, low=0.75, high=0.75)
    >>> bootstrap(np.array([0.9])).low
    nan
    """
    known = np.isfinite(values)
    scans, groups = values[known].astype(np.float64), _groups(subjects, known)
    if not len(groups):
        return Interval(float("nan"), float("nan"), float("nan"))
    estimate = float(statistic(scans) if statistic else scans.mean())
    if len(groups) == 1:
        return Interval(estimate, float("nan"), float("nan"))
    drawn = _of_subjects(scans, groups, statistic) if statistic else _mean_of_subjects(scans, groups)
    draw = _Draw(subjects=len(groups), resamples=resamples, confidence=confidence, vectorized=statistic is None, seed=seed)
    ends = _ends(drawn, draw, method)
    return Interval(estimate, *(ends if np.isfinite(ends).all() else _ends(drawn, draw, "percentile")))


def bootstrap_sums(
    terms: Float64[np.ndarray, "scan term"],
    statistics: SumStatistics,
    *,
    subjects: Shaped[np.ndarray, "scan"],
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Interval, ...]:
    """Statistics of sums over scans with their bootstrap intervals, subjects drawn with replacement: fast for variances and the like.

    An interval is the estimate ± Student's t of one less than the subjects times the standard deviation over draws, √(n / (n - 1))
    wider for n subjects; percentiles are too narrow where subjects are few (Hesterberg 2015).

    Parameters
    ----------
    terms
        Finite terms of each scan.
    statistics
        Of the sums of those terms, for many draws at once; draws that give infinite or no numbers are left out.
    subjects
        Subject of each scan.
    confidence
        Share of such intervals that hold the true value.
    resamples
        How often subjects are drawn.
    seed
        Of the draws.

    Returns
    -------
    Estimate and interval of each statistic; the ends are NaN below two subjects, and an infinite estimate has no width.

    Examples
    --------
    >>> terms, people = np.array([[1.0, 2.0], [1.0, 4.0], [1.0, 6.0]]), np.array(["a", "a", "b"])
    >>> (mean,) = bootstrap_sums(terms, lambda sums: sums[..., 1:] / sums[..., :1], subjects=people)
    >>> mean.estimate, mean.low < 3 < 6 < mean.high
    (4.0, True)
    """
    from scipy.stats import t

    groups = _groups(subjects, np.ones(len(terms), bool))
    estimates = statistics(terms.sum(axis=0))
    if len(groups) < 2:
        return tuple(Interval(float(estimate), float("nan"), float("nan")) for estimate in estimates)
    spread = _spread_of_draws(np.array([terms[group].sum(axis=0) for group in groups]), statistics, resamples=resamples, seed=seed)
    wider = (len(groups) / (len(groups) - 1)) ** 0.5
    reach = np.where(np.isinf(estimates), 0.0, t.ppf((1 + confidence) / 2, len(groups) - 1) * wider * spread)
    ends = zip(estimates.tolist(), (estimates - reach).tolist(), (estimates + reach).tolist(), strict=True)
    return tuple(Interval(*interval) for interval in ends)


@dataclass(frozen=True)
class _Draw:
    """How subjects are drawn."""

    subjects: int
    resamples: int
    confidence: float
    vectorized: bool
    seed: int


def _spread_of_draws(
    sums: Float64[np.ndarray, "subject term"], statistics: SumStatistics, *, resamples: int, seed: int
) -> Float64[np.ndarray, "statistic"]:
    """Standard deviation of each statistic over draws of as many subjects; NaN of fewer than two draws with a number."""
    rng, count = np.random.default_rng(seed), len(sums)
    most = max(1, ELEMENTS // count)
    sizes = [min(most, resamples - start) for start in range(0, resamples, most)]
    found = np.concatenate([statistics(sums[rng.integers(count, size=(size, count))].sum(axis=1)) for size in sizes])
    known = np.isfinite(found)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(known, found, 0).sum(axis=0) / known.sum(axis=0)
        return np.sqrt((np.where(known, found - means, 0) ** 2).sum(axis=0) / (known.sum(axis=0) - 1))


def _groups(subjects: Shaped[np.ndarray, "scan"] | None, known: Bool[np.ndarray, "scan"]) -> list[Int[np.ndarray, "scans"]]:
    """Indices of each subject's known scans, subjects in the order of their names."""
    own = np.arange(known.sum()) if subjects is None else np.unique(subjects[known], return_inverse=True)[1]
    order = np.argsort(own, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(own[order])) + 1) if len(own) else []


def _mean_of_subjects(scans: Float64[np.ndarray, "scan"], groups: list[Int[np.ndarray, "_"]]) -> Drawn:
    """Mean over the scans of the subjects drawn, for many draws at once."""
    sums, counts = np.array([scans[group].sum() for group in groups]), np.array([len(group) for group in groups])

    def mean(drawn: Int[np.ndarray, "*draws subjects"], axis: int = -1) -> Float64[np.ndarray, "*draws"]:
        return np.asarray(sums[drawn].sum(axis=axis) / counts[drawn].sum(axis=axis))

    return mean


def _of_subjects(scans: Float64[np.ndarray, "scan"], groups: list[Int[np.ndarray, "_"]], statistic: Statistic) -> Drawn:
    """Any statistic of the scans of the subjects drawn, for one draw."""
    return lambda drawn: statistic(scans[np.concatenate([groups[subject] for subject in drawn])])


def _ends(drawn: Drawn, draw: _Draw, method: Method) -> tuple[float, float]:
    """Ends of the interval; NaN where the correction is not defined (every draw gives the same value)."""
    from scipy import stats

    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            (np.arange(draw.subjects),),
            drawn,
            n_resamples=draw.resamples,
            batch=max(1, ELEMENTS // draw.subjects),
            vectorized=draw.vectorized,
            confidence_level=draw.confidence,
            method=method,
            rng=np.random.default_rng(draw.seed),
        )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
