"""What is compared of every scan: each measure with its name in words and advice, its covariates, and one value per subject.

Repeated scans of one subject are not independent, so each subject counts once:

- **Volumes and uncertainty** are means over the scans of a subject, geometric ones because their tests use logarithms. A mean
  of three scans and a single scan have the same expectation, however many scans either batch has of a subject.
- **Everything else** is that of the subject's first scan that has it. Ranks, shares and distributions of means differ from those
  of single scans (one of three scans is more likely to be flagged), so batches with other numbers of sessions would differ by that alone.

A subject with scans in both batches counts in each; two samples that share people differ less by chance than the tests allow for.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float64

from hypojax.cohort.region_scores import SCORES, measure_of
from hypojax.evaluation.summary import subjects_of
from hypojax.tables import AGE_NAMES, SEX_NAMES, SEXES, find_column, text_of
from hypojax.tables.cells import per_year
from hypojax.tables.dates import age_of

Kind = Literal["volume", "adjusted volume", "uncertainty", "image", "segmentation", "failure", "flag", "evaluation"]

Scale = Literal["ratio", "rank", "share", "score"]

WHOLES: Final = ("icv", "hypothalamus", "hypothalamus_left", "hypothalamus_right")

LOOK: Final[dict[str, tuple[Kind, str, str]]] = {
    "quality_noise": ("image", "noise near the hypothalamus", "check the scanner: coil, protocol, field strength"),
    "quality_contrast": ("image", "contrast near the hypothalamus", "check the sequence: inversion and echo times"),
    "extracranial_signal": ("image", "signal outside the skull", "check whether faces or scalps were removed"),
    "icv_cut_off": ("image", "share of the head cut off by the field of view", "check how the field of view is placed"),
    "nonfinite_voxels": ("image", "voxels that are not numbers", "check how the files were converted"),
    "voxel_volume_mm3": ("image", "voxel volume", "the protocol changed: compare its resolution"),
    "longest_edge_mm": ("image", "longest voxel edge", "the protocol changed: compare its resolution"),
    "quality_score_hypothalamus": ("segmentation", "quality score of the hypothalamus", "look at the scans with the lowest quality_score"),
    "quality_score_icv": ("segmentation", "quality score of the intracranial volume", "look at the scans with the lowest quality_score"),
    "quality_certainty": ("segmentation", "certainty of the segmentation", "look at the scans with the lowest quality_certainty"),
    "quality_location": ("segmentation", "certainty of the location", "look at the scans with the lowest quality_location"),
    "quality_asymmetry": ("segmentation", "asymmetry, left minus right", "check for swapped left and right: orientation in the headers"),
}
"""Column → what it is a measure of, its name in words, and what to look at."""

ADVICE: Final[dict[str, str]] = {
    "volume": "check who was scanned (age, sex), then images and weights",
    "uncertainty": "look at the scans that are most uncertain",
    "failure": "see status and message in volumes.tsv",
    "flag": "look at the scans with this flag",
}
"""Kind → what to look at."""

Counted = Literal["scans", "subjects"]

KNOWN: Final = 0.8
"""Share of the scans of each side that must have a covariate."""

Columns = tuple[Float64[np.ndarray, "reference"], Float64[np.ndarray, "new"]]


@dataclass(frozen=True)
class Measure:
    """One measure of a scan.

    Parameters
    ----------
    name
        Column of the table that it comes from, and the region or flag.
    kind
        What it is a measure of.
    scale
        How two groups are compared: ``ratio`` of means, ``rank`` or ``share`` of scans; ``score`` of an evaluation, by its interval.
    title
        Its name in a sentence.
    advice
        What to look at when it moves.
    """

    name: str
    kind: Kind
    scale: Scale
    title: str
    advice: str = ""


def measures(dataset: xr.Dataset, *, flags: Collection[str] = ()) -> tuple[list[Measure], pd.DataFrame]:
    """What there is to compare in a cohort, and its values: one column per measure, one row per scan, NaN where unknown.

    Parameters
    ----------
    dataset
        A cohort (`hypojax.cohort.open_cohort`).
    flags
        Flags to count: those that any scan of either side carries.

    Returns
    -------
    The measures, and their values by ``Measure.name``. Shares are 0 and 1, and unknown for scans that were not done.
    """
    parts = [_volumes(dataset), _uncertainty(dataset), _quality(dataset), _shares(dataset), _flags(dataset, flags)]
    found = [pair for part in parts for pair in part]
    index = pd.Index(dataset["scan"].values, name="scan")
    return [measure for measure, _ in found], pd.DataFrame({measure.name: values for measure, values in found}, index=index)


def flags_of(*datasets: xr.Dataset) -> set[str]:
    """Flags that any scan of these cohorts carries."""
    return {str(flag) for dataset in datasets for flag in dataset["flag"].values[dataset["flagged"].values.any(axis=0)]}


Values = list[tuple[Measure, np.ndarray]]


def in_words(region: str) -> str:
    """A region in words.

    >>> in_words("icv"), in_words("hypothalamus_left"), in_words("left_posterior")
    ('intracranial volume', 'left hypothalamus', 'left posterior subunit')
    """
    whole, _, side = region.partition("_")
    if whole == "hypothalamus":
        return f"{side} {whole}".strip()
    return "intracranial volume" if region == "icv" else f"{region.replace('_', ' ')} subunit"


def by_subject(values: pd.DataFrame, cohort: xr.Dataset) -> pd.DataFrame:
    """Values of scans, one row each, indexed by subject: columns dataset and subject, else the scan itself."""
    return values.set_axis(pd.Index(subjects_of(cohort), name="subject"), axis=0)


def one_a_subject(values: pd.DataFrame, scale: Scale) -> pd.DataFrame:
    """One row per subject: geometric means on the scale of ratios, else the first.

    >>> repeated = pd.DataFrame({"volume": [1.0, 4.0, 3.0]}, index=["a", "a", "b"])
    >>> [one_a_subject(repeated, scale)["volume"].round(6).tolist() for scale in ("ratio", "rank")]
    [[2.0, 3.0], [1.0, 3.0]]
    """
    if scale == "ratio":
        return mean_of_subject(values.apply(np.log)).apply(np.exp)
    return values[~values.index.duplicated()]


def mean_of_subject(values: pd.DataFrame) -> pd.DataFrame:
    """One row per subject: means, subjects in the order of their first scans."""
    return values if values.index.is_unique else values.groupby(level=0, sort=False).mean()


def counted(scans: int, subjects: int) -> Counted:
    """What the values of a group are values of."""
    return "scans" if scans == subjects else "subjects"


def repeats(**cohorts: xr.Dataset) -> tuple[str, ...]:
    """A sentence for each cohort (by its name, words joined by ``_``) with several scans of a subject."""
    sizes = {name.replace("_", " "): (cohort.sizes["scan"], len(set(subjects_of(cohort)))) for name, cohort in cohorts.items()}
    how = "one value per subject (volumes and uncertainty: geometric mean of its scans; everything else: its first scan)"
    many = {name: counts for name, counts in sizes.items() if counts[0] > counts[1]}
    return tuple(f"{name}: {scans} scans of {subjects} subject{'s' * (subjects > 1)}: {how}" for name, (scans, subjects) in many.items())


def covariates(reference: xr.Dataset, new: xr.Dataset) -> dict[str, Columns]:
    """Covariates known for most scans of both cohorts, by name: ``head size`` (logarithm of mm³), ``age``, ``sex`` (0 and 1)."""
    both = (reference, new)
    found = {
        "head size": _both(_head_size(side) for side in both),
        "age": _both(_age(side) for side in both),
        "sex": _coded(*(_sex(side) for side in both)),
    }
    return {name: columns for name, columns in found.items() if all(_usable(side) for side in columns)}


def _volumes(dataset: xr.Dataset) -> Values:
    """Soft volumes; what is not positive has no ratio."""
    regions = [str(region) for region in dataset["region"].values]
    volume = {region: dataset["volume_mm3"].sel(region=region).to_numpy() for region in regions}
    return [
        (Measure(f"volume_mm3 {region}", "volume", "ratio", in_words(region), ADVICE["volume"]), _positive(values))
        for region, values in volume.items()
    ]


def _uncertainty(dataset: xr.Dataset) -> Values:
    found: Values = []
    for region in ("icv", "hypothalamus"):
        if region in dataset["region"]:
            one = dataset.sel(region=region)
            title = f"uncertainty of the {in_words(region)}, as a share of it,"
            measure = Measure(f"uncertainty {region}", "uncertainty", "ratio", title, ADVICE["uncertainty"])
            found.append((measure, _positive(one["uncertainty_mm3"].to_numpy() / _positive(one["volume_mm3"].to_numpy()))))
    return found


def _quality(dataset: xr.Dataset) -> Values:
    """Everything that is measured of the image and of its segmentation."""
    columns = {str(name): dataset[name] for name in dataset.data_vars if str(name).startswith("quality_") or str(name) in LOOK}
    values = {name: column.to_numpy() for name, column in columns.items() if column.dims == ("scan",) and column.dtype.kind == "f"}
    values |= {name: measure_of(dataset, name) for name in SCORES if "quality_score" in dataset}
    if "voxel_size_mm" in dataset:
        edges = dataset["voxel_size_mm"].to_numpy()
        values |= {"voxel_volume_mm3": edges.prod(axis=1).round(3), "longest_edge_mm": edges.max(axis=1).round(3)}
    found: Values = []
    for name, column in values.items():
        kind, title, advice = LOOK.get(name, ("segmentation", name.removeprefix("quality_").replace("_", " "), f"look at {name}"))
        found.append((Measure(name, kind, "rank", title, advice), column.astype(np.float64)))
    return found


def _shares(dataset: xr.Dataset) -> Values:
    """Which scans failed, and which finished ones have no volume."""
    done = dataset["status"].values == "done"
    failed = np.where(dataset["status"].values == "failed", 1.0, np.where(done, 0.0, np.nan))
    found: Values = [(Measure("failed", "failure", "share", "scans that failed", ADVICE["failure"]), failed)]
    for region in ("icv", "hypothalamus"):
        if region in dataset["region"]:
            missing = np.isnan(dataset["volume_mm3"].sel(region=region).to_numpy())
            title = f"scans without {in_words(region)}"
            measure = Measure(f"missing {region}", "failure", "share", title, "see missing_reason in volumes.tsv")
            found.append((measure, np.where(done, missing.astype(float), np.nan)))
    return found


def _flags(dataset: xr.Dataset, flags: Collection[str]) -> Values:
    done = dataset["status"].values == "done"
    carried = dict(zip(dataset["flag"].values, dataset["flagged"].values.astype(float).T, strict=True))
    found: Values = []
    for flag in sorted(flags):
        measure = Measure(f"flag {flag}", "flag", "share", f"scans flagged {flag}", ADVICE["flag"])
        found.append((measure, np.where(done, carried.get(flag, 0.0), np.nan)))
    return found


def _positive(values: np.ndarray) -> np.ndarray:
    """The same where it is above zero, else NaN."""
    return np.where(values > 0, values, np.nan)


def _both(sides: Iterator[Float64[np.ndarray, "..."]]) -> Columns:
    first, second = sides
    return first, second


def _usable(values: Float64[np.ndarray, "..."]) -> bool:
    return bool(np.isfinite(values).mean() >= KNOWN) if values.size else False


def _head_size(dataset: xr.Dataset) -> Float64[np.ndarray, "scan"]:
    """Logarithm of the intracranial volume; NaN for unfinished scans, which are not used here."""
    if "icv" not in dataset["region"]:
        return np.full(dataset.sizes["scan"], np.nan)
    volume = dataset["volume_mm3"].sel(region="icv").to_numpy()
    return np.log(np.where(volume > 0, volume, np.nan))


def _age(dataset: xr.Dataset) -> Float64[np.ndarray, "scan"]:
    name = _name(dataset, AGE_NAMES)
    unit = per_year(name or "age")
    ages = [None if pd.isna(value) else age_of(text_of(value), per_year=unit) for value in _column(dataset, AGE_NAMES)]
    return np.array([np.nan if age is None else age / unit for age in ages], np.float64)


def _sex(dataset: xr.Dataset) -> pd.Series:
    """Sex as the table has it, words as M and F; missing where there is none."""
    values = _column(dataset, SEX_NAMES).map(text_of, na_action="ignore").astype(object)
    return values.replace("", np.nan).map(lambda value: SEXES.get(value.casefold(), value), na_action="ignore")


def _column(dataset: xr.Dataset, names: tuple[str, ...]) -> pd.Series:
    """A column of the participants table by any of its names."""
    name = _name(dataset, names)
    return pd.Series(dataset[name].values.tolist() if name else np.nan, index=range(dataset.sizes["scan"]), dtype=object)


def _name(dataset: xr.Dataset, names: tuple[str, ...]) -> str | None:
    """The first of some names that a column of scans has, as it is spelled there."""
    return find_column([name for name in dataset.variables if dataset[name].dims == ("scan",)], names)


def _coded(reference: pd.Series, new: pd.Series) -> Columns:
    """Sex as 0 and 1, the same in both; unknown throughout where the two use other codes."""
    kinds = sorted({*reference.dropna(), *new.dropna()})
    return _both(
        side.map({kind: float(number) for number, kind in enumerate(kinds)} if len(kinds) == 2 else {}).to_numpy(dtype=np.float64)
        for side in (reference, new)
    )
