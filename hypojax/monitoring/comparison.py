"""A new batch against the reference, measure by measure: other scans, or the same scans with other weights."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Bool, Float64

from hypojax.evaluation.summary import subjects_of
from hypojax.metrics import within_subject_cv
from hypojax.monitoring.batches import open_batches
from hypojax.monitoring.difference import (
    Difference,
    adjusted_ratio,
    changed_share,
    distribution,
    paired_ratio,
    ratio,
    share,
    superiority,
    typical_change,
)
from hypojax.monitoring.drift_page import drift_page
from hypojax.monitoring.finding import DriftResult, Finding, Test, frame, judged, trend_findings, trend_of
from hypojax.monitoring.limits import Choice, Limits
from hypojax.monitoring.measures import (
    WHOLES,
    Measure,
    Scale,
    by_subject,
    counted,
    covariates,
    flags_of,
    in_words,
    mean_of_subject,
    measures,
    one_a_subject,
    repeats,
)
from hypojax.pages import html, markdown
from hypojax.storage import Disk, on_disk, place
from hypojax.tables.writer import tsv

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
"""Values of the reference and of the new batch: one row per scan, its subject as the index."""

FEWEST: Final = 5
"""Scans measured twice that are enough, since each is its own control."""

FAR: Final = 0.1
"""A whole that changes by more in one scan is named."""

NAMED: Final = 5

PAIRED_TESTS: Final[dict[Scale, Test]] = {"ratio": "paired t on logarithms", "rank": "signed rank", "share": "McNemar"}


def drift(
    reference: Disk, new: Disk | None = None, *, out: Disk | None = None, choice: Choice | None = None, limits: Limits | None = None
) -> DriftResult:
    """What moved between two outputs of hypojax, or between parts of one: all that ``hypojax drift`` does.

    Parameters
    ----------
    reference
        Output folder of the reference; of both where ``new`` is left out.
    new
        Output folder of the new batch, or of the same scans with other weights.
    out
        Folder for the files of `write_drift`; nothing is written when left out.
    choice
        Which scans are new.
    limits
        What counts as moved.

    Raises
    ------
    RunError
        ``NOTHING_FOUND``, ``STORE_DAMAGED``, ``USAGE``, ``DISK_FULL`` or ``NOT_WRITABLE``.
    """
    reference, new = on_disk(reference), None if new is None else on_disk(new)
    batches = open_batches(reference, new, choice=choice)
    found = (compare_repeats if batches.same else compare)(batches.reference, batches.new, limits=limits)
    trend = trend_of(*dict.fromkeys(filter(None, (reference, new))))
    found = replace(found, findings=(*found.findings, *trend_findings(trend)), notes=(*batches.notes, *found.notes), trend=trend)
    return found if out is None else replace(found, paths=write_drift(found, out))


def write_drift(found: DriftResult, out: Disk) -> tuple[Path, Path, Path]:
    """Write ``drift.tsv``, ``drift.md`` and ``drift.html`` into a folder.

    Returns
    -------
    The three paths.

    Raises
    ------
    RunError
        ``DISK_FULL`` or ``NOT_WRITABLE``.
    """
    folder = on_disk(out)
    table, text, page = folder / "drift.tsv", folder / "drift.md", folder / "drift.html"
    place(table, tsv(frame(found)))
    made = drift_page(found)
    place(text, markdown(made).encode())
    place(page, html(made).encode())
    return table, text, page


def compare(reference: xr.Dataset, new: xr.Dataset, *, limits: Limits | None = None) -> DriftResult:
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
    also at equal head size (age and sex where known). Several scans of a subject count as one (`hypojax.monitoring.measures`).
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
    return DriftResult(judged(findings, limits=limits), scans=scans, paired=False, limits=limits, notes=notes)


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


def compare_repeats(reference: xr.Dataset, new: xr.Dataset, *, limits: Limits | None = None) -> DriftResult:
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
    subject count as one (`hypojax.monitoring.measures`), except in the within-scan coefficient of variation.
    """
    limits = limits or Limits()
    shared = [scan for scan in reference["scan"].values if scan in set(new["scan"].values)]
    first_cohort, second_cohort = reference.sel(scan=shared), new.sel(scan=shared)
    flags = flags_of(first_cohort, second_cohort)
    (known, first), (_, second) = (measures(side, flags=flags) for side in (first_cohort, second_cohort))
    who = subjects_of(first_cohort)
    findings = [_repeated(measure, (first, second), who, limits) for measure in known if measure.name in second]
    notes = (*repeats(measured_twice=first_cohort), *_far(first, second))
    return DriftResult(judged(findings, limits=limits), scans=(len(shared), len(shared)), paired=True, limits=limits, notes=notes)


def _middle(measure: Measure, first: pd.DataFrame, second: pd.DataFrame, limits: Limits) -> Finding:
    sides = _known(first[[measure.name]]), _known(second[[measure.name]])
    test, difference = TESTS[measure.scale]
    return _finding(measure, test, sides, difference, limits, limit=limit_of(measure.scale, limits))


def _distribution(measure: Measure, first: pd.DataFrame, second: pd.DataFrame, limits: Limits) -> Finding:
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
    return lambda reference, new: adjusted_ratio(reference, new, given=given)


def _done(cohort: xr.Dataset) -> Bool[np.ndarray, "scan"]:
    return np.asarray(cohort["status"].values == "done")


def _known(scans: pd.DataFrame) -> pd.DataFrame:
    return scans[np.isfinite(scans.to_numpy(dtype=np.float64)).all(axis=1)]


def _values(side: pd.DataFrame, scale: Scale) -> Values:
    return one_a_subject(side.iloc[:, :1], scale).to_numpy(dtype=np.float64)[:, 0]


def _means(side: pd.DataFrame) -> Values:
    return mean_of_subject(side).to_numpy(dtype=np.float64)


def _left_out(first: pd.DataFrame, second: pd.DataFrame) -> tuple[str, ...]:
    sides = (("reference", first.columns.difference(second.columns)), ("new batch", second.columns.difference(first.columns)))
    return tuple(f"only the {name} has {', '.join(columns)}: not compared" for name, columns in sides if len(columns))


def _repeated(measure: Measure, both: Sides, who: np.ndarray, limits: Limits) -> Finding:
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
        test=PAIRED_TESTS[measure.scale],
        scans=(len(subjects), len(subjects)),
        counted=counted(len(known), len(subjects)),
        middles=(middle_of(sides[0], measure.scale), middle_of(sides[1], measure.scale)),
        spreads=(spread_of(sides[0], measure.scale), spread_of(sides[1], measure.scale)),
        difference=difference(*sides) if enough else None,
        limit=limits.quality if measure.scale == "rank" else limit_of(measure.scale, limits),
        within_scan_cv=within_subject_cv(known) if whole and enough else float("nan"),
    )


def _far(first: pd.DataFrame, second: pd.DataFrame) -> list[str]:
    notes = []
    for region in ("icv", "hypothalamus"):
        name = f"volume_mm3 {region}"
        if name in first and name in second:
            steps = second[name] / first[name] - 1
            far = steps[steps.abs() > FAR].sort_values(key=np.abs, ascending=False)
            listed = ", ".join(f"{scan} {step:+.0%}" for scan, step in far.head(NAMED).items())
            more = ", …" if len(far) > NAMED else ""
            notes += [f"{in_words(region)} changed by more than {FAR:.0%}: {listed}{more} ({len(far)} in all)"] if len(far) else []
    return notes
