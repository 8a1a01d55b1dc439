"""Scores of one pair of label maps, region by region; every column is declared once, in `METRICS` and `ROWS`.

A prediction on another grid is brought to that of the reference by nearest neighbour; volumes are counted on each map's
own grid.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Int, UInt8

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
from hypojax.schema import PARTS, SCAN, SCAN_REGION, Variable

VALUES: Final = 256
"""Values that a label map of bytes can have."""

TOLERANCES: Final = {"nsd_0_5mm": 0.5, "nsd_1mm": 1.0}
"""Column → tolerance of the normalised surface Dice, mm."""

METRICS: Final = (
    Variable("dice", SCAN_REGION, "float64", "1", "Dice coefficient: twice the common volume over the volume of both, 0 to 1"),
    Variable("nsd_0_5mm", SCAN_REGION, "float64", "1", "Normalised surface Dice: share of both surfaces within 0.5 mm of the other"),
    Variable("nsd_1mm", SCAN_REGION, "float64", "1", "Normalised surface Dice: share of both surfaces within 1 mm of the other"),
    Variable("hd95_mm", SCAN_REGION, "float64", "mm", "95 % of either surface lies within it of the other; infinite where one is empty"),
    Variable("assd_mm", SCAN_REGION, "float64", "mm", "Average distance of the surfaces; infinite where one is empty"),
    Variable("volume_similarity", SCAN_REGION, "float64", "1", "One minus the difference of the volumes over their sum, 0 to 1"),
    Variable("volume_predicted_mm3", SCAN_REGION, "float64", "mm3", "Volume of the predicted labels, counted on their own grid"),
    Variable("volume_reference_mm3", SCAN_REGION, "float64", "mm3", "Volume of the reference labels, counted on their own grid"),
    Variable("volume_error_mm3", SCAN_REGION, "float64", "mm3", "Predicted minus reference volume"),
    Variable("absolute_volume_error_mm3", SCAN_REGION, "float64", "mm3", "Size of the volume error"),
    Variable("relative_volume_error", SCAN_REGION, "float64", "1", "Volume error over reference volume; NaN where only that is empty"),
)
"""Numbers of each scan and region, in order."""

ROWS: Final = (
    Variable("missing_reason", SCAN_REGION, "str", "", "Why this region has no numbers (no_reference: none asked for)"),
    Variable("status", SCAN, "str", "", "done, or failed where any region with a reference could not be scored"),
    Variable("reason", SCAN, "str", "", "Typed reason of a failure; empty otherwise"),
    Variable("message", SCAN, "str", "", "The failure in a sentence, with the next step"),
    Variable("predicted_path", SCAN, "str", "", "Predicted label maps"),
    Variable("reference_path", SCAN, "str", "", "Reference label maps"),
)
"""Status and files of each pair."""

Scores = Mapping[str, float]
"""Column of `METRICS` → number."""

SAME: Final = 1e-3
"""mm; grids whose corners lie closer than that to each other are one (headers keep them as float32)."""


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


def nearest(labels: UInt8[np.ndarray, "i j k"], affine: Affine, grid: Grid) -> UInt8[np.ndarray, "x y z"]:
    """The label at each voxel's middle of another grid; 0 outside the field of view.

    Parameters
    ----------
    labels, affine
        A label map in stored orientation, and its voxel-to-world matrix (mm, RAS+).
    grid
        Where to look. The very same map comes back where it has this grid already.

    Examples
    --------
    >>> row = np.array([1, 2, 3], np.uint8).reshape(3, 1, 1)
    >>> nearest(row, np.eye(4), Grid((5, 1, 1), np.diag([0.5, 1.0, 1.0, 1.0]))).ravel().tolist()
    [1, 2, 2, 3, 3]
    """
    from scipy import ndimage

    if same_grid(Grid(_shape(labels), affine), grid):
        return labels
    mapping = np.linalg.inv(affine) @ grid.affine
    # "grid-constant" lets the outermost voxels reach to their own border, which "constant" does not.
    return np.asarray(ndimage.affine_transform(labels, mapping[:3], output_shape=grid.shape, order=0, mode="grid-constant"))


def same_grid(first: Grid, second: Grid) -> bool:
    """Whether two grids are the same: equal shapes, and each voxel at the same place.

    >>> same_grid(Grid((2, 2, 2), np.eye(4)), Grid((2, 2, 2), np.diag([-1.0, 1.0, 1.0, 1.0])))
    False
    """
    if first.shape != second.shape:
        return False
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in first.shape], indexing="ij")).reshape(3, 8).T
    return bool(np.abs(to_world(first.affine, corners) - to_world(second.affine, corners)).max() < SAME)


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


def _shape(labels: UInt8[np.ndarray, "i j k"]) -> tuple[int, int, int]:
    i, j, k = labels.shape
    return i, j, k
