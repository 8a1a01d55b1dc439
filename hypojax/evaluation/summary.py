"""A whole evaluation in a few numbers: for each region and each stratum of scans, with bootstrap intervals by subject."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, Literal

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Bool, Float64, Num, Shaped

from hypojax.evaluation.scores import METRICS
from hypojax.grid import MARGIN
from hypojax.metrics import Interval, bootstrap, concordance, minimal_detectable_change, paired_agreement, pearson, within_subject_cv
from hypojax.reason import Reason, RunError
from hypojax.schema import Variable
from hypojax.tables import text_of

GROUP: Final = ("stratum", "region")

GROUP_METRIC: Final = (*GROUP, "metric")

EVERYONE: Final = "all"

UNKNOWN: Final = "unknown"

MANY: Final = 1000
"""Scans above which intervals are plain percentiles: the correction is nil there, and its cost grows with the square."""

HIGHER_IS_BETTER: Final = frozenset({"dice", "nsd_0_5mm", "nsd_1mm", "volume_similarity"})

NEITHER: Final = frozenset({"volume_predicted_mm3", "volume_reference_mm3"})
"""Columns of which no value is worse than another."""

MOST_VALUES: Final = 8
"""Numbers of more different values than this are cut into bands."""

BY_SUBJECT: Final = "; of a bootstrap over subjects where any has several scans"

AS_REPEATS: Final = (
    "both volumes taken as repeats: a constant difference between the two counts as error; for repeatability give two sessions of one tool"
)
"""Sentences that several variables share."""

SUMMARY: Final = (
    Variable("mean", GROUP_METRIC, "float64", "", "Mean over scored scans; infinite distances (a region one map lacks) are left out"),
    Variable("mean_low", GROUP_METRIC, "float64", "", "Lower end of its 95 % interval: bootstrap over subjects"),
    Variable("mean_high", GROUP_METRIC, "float64", "", "Upper end of its 95 % interval"),
    Variable("median", GROUP_METRIC, "float64", "", "Median over the same scans"),
    Variable("worst", GROUP_METRIC, "float64", "", "Worst value of any scored scan, infinite ones included; of signed errors the largest"),
    Variable("scored", GROUP, "float64", "1", "Scans with numbers"),
    Variable("failed", GROUP, "float64", "1", "Scans with a reference and without numbers"),
    Variable("failure_rate", GROUP, "float64", "1", "Failed over all with a reference"),
    Variable(
        "failure_rate_low", GROUP, "float64", "1", "Lower end of its 95 % interval (Wilson 1927); every scan counts as one of its own"
    ),
    Variable("failure_rate_high", GROUP, "float64", "1", "Upper end of its 95 % interval"),
    Variable("missed", GROUP, "float64", "1", "Scored scans in which one map has the region and the other has none of it"),
    Variable("bias_mm3", GROUP, "float64", "mm3", "Mean of predicted minus reference volume (Bland and Altman 1986)"),
    Variable("bias_low_mm3", GROUP, "float64", "mm3", f"Lower end of its 95 % interval{BY_SUBJECT}"),
    Variable("bias_high_mm3", GROUP, "float64", "mm3", "Upper end of its 95 % interval"),
    Variable("limit_lower_mm3", GROUP, "float64", "mm3", "Lower limit of agreement: bias less 1.96 standard deviations"),
    Variable("limit_lower_low_mm3", GROUP, "float64", "mm3", f"Lower end of its 95 % interval (Bland and Altman 1999){BY_SUBJECT}"),
    Variable("limit_lower_high_mm3", GROUP, "float64", "mm3", "Upper end of its 95 % interval"),
    Variable("limit_upper_mm3", GROUP, "float64", "mm3", "Upper limit of agreement"),
    Variable("limit_upper_low_mm3", GROUP, "float64", "mm3", f"Lower end of its 95 % interval{BY_SUBJECT}"),
    Variable("limit_upper_high_mm3", GROUP, "float64", "mm3", "Upper end of its 95 % interval"),
    Variable("icc21", GROUP, "float64", "1", "ICC(2,1) of both volumes: absolute agreement (Shrout and Fleiss 1979)"),
    Variable("icc21_low", GROUP, "float64", "1", f"Lower end of its 95 % interval (McGraw and Wong 1996){BY_SUBJECT}"),
    Variable("icc21_high", GROUP, "float64", "1", "Upper end of its 95 % interval"),
    Variable("icc31", GROUP, "float64", "1", "ICC(3,1) of both volumes: consistency, a constant difference forgiven"),
    Variable("icc31_low", GROUP, "float64", "1", f"Lower end of its 95 % interval{BY_SUBJECT}"),
    Variable("icc31_high", GROUP, "float64", "1", "Upper end of its 95 % interval"),
    Variable("pearson", GROUP, "float64", "1", "Correlation of both volumes"),
    Variable("concordance", GROUP, "float64", "1", "Concordance correlation of both volumes (Lin 1989)"),
    Variable("within_subject_cv", GROUP, "float64", "1", f"Coefficient of variation within a scan, {AS_REPEATS}"),
    Variable(
        "minimal_detectable_change_mm3",
        GROUP,
        "float64",
        "mm3",
        f"Minimal detectable change: 2.77 standard deviations within a scan, {AS_REPEATS}",
    ),
    Variable("volume_ratio", GROUP, "float64", "1", "Mean of predicted over reference volume"),
    Variable("volume_ratio_scatter", GROUP, "float64", "1", "Standard deviation of that ratio over its mean: a constant factor removed"),
)
"""What a summary holds, in order."""

Values = Float64[np.ndarray, "scan"]


def summarise(evaluation: xr.Dataset, *, by: Sequence[str] = (), resamples: int = 2000, seed: int = 0) -> xr.Dataset:
    """An evaluation over all scans, and over those of each stratum.

    Parameters
    ----------
    evaluation
        As `hypojax.evaluation.compare` gives it.
    by
        Coordinates to stratify by: text and few numbers by value, age by decade, other numbers by thirds.
    resamples, seed
        Of the bootstrap.

    Returns
    -------
    Dataset over ``stratum`` (``all`` first), ``region`` and ``metric``, as `SUMMARY` declares it.

    Raises
    ------
    RunError
        ``USAGE``: there is no such coordinate.
    """
    groups = strata(evaluation, by=by)
    regions, metrics = [str(region) for region in evaluation["region"].values], [variable.name for variable in METRICS]
    sizes = {"stratum": len(groups), "region": len(regions), "metric": len(metrics)}
    arrays = {variable.name: np.full([sizes[dim] for dim in variable.dims], np.nan) for variable in SUMMARY}
    who = subjects_of(evaluation)
    for i, chosen in enumerate(groups.values()):
        part = evaluation.isel(scan=np.flatnonzero(chosen))
        for j, region in enumerate(regions):
            one = part.sel(region=region)
            for name, value in _agreement(one, who[chosen], resamples=resamples, seed=seed).items():
                arrays[name][i, j] = value
            for k, metric in enumerate(metrics):
                for name, value in _spread(one[metric].values, who[chosen], metric, resamples=resamples, seed=seed).items():
                    arrays[name][i, j, k] = value
    variables = {variable.name: xr.Variable(variable.dims, arrays[variable.name], variable.attributes) for variable in SUMMARY}
    return xr.Dataset(variables, coords=_coordinates(list(groups), regions, metrics), attrs=evaluation.attrs)


def strata(evaluation: xr.Dataset, *, by: Sequence[str] = ()) -> dict[str, Bool[np.ndarray, "scan"]]:
    """Name of each stratum → which scans are in it; all scans first, then the strata of each coordinate.

    Raises
    ------
    RunError
        ``USAGE``: there is no such coordinate.

    Examples
    --------
    >>> ages = xr.Dataset(coords={"scan": ["a", "b", "c"], "age": ("scan", [24, 31, 38])})
    >>> {name: chosen.tolist() for name, chosen in strata(ages, by=["age"]).items() if name != "all"}
    {'age 20 to 29': [True, False, False], 'age 30 to 39': [False, True, True]}
    """
    found = {EVERYONE: np.ones(evaluation.sizes["scan"], bool)}
    for name in by:
        known = [str(coordinate) for coordinate in evaluation.coords if evaluation[coordinate].dims == ("scan",) and coordinate != "scan"]
        if name not in known:
            message = f"scans have no {name!r} to group them by (known: {', '.join(known) or 'nothing'})"
            raise RunError(Reason.USAGE, f"{message}; name one of these, or give a table that has it with --participants")
        values = evaluation[name].values
        bands = _bands(name, values) if values.dtype.kind in "iuf" else np.array([str(value) or UNKNOWN for value in values], object)
        found |= {f"{name} {band}": bands == band for band in sorted(set(bands), key=_order)}
    return found


def subjects_of(evaluation: xr.Dataset) -> Shaped[np.ndarray, "scan"]:
    """Subject of each scan: dataset and subject where there are any (a subject may be missing, or NaN), else the scan itself.

    Examples
    --------
    >>> subjects_of(xr.Dataset(coords={"scan": ["a", "b", "c"], "subject": ("scan", [1.0, np.nan, np.nan])})).tolist()
    ['/sub-1', '/b', '/c']
    """
    scans = evaluation["scan"].values
    blank = np.full(len(scans), "", object)
    subjects, datasets = (evaluation[name].values if name in evaluation.variables else blank for name in ("subject", "dataset"))
    missing = pd.isna(subjects) | (subjects == "")
    named = zip(scans, subjects, datasets, missing, strict=True)
    return np.array([f"{dataset}/{scan if none else f'sub-{text_of(subject)}'}" for scan, subject, dataset, none in named], dtype=object)


def wilson(events: int, total: int) -> Interval:
    """A rate with its 95 % score interval (Wilson 1927), which is right for none of many too; NaN of none at all.

    >>> tuple(round(float(x), 3) for x in wilson(0, 20))
    (0.0, 0.0, 0.161)
    """
    if not total:
        return Interval(float("nan"), float("nan"), float("nan"))
    from scipy.stats import binomtest

    ends = binomtest(events, total).proportion_ci(method="wilson")
    return Interval(events / total, float(ends.low), float(ends.high))


def _bands(name: str, values: Num[np.ndarray, "scan"]) -> Shaped[np.ndarray, "scan"]:
    """Numbers as names of bands: decades of age, the value itself where there are few, else thirds of the scans."""
    known = values[np.isfinite(values)]
    if "age" in name.casefold().replace("_", " ").split():
        names = [f"{int(value // 10) * 10} to {int(value // 10) * 10 + 9}" if np.isfinite(value) else UNKNOWN for value in values]
    elif len(np.unique(known)) <= MOST_VALUES:
        names = [text_of(value) if np.isfinite(value) else UNKNOWN for value in values.tolist()]
    else:
        edges = np.quantile(known, [0, 1 / 3, 2 / 3, 1])
        thirds = np.searchsorted(edges[1:-1] + MARGIN * np.abs(edges).max(), values, side="left")  # a value on an edge lies below it
        bands = [" to ".join(text_of(float(f"{edge:g}")) for edge in pair) for pair in pairwise(edges)]
        names = [bands[third] if np.isfinite(value) else UNKNOWN for third, value in zip(thirds, values, strict=True)]
    return np.array(names, object)


def _order(band: str) -> tuple[bool, float, str]:
    """Bands of numbers in their order, names in theirs, what is unknown last."""
    try:
        return band == UNKNOWN, float(band.split(" to ", maxsplit=1)[0]), band
    except ValueError:
        return band == UNKNOWN, float("inf"), band


def _coordinates(groups: list[str], regions: list[str], metrics: list[str]) -> dict[str, xr.Variable]:
    """Labels of the dims, and the unit of each metric."""
    units = [variable.units for variable in METRICS]
    return {
        "stratum": xr.Variable("stratum", np.array(groups, object), {"long_name": "Which scans"}),
        "region": xr.Variable("region", np.array(regions, object), {"long_name": "Region"}),
        "metric": xr.Variable("metric", np.array(metrics, object), {"long_name": "What was measured of each pair"}),
        "metric_units": xr.Variable("metric", np.array(units, object), {"long_name": "Unit of the metric"}),
    }


def _spread(values: Values, subjects: Shaped[np.ndarray, "scan"], metric: str, *, resamples: int, seed: int) -> dict[str, float]:
    known = values[~np.isnan(values)]
    finite = known[np.isfinite(known)]
    method: Literal["BCa", "percentile"] = "BCa" if len(values) <= MANY else "percentile"
    mean = bootstrap(values, subjects=subjects, resamples=resamples, seed=seed, method=method)
    median = float(np.median(finite)) if len(finite) else float("nan")
    return {**_interval("mean", mean), "median": median, "worst": _worst(known, metric)}


def _worst(known: Values, metric: str) -> float:
    if not len(known) or metric in NEITHER:
        return float("nan")
    return float(known.min() if metric in HIGHER_IS_BETTER else known[np.abs(known).argmax()])


def _agreement(region: xr.Dataset, subjects: Shaped[np.ndarray, "scan"], *, resamples: int, seed: int) -> dict[str, float]:
    reasons = region["missing_reason"].values.astype(str)
    predicted, reference = region["volume_predicted_mm3"].values, region["volume_reference_mm3"].values
    both = np.stack([predicted, reference], axis=1)
    agreement = paired_agreement(both, subjects=subjects, resamples=resamples, seed=seed)
    ratio = predicted[reference > 0] / reference[reference > 0]
    failed = int(((reasons != "") & (reasons != Reason.NO_REFERENCE)).sum())
    scored = int((reasons == "").sum())
    return {
        "scored": float(scored),
        "failed": float(failed),
        **_interval("failure_rate", wilson(failed, scored + failed)),
        "missed": float(np.isinf(region["hd95_mm"].values).sum()),
        **_interval("bias_mm3", agreement.limits.bias),
        **_interval("limit_lower_mm3", agreement.limits.lower),
        **_interval("limit_upper_mm3", agreement.limits.upper),
        **_interval("icc21", agreement.icc21),
        **_interval("icc31", agreement.icc31),
        "pearson": pearson(predicted, reference),
        "concordance": concordance(predicted, reference),
        "within_subject_cv": within_subject_cv(both),
        "minimal_detectable_change_mm3": minimal_detectable_change(both),
        "volume_ratio": float(ratio.mean()) if len(ratio) else float("nan"),
        "volume_ratio_scatter": float(ratio.std(ddof=1) / ratio.mean()) if len(ratio) > 1 and ratio.mean() else float("nan"),
    }


def _interval(name: str, interval: Interval) -> dict[str, float]:
    """An interval as three columns; a unit stays at the end of their names.

    >>> list(_interval("bias_mm3", Interval(1.0, 0.5, 1.5)))
    ['bias_mm3', 'bias_low_mm3', 'bias_high_mm3']
    """
    stem, unit = (name.removesuffix("_mm3"), "_mm3") if name.endswith("_mm3") else (name, "")
    return {name: interval.estimate, f"{stem}_low{unit}": interval.low, f"{stem}_high{unit}": interval.high}
