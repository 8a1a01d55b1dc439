"""The pose of a head: the affine that carries it to the template, fitted to what the head network says of every voxel.

The network regresses where in the template (MNI152NLin2009cAsym, mm, RAS+) each voxel lies ("registration by regression", Gopinath 2024).
An affine is fitted to these coordinates by weighted least squares that leave out what does not agree: Geman-McClure weights whose width
shrinks from iteration to iteration (graduated non-convexity, Yang 2020), so that no start is needed. A polar decomposition splits the
affine into a rotation and a stretch, in closed form.
"""

from typing import Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64

from hypojax.grid import ASR, NOD, Affine, Grid, centred_grid, directions

WIDTHS: Final = (80.0, 57.0, 40.0, 28.0, 20.0, 14.0, 10.0, 8.0, 8.0, 8.0)
"""Least distances (mm) at which a voxel counts a quarter, iteration by iteration; no head is closer to an affine of the template than
3 to 5 mm."""

SPREAD: Final = 1.5
"""Nor do these distances shrink below so many times the root mean square of what counts: a network that is unsure everywhere must not be
believed where it happens to agree with itself."""

RIDGE: Final = 1e-6
"""Share of the identity added to the normal equations: an empty mask must give numbers."""

FARTHEST_SCALE: Final = 2.0
"""Neither is a head twice as long as the template in any direction, nor half as long."""

MIDDLE: Final = np.array([0.0, -19.0, -17.0])
"""Place in the template (mm, RAS+) that lies in the middle of the head grid of an upright head: that of 13 real heads on average."""


class Fit(NamedTuple):
    """An affine fitted to template coordinates.

    Parameters
    ----------
    matrix
        From points to the template, mm.
    residual_mm
        Root mean square of the distances, each weighted as in the fit.
    agreeing
        Share of all weight that the fit gave, 0 to 1: low where many voxels contradict it.
    """

    matrix: Float[Array, "n 3 4"]
    residual_mm: Float[Array, " n"]
    agreeing: Float[Array, " n"]


class Pose(NamedTuple):
    """How one head lies in its scan.

    Parameters
    ----------
    to_template
        From the scan's world to the template's (mm, RAS+), twelve parameters.
    rigid
        The same without stretch: to the template's axes and origin, in the head's own size.
    tilt_deg
        Turn of the head about the scan's axes to the right (nodding), to anterior (ear to shoulder) and to superior (shaking), degrees.
    shift_mm
        Where the template's origin, close to the anterior commissure, lies in the scan's world, mm, RAS+.
    scale
        Size of the head against the template: 1.1 is a head a tenth longer than it.
    """

    to_template: Affine
    rigid: Affine
    tilt_deg: Float64[np.ndarray, "3"]
    shift_mm: Float64[np.ndarray, "3"]
    scale: float


class PoseFound(NamedTuple):
    """The pose of a head, and how well template coordinates fit it.

    Parameters
    ----------
    pose
        None where it is not to be believed: then the scan's own axes are taken.
    residual_mm
        As `Fit` has it.
    """

    pose: Pose | None
    residual_mm: float


@jax.jit
def fit_affine(points: Float[Array, "v 3"], coordinates: Float[Array, "n v 3"], weights: Float[Array, "n v"]) -> Fit:
    """Robust affine from points to template coordinates, one for every head of a batch.

    Parameters
    ----------
    points
        Where the voxels lie, mm, the same for every head: on grids of one shape, from their middle (`block_positions`).
    coordinates
        Where the network says they lie in the template, mm.
    weights
        How much each counts, such as the intracranial posterior (0 or more).
    """
    return Fit(*jax.vmap(_fitted, in_axes=(None, 0, 0))(points, coordinates, weights))


def _fitted(
    points: Float[Array, "v 3"], coordinates: Float[Array, "v 3"], weights: Float[Array, " v"]
) -> tuple[Float[Array, "3 4"], Float[Array, ""], Float[Array, ""]]:
    """One head of `fit_affine`."""
    total = jnp.maximum(weights.sum(), 1e-6)
    # About the middle and in decimetres: products of uncentred millimetres lose the digits that the shift is made of.
    middle, aim = ((weights[:, None] * array).sum(0) / total for array in (points, coordinates))
    design = jnp.column_stack([(points - middle) / 100, jnp.ones(len(points))])
    wanted = coordinates - aim

    def step(kept: Float[Array, " v"], least: Float[Array, ""]) -> tuple[Float[Array, " v"], Float[Array, "4 3"]]:
        solution = _least_squares(design, wanted, weights * kept)
        distance = ((design @ solution - wanted) ** 2).sum(-1)
        spread = (weights * kept * distance).sum() / jnp.maximum((weights * kept).sum(), 1e-6)
        width = jnp.maximum(least**2, SPREAD**2 * spread)
        return (width / (width + distance)) ** 2, solution

    kept, _ = jax.lax.scan(step, jnp.ones_like(weights), jnp.array(WIDTHS))
    solution = _least_squares(design, wanted, weights * kept)
    distance = ((design @ solution - wanted) ** 2).sum(-1)
    counted = weights * kept
    linear = solution[:3].T / 100
    residual = jnp.sqrt((counted * distance).sum() / jnp.maximum(counted.sum(), 1e-6))
    return jnp.column_stack([linear, solution[3] + aim - linear @ middle]), residual, counted.sum() / total


