"""Agreement of two measurements of scans where one subject may have several: those are not independent, and intervals must know it."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float64, Num, Shaped

from hypojax.metrics.agreement import CONFIDENCE, NORMAL, LimitsOfAgreement, bland_altman, icc21, icc31
from hypojax.metrics.interval import Interval
from hypojax.metrics.resampling import RESAMPLES, bootstrap_sums

Pairs = Num[np.ndarray, "scan 2"]


@dataclass(frozen=True)
class PairedAgreement:
    """Agreement of two measurements.

    Parameters
    ----------
    limits
        Bias (first less second) and limits of agreement, in the unit of the measurements.
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
        Whose scan it is; every scan is of a subject of its own when left out.
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
    statistics = partial(_statistics, shift=float(apart.mean()))
    found = bootstrap_sums(terms, statistics, subjects=whose, confidence=confidence, resamples=resamples, seed=seed)
    return PairedAgreement(LimitsOfAgreement(*found[:3]), *(Interval(*np.tanh(z).tolist()) for z in found[3:]))


def _statistics(sums: Float64[np.ndarray, "*draws 5"], shift: float) -> Float64[np.ndarray, "*draws 5"]:
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
