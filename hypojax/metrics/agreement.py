"""Agreement of two or more measurements of the same subjects: intraclass correlation, limits of agreement, repeatability.

Subjects with a missing value (NaN) are left out of what compares measurements column by column; repeatability takes
whatever repeats a subject has. Intervals are of 95 % unless asked otherwise; where a subject has several scans,
`paired_agreement` takes them from a bootstrap over subjects.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist
from typing import Final, Literal, NamedTuple

import numpy as np
from jaxtyping import Float64, Num, Shaped

from hypojax.metrics.resampling import RESAMPLES, Interval, bootstrap_sums

UNKNOWN: Final = Interval(float("nan"), float("nan"), float("nan"))

CONFIDENCE: Final = 0.95

NORMAL: Final = 1.959963984540054
"""Standard deviations either side of the mean that hold 95 % of a normal distribution."""

Measurements = Num[np.ndarray, "subject measurement"]

SHROUT_FLEISS: Final = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])
"""The published example: six subjects, four judges (Shrout and Fleiss 1979, table 2)."""

Pairs = Num[np.ndarray, "scan 2"]


class MeanSquares(NamedTuple):
    """Two-way analysis of variance without replication.

    Parameters
    ----------
    subjects, raters, error
        Mean squares between subjects, between columns, and of the residual.
    people, columns
        How many subjects, and how many measurements of each.
    """

    subjects: float
    raters: float
    error: float
    people: int
    columns: int


@dataclass(frozen=True)
class LimitsOfAgreement:
    """Bland–Altman analysis of differences, in the unit of the measurements (Bland and Altman 1986, 1999).

    Parameters
    ----------
    bias
        Mean difference.
    lower, upper
        Limits that hold 95 % of the differences, were they normal, each with an interval of its own.
    """

    bias: Interval
    lower: Interval
    upper: Interval


def mean_squares(measurements: Measurements) -> MeanSquares:
    """Two-way analysis of variance of subjects × measurements.

    >>> mean_squares(np.array([[1.0, 2.0], [3.0, 4.0]]))[:3]
    (4.0, 1.0, 0.0)
    """
    known = _complete(measurements)
    people, columns = known.shape
    if people < 2 or columns < 2:
        return MeanSquares(np.nan, np.nan, np.nan, people, columns)
    of_subject, of_column, grand = known.mean(axis=1), known.mean(axis=0), known.mean()
    rest = known - of_subject[:, None] - of_column[None, :] + grand
    return MeanSquares(
        subjects=float(columns * ((of_subject - grand) ** 2).sum() / (people - 1)),
        raters=float(people * ((of_column - grand) ** 2).sum() / (columns - 1)),
        error=float((rest**2).sum() / ((people - 1) * (columns - 1))),
        people=people,
        columns=columns,
    )


def icc21(measurements: Measurements, *, confidence: float = CONFIDENCE) -> Interval:
    """ICC(2,1): absolute agreement of single measurements, columns drawn at random (Shrout and Fleiss 1979).

    The interval is that of ICC(A,1) by McGraw and Wong 1996. NaN where nothing varies or fewer than two subjects are known.

    >>> tuple(round(float(x), 2) for x in icc21(SHROUT_FLEISS))
    (0.29, 0.02, 0.76)
    """
    squares = mean_squares(measurements)
    subjects, raters, error, n, k = squares
    total = subjects + (k - 1) * error + k * (raters - error) / max(1, n)
    if not total > 0:
        return UNKNOWN
    icc = (subjects - error) / total
    if raters == error == 0:
        return Interval(icc, icc, icc)
    low, high = _f_quantiles(_satterthwaite(squares, icc), n - 1, confidence)
    rest = k * raters + (k * n - k - n) * error
    ends = ((subjects - low * error) / (low * rest + n * subjects), (high * subjects - error) / (rest + n * high * subjects))
    return Interval(icc, n * ends[0], n * ends[1])


def icc31(measurements: Measurements, *, confidence: float = CONFIDENCE) -> Interval:
    """ICC(3,1): consistency of single measurements, a constant difference between columns forgiven (Shrout and Fleiss 1979).

    The interval is that of ICC(C,1) by McGraw and Wong 1996. NaN where nothing varies or fewer than two subjects are known.

    >>> tuple(round(float(x), 2) for x in icc31(SHROUT_FLEISS))
    (0.71, 0.34, 0.95)
    """
    subjects, _, error, n, k = mean_squares(measurements)
    if not subjects + (k - 1) * error > 0:
        return UNKNOWN
    icc = (subjects - error) / (subjects + (k - 1) * error)
    if error == 0:
        return Interval(icc, icc, icc)
    low, high = _f_quantiles(float((n - 1) * (k - 1)), n - 1, confidence)
    ratios = (subjects / error / low, subjects / error * high)
    return Interval(icc, *((ratio - 1) / (ratio + k - 1) for ratio in ratios))


def bland_altman(differences: Num[np.ndarray, "pair"], *, confidence: float = CONFIDENCE) -> LimitsOfAgreement:
    """Bias and limits of agreement of paired differences, with intervals (Bland and Altman 1999); NaN are left out.

    >>> limits = bland_altman(np.array([1.0, 3.0]))
    >>> limits.bias.estimate, round(limits.upper.estimate - limits.lower.estimate, 3)
    (2.0, 5.544)
    """
    known = differences[np.isfinite(differences)].astype(np.float64)
    n = len(known)
    if n < 2:
        return LimitsOfAgreement(UNKNOWN, UNKNOWN, UNKNOWN)
    bias, spread = float(known.mean()), float(known.std(ddof=1))
    reach = _t_quantile(n - 1, confidence) * spread
    around = reach * float(np.sqrt(1 / n + NORMAL**2 / (2 * (n - 1))))
    limits = (Interval(limit, limit - around, limit + around) for limit in (bias - NORMAL * spread, bias + NORMAL * spread))
    return LimitsOfAgreement(Interval(bias, bias - reach / n**0.5, bias + reach / n**0.5), *limits)


def within_subject_sd(measurements: Measurements) -> float:
    """Standard deviation of repeated measurements of one subject, pooled over subjects (Bland and Altman 1996).

    A difference between columns counts as error; subjects with one measurement are left out.

    >>> within_subject_sd(np.array([[1.0, 3.0], [5.0, np.nan]])) == 2**0.5
    True
    """
    squares, repeats = _within(measurements)
    return float(np.sqrt(squares.sum() / (repeats - 1).sum())) if len(repeats) else float("nan")


def within_subject_cv(measurements: Measurements) -> float:
    """Within-subject coefficient of variation: root mean square over subjects of their SD over their mean (Bland 2006).

    >>> round(within_subject_cv(np.array([[99.0, 101.0], [198.0, 202.0]])), 6)
    0.014142
    """
    squares, repeats = _within(measurements)
    if not len(repeats):
        return float("nan")
    known = measurements[(~np.isnan(measurements)).sum(axis=1) > 1]
    with np.errstate(divide="ignore"):
        shares = np.divide(squares, (repeats - 1) * np.nanmean(known, axis=1) ** 2, out=np.zeros(len(known)), where=squares > 0)
    return float(np.sqrt(shares.mean()))


def minimal_detectable_change(measurements: Measurements) -> float:
    """The least change of one subject that exceeds measurement error in 95 % of cases: 1.96 √2 within-subject SD (Weir 2005).

    >>> round(minimal_detectable_change(np.array([[1.0, 3.0], [5.0, 7.0]])), 3)
    3.92
    """
    return NORMAL * 2**0.5 * within_subject_sd(measurements)


def pearson(first: Num[np.ndarray, "pair"], second: Num[np.ndarray, "pair"]) -> float:
    """Correlation of two measurements; NaN where one of them does not vary.

    >>> pearson(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0]))
    1.0
    """
    x, y = _centred(first, second)
    scale = np.sqrt((x @ x) * (y @ y))
    return float(np.clip(x @ y / scale, -1, 1)) if scale > 0 else float("nan")


def concordance(first: Num[np.ndarray, "pair"], second: Num[np.ndarray, "pair"]) -> float:
    """Concordance correlation coefficient: correlation minus what differs in scale and place (Lin 1989).

    >>> round(concordance(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0])), 4)
    0.5714
    """
    known = _complete(np.stack([first, second], axis=1))
    x, y = _centred(first, second)
    total = x @ x + y @ y + len(known) * (known[:, 0].mean() - known[:, 1].mean()) ** 2 if len(known) else 0.0
    return float(2 * (x @ y) / total) if total > 0 else float("nan")


def slope(values: Num[np.ndarray, "pair"], *, on: Num[np.ndarray, "pair"], confidence: float = CONFIDENCE) -> Interval:
    """Slope of the least-squares line of ``values`` on another variable, with its interval; NaN below three pairs.

    >>> tuple(round(float(x), 6) for x in slope(np.array([1.0, 3.0, 5.0]), on=np.array([0.0, 1.0, 2.0])))
    (2.0, 2.0, 2.0)
    """
    x, y = _centred(on, values)
    if len(x) < 3 or not x @ x > 0:
        return UNKNOWN
    estimate = float(x @ y / (x @ x))
    rest = y - estimate * x
    reach = _t_quantile(len(x) - 2, confidence) * float(np.sqrt(rest @ rest / (len(x) - 2) / (x @ x)))
    return Interval(estimate, estimate - reach, estimate + reach)


def cohen_kappa(
    first: Shaped[np.ndarray, "scan"],
    second: Shaped[np.ndarray, "scan"],
    *,
    levels: Sequence[str],
    weights: Literal["none", "linear"] = "none",
    confidence: float = CONFIDENCE,
) -> Interval:
    """Cohen's kappa of two raters: agreement beyond chance (Cohen 1960, 1968), interval by Fleiss, Cohen and Everitt (1969).

    Parameters
    ----------
    first, second
        What each said of the same scans.
    levels
        All ratings, in order.
    weights
        Whether all disagreements weigh alike, or in proportion to how many levels apart they are.
    confidence
        Of the interval, that of large samples.

    Returns
    -------
    NaN where both gave all scans one rating; ends are NaN where they agree on all, which no large-sample interval covers.

    Examples
    --------
    >>> said = np.array(["a", "a", "b", "b"]), np.array(["a", "b", "b", "b"])
    >>> round(cohen_kappa(*said, levels=["a", "b"]).estimate, 3)
    0.5
    """
    n, k = len(first), len(levels)
    table = np.array([[np.sum((first == row) & (second == column)) for column in levels] for row in levels]) / max(n, 1)
    apart = np.abs(np.subtract.outer(np.arange(k), np.arange(k))) / max(1, k - 1)
    weight = 1 - (apart if weights == "linear" else apart > 0)
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    chance = float(rows @ weight @ columns)
    if n == 0 or np.isclose(chance, 1):
        return UNKNOWN
    kappa = (float((table * weight).sum()) - chance) / (1 - chance)
    means = (weight @ columns)[:, None] + (rows @ weight)[None, :]
    spread = float((table * (weight - means * (1 - kappa)) ** 2).sum()) - (kappa - chance * (1 - kappa)) ** 2
    if np.array_equal(first, second):  # kappa itself may lie a rounding error below 1
        return Interval(1.0, float("nan"), float("nan"))
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * float(np.sqrt(max(0.0, spread) / n)) / (1 - chance)
    return Interval(kappa, kappa - reach, kappa + reach)


@dataclass(frozen=True)
class PairedAgreement:
    """Agreement of two measurements.

    Parameters
    ----------
    limits
        Bias (first minus second) and limits of agreement, in the unit of the measurements.
    icc21, icc31
        Absolute agreement, and consistency.
    """

    limits: LimitsOfAgreement
    icc21: Interval
    icc31: Interval


def paired_agreement(
    pairs: Pairs,
    *,
    subjects: Shaped[np.ndarray, "scan"] | None = None,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PairedAgreement:
    """Limits of agreement and ICC of two measurements; intervals come from a bootstrap over subjects where one has several scans.

    Estimates are those of `bland_altman`, `icc21` and `icc31` in either case, and so are the intervals where every scan is of
    another subject. Else they are those of `bootstrap_sums`; of ICC on the scale of Fisher's z, which steadies its variance (compare
    Ukoumunne et al. 2003).

    Parameters
    ----------
    pairs
        Both measurements of each scan, in one unit; scans that lack one are left out.
    subjects
        Subject of each scan; every scan is its own subject when left out.
    confidence
        Share of such intervals that hold the true value.
    resamples, seed
        Of the bootstrap.

    Examples
    --------
    >>> pairs, subjects = np.array([[7.0, 8.0], [7.5, 8.0], [9.0, 9.5], [9.5, 9.0]]), np.array(["a", "a", "b", "b"])
    >>> paired_agreement(pairs, subjects=subjects).limits.bias.estimate
    -0.375
    >>> [round(icc.estimate, 3) for icc in (paired_agreement(pairs, subjects=subjects).icc31, icc31(pairs))]
    [0.8, 0.8]
    """
    complete = np.isfinite(pairs).all(axis=1)
    known = pairs[complete].astype(np.float64)
    whose = (np.arange(len(pairs)) if subjects is None else subjects)[complete]
    apart, middle = known[:, 0] - known[:, 1], known.mean(axis=1)
    if len(np.unique(whose)) == len(known):
        limits = bland_altman(apart, confidence=confidence)
        return PairedAgreement(limits, icc21(known, confidence=confidence), icc31(known, confidence=confidence))
    # Less their means, so that nothing is lost when squares are subtracted.
    m, d = middle - middle.mean(), apart - apart.mean()
    terms = np.stack([np.ones(len(m)), m, d, m**2, d**2], axis=1)
    statistics = partial(_clustered_statistics, shift=float(apart.mean()))
    found = bootstrap_sums(terms, statistics, subjects=whose, confidence=confidence, resamples=resamples, seed=seed)
    return PairedAgreement(LimitsOfAgreement(*found[:3]), *(Interval(*np.tanh(z).tolist()) for z in found[3:]))


def _complete(measurements: Measurements) -> Float64[np.ndarray, "known measurement"]:
    return measurements[np.isfinite(measurements).all(axis=1)].astype(np.float64)


def _within(measurements: Measurements) -> tuple[Float64[np.ndarray, "known"], Float64[np.ndarray, "known"]]:
    """Sum of squares about the own mean and number of repeats, of every subject with at least two."""
    repeats = (~np.isnan(measurements)).sum(axis=1)
    known = measurements[repeats > 1].astype(np.float64)
    if not len(known):
        return np.zeros(0), np.zeros(0)
    return np.nansum((known - np.nanmean(known, axis=1, keepdims=True)) ** 2, axis=1), repeats[repeats > 1].astype(np.float64)


def _centred(
    first: Num[np.ndarray, "pair"], second: Num[np.ndarray, "pair"]
) -> tuple[Float64[np.ndarray, "known"], Float64[np.ndarray, "known"]]:
    """Both measurements minus their means, over pairs in which both are known."""
    known = _complete(np.stack([first, second], axis=1))
    middle = known.mean(axis=0) if len(known) else np.zeros(2)
    return known[:, 0] - middle[0], known[:, 1] - middle[1]


def _satterthwaite(squares: MeanSquares, icc: float) -> float:
    """Degrees of freedom of the error of ICC(A,1), after Satterthwaite 1946 (McGraw and Wong 1996, table 7)."""
    _, raters, error, n, k = squares
    # Both factors times n (1 - icc), which cancels and is zero for perfect agreement.
    a, b = k * icc * raters, (n * (1 - icc) + k * icc * (n - 1)) * error
    return (a + b) ** 2 / (a**2 / (k - 1) + b**2 / ((n - 1) * (k - 1)))


def _f_quantiles(error: float, subjects: int, confidence: float) -> tuple[float, float]:
    """Upper quantiles of F(subjects, error) and of F(error, subjects)."""
    from scipy.stats import f

    share = (1 + confidence) / 2
    return float(f.ppf(share, subjects, error)), float(f.ppf(share, error, subjects))


def _t_quantile(freedom: int, confidence: float) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + confidence) / 2, freedom))


def _clustered_statistics(sums: Float64[np.ndarray, "*draws 5"], shift: float) -> Float64[np.ndarray, "*draws 5"]:
    """Bias, both limits, and Fisher's z of ICC(2,1) and ICC(3,1), from sums over scans of 1, m, d, m² and d².

    m is the mean of both measurements and d their difference, less ``shift``. Of two columns, the mean square between subjects
    is 2 var(m), that of the error var(d) / 2, and that between columns n bias² / 2.
    """
    n, m, d, mm, dd = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        bias = d / n + shift
        between, spread = (np.maximum(squares - total**2 / n, 0) / (n - 1) for squares, total in ((mm, m), (dd, d)))
        rows, error, columns = 2 * between, spread / 2, n * bias**2 / 2
        agreement = (rows - error) / (rows + error + 2 * (columns - error) / n)
        consistency = (rows - error) / (rows + error)
        reach = NORMAL * np.sqrt(spread)
        return np.stack([bias, bias - reach, bias + reach, np.arctanh(agreement), np.arctanh(consistency)], axis=-1)
