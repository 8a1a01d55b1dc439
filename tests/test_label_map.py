"""`hypojax.volumes.label_map`: as many voxels as the soft volume amounts to, and those that the posterior speaks for."""

import numpy as np
import pytest
from affines import affine_of, rotation
from jaxtyping import Float32
from numpy.testing import assert_array_equal
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from hypojax.grid import Grid, part_of, to_voxel, to_world, voxel_volume
from hypojax.phantom import Phantom, subunit_coverage
from hypojax.volumes.label_map import label_counts, native_labels, native_mask
from hypojax.volumes.structure import HALF

GRIDS = [
    ((0.4, 0.4, 0.4), None), ((0.5, 0.8, 0.6), rotation(0, 12)), ((0.7, 0.7, 0.7), rotation(1, 30)), ((1.0, 1.0, 1.0), None),
    ((1.33, 1.33, 1.0), None), ((1.2, 0.9, 2.0), rotation(2, 8)), ((2.0, 2.0, 2.0), None),
]  # fmt: skip
"""Voxel sizes, mm, and how the scan is turned."""

ROUNDING = 2.0**-14
"""What a posterior is less than another in a map that is still the best: it was rounded, and sampled in another order."""


def soft_posteriors(seed: int, *, blur: float = 1.5, size: float = 1.0) -> tuple[Float32[np.ndarray, "10 x y z"], Grid]:
    """Posteriors of a hypothalamus (``size`` times as large) as unsure as a network's: rendered, blurred, within a support."""
    random = np.random.default_rng(seed)
    shape = (30, 26, 36)
    box = Grid(shape, affine_of((1.0, 1.0, 1.0), shape) + np.outer([0, 5, -20, 0], [0, 0, 0, 1]))
    phantom = Phantom(rotation=tuple(random.uniform(-6, 6, 3)), centre=tuple(random.uniform(-1, 1, 3)), left=size, right=size)
    covered = subunit_coverage(phantom, shape=shape, affine=box.affine)
    found = np.stack([ndimage.gaussian_filter(part, blur * random.uniform(0.3, 1.2)) for part in covered])
    found *= ndimage.binary_dilation(covered.sum(axis=0) > 0.5, iterations=2) / np.maximum(found.sum(axis=0), 1)
    return (np.round(found * 255) / 255).astype(np.float32), box


def scan_grid(sizes: tuple[float, ...], turn: np.ndarray | None, *, around: Grid) -> Grid:
    """A scan's own grid round a box of the model, at no place in particular."""
    i, j, k = (int(36 / size) for size in sizes)
    affine = affine_of(sizes, (i, j, k), turn)
    affine[:3, 3] += around.centre + np.array([0.21, -0.13, 0.37])
    return Grid((i, j, k), affine)


def sampled(posterior: Float32[np.ndarray, "x y z"], grid: Grid, scan: Grid) -> np.ndarray:
    """A posterior in every voxel of a scan by itself, zero outside its grid: right where voxels are no larger than its own."""
    places = to_voxel(grid.affine, to_world(scan.affine, np.argwhere(np.ones(scan.shape, bool))))
    return ndimage.map_coordinates(posterior.astype(np.float64), places.T, order=1, mode="grid-constant").reshape(scan.shape)


def best_overlap(found: np.ndarray, counts: np.ndarray) -> float:
    """The largest expected overlap of a map with these numbers of voxels, by the Hungarian method; background where nothing else is."""
    near = found.sum(axis=0) >= 0.05
    classes = np.concatenate([1 - found[:, near].sum(axis=0, keepdims=True), found[:, near]])
    columns = np.repeat(np.arange(11), [near.sum() - counts.sum(), *counts])
    rows, chosen = linear_sum_assignment(classes[columns].T, maximize=True)
    return float(classes[columns[chosen], rows].sum() + (1 - found[:, ~near].sum(axis=0)).sum())


