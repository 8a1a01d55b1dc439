"""The head grid lies where the head is, whatever surrounds it and however it is stored."""

from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest

from hypojax.grid import to_world
from hypojax.preprocessing.foreground import Head, conform, find_head
from hypojax.scans import read

GHOSTS = 0.05
"""Share of the layers above a head that motion ghosts may lift over the threshold (0.027 in studyforrest)."""

COARSE_VOXEL = 4.0
"""The head is found on a 4 mm copy: its middle is known to about a voxel of that."""


def ball(shape: tuple[int, int, int], centre: tuple[float, float, float], radius: float) -> np.ndarray:
    """A bright ball (voxels) on noise."""
    where = np.indices(shape) - np.array(centre)[:, None, None, None]
    noise = np.random.default_rng(0).normal(10, 2, shape)
    return (noise + 100 * ((where**2).sum(axis=0) < radius**2)).astype(np.float32)


def shown(volume: np.ndarray, affine: np.ndarray, head: Head) -> np.ndarray:
    """What the head network sees of a scan."""
    return conform(volume, affine, grid=head.grid, statistics=head.statistics)


def test_grid_is_centred_left_right_and_below_the_vertex() -> None:
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    head = find_head(ball((100, 110, 120), (45.0, 60.0, 70.0), 40), affine)
    expected = np.array([90.0, 120.0, (70 + 40) * 2 - (112 - 14)])
    np.testing.assert_allclose(head.grid.centre, expected, atol=COARSE_VOXEL)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_storage_order_does_not_move_the_grid(order: tuple[int, int, int]) -> None:
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    volume = ball((50, 55, 60), (24.0, 27.0, 30.0), 20)
    expected = find_head(volume, affine)
    for flips in product((1, -1), repeat=3):
        stored = volume[tuple(slice(None, None, flip) for flip in flips)].transpose(order)
        columns = affine[:3, :3] * np.array(flips)
        origin = to_world(affine, np.array([0 if flip > 0 else n - 1 for flip, n in zip(flips, volume.shape, strict=True)]))
        turned = np.eye(4)
        turned[:3, :3], turned[:3, 3] = columns[:, list(order)], origin
        found = find_head(stored, turned)
        np.testing.assert_allclose(found.grid.affine, expected.grid.affine, atol=1e-6)
        np.testing.assert_allclose(shown(stored, turned, found), shown(volume, affine, expected), atol=1e-4)


def test_beyond_the_field_of_view_lies_the_air_of_the_scan() -> None:
    """Whatever number stands for it: here about 500."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    shaded = np.linspace(0.5, 1.5, 50, dtype=np.float32)[:, None, None]
    volume = 500 + shaded * ball((50, 55, 60), (24.0, 27.0, 30.0), 20)
    head = find_head(volume, affine)
    image = shown(volume, affine, head)
    air = (head.statistics.background - head.statistics.mean) / head.statistics.std
    assert -9 < air < -1  # not cut off
    np.testing.assert_allclose([image[0, 0, 0], image[-1, -1, -1]], air, rtol=1e-5)


def test_a_second_smaller_object_is_no_head() -> None:
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    volume = ball((100, 110, 120), (45.0, 60.0, 60.0), 35)
    arm = volume.copy()
    arm[90:96, 50:56, 100:118] = 110
    np.testing.assert_allclose(find_head(arm, affine).grid.centre, find_head(volume, affine).grid.centre, atol=COARSE_VOXEL)


@pytest.mark.parametrize("burning", [1.0, 2.4, 5.0])
def test_shoulders_brighter_than_the_head_are_no_head(burning: float) -> None:
    """A head of 100 on a neck of 50, and a larger body whose rind, next to the coil, burns."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    alone = ball((100, 110, 150), (50.0, 55.0, 105.0), 35)
    x, y, z = (np.indices(alone.shape).T - np.array([50, 55, 15])).T
    body = (x / 48) ** 2 + (y / 45) ** 2 + (z / 40) ** 2
    neck = (x**2 + y**2 < 20**2) & (z > 0) & (z < 70)
    with_body = np.maximum(alone, np.where(body < 1, np.where(body > 0.8, 100 * burning, 60), np.where(neck, 50, 0))).astype(np.float32)
    found, expected = find_head(with_body, affine), find_head(alone, affine)
    np.testing.assert_allclose(found.grid.centre[1:], expected.grid.centre[1:], atol=3 * COARSE_VOXEL)
    assert found.statistics.mean == pytest.approx(expected.statistics.mean, rel=0.25)


@pytest.mark.parametrize(
    "name", ["scans/studyforrest_T1w.nii.gz", "icv_reference/Subj01_T1w.nii.gz", "bids/ds002748/sub-03/anat/sub-03_T1w.nii.gz"]
)
def test_real_heads_fill_their_grid(shared: Path, name: str) -> None:
    """Brain-bright voxels surround the middle of the grid, and the grid's top layer lies above the head."""
    image = read(name, shared / name)
    volume = image.scaled()
    head = find_head(volume, image.affine)
    tissue = shown(volume, image.affine, head) > (head.statistics.threshold - head.statistics.mean) / head.statistics.std
    assert tissue[46:66, 56:76, 38:58].mean() > 0.5
    assert tissue[:, -3:].mean() < GHOSTS


def test_what_lies_far_below_the_vertex_does_not_move_the_grid_sideways() -> None:
    """A ball for a head, and a block for a shoulder far to one side of it: the middle is that of the head."""
    shape, affine = (70, 50, 90), np.diag([4.0, 4.0, 4.0, 1.0])
    x, y, z = (index * 4.0 for index in np.indices(shape))
    head = (x - 100) ** 2 + (y - 100) ** 2 + (z - 270) ** 2 < 80**2
    shoulder = (x > 60) & (x < 270) & (abs(y - 100) < 40) & (z < 60)
    neck = (abs(x - 100) < 30) & (abs(y - 100) < 30) & (z < 270)
    alone, with_shoulder = (find_head((100 * mask).astype(np.float32), affine).grid for mask in (head | neck, head | neck | shoulder))
    middle = (np.array(alone.shape) - 1) / 2
    np.testing.assert_allclose(to_world(with_shoulder.affine, middle), to_world(alone.affine, middle), atol=1e-6)
