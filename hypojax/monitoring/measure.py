"""What is compared of every scan: each measure, its unit of comparison, its name in words, and what to look at when it moves."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd
import xarray as xr

Kind = Literal["volume", "adjusted volume", "uncertainty", "image", "segmentation", "failure", "flag", "evaluation"]
Scale = Literal["ratio", "rank", "share", "score"]

WHOLES: Final = ("icv", "hypothalamus", "hypothalamus_left", "hypothalamus_right")


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


LOOK: Final[dict[str, tuple[Kind, str, str]]] = {
    "quality_noise": ("image", "noise near the hypothalamus", "look at the scanner: coil, protocol, field strength"),
    "quality_contrast": ("image", "contrast near the hypothalamus", "look at the sequence: inversion and echo times"),
    "extracranial_signal": ("image", "signal outside the skull", "ask whether faces or scalps were removed"),
    "icv_cut_off": ("image", "share of the head cut off by the field of view", "look at how the field of view is placed"),
    "nonfinite_voxels": ("image", "voxels that are no numbers", "look at how the files were converted"),
    "voxel_volume_mm3": ("image", "voxel volume", "the protocol is another: compare its resolution"),
    "longest_edge_mm": ("image", "longest voxel edge", "the protocol is another: compare its resolution"),
    "quality_score": ("segmentation", "quality score of the hypothalamus", "look at the scans with the lowest quality_score"),
    "quality_certainty": ("segmentation", "certainty of the segmentation", "look at the scans with the lowest quality_certainty"),
    "quality_location": ("segmentation", "certainty of the place", "look at the scans with the lowest quality_location"),
    "quality_asymmetry": ("segmentation", "asymmetry, left less right", "look for exchanged sides: orientation in the headers"),
}
"""Column → what it is a measure of, its name in words, and what to look at."""

ADVICE: Final[dict[str, str]] = {
    "volume": "ask who was scanned (age, sex), then look at image and weights",
    "uncertainty": "look at the scans that are most uncertain",
    "failure": "see status and message in volumes.tsv",
    "flag": "look at the scans that carry it",
}
"""Kind → what to look at."""


def measures(dataset: xr.Dataset, *, flags: Collection[str] = ()) -> tuple[list[Measure], pd.DataFrame]:
    """What there is to compare in a cohort, and its values: one column a measure, one row a scan, NaN where unknown.

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


def _volumes(dataset: xr.Dataset) -> Values:
    """Soft volumes; what is not positive has no ratio."""
    regions = [str(region) for region in dataset["region"].values]
    volume = {region: dataset["volume_mm3"].sel(region=region).to_numpy() for region in regions}
    return [
        (Measure(f"volume_mm3 {region}", "volume", "ratio", in_words(region), ADVICE["volume"]), _positive(values))
        for region, values in volume.items()
    ]


def _uncertainty(dataset: xr.Dataset) -> Values:
    """Uncertainty over volume of the wholes."""
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
    if "voxel_size_mm" in dataset:
        edges = dataset["voxel_size_mm"].to_numpy()
        values |= {"voxel_volume_mm3": edges.prod(axis=1).round(3), "longest_edge_mm": edges.max(axis=1).round(3)}
    found: Values = []
    for name, column in values.items():
        kind, title, advice = LOOK.get(name, ("segmentation", name.removeprefix("quality_").replace("_", " "), f"look at {name}"))
        found.append((Measure(name, kind, "rank", title, advice), column.astype(np.float64)))
    return found


def _shares(dataset: xr.Dataset) -> Values:
    """Who failed, and who of those done has no volume."""
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
    """Who of those done carries which flag."""
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