@pytest.mark.parametrize(("sizes", "turn"), GRIDS)
def test_every_structure_has_as_many_voxels_as_its_soft_volume(sizes: tuple[float, ...], turn: np.ndarray | None) -> None:
    posteriors, box = soft_posteriors(round(100 * sum(sizes)))
    scan = scan_grid(sizes, turn, around=box)
    labels = native_labels(posteriors, box, shape=scan.shape, affine=scan.affine)
    voxels = posteriors.sum(axis=(1, 2, 3), dtype=np.float64) * voxel_volume(box.affine) / voxel_volume(scan.affine)
    found = np.bincount(labels.ravel(), minlength=11)[1:]
    assert abs(found.sum() - voxels.sum()) <= 0.5
    for first in (0, 5):
        assert abs(found[first : first + 5].sum() - voxels[first : first + 5].sum()) < 1
    assert (np.abs(found - voxels) < 1).all()
    whole = sampled(posteriors.sum(axis=0), box, scan)
    # At one half a blurred structure loses voxels; without the rule this test would have nothing to find.
    assert np.count_nonzero(whole > HALF) < 0.97 * voxels.sum()


@pytest.mark.parametrize(("sizes", "turn"), [GRIDS[3], ((0.9, 0.8, 1.0), rotation(0, 30))])
def test_no_map_with_these_numbers_overlaps_more(sizes: tuple[float, ...], turn: np.ndarray | None) -> None:
    posteriors, box = soft_posteriors(3, blur=1.0, size=0.15)
    scan = scan_grid(sizes, turn, around=box)
    labels = native_labels(posteriors, box, shape=scan.shape, affine=scan.affine)
    found = np.stack([sampled(posterior, box, scan) for posterior in posteriors])
    classes = np.concatenate([1 - found.sum(axis=0, keepdims=True), found])
    ours = np.take_along_axis(classes, labels[None].astype(int), axis=0).sum()
    best = best_overlap(found, np.bincount(labels.ravel(), minlength=11)[1:])
    assert best - ROUNDING * np.count_nonzero(labels) <= ours <= best + 1e-6


def test_a_label_goes_nowhere_where_its_posterior_is_zero() -> None:
    posteriors, box = soft_posteriors(4)
    scan = scan_grid((1.0, 1.0, 1.0), None, around=box)
    labels = native_labels(posteriors, box, shape=scan.shape, affine=scan.affine)
    for value, posterior in enumerate(posteriors, start=1):
        assert (sampled(posterior, box, scan)[labels == value] > 0).all()


@pytest.mark.parametrize("missing", [slice(0, 5), slice(2, 3), slice(0, 10)])
def test_what_was_not_found_is_not_drawn(missing: slice) -> None:
    posteriors, box = soft_posteriors(5)
    posteriors[missing] = 0
    scan = scan_grid((1.0, 1.0, 1.0), None, around=box)
    labels = native_labels(posteriors, box, shape=scan.shape, affine=scan.affine)
    assert not np.isin(labels, np.arange(1, 11)[missing]).any()
    assert abs(np.count_nonzero(labels) - posteriors.sum(dtype=np.float64)) <= 0.5


def test_no_more_is_drawn_than_the_scan_has_room_for() -> None:
    full = np.full((10, 6, 6, 6), np.float32(0.1))
    box = Grid((6, 6, 6), affine_of((1.0, 1.0, 1.0), (6, 6, 6)))
    cut = Grid((3, 6, 6), box.affine)
    assert (native_labels(full, box, shape=cut.shape, affine=cut.affine) > 0).all()
    assert native_mask(full.sum(axis=0), box, shape=cut.shape, affine=cut.affine).all()


