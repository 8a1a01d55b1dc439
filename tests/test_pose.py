"""The pose fit gives back known affines, whatever part of the head is seen and whatever a share of the voxels says."""

import numpy as np
import pytest
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from hypojax.grid import centred_grid, to_world
from hypojax.segmenter.pose import block_positions, fit_affine, from_world, pose_of

EXACT_MM = 0.02
"""Float32 sums over thousands of voxels of up to 100 mm."""

BRAIN = np.argwhere(np.ones((14, 14, 12))) * 10.0 - np.array([65.0, 65, 55])
"""Voxels 10 mm apart."""


def known(seed: int) -> Float64[np.ndarray, "4 4"]:
    """A random affine: any turn, scale 0.8 to 1.25, a little shear, a shift of up to 100 mm."""
    rng = np.random.default_rng(seed)
    linear = Rotation.random(rng=rng).as_matrix() @ np.diag(rng.uniform(0.8, 1.25, 3)) + rng.normal(0, 0.02, (3, 3))
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = linear, rng.uniform(-100, 100, 3)
    return affine


def furthest(found: np.ndarray, wanted: np.ndarray) -> float:
    """Largest distance between where two affines send the brain, mm."""
    return float(np.linalg.norm((BRAIN @ (found[:, :3] - wanted[:3, :3]).T) + found[:, 3] - wanted[:3, 3], axis=1).max())


def fitted(coordinates: list[np.ndarray], weights: list[np.ndarray]) -> list[tuple[np.ndarray, float, float]]:
    """Fit of a batch, in NumPy."""
    found = fit_affine(BRAIN, np.stack(coordinates), np.stack(weights))
    return [(np.asarray(m, float), float(r), float(a)) for m, r, a in zip(*found, strict=True)]


def test_known_affines_come_back_from_part_of_a_head_and_with_outliers() -> None:
    """Half of the head unseen, a fifth of the rest says nonsense, noise of 3 mm: still within 3 mm everywhere."""
    affines, coordinates, weights = [known(seed) for seed in range(8)], [], []
    for seed, affine in enumerate(affines):
        rng = np.random.default_rng(100 + seed)
        said = BRAIN @ affine[:3, :3].T + affine[:3, 3] + rng.normal(0, 3.0, BRAIN.shape)
        wild = rng.random(len(BRAIN)) < 0.2
        said[wild] = rng.uniform(-150, 150, (wild.sum(), 3))
        coordinates.append(said)
        weights.append((BRAIN @ rng.normal(size=3) > 0) * rng.uniform(0.5, 1.0, len(BRAIN)))
    for affine, (matrix, residual, agreeing) in zip(affines, fitted(coordinates, weights), strict=True):
        assert furthest(matrix, affine) < 3.0
        assert 3.5 < residual < 6.5
        assert 0.4 < agreeing < 0.85


def test_a_fit_on_a_grid_becomes_one_of_the_world() -> None:
    """An oblique grid somewhere in the scanner: what was fitted to positions on it holds for the world positions of the same voxels."""
    turn = Rotation.from_euler("xyz", [10.0, 5.0, -8.0], degrees=True).as_matrix()
    grid = centred_grid(turn, shape=(8, 6, 4), spacing=2.0, centre=np.array([30.0, -20.0, 5.0]))
    truth = known(3)
    index = np.argwhere(np.ones((4, 3, 2))) * 2 + 0.5
    world = to_world(grid.affine, index)
    positions = block_positions((8, 6, 4), 2.0, 2)
    design = np.column_stack([positions, np.ones(len(positions))])
    matrix = np.linalg.lstsq(design, world @ truth[:3, :3].T + truth[:3, 3], rcond=None)[0].T
    np.testing.assert_allclose(from_world(grid, matrix), truth, atol=1e-9)


def test_without_noise_the_fit_is_exact_and_everything_agrees() -> None:
    """Exact coordinates give the affine back to the rounding of float32."""
    affines = [known(seed) for seed in (20, 21)]
    said = [BRAIN @ affine[:3, :3].T + affine[:3, 3] for affine in affines]
    for affine, (matrix, residual, agreeing) in zip(affines, fitted(said, [np.ones(len(BRAIN))] * 2), strict=True):
        assert furthest(matrix, affine) < EXACT_MM
        assert residual < EXACT_MM
        assert agreeing == pytest.approx(1, abs=1e-4)


def test_an_empty_mask_gives_finite_numbers() -> None:
    """Nothing seen: no fit, no NaN."""
    [(matrix, residual, agreeing)] = fitted([BRAIN], [np.zeros(len(BRAIN))])
    assert np.isfinite(matrix).all()
    assert residual == 0
    assert agreeing == 0


def test_a_pose_tells_turn_shift_and_size_apart() -> None:
    """A template head scaled by 1.2, turned and moved: the numbers come back, and the rigid part keeps the head's size."""
    turn = Rotation.from_euler("xyz", [20.0, -10.0, 35.0], degrees=True).as_matrix()
    to_world = np.eye(4)
    to_world[:3, :3], to_world[:3, 3] = 1.2 * turn, [12.0, -30.0, 45.0]
    pose = pose_of(np.linalg.inv(to_world))
    np.testing.assert_allclose(pose.tilt_deg, [20.0, -10.0, 35.0], atol=1e-9)
    np.testing.assert_allclose(pose.shift_mm, [12.0, -30.0, 45.0], atol=1e-9)
    assert pose.scale == pytest.approx(1.2)
    np.testing.assert_allclose(pose.rigid[:3, :3] @ pose.rigid[:3, :3].T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(pose.rigid @ np.array([12.0, -30.0, 45.0, 1.0]), [0, 0, 0, 1], atol=1e-9)


def test_the_rotation_of_a_pose_is_nearer_than_others_and_a_mirror_image_has_none() -> None:
    """Against many random rotations."""
    for seed in range(6):
        affine = known(seed)
        linear, pose = affine[:3, :3], pose_of(affine)
        assert pose is not None
        assert pose_of(affine @ np.diag([1.0, 1.0, -1.0, 1.0])) is None
        found = pose.rigid[:3, :3]
        assert np.linalg.det(found) == pytest.approx(1)
        others = found @ Rotation.random(200, rng=np.random.default_rng(seed)).as_matrix()
        near = found @ Rotation.from_rotvec(np.random.default_rng(seed).normal(0, 0.02, (200, 3))).as_matrix()
        distances = np.linalg.norm(np.concatenate([others, near]) - linear, axis=(1, 2))
        assert np.linalg.norm(found - linear) <= distances.min() + 1e-9
