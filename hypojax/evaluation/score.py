"""Scores of one pair of label maps, region by region.

A prediction on another grid is brought to that of the reference by nearest neighbour; volumes are counted on each map's
own grid.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Int, UInt8

from hypojax.evaluation.metric import TOLERANCES, Scores
from hypojax.evaluation.regrid import nearest
from hypojax.grid import Affine, Grid, to_world, voxel_volume
from hypojax.metrics import (
    absolute_volume_error,
    average_surface_distance,
    dice,
    hausdorff95,
    relative_volume_error,
    surface_dice,
    surface_distances,
    volume_error,
    volume_similarity,
)
from hypojax.schema import PARTS

VALUES: Final = 256
"""Values that a label map of bytes can have."""


@dataclass(frozen=True, eq=False)
class _Pair:
    """Two label maps on the grid of the reference, cut to the box that holds all labels, and how often each label occurs.

    ``predicted_mm3`` and ``reference_mm3`` are the volumes of each value on the map's own grid.
    """

    predicted: UInt8[np.ndarray, "x y z"]
    reference: UInt8[np.ndarray, "x y z"]
    affine: Affine
    predicted_mm3: np.ndarray
    reference_mm3: np.ndarray


def score_pair(
    predicted: UInt8[np.ndarray, "p q r"],
    reference: UInt8[np.ndarray, "i j k"],
    *,
    affine: Affine,
    predicted_affine: Affine | None = None,
) -> dict[str, Scores]:
    """Scores of a hypothalamus label map against another, for the whole, both sides and the ten subunits.

    Parameters
    ----------
    predicted, reference
        Labels 1–5 left, 6–10 right (`hypojax.schema.LABELS`); other values count as background.
    affine
        Voxel-to-world matrix of the reference, mm, RAS+.
    predicted_affine
        That of the prediction where it lies on another grid.

    Returns
    -------
    Region of `hypojax.schema.PARTS` → column of `METRICS` → number.

    Raises
    ------
    ValueError
        The maps differ in shape and ``predicted_affine`` was not given.

    Examples
    --------
    >>> reference = np.zeros((4, 4, 4), np.uint8)
    >>> reference[1:3, 1:3, 1:3] = 3
    >>> scores = score_pair(reference, reference, affine=np.eye(4))
    >>> scores["hypothalamus_left"]["dice"], scores["left_posterior"]["volume_reference_mm3"]
    (1.0, 8.0)
    """
    pair = _pair(predicted, reference, affine, predicted_affine)
    return {region: _scores(pair, values) for region, values in PARTS.items()}


def score_mask(
    predicted: Bool[np.ndarray, "p q r"],
    reference: Bool[np.ndarray, "i j k"],
    *,
    affine: Affine,
    predicted_affine: Affine | None = None,
) -> Scores:
    """Scores of one mask against another, as of the intracranial volume; parameters and errors are those of `score_pair`.

    >>> mask = np.ones((2, 2, 2), bool)
    >>> score_mask(mask, mask, affine=np.eye(4))["hd95_mm"]
    0.0
    """
    return _scores(_pair(predicted.view(np.uint8), reference.view(np.uint8), affine, predicted_affine), (1,))


def _pair(
    predicted: UInt8[np.ndarray, "p q r"], reference: UInt8[np.ndarray, "i j k"], affine: Affine, predicted_affine: Affine | None
) -> _Pair:
    """Both maps on one grid, cut to the box of their labels."""
    i, j, k = reference.shape
    own = affine if predicted_affine is None else predicted_affine
    found = predicted if predicted_affine is None else nearest(predicted, own, Grid((i, j, k), affine))
    if found.shape != reference.shape:
        raise ValueError(f"the prediction has shape {predicted.shape} and the reference {reference.shape}; give predicted_affine")
    box = _box(found > 0, reference > 0)
    cut = affine.copy()
    cut[:3, 3] = to_world(affine, np.array([side.start for side in box]))
    return _Pair(found[box], reference[box], cut, _counts(predicted) * voxel_volume(own), _counts(reference) * voxel_volume(affine))


def _scores(pair: _Pair, values: tuple[int, ...]) -> Scores:
    """All metrics of the region that is the sum of some values."""
    belongs = np.zeros(VALUES, bool)
    belongs[list(values)] = True
    ours, theirs = belongs[pair.predicted], belongs[pair.reference]
    volume, wanted = float(pair.predicted_mm3[belongs].sum()), float(pair.reference_mm3[belongs].sum())
    distances = surface_distances(ours, theirs, affine=pair.affine)
    return {
        "dice": dice(ours, theirs),
        **{name: surface_dice(distances, tolerance=tolerance) for name, tolerance in TOLERANCES.items()},
        "hd95_mm": hausdorff95(distances),
        "assd_mm": average_surface_distance(distances),
        "volume_similarity": volume_similarity(volume, wanted),
        "volume_predicted_mm3": volume,
        "volume_reference_mm3": wanted,
        "volume_error_mm3": volume_error(volume, wanted),
        "absolute_volume_error_mm3": absolute_volume_error(volume, wanted),
        "relative_volume_error": relative_volume_error(volume, wanted),
    }


def _box(*masks: Bool[np.ndarray, "i j k"]) -> tuple[slice, slice, slice]:
    """The smallest box that holds all masks; an empty one where all are empty."""
    spans = [np.flatnonzero(sum(mask.any(axis=axes) for mask in masks)) for axes in ((1, 2), (0, 2), (0, 1))]
    sides = [slice(int(span[0]), int(span[-1]) + 1) if span.size else slice(0, 0) for span in spans]
    return sides[0], sides[1], sides[2]


def _counts(labels: UInt8[np.ndarray, "i j k"]) -> Int[np.ndarray, "256"]:
    """How often each value but 0 occurs."""
    # In memory order and without the background, because counting widens bytes to eight times their size.
    counts = np.bincount(labels[_box(labels > 0)].ravel(order="K"), minlength=VALUES)
    counts[0] = 0
    return counts