@pytest.mark.parametrize(
    ("sizes", "turn", "blur", "power"),
    [
        (*grid, *shape)
        for grid, shape in zip([*GRIDS, *GRIDS[-4:-1]], [(1.0, 1.0), (2.0, 3.0), (4.0, 1.0), (2.0, 0.3), (0.0, 1.0)] * 2, strict=True)
    ],
)
def test_a_mask_has_as_many_voxels_as_its_soft_volume(sizes: tuple[float, ...], turn: np.ndarray | None, blur: float, power: float) -> None:
    """Also where the threshold is far from one half, and where the posterior is one and zero alone, so that many voxels tie."""
    shape = (20, 18, 22)
    grid = Grid(shape, affine_of((2.0, 2.0, 2.0), shape))
    ball = (np.linalg.norm(np.moveaxis(np.indices(shape), 0, -1) - (np.array(shape) - 1) / 2, axis=-1) < 7).astype(np.float32)
    posterior = (np.round(255 * ndimage.gaussian_filter(ball, blur) ** power) / 255).astype(np.float32)
    scan = scan_grid(sizes, turn, around=grid)
    mask = native_mask(posterior, grid, shape=scan.shape, affine=scan.affine)
    voxels = posterior.sum(dtype=np.float64) * voxel_volume(grid.affine) / voxel_volume(scan.affine)
    found = sampled(posterior, grid, scan)
    assert set(np.unique(mask)) == {0, 1}
    assert abs(mask.sum() - min(voxels, np.count_nonzero(found > 0))) <= 0.5
    assert found[mask == 1].min() >= found[mask == 0].max() - ROUNDING


def test_ties_are_broken_from_back_to_front_whatever_the_storage() -> None:
    grid = Grid((5, 5, 5), affine_of((1.0, 1.0, 1.0), (5, 5, 5)))
    even = np.full((5, 5, 5), np.float32(0.4))
    mask = native_mask(even, grid, shape=grid.shape, affine=grid.affine)
    assert_array_equal(mask.any(axis=(0, 2)), [True, True, False, False, False])
    flipped = grid.affine.copy()
    flipped[:3, 1], flipped[1, 3] = -grid.affine[:3, 1], -grid.affine[1, 3]
    assert_array_equal(native_mask(even, grid, shape=grid.shape, affine=flipped)[:, ::-1], mask)


def test_a_posterior_outside_the_scan_leaves_an_empty_map() -> None:
    grid = Grid((10, 10, 10), affine_of((2.0, 2.0, 2.0), (10, 10, 10)))
    far = affine_of((1.0, 1.0, 1.0), (5, 5, 5))
    far[:3, 3] += 500
    assert not native_mask(np.ones(grid.shape, np.float32), grid, shape=(5, 5, 5), affine=far).any()
    assert not native_labels(np.zeros((10, *grid.shape), np.float32), grid, shape=(5, 5, 5), affine=far).any()


def test_numbers_of_voxels_are_decided_from_the_whole_down_to_its_parts() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        voxels = random.uniform(0, 20, 10)
        counts = label_counts(voxels, most=10**6)
        assert counts.sum() == round(voxels.sum())
        assert (np.abs(counts.reshape(2, 5).sum(axis=1) - voxels.reshape(2, 5).sum(axis=1)) < 1).all()
    assert label_counts(np.full(10, 5.0), most=20).tolist() == [2] * 10


@pytest.mark.parametrize("sizes", [(2.0, 2.0, 2.0), (1.6, 3.1, 1.2)])
def test_where_a_grid_was_cut_does_not_matter(sizes: tuple[float, ...]) -> None:
    """Scans of large voxels take means of blocks of the model's, the same blocks wherever the part with the structure begins."""
    posteriors, box = soft_posteriors(6)
    scan = scan_grid(sizes, rotation(1, 20), around=box)
    whole = native_labels(posteriors, box, shape=scan.shape, affine=scan.affine)
    for first in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (3, 2, 1)):
        part = tuple(slice(start, side) for start, side in zip(first, box.shape, strict=True))
        cut = posteriors[:, *part]
        assert np.count_nonzero(cut) == np.count_nonzero(posteriors)
        assert_array_equal(native_labels(cut, part_of(box, part), shape=scan.shape, affine=scan.affine), whole)
    for place in ((1, 13, 18), (28, 13, 18), (15, 1, 18), (15, 13, 2)):
        further = posteriors.copy()
        further[0, *place] = 1e-9  # a trace that says nothing: only what is looked at reaches further
        assert_array_equal(native_labels(further, box, shape=scan.shape, affine=scan.affine), whole)
