"""Differences between two groups of scans, or within the same scans measured twice, each with its interval and test.

Which test for what:

- **volumes**: Welch's t on logarithms. Volumes differ in per cent, their logarithms are near normal, spreads and numbers of
  scans differ between batches, and the result is the number people ask for: how many per cent.
- **measures of quality**: Brunner and Munzel's. They are skewed, many are shares that pile up at 0 or 1, and no two have
  one unit; the probability that a new scan has a higher value than an old one is a difference that all of them share. Mann and
  Whitney's test answers the same question only where both spreads are equal.
- **shares of scans**: Fisher's exact test with Newcombe's interval, right also for none in twenty.
- **whole distributions**: Kolmogorov and Smirnov's, which also sees a spread that grew around the same mean.
- **the same scans measured twice**: paired t on logarithms, Wilcoxon's signed-rank test, and McNemar's.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy import stats

from hypojax.grid import MARGIN, comparable
from hypojax.metrics import Interval

First = Float64[np.ndarray, "reference"]

Second = Float64[np.ndarray, "new"]

CONFIDENCE: Final = 0.95

POWER: Final = 0.8
"""Probability with which the detectable difference would be found."""

HALVINGS: Final = 60
"""More than the digits of a double."""

Pairs = Float64[np.ndarray, "pair"]


class Difference(NamedTuple):
    """New minus reference.

    Parameters
    ----------
    effect
        The difference and its 95 % interval, in the unit that the function says.
    p
        Two-sided p.
    detectable
        The smallest difference that two groups of these sizes show with a probability of 80 %, alone at alpha 0.05; NaN
        where a test has none.
    """

    effect: Interval
    p: float
    detectable: float


def ratio(reference: First, new: Second) -> Difference:
    """Ratio of geometric means minus one: Welch's t test on logarithms (Welch 1947). Both positive.

    >>> found = ratio(np.array([100.0, 110, 90]), np.array([110.0, 121, 99]))
    >>> round(found.effect.estimate, 3), found.effect.holds(0.0)
    (0.1, True)
    """
    first, second = np.log(reference), np.log(new)
    variances = np.array([first.var(ddof=1) / len(first), second.var(ddof=1) / len(second)])
    return _on_logarithms(float(second.mean() - first.mean()), variances, np.array([len(first) - 1, len(second) - 1]))


def adjusted_ratio(
    reference: First,
    new: Second,
    *,
    given: tuple[Float64[np.ndarray, "reference covariate"], Float64[np.ndarray, "new covariate"]],
) -> Difference:
    """The same at equal covariates: analysis of covariance of logarithms, slopes common to both groups, spreads their own.

    Parameters
    ----------
    reference, new
        Volumes; positive.
    given
        Covariates of both groups, such as the logarithm of the intracranial volume, age, sex as 0 and 1.

    Examples
    --------
    >>> size = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> found = adjusted_ratio(np.exp(size[:, 0]), np.exp(size[:, 0] + 2), given=(size, size + 2))
    >>> round(found.effect.estimate, 6) + 0.0  # twice as large in heads that much larger
    0.0
    """
    first, second = np.log(reference), np.log(new)
    x = np.concatenate([side - side.mean(axis=0) for side in given])
    y = np.concatenate([first - first.mean(), second - second.mean()])
    inverse = np.linalg.pinv(x.T @ x)
    slopes = inverse @ x.T @ y
    rest = y - x @ slopes
    apart = given[1].mean(axis=0) - given[0].mean(axis=0)
    freedom = len(y) - 2 - x.shape[1]
    sides = (rest[: len(first)], rest[len(first) :])
    variances = [float(side @ side) / max(1, len(side) - 1) / len(side) for side in sides]
    slope_variance = float(apart @ inverse @ apart) * float(rest @ rest) / max(1, freedom)
    return _on_logarithms(
        float(second.mean() - first.mean() - apart @ slopes),
        np.array([*variances, slope_variance]),
        np.array([len(first) - 1, len(second) - 1, max(1, freedom)]),
    )


def superiority(reference: First, new: Second) -> Difference:
    """Probability that a new scan has a higher value than one of the reference, ties by half, minus one half (Brunner and Munzel 2000).

    >>> superiority(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0])).effect.estimate
    0.0
    """
    n, m = len(reference), len(new)
    ranks = stats.rankdata(np.concatenate([reference, new]))
    placed = (ranks[:n] - stats.rankdata(reference)) / m, (ranks[n:] - stats.rankdata(new)) / n
    estimate = float(placed[1].mean()) - 0.5
    variances = np.array([placed[0].var(ddof=1) / n, placed[1].var(ddof=1) / m])
    error = float(np.sqrt(variances.sum()))
    if error < MARGIN:
        return _apart(reference, new, estimate)
    freedom = _freedom(variances, np.array([n - 1, m - 1]))
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    effect = Interval(estimate, max(-0.5, estimate - reach), min(0.5, estimate + reach))
    return Difference(effect, float(2 * stats.t.sf(abs(estimate) / error, freedom)), _detectable(error))


def share(reference: First, new: Second) -> Difference:
    """Difference of the shares of ones among zeros and ones: Fisher's exact test, Newcombe's interval (1998, method 10).

    >>> found = share(np.zeros(98), np.ones(4))
    >>> found.effect.estimate, found.p < 1e-5
    (1.0, True)
    """
    counts = [(int(side.sum()), len(side)) for side in (reference, new)]
    (first, low1, high1), (second, low2, high2) = (wilson(count, of=of) for count, of in counts)
    estimate = second - first
    low = estimate - float(np.hypot(second - low2, high1 - first))
    high = estimate + float(np.hypot(high2 - second, first - low1))
    p = stats.fisher_exact(np.array([[count, of - count] for count, of in counts])).pvalue
    return Difference(Interval(estimate, low, high), float(p), float("nan"))


def distribution(reference: First, new: Second) -> Difference:
    """Largest gap between the two distribution functions: Kolmogorov and Smirnov's test; it has no interval.

    >>> distribution(np.arange(10.0), np.arange(10.0) + 100).effect.estimate
    1.0
    """
    # The exact p costs seconds at thousands of scans and fails with a warning for some small ones; this one differs little at twenty.
    found = stats.ks_2samp(reference, new, method="asymp")
    return Difference(Interval(float(found.statistic), float("nan"), float("nan")), float(found.pvalue), float("nan"))


def wilson(count: int, *, of: int) -> Interval:
    """A share and its interval (Wilson 1927).

    >>> [round(float(x), 3) for x in wilson(0, of=20)]
    [0.0, 0.0, 0.161]
    """
    ends = stats.binomtest(count, of).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(count / of, float(ends.low), float(ends.high))


def holm(values: Sequence[float]) -> list[float]:
    """Adjusted p of each test: the chance of any false alarm is at most alpha, whatever depends on what (Holm 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(values, kind="stable")
    steps = np.sort(values) * np.arange(len(values), 0, -1)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return adjusted.tolist()


def paired_ratio(first: Pairs, second: Pairs) -> Difference:
    """Geometric mean of the ratios within scans minus one: paired t test on logarithms. Both positive.

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


def typical_change(first: Pairs, second: Pairs) -> Difference:
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


def changed_share(first: Pairs, second: Pairs) -> Difference:
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


def _apart(reference: First, new: Second, estimate: float) -> Difference:
    """Groups of which one lies wholly above the other, or in which nothing varies: ranks have a p, but no variance.

    The interval is then that of as many successes without a failure as the smaller group has scans.
    """
    if abs(estimate) < MARGIN:
        return Difference(Interval(0.0, 0.0, 0.0), 1.0, float("nan"))
    fewest = min(len(reference), len(new))
    inner = wilson(fewest, of=fewest).low - 0.5
    ends = (inner, 0.5) if estimate > 0 else (-0.5, -inner)
    return Difference(Interval(estimate, *ends), float(stats.mannwhitneyu(reference, new).pvalue), float("nan"))


def _on_logarithms(difference: float, variances: Float64[np.ndarray, "part"], freedoms: np.ndarray) -> Difference:
    """A difference of logarithms with the variances it is made of, as a ratio minus one."""
    error = float(np.sqrt(variances.sum()))
    if error < 1e-12:
        return Difference(Interval(*[float(np.expm1(difference))] * 3), 1.0 if abs(difference) < 1e-12 else 0.0, 0.0)
    freedom = _freedom(variances, freedoms)
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    ends = (float(np.expm1(difference + step)) for step in (0.0, -reach, reach))
    return Difference(Interval(*ends), float(2 * stats.t.sf(abs(difference) / error, freedom)), float(np.expm1(_detectable(error))))


def _freedom(variances: Float64[np.ndarray, "part"], freedoms: np.ndarray) -> float:
    """Degrees of freedom of a sum of variances (Satterthwaite 1946)."""
    return float(variances.sum() ** 2 / (variances**2 / freedoms).sum())


def _detectable(error: float) -> float:
    """The difference found with a probability of `POWER`."""
    return error * float(stats.norm.ppf((1 + CONFIDENCE) / 2) + stats.norm.ppf(POWER))


def _average_of_two(values: Pairs, rank: int) -> float:
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
