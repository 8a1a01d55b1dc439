"""Robust intensity statistics of one scan, and the z-score made with them.

The statistics come from the scan alone, so that adding a scan to a cohort never changes another's result, and they
ignore background, so that more air in the field of view, or a removed skull, moves them little. They follow any gain and
offset of the stored values exactly, up to rounding.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float32, Num

BINS: Final = 256
CLIP: Final = (0.5, 99.0)
"""Percentiles between which the histogram is taken: a few hot voxels (vessels, artefacts) must not set its scale."""

TRIM: Final = (5.0, 90.0)
"""Percentiles of tissue between which mean and standard deviation are taken: fat and vessels are left out."""

FARTHEST: Final = 10.0
"""Standard deviations from the mean at which a z-score is cut off."""

BRIGHTEST: Final = 3.0
"""The same above the mean in a box round the hypothalamus: how far fat and vessels burn, or are saturated, must not be seen."""

LEAST_INSIDE: Final = 0.25
"""A box that is intracranial in a smaller share than this is z-scored by all of its tissue: the mask has failed, or ends here.
In the four heads looked at, three of them skull-stripped, the share was 0.91 to 0.94."""

NORMALISATION: Final = {
    "head": "z-score of tissue above Otsu's threshold, trimmed (hypojax.intensity)",
    "box": f"z-score of intracranial tissue above Otsu's threshold, trimmed, cut off at {BRIGHTEST:g} (hypojax.intensity)",
}
"""What the weights of each stage learnt from, as their headers say it: weights that learnt from anything else are refused."""


@dataclass(frozen=True)
class Statistics:
    """Location and scale of a scan's tissue, in stored units after slope and intercept.

    Parameters
    ----------
    background
        Low end of the intensities: what lies outside the field of view is taken for this.
    threshold
        Otsu's threshold between background and tissue.
    mean, std
        Trimmed mean and standard deviation of tissue.
    """

    background: float
    threshold: float
    mean: float
    std: float


def otsu_threshold(values: Num[np.ndarray, "*n"]) -> float:
    """The threshold that separates two classes with the largest variance between them (Otsu 1979).

    The histogram has `BINS` bins between the percentiles `CLIP`.

    >>> round(otsu_threshold(np.array([0.0] * 50 + [10.0] * 50)), 1)
    5.0
    """
    low, high = np.percentile(values, CLIP)
    # The edges of bins are numbers of the values' own type: between percentiles that differ by rounding alone there are too few of these.
    steps = np.spacing(np.asarray(max(abs(low), abs(high)), np.result_type(0.0, values)))
    if not high - low > BINS * steps:
        return float(low)
    counts, edges = np.histogram(values, bins=BINS, range=(float(low), float(high)))
    centres = (edges[:-1] + edges[1:]) / 2
    below, moment = np.cumsum(counts), np.cumsum(counts * centres)
    above = below[-1] - below
    gap = moment / np.maximum(below, 1) - (moment[-1] - moment) / np.maximum(above, 1)
    between = np.where((below > 0) & (above > 0), below * above * gap**2, -1.0)
    # Empty bins between two classes all score alike: the middle of the plateau keeps clear of both.
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return float(edges[1:][best].mean())


def tissue_statistics(values: Num[np.ndarray, "*n"]) -> Statistics:
    """Statistics of the tissue in a volume (any shape, finite, stored units).

    Tissue is what lies above Otsu's threshold; its mean and standard deviation are taken between the percentiles `TRIM`.
    A constant volume gives a standard deviation of zero.

    >>> tissue_statistics(np.zeros((2, 2, 2))).std
    0.0
    """
    threshold = otsu_threshold(values)
    background = float(np.percentile(values, CLIP[0]))
    tissue = values[values > threshold]
    if tissue.size == 0:
        return Statistics(background, threshold, threshold, 0.0)
    low, high = np.percentile(tissue, TRIM)
    kept = tissue[(tissue >= low) & (tissue <= high)].astype(np.float64)
    return Statistics(background, threshold, float(kept.mean()), float(kept.std()))


def box_statistics(box: Num[np.ndarray, "x y z"], inside: Bool[np.ndarray, "x y z"] | None, *, background: float) -> Statistics:
    """Statistics of the intracranial tissue in a box round the hypothalamus: fat, marrow and a removed skull have no part in them.

    Voxels no brighter than ``background`` are blank: outside the field of view, or removed. All others count where nothing
    is known to be ``inside`` the cranium, or less than `LEAST_INSIDE`; all where all are blank.

    >>> box = np.arange(64.0).reshape(4, 4, 4)
    >>> box_statistics(box, box > 31, background=0.0) == tissue_statistics(box[box > 31])
    True
    """
    seen = box > background
    if not seen.any():
        return tissue_statistics(box)
    counted = seen if inside is None else seen & inside
    return tissue_statistics(box[counted if counted.mean() >= LEAST_INSIDE else seen])


def zscore(volume: Num[np.ndarray, "*n"], statistics: Statistics, *, brightest: float = FARTHEST) -> Float32[np.ndarray, "*n"]:
    """(volume - mean) / std, kept between -`FARTHEST` and ``brightest`` so that a hot voxel cannot swamp its neighbourhood.

    >>> zscore(np.array([1.0, 3.0]), Statistics(0.0, 0.5, 1.0, 2.0)).tolist()
    [0.0, 1.0]
    """
    scale = statistics.std if statistics.std > 0 else 1.0
    return np.clip((volume - statistics.mean) / scale, -FARTHEST, brightest).astype(np.float32)
