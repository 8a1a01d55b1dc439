"""A new batch against the reference, measure by measure: other scans, or the same scans with other weights."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Bool, Float64

from hypojax.monitoring.covariates import covariates
from hypojax.monitoring.difference import Difference, adjusted_ratio, distribution, ratio, share, superiority
from hypojax.monitoring.finding import Drift, Finding, Test, judged
from hypojax.monitoring.limits import Limits
from hypojax.monitoring.measure import WHOLES, Measure, Scale, flags_of, measures
from hypojax.monitoring.subject import by_subject, counted, mean_of_subject, one_a_subject, repeats

DISTRIBUTIONS: Final = frozenset({"volume_mm3 icv", "volume_mm3 hypothalamus", "quality_noise", "quality_contrast", "quality_asymmetry"})
"""Measures whose whole distributions are compared too: a few, since each more takes power from all."""

TESTS: Final[dict[Scale, tuple[Test, Callable[..., Difference]]]] = {
    "ratio": ("Welch on logarithms", ratio),
    "rank": ("Brunner-Munzel", superiority),
    "share": ("Fisher", share),
}
"""How two groups are compared on each scale."""

Values = Float64[np.ndarray, "..."]
Sides = tuple[pd.DataFrame, pd.DataFrame]
"""Values of the reference and of the new batch: a row a scan, its subject as the index."""


def compare(reference: xr.Dataset, new: xr.Dataset, *, limits: Limits | None = None) -> Drift:
    """What moved between a reference cohort and a new batch of other scans.

    Parameters
    ----------
    reference, new
        Cohorts (`hypojax.cohort.open_cohort`), or parts of them.
    limits
        What counts as moved; the usual when left out.

    Returns
    -------
    A finding for every measure that both have: its middle, for some also its distribution; hypothalamus and its sides
    also at equal head size (age and sex where known). Several scans of a subject count as one (`hypojax.monitoring.subject`).
    Measures of which either side has fewer than ``limits.minimum`` subjects get no test.
    """
    limits = limits or Limits()
    flags = flags_of(reference, new)
    (known, first), (_, second) = (measures(side, flags=flags) for side in (reference, new))
    first, second = by_subject(first, reference), by_subject(second, new)
    both = [measure for measure in known if measure.name in second]
    findings = [_middle(measure, first, second, limits) for measure in both]
    findings += [_distribution(measure, first, second, limits) for measure in both if measure.name in DISTRIBUTIONS]
    findings += _adjusted([measure for measure in both if measure.kind == "volume"], (reference, new), (first, second), limits)
    scans = (reference.sizes["scan"], new.sizes["scan"])
    notes = (*repeats(reference=reference, new_batch=new), *_left_out(first, second))
    return Drift(judged(findings, limits=limits), scans=scans, paired=False, limits=limits, notes=notes)


def limit_of(scale: Scale, limits: Limits) -> float:
    """What a difference on a scale may be."""
    return {"ratio": limits.volume, "rank": limits.superiority, "share": limits.share}[scale]


def middle_of(values: Values, scale: Scale) -> float:
    """Geometric mean, median, or share; NaN of nothing."""
    if not values.size:
        return float("nan")
    if scale == "ratio":
        return float(np.exp(np.log(values).mean()))
    return float(np.median(values) if scale == "rank" else values.mean())


def spread_of(values: Values, scale: Scale) -> float:
    """Standard deviation (of logarithms for ratios); NaN for shares and of fewer than two."""
    if values.size < 2 or scale == "share":
        return float("nan")
    return float((np.log(values) if scale == "ratio" else values).std(ddof=1))


def _middle(measure: Measure, first: pd.DataFrame, second: pd.DataFrame, limits: Limits) -> Finding:
    """Whether the middle of a measure moved."""
    sides = _known(first[[measure.name]]), _known(second[[measure.name]])
    test, difference = TESTS[measure.scale]
    return _finding(measure, test, sides, difference, limits, limit=limit_of(measure.scale, limits))


def _distribution(measure: Measure, first: pd.DataFrame, second: pd.DataFrame, limits: Limits) -> Finding:
    """Whether the distribution of a measure moved."""
    sides = _known(first[[measure.name]]), _known(second[[measure.name]])
    return _finding(measure, "Kolmogorov-Smirnov", sides, distribution, limits, limit=limits.gap)


def _finding(
    measure: Measure,
    test: Test,
    sides: Sides,
    difference: Callable[[Values, Values], Difference],
    limits: Limits,
    *,
    limit: float,
) -> Finding:
    """A finding not yet judged; no test where scans are too few."""
    first, second = (_values(side, "rank" if test == "Kolmogorov-Smirnov" else measure.scale) for side in sides)
    return Finding(
        measure=measure,
        test=test,
        scans=(first.size, second.size),
        counted=counted(sum(len(side) for side in sides), first.size + second.size),
        middles=(middle_of(first, measure.scale), middle_of(second, measure.scale)),
        spreads=(spread_of(first, measure.scale), spread_of(second, measure.scale)),
        difference=difference(first, second) if min(first.size, second.size) >= limits.minimum else None,
        limit=limit,
    )


def _adjusted(
    volumes: list[Measure], cohorts: tuple[xr.Dataset, xr.Dataset], frames: tuple[pd.DataFrame, pd.DataFrame], limits: Limits
) -> list[Finding]:
    """The wholes of the hypothalamus at equal covariates, over scans that have them all."""
    given = covariates(*(cohort.isel(scan=_done(cohort)) for cohort in cohorts))
    if "head size" not in given:
        return []
    names = " and ".join([", ".join([*given][:-1]), [*given][-1]]) if len(given) > 1 else "head size"
    done = [
        frame[_done(cohort)].assign(**{name: columns[side] for name, columns in given.items()})
        for side, (frame, cohort) in enumerate(zip(frames, cohorts, strict=True))
    ]
    findings = []
    for measure in volumes:
        if measure.name.removeprefix("volume_mm3 ") not in WHOLES[1:]:
            continue
        own = replace(measure, name=f"adjusted {measure.name}", kind="adjusted volume", title=f"{measure.title} at equal {names}")
        first, second = (_known(side[[measure.name, *given]]) for side in done)
        covariate = _means(first[[*given]]), _means(second[[*given]])
        findings.append(_finding(own, "Welch on logarithms", (first, second), _at_equal(covariate), limits, limit=limits.volume))
    return findings


def _at_equal(given: tuple[Values, Values]) -> Callable[[Values, Values], Difference]:
    """The ratio at these covariates."""
    return lambda reference, new: adjusted_ratio(reference, new, given=given)


def _done(cohort: xr.Dataset) -> Bool[np.ndarray, "scan"]:
    """Scans that are done."""
    return np.asarray(cohort["status"].values == "done")


def _known(scans: pd.DataFrame) -> pd.DataFrame:
    """The scans of which all is known."""
    return scans[np.isfinite(scans.to_numpy(dtype=np.float64)).all(axis=1)]


def _values(side: pd.DataFrame, scale: Scale) -> Values:
    """The first column, one value a subject."""
    return one_a_subject(side.iloc[:, :1], scale).to_numpy(dtype=np.float64)[:, 0]


def _means(side: pd.DataFrame) -> Values:
    """All columns, one row of means a subject."""
    return mean_of_subject(side).to_numpy(dtype=np.float64)


def _left_out(first: pd.DataFrame, second: pd.DataFrame) -> tuple[str, ...]:
    """Measures that one side alone has."""
    sides = (("reference", first.columns.difference(second.columns)), ("new batch", second.columns.difference(first.columns)))
    return tuple(f"only the {name} has {', '.join(columns)}: not compared" for name, columns in sides if len(columns))
