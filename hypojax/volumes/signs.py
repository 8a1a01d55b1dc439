"""Signs of a result that went wrong, read off the posteriors alone: size, shape, parts and decision that sound results share.

`hypojax.volumes.score` holds them against what sound results look like. All are plain numbers; lengths are logarithms of mm,
shares logarithms of shares, so that twice and half depart as far.
"""

from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, UInt8

from hypojax.grid import Grid, voxel_sizes, voxel_volume
from hypojax.schema import SUBUNITS

FRONT, BACK = SUBUNITS.index("anterior_inferior"), SUBUNITS.index("posterior")

SMALLEST: Final = 1e-3
"""Shares and lengths (mm) below this are taken for this, so that their logarithms are finite."""


def hypothalamus_signs(
    posterior: Float32[np.ndarray, "10 x y z"], *, subunits: UInt8[np.ndarray, "10 x y z"], grid: Grid
) -> dict[str, float]:
    """Signs of the hypothalamus.

    What cleaning kept of the posteriors; how decided they are between subunits; volume; length, height and width as
    standard deviations of a side; distance of the sides, and of the hindmost from the foremost subunit (mm); shares of subunits.

    Parameters
    ----------
    posterior
        Cleaned posteriors of the ten subunits (see `hypojax.volumes.structure`), not all zero.
    subunits
        The same before cleaning, × 255.
    grid
        Their grid, axes anterior, superior, right.
    """
    total = float(posterior.sum(dtype=np.float64))
    sides = [moments(posterior[first : first + 5].sum(axis=0), voxel_sizes(grid.affine)) for first in (0, 5)]
    spread = np.sqrt(np.mean([variance for _, variance in sides], axis=0))
    apart = float(np.linalg.norm(sides[1][0] - sides[0][0]))
    parts = posterior.sum(axis=(1, 2, 3), dtype=np.float64)
    front, back = (moments(posterior[[n, n + 5]].sum(axis=0), voxel_sizes(grid.affine))[0][0] for n in (FRONT, BACK))
    return {
        "kept": 255 * total / max(float(subunits.sum(dtype=np.float64)), SMALLEST),
        "decided": float(posterior.max(axis=0).sum(dtype=np.float64)) / total,
        "volume": logarithm(total * voxel_volume(grid.affine)),
        "length": logarithm(spread[0]),
        "height": logarithm(spread[1]),
        "width": logarithm(spread[2]),
        "height_over_length": logarithm(spread[1]) - logarithm(spread[0]),
        "width_over_length": logarithm(spread[2]) - logarithm(spread[0]),
        "sides_apart": logarithm(apart),
        "front_to_back": float(front - back),
        **{f"share_{name}": logarithm((parts[n] + parts[n + 5]) / total) for n, name in enumerate(SUBUNITS)},
    }


def head_signs(intracranial: Bool[np.ndarray, "a s r"], grid: Grid) -> dict[str, float]:
    """Signs of the head: height and width of the intracranial volume over its length; wrong voxel edges show here.

    >>> ball = np.linalg.norm(np.indices((9, 9, 9)) - 4, axis=0) <= 4
    >>> head_signs(ball, Grid((9, 9, 9), np.diag([1.0, 1.2, 1.0, 1.0])))["head_height"].__round__(3)
    0.182
    """
    _, variance = moments(intracranial.astype(np.float32), voxel_sizes(grid.affine))
    length, height, width = np.sqrt(variance)
    return {"head_height": logarithm(height) - logarithm(length), "head_width": logarithm(width) - logarithm(length)}


def views_apart(views: Float32[np.ndarray, "view 10"] | None) -> float:
    """How much several views of one scan disagree on the volumes of its subunits: standard deviations over the sum of the means.

    >>> round(views_apart(np.array([[30.0] * 10, [32.0] * 10], np.float32)), 4)
    0.0456
    """
    if views is None or len(views) < 2:
        return float("nan")
    return float(views.std(axis=0, ddof=1).sum() / max(float(views.mean(axis=0).sum()), SMALLEST))


def moments(
    weights: Float[np.ndarray, "x y z"], sizes: Float64[np.ndarray, "3"]
) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3"]]:
    """Centre of mass (mm from the first voxel) and variance (mm²) along each axis; zero where there is no mass."""
    total = max(float(weights.sum(dtype=np.float64)), SMALLEST)
    centre, variance = np.zeros(3), np.zeros(3)
    for axis in range(3):
        along = weights.sum(axis=tuple(other for other in range(3) if other != axis), dtype=np.float64) / total
        place = np.arange(len(along)) * sizes[axis]
        centre[axis] = along @ place
        variance[axis] = along @ (place - centre[axis]) ** 2
    return centre, variance


def logarithm(value: float | np.floating) -> float:
    """Natural logarithm of a length or share, see `SMALLEST`.

    >>> logarithm(0.0) == logarithm(1e-9)
    True
    """
    return float(np.log(max(float(value), SMALLEST)))
