"""Overlap of two masks, errors of their volumes, and distances between their surfaces (mm).

The surface of a mask is all voxel faces between it and what is outside, the border of the volume included. Each face
lies at its middle, in world coordinates, and is weighted by its area: spacings never pass through a list whose order
could be wrong, anisotropic voxels get the right weight (with 0.125 × 0.125 × 0.5 mm a face across the third axis is a
quarter of one along it), and sheared axes are no special case.

Empty masks: both empty, they agree (Dice, volume similarity and surface Dice 1, errors and distances 0); one empty, they
have nothing in common (Dice, volume similarity and surface Dice 0, distances infinite). An error relative to an empty
reference is NaN.

Accuracy on spheres of 4 and 10 mm, 1 mm voxels, moved by known parts of a voxel: the average distance is within 0.06 mm of
the true one (0.1 mm too large when border voxels' middles are used; 0.2 mm too small with the surface elements of the
``surface-distance`` package). A surface Dice at half a voxel or less is coarse and strict: faces are 0, 0.5 or 0.7 voxels apart.

The nearest faces are found by SciPy's k-d tree: exact, and on a whole head three times faster than distance transforms of
the bounding box. Alternatives: MedPy is under the GPL, MONAI needs PyTorch, and ``surface-distance`` had one release, 0.1,
and takes the spacing as a list.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int

from hypojax.grid import Affine, to_world

TOLERANCE: Final = 1e-6
"""mm; distances are sums of binary fractions, so that one of exactly 0.5 mm may come out a little above it."""

PERCENTILE: Final = 0.95


@dataclass(frozen=True, eq=False)
class Surface:
    """The outer faces of a mask.

    Parameters
    ----------
    middles
        Middle of every face, mm, RAS+.
    areas
        Their areas, mm².
    """

    middles: Float64[np.ndarray, "faces 3"]
    areas: Float64[np.ndarray, "faces"]


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """How far every face of one surface is from the nearest face of the other.

    Parameters
    ----------
    to_reference
        Of every predicted face, mm; infinite where the reference is empty.
    to_predicted
        Of every face of the reference, mm; infinite where the prediction is empty.
    areas_predicted, areas_reference
        What these faces weigh, mm².
    """

    to_reference: Float64[np.ndarray, "p"]
    to_predicted: Float64[np.ndarray, "r"]
    areas_predicted: Float64[np.ndarray, "p"]
    areas_reference: Float64[np.ndarray, "r"]


def surface(mask: Bool[np.ndarray, "i j k"], affine: Affine) -> Surface:
    """All faces between a mask and what is outside of it.

    Parameters
    ----------
    mask
        The mask, in stored orientation.
    affine
        Its voxel-to-world matrix, mm, RAS+.

    Examples
    --------
    >>> one = surface(np.ones((1, 1, 1), bool), np.diag([0.5, 0.5, 2.0, 1.0]))
    >>> len(one.middles), float(one.areas.sum())
    (6, 4.5)
    """
    low, part = _bounds(mask)
    padded = np.pad(np.ascontiguousarray(part), 1)
    middles, areas = [], []
    for axis in range(3):
        across = [other for other in range(3) if other != axis]
        between = np.diff(padded, axis=axis)
        faces = np.stack(np.unravel_index(np.flatnonzero(between), between.shape), axis=1).astype(np.float64)
        faces[:, axis] += 0.5
        middles.append(to_world(affine, faces + (low - 1)))
        areas.append(np.full(len(faces), np.linalg.norm(np.cross(affine[:3, across[0]], affine[:3, across[1]]))))
    return Surface(np.concatenate(middles), np.concatenate(areas))


def surface_distances(predicted: Bool[np.ndarray, "i j k"], reference: Bool[np.ndarray, "i j k"], *, affine: Affine) -> SurfaceDistances:
    """Distances between the surfaces of two masks on one grid: what the functions below are made from.

    Parameters
    ----------
    predicted, reference
        The masks, in stored orientation.
    affine
        Voxel-to-world matrix of both, mm, RAS+.
    """
    ours, theirs = surface(predicted, affine), surface(reference, affine)
    return SurfaceDistances(
        to_reference=_nearest(ours.middles, theirs.middles),
        to_predicted=_nearest(theirs.middles, ours.middles),
        areas_predicted=ours.areas,
        areas_reference=theirs.areas,
    )


def surface_dice(distances: SurfaceDistances, *, tolerance: float) -> float:
    """Share of both surfaces that lies within ``tolerance`` (mm) of the other, 0 to 1: the NSD of Nikolov 2021.

    >>> cube = np.ones((1, 1, 1), bool)
    >>> surface_dice(surface_distances(cube, cube, affine=np.eye(4)), tolerance=0.0)
    1.0
    """
    near = _area_within(distances.to_reference, distances.areas_predicted, tolerance)
    near += _area_within(distances.to_predicted, distances.areas_reference, tolerance)
    total = distances.areas_predicted.sum() + distances.areas_reference.sum()
    return float(near / total) if total else 1.0


def hausdorff95(distances: SurfaceDistances) -> float:
    """The distance within which 95 % of either surface lies from the other, mm: the larger of the two directions (HD95).

    >>> nothing = np.zeros((1, 1, 1), bool)
    >>> hausdorff95(surface_distances(nothing, ~nothing, affine=np.eye(4)))
    inf
    """
    return max(
        _percentile(distances.to_reference, distances.areas_predicted), _percentile(distances.to_predicted, distances.areas_reference)
    )


def average_surface_distance(distances: SurfaceDistances) -> float:
    """Mean distance over both surfaces together, weighted by area, mm (average symmetric surface distance, ASSD).

    >>> nothing = np.zeros((1, 1, 1), bool)
    >>> average_surface_distance(surface_distances(nothing, nothing, affine=np.eye(4)))
    0.0
    """
    total = distances.areas_predicted.sum() + distances.areas_reference.sum()
    if not total:
        return 0.0
    there, back = distances.to_reference @ distances.areas_predicted, distances.to_predicted @ distances.areas_reference
    return float((there + back) / total)


def dice(predicted: Bool[np.ndarray, "*shape"], reference: Bool[np.ndarray, "*shape"]) -> float:
    """Dice coefficient of two masks, 0 to 1: twice the common voxels over the voxels of both (Dice 1945).

    >>> dice(np.array([True, True, False]), np.array([False, True, False]))
    0.6666666666666666
    >>> dice(np.array([False]), np.array([False])), dice(np.array([True]), np.array([False]))
    (1.0, 0.0)
    """
    both, total = np.count_nonzero(predicted & reference), np.count_nonzero(predicted) + np.count_nonzero(reference)
    return float(2 * both / total) if total else 1.0


def volume_similarity(predicted: float, reference: float) -> float:
    """1 minus the difference of two volumes over their sum, 0 to 1 (Taha and Hanbury 2015); any unit, the same for both.

    >>> volume_similarity(90.0, 110.0)
    0.9
    >>> volume_similarity(0.0, 0.0), volume_similarity(1.0, 0.0)
    (1.0, 0.0)
    """
    total = predicted + reference
    return 1 - abs(predicted - reference) / total if total else 1.0


def volume_error(predicted: float, reference: float) -> float:
    """Predicted minus reference volume, in their unit: positive where the prediction is too large.

    >>> volume_error(90.0, 110.0)
    -20.0
    """
    return predicted - reference


def absolute_volume_error(predicted: float, reference: float) -> float:
    """Size of the difference of two volumes, in their unit.

    >>> absolute_volume_error(90.0, 110.0)
    20.0
    """
    return abs(predicted - reference)


def relative_volume_error(predicted: float, reference: float) -> float:
    """Predicted minus reference volume as a share of the reference; 0 where both are zero, NaN where only the reference is.

    >>> relative_volume_error(90.0, 120.0), relative_volume_error(0.0, 0.0), relative_volume_error(1.0, 0.0)
    (-0.25, 0.0, nan)
    """
    if reference:
        return (predicted - reference) / reference
    return 0.0 if predicted == 0 else float("nan")


def _bounds(mask: Bool[np.ndarray, "i j k"]) -> tuple[Int[np.ndarray, "3"], Bool[np.ndarray, "x y z"]]:
    """First voxel of the smallest box that holds a mask, and the mask in it; an empty box for an empty mask."""
    spans = [np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    if not spans[0].size:
        return np.zeros(3, int), mask[:0, :0, :0]
    i, j, k = (slice(int(span[0]), int(span[-1]) + 1) for span in spans)
    return np.array([i.start, j.start, k.start]), mask[i, j, k]


def _nearest(points: Float64[np.ndarray, "p 3"], others: Float64[np.ndarray, "r 3"]) -> Float64[np.ndarray, "p"]:
    """Distance of each point from the nearest of the others; infinite where there is none."""
    from scipy.spatial import KDTree

    if not len(points) or not len(others):
        return np.full(len(points), np.inf)
    # Faces lie on a lattice: halving the longest side gives as good a tree as medians do, in half the time.
    distances, _ = KDTree(others, balanced_tree=False, compact_nodes=False).query(points)
    return np.asarray(distances, np.float64)


def _area_within(distances: Float64[np.ndarray, "n"], areas: Float64[np.ndarray, "n"], tolerance: float) -> float:
    """Area of the faces that are at most ``tolerance`` away."""
    return float(areas[distances <= tolerance + TOLERANCE].sum())


def _percentile(distances: Float64[np.ndarray, "n"], areas: Float64[np.ndarray, "n"]) -> float:
    """The least distance within which `PERCENTILE` of the area lies; 0 for an empty surface.

    >>> _percentile(np.arange(20.0), np.ones(20)), _percentile(np.arange(21.0), np.ones(21))
    (18.0, 19.0)
    """
    if not len(distances):
        return 0.0
    order = np.argsort(distances)
    covered = np.cumsum(areas[order])
    return float(distances[order][np.searchsorted(covered, PERCENTILE * covered[-1] * (1 - 1e-9))])