def _least_squares(design: Float[Array, "v 4"], wanted: Float[Array, "v 3"], weights: Float[Array, " v"]) -> Float[Array, "4 3"]:
    """Weighted least squares by the normal equations."""
    weighted = design * weights[:, None]
    normal = weighted.T @ design
    return jnp.linalg.solve(normal + RIDGE * (jnp.trace(normal) + 1e-6) * jnp.eye(4), weighted.T @ wanted)


def block_positions(shape: tuple[int, int, int], spacing: float, factor: int) -> Float64[np.ndarray, "v 3"]:
    """Middles of blocks of ``factor``³ voxels of a grid, mm from its middle along its axes.

    >>> block_positions((4, 2, 2), 2.0, 2).tolist()
    [[-2.0, 0.0, 0.0], [2.0, 0.0, 0.0]]
    """
    counts = [side // factor for side in shape]
    axes = [factor * spacing * (np.arange(count) - (count - 1) / 2) for count in counts]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def from_world(grid: Grid, matrix: Float64[np.ndarray, "3 4"]) -> Affine:
    """From an affine of positions on a grid (mm from its middle, along its axes) the same of the scan's world, mm, RAS+."""
    to_grid = np.eye(4)
    to_grid[:3, :3] = np.linalg.inv(directions(grid.affine))
    to_grid[:3, 3] = -to_grid[:3, :3] @ grid.centre
    return np.vstack([matrix @ to_grid, [0.0, 0.0, 0.0, 1.0]])


def pose_of(to_template: Affine) -> Pose | None:
    """What an affine from the scan's world to the template (mm, RAS+) says of the head; None where no head can have it.

    A head's is of numbers, no mirror image, and every direction half to twice the size of the template.

    Examples
    --------
    >>> turned = np.array([[1.0, 0, 0, 0], [0, 0, 1.0, 0], [0, -1.0, 0, 0], [0, 0, 0, 1]])
    >>> pose_of(turned).tilt_deg.round().tolist()
    [90.0, 0.0, 0.0]
    >>> pose_of(np.diag([-1.0, 1.0, 1.0, 1.0])), pose_of(np.diag([0.3, 1.0, 1.0, 1.0]))
    (None, None)
    """
    linear = to_template[:3, :3]
    if not np.isfinite(to_template).all() or np.linalg.det(linear) <= 0:
        return None
    left, stretch, right = np.linalg.svd(linear)
    if stretch.min() <= 1 / FARTHEST_SCALE or stretch.max() >= FARTHEST_SCALE:
        return None
    rotation = left @ right  # of the polar decomposition, the nearest one (Higham 1986)
    origin = -np.linalg.solve(linear, to_template[:3, 3])
    rigid = np.eye(4)
    rigid[:3, :3], rigid[:3, 3] = rotation, -rotation @ origin
    turn = rotation.T  # z·y·x: first about x
    about_x, about_z = np.arctan2(turn[2, 1], turn[2, 2]), np.arctan2(turn[1, 0], turn[0, 0])
    tilt = np.degrees([about_x, np.arcsin(np.clip(0.0 - turn[2, 0], -1, 1)), about_z])
    return Pose(to_template, rigid, tilt, origin, scale=float(1 / np.cbrt(np.linalg.det(linear))))


def template_axes(pose: Pose, *, nod: float = 0.0) -> Float64[np.ndarray, "3 3"]:
    """Anterior, superior and right of the template (columns) in the scan's world, or of a template nodded back by ``nod`` degrees.

    Sections across them are close to AC-PC coronal sections, midline vertical.
    """
    cosine, sine = np.cos(np.radians(nod)), np.sin(np.radians(nod))
    nodded = np.array([[1.0, 0, 0], [0, cosine, sine], [0, -sine, cosine]])
    axes: Float64[np.ndarray, "3 3"] = pose.rigid[:3, :3].T @ nodded @ ASR
    return axes


def upright_grid(pose: Pose, shape: tuple[int, int, int], spacing: float) -> Grid:
    """The model grid that a head lies upright in the middle of: nodded back as heads usually are (`NOD`)."""
    centre = np.linalg.solve(pose.to_template[:3, :3], MIDDLE - pose.to_template[:3, 3])
    return centred_grid(template_axes(pose, nod=NOD), shape=shape, spacing=spacing, centre=centre)


def turn_on(grid: Grid, pose: Pose) -> float:
    """Degrees by which a head is turned against one that lies upright on a model grid, about whatever axis."""
    turn = template_axes(pose, nod=NOD).T @ directions(grid.affine)
    return float(np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))))
