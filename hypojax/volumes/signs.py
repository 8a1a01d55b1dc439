"""Signs of a hypothalamus and of an intracranial volume: plain numbers by which sound results are alike, read off posteriors and pose.

Size, shape, parts and decision; and, where the pose of the head is known, size and shape of the head in it. Lengths are logarithms of mm,
shares logarithms of shares, so that twice and half depart as far. A sign that cannot be taken is NaN, or left out. What they are weighed
by is in `hypojax.volumes.score`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float, Float32, Float64, UInt8

from hypojax.grid import Affine, Grid, voxel_sizes, voxel_volume
from hypojax.schema import SUBUNITS


@dataclass(frozen=True)
class HeadPlace:
    """What the head network says of where a head lies.

    Parameters
    ----------
    located
        How sure the place of the hypothalamus is, 0 to 1.
    to_template
        From the scan's world to the template's, mm; None where the pose was not found.
    residual_mm
        How far template coordinates lie from it; NaN where the network knows no template.
    """

    located: float = 1.0
    to_template: Affine | None = None
    residual_mm: float = float("nan")


FRONT, BACK = SUBUNITS.index("anterior_inferior"), SUBUNITS.index("posterior")

SMALLEST: Final = 1e-3
"""Shares and lengths (mm) below this are taken for this, so that their logarithms are finite."""


def hypothalamus_signs(
    posterior: Float32[np.ndarray, "10 x y z"], *, subunits: UInt8[np.ndarray, "10 u v w"], grid: Grid
) -> dict[str, float]:
    """Signs of the hypothalamus.

    What cleaning kept of the posteriors; how decided they are between subunits; volume; length, height and width as standard deviations of
    a side; distance of the sides, and of the hindmost from the foremost subunit (mm); shares of subunits.

    Parameters
    ----------
    posterior
        Cleaned posteriors of the ten subunits (see `hypojax.volumes.structure`), not all zero.
    subunits
        The whole box before cleaning, × 255.
    grid
        That of the cleaned ones, axes anterior, superior, right.
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


def cranium_signs(
    posterior: Float32[np.ndarray, "a s r"], *, intracranial: UInt8[np.ndarray, "u v w"], grid: Grid, place: HeadPlace
) -> dict[str, float]:
    """Signs of an intracranial volume.

    What cleaning kept of the posterior; height and width over length, where wrong voxel edges show; and the same in the pose of the head,
    where that is known.

    Parameters
    ----------
    posterior
        Cleaned posterior, not all zero.
    intracranial
        The whole head before cleaning, × 255.
    grid
        That of the cleaned one, axes anterior, superior, right.
    place
        Of the head.
    """
    total = float(posterior.sum(dtype=np.float64))
    covariance = second_moments(posterior, voxel_sizes(grid.affine))
    length, height, width = np.sqrt(np.diag(covariance))
    return {
        "kept": 255 * total / max(float(intracranial.sum(dtype=np.float64)), SMALLEST),
        "head_height": logarithm(height) - logarithm(length),
        "head_width": logarithm(width) - logarithm(length),
        **_in_pose(covariance, grid, place),
    }


def _in_pose(covariance: Float64[np.ndarray, "3 3"], grid: Grid, place: HeadPlace) -> dict[str, float]:
    """Height and width of a cranium over its length, and width over height, along its own axes; nothing where the pose is not known.

    Standard deviations in the template, and what the way there stretched.
    """
    if place.to_template is None:
        return {}
    axes = place.to_template[:3, :3] @ (grid.affine[:3, :3] / voxel_sizes(grid.affine))
    extent = 0.5 * np.log(np.maximum(np.diag(axes @ covariance @ axes.T), SMALLEST**2))
    width, length, height = (extent + np.diag(strain(place.to_template))).tolist()
    return {"cranium_height": height - length, "cranium_width": width - length, "cranium_width_over_height": width - height}


def pose_signs(place: HeadPlace) -> dict[str, float]:
    """Signs of the pose: how well it fits, whether it was found; size of the head against the template, height, width and shear.

    Size, height, width and shear are parts of the logarithmic strain, which a turn of the head does not change. Wrong voxel edges of a head
    that was tilted in the scanner shear it.

    >>> signs = pose_signs(HeadPlace(to_template=np.diag([1.0, 1.0, 0.5, 1.0]), residual_mm=3.0))
    >>> {name: round(signs[name], 2) for name in ("residual_mm", "lost", "head_scale", "stretch_height", "stretch_width", "shear_sagittal")}
    {'residual_mm': 1.1, 'lost': 0.0, 'head_scale': 0.23, 'stretch_height': 0.69, 'stretch_width': 0.0, 'shear_sagittal': 0.0}
    """
    if np.isnan(place.residual_mm):
        return {}
    fit = {"residual_mm": logarithm(place.residual_mm), "lost": float(place.to_template is None)}
    if place.to_template is None:
        return fit
    stretched = strain(place.to_template)
    width, length, height = np.diag(stretched).tolist()
    return {
        **fit,
        "head_scale": (width + length + height) / 3,
        "stretch_height": height - length,
        "stretch_width": width - length,
        "shear_sagittal": float(stretched[1, 2]),
    }


def strain(to_template: Affine) -> Float64[np.ndarray, "3 3"]:
    """Logarithmic strain of a head against the template along the template's axes: positive where the head is the longer."""
    squares, axes = np.linalg.eigh(to_template[:3, :3] @ to_template[:3, :3].T)
    return np.asarray((axes * (-0.5 * np.log(np.maximum(squares, SMALLEST)))) @ axes.T)


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


def second_moments(weights: Float[np.ndarray, "x y z"], sizes: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "3 3"]:
    """Covariance (mm²) of a mass along the axes of a grid; zero where there is none."""
    total = max(float(weights.sum(dtype=np.float64)), SMALLEST)
    centre, variance = moments(weights, sizes)
    covariance = np.diag(variance)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        plane = weights.sum(axis=3 - first - second, dtype=np.float64) / total
        along, across = (np.arange(weights.shape[axis]) * sizes[axis] - centre[axis] for axis in (first, second))
        covariance[first, second] = covariance[second, first] = along @ plane @ across
    return covariance


def logarithm(value: float | np.floating) -> float:
    """Natural logarithm of a length or share, see `SMALLEST`.

    >>> logarithm(0.0) == logarithm(1e-9)
    True
    """
    return float(np.log(max(float(value), SMALLEST)))
