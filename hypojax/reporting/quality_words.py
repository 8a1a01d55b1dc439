"""Quality measures of one scan in words: what each says, what is usual, and what to do where it is not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import xarray as xr

from hypojax.cohort.region_scores import measure_of
from hypojax.volumes.flags import (
    HIGHEST_NOISE,
    LARGEST_ASYMMETRY,
    LOWEST_CERTAINTY,
    LOWEST_CONTRAST,
    LOWEST_LOCATION,
    LOWEST_SCORE,
    LOWEST_T1W,
    THICKEST_VOXEL,
)

LEAST_OTHERS: Final = 5
"""Scans of a cohort from which on its own range is said."""

MIDDLE: Final = (5, 95)
"""Percentiles of the others between which most of them lie."""

OUTLINES: Final = "Compare the outlines above with the anatomy; reject the scan where they are wrong."


@dataclass(frozen=True)
class QualityMeasure:
    """What is known of one measure.

    Parameters
    ----------
    column
        Its name in the table.
    name
        In words.
    meaning
        What it says, in a sentence.
    usual
        What is usual, whatever the cohort.
    sound
        Whether a value is within its limit; None where none is set.
    step
        What to do where it is not.
    digits
        Decimals to show; of percentages where ``percent``.
    percent
        Whether it is a share.
    signed
        Whether a plus is written.
    """

    column: str
    name: str
    meaning: str
    usual: str
    sound: Callable[[float], bool]
    step: str
    digits: int = 2
    percent: bool = False
    signed: bool = False


class QualityRow(NamedTuple):
    """One measure of one scan, in words; ``others`` is the range of the cohort, ``step`` is empty where all is well."""

    name: str
    value: str
    usual: str
    others: str
    meaning: str
    step: str


MEASURES: Final = (
    QualityMeasure(
        "quality_score_hypothalamus", "Quality score, hypothalamus",
        "How likely the hypothalamus found is right, by size, shape and place, 0 to 1.",
        f"{LOWEST_SCORE} or more", lambda value: value >= LOWEST_SCORE, OUTLINES,
    ),
    QualityMeasure(
        "quality_score_icv", "Quality score, head", "How likely the intracranial volume is right, by size, shape and outline, 0 to 1.",
        f"{LOWEST_SCORE} or more", lambda value: value >= LOWEST_SCORE,
        "See whether the outline follows the inside of the skull all round, and whether the voxel size in the header is right.",
    ),
    QualityMeasure(
        "quality_certainty", "Certainty of the outlines",
        "How decided the network is between hypothalamus and not, in it and at its rim, 0.5 to 1.",
        f"{LOWEST_CERTAINTY:.2f} or more", lambda value: value >= LOWEST_CERTAINTY, OUTLINES,
    ),
    QualityMeasure(
        "quality_location", "Certainty of the place", "How sure it is where in the head the hypothalamus lies, 0 to 1.",
        f"{LOWEST_LOCATION} or more", lambda value: value >= LOWEST_LOCATION,
        "See whether the outlines lie beside the third ventricle, above the optic chiasm and the mammillary bodies.",
    ),
    QualityMeasure(
        "quality_asymmetry", "Left against right",
        "(left − right) / (left + right) of the hypothalamus: above zero where the left is larger.",
        f"within ±{100 * LARGEST_ASYMMETRY:.0f} %", lambda value: abs(value) <= LARGEST_ASYMMETRY,
        "See whether one side is cut short or spills over; if both are right, the person is asymmetric.", 1, percent=True, signed=True,
    ),
    QualityMeasure(
        "quality_contrast", "Contrast", "Range of intensities near the hypothalamus, in standard deviations of the tissue of the head.",
        f"4.6 to 8.5; {LOWEST_CONTRAST:.0f} or more", lambda value: value >= LOWEST_CONTRAST,
        "See whether grey matter, white matter and fluid can be told apart; check that the image is T1-weighted.", 1,
    ),
    QualityMeasure(
        "quality_noise", "Noise", "Noise near the hypothalamus, in standard deviations of the tissue of the head.",
        f"0.03 to 0.19; {HIGHEST_NOISE} or less", lambda value: value <= HIGHEST_NOISE,
        "Noise hides the outline: look for motion, and take another scan of this person if there is one.",
    ),
    QualityMeasure(
        "t1w_probability", "T1-weighted", "How likely it is a T1-weighted scan of a head, by how bright its tissues are, 0 to 1.",
        f"{LOWEST_T1W} or more", lambda value: value >= LOWEST_T1W,
        "See whether fluid is dark, grey matter grey and white matter bright; reject the scan where they are not.",
    ),
    QualityMeasure(
        "longest_edge_mm", "Longest voxel edge", "Millimetres; the hypothalamus is about 10 mm high.",
        f"{THICKEST_VOXEL:.0f} mm or less", lambda value: round(value, 3) <= THICKEST_VOXEL,
        "Volumes from thick slices are less exact: do not compare them with those of thin ones.",
    ),
    QualityMeasure(
        "icv_cut_off", "Head beyond the field of view", "Share of the intracranial surface that lies on the border of the image.",
        "next to 0 %", lambda _: True, "", 1, percent=True,
    ),
    QualityMeasure(
        "nonfinite_voxels", "Voxels without a value", "Voxels of the file that are no numbers, or marks of missing values.",
        "0", lambda value: value == 0, "See how the file was converted; volumes that they touch are missing.", 0,
    ),
)  # fmt: skip
"""In the order of a page."""


def quality_rows(cohort: xr.Dataset, scan: str) -> list[QualityRow]:
    """All measures of a scan that it has.

    Parameters
    ----------
    cohort
        As `hypojax.open_cohort` gives it.
    scan
        Its id.
    """
    place = cohort.get_index("scan").get_loc(scan)
    rows = []
    for measure in MEASURES:
        values = _values(cohort, measure.column)
        value = float(values[place])
        if np.isfinite(value):
            others = np.delete(values, place)
            step = "" if measure.sound(value) else measure.step
            rows.append(
                QualityRow(
                    measure.name, said(value, measure), measure.usual, _range(others[np.isfinite(others)], measure), measure.meaning, step
                )
            )
    return rows


def said(value: float, measure: QualityMeasure) -> str:
    """A value as people read it.

    >>> said(-0.0213, MEASURES[4]), said(0.91249, MEASURES[0])
    ('−2.1 %', '0.91')
    """
    sign = "+" if measure.signed else ""
    text = f"{100 * value:{sign}.{measure.digits}f} %" if measure.percent else f"{value:,.{measure.digits}f}"
    return text.replace("-", "−")


def _range(others: Sequence[float] | np.ndarray, measure: QualityMeasure) -> str:
    """Where most of the others lie."""
    if len(others) < LEAST_OTHERS:
        return ""
    low, high = (said(float(value), measure) for value in np.percentile(others, MIDDLE))
    return low if low == high else f"{low} to {high}"


def _values(cohort: xr.Dataset, column: str) -> np.ndarray:
    """A measure of all scans; NaN where there is none."""
    if column == "longest_edge_mm":
        return cohort["voxel_size_mm"].max("axis").to_numpy()
    return measure_of(cohort, column)
