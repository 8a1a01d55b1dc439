"""`hypojax.grid` against naive loops and exact geometry."""

import itertools

import numpy as np
import pytest
from affines import ORIENTATIONS, affine_of, reorder, rotation
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.transform import Rotation

from hypojax import grid as geometry
from hypojax.grid import Grid, apply_weights, axis_weights, conformed_grid, coronal_view, from_coronal_view, resample, to_voxel, to_world

FLOAT32_TOLERANCE = 1e-4
"""Sums of products in float32 on values up to 100: a few parts in 1e7 each."""

AFFINE_TOLERANCE = 2e-3
"""Largest change of a value when the same voxels come in another axis order: float rounding of voxel positions times a step of 100."""


def world_ramp(shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """A linear function of the world position, which linear interpolation reproduces exactly."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
    return to_world(affine, index) @ np.array([0.3, -0.7, 1.1]) + 5


@pytest.mark.parametrize(("order", "flips"), ORIENTATIONS)
def test_coronal_view_keeps_every_voxel_at_its_place(order: tuple[int, ...], flips: tuple[int, ...]) -> None:
    shape = (3, 4, 5)
    affine = affine_of((1.0, 1.5, 2.0), shape, rotation(0, 12) @ rotation(2, -9))
    volume, turned = reorder(world_ramp(shape, affine), affine, order, flips)
    view, view_affine = coronal_view(volume, turned)
    assert_allclose(view, world_ramp(view.shape, view_affine), atol=1e-9)
    assert np.shares_memory(view, volume)
    assert_array_equal(from_coronal_view(view, turned), volume)
    assert (np.diag(geometry.ASR.T @ geometry.directions(view_affine)) > 0.9).all()


@pytest.mark.parametrize(("order", "flips"), ORIENTATIONS)
@pytest.mark.parametrize("degrees", [10.0, 35.0])
def test_conforming_does_not_depend_on_the_stored_axis_order(order: tuple[int, ...], flips: tuple[int, ...], degrees: float) -> None:
    shape = (12, 9, 7)
    volume = np.random.default_rng(0).integers(0, 100, shape).astype(np.int16)
    affine = affine_of((0.9, 1.1, 2.5), shape, rotation(0, degrees))
    stored, turned = reorder(volume, affine, order, flips)
    expected, found = conformed_grid(shape, affine), conformed_grid((*stored.shape,), turned)
    assert found.shape == expected.shape
    assert_allclose(found.affine, expected.affine, atol=1e-9)
    assert_allclose(resample(stored, turned, found), resample(volume, affine, expected), atol=AFFINE_TOLERANCE)


@given(
    sizes=st.tuples(*[st.floats(0.5, 6.0)] * 3),
    shape=st.tuples(*[st.integers(2, 40)] * 3),
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    spacing=st.floats(0.7, 4.0),
)
@settings(deadline=None)
def test_conformed_grid_covers_the_field_of_view(
    sizes: tuple[float, ...], shape: tuple[int, int, int], angles: tuple[float, ...], spacing: float
) -> None:
    turn = rotation(0, angles[0]) @ rotation(1, angles[1]) @ rotation(2, angles[2])
    affine = affine_of(sizes, shape, turn)
    grid = conformed_grid(shape, affine, spacing=spacing)
    corners = to_world(affine, np.array(list(itertools.product(*[(-0.5, n - 0.5) for n in shape]))))
    index = to_voxel(grid.affine, corners)
    # The box is rounded to whole voxels: half a voxel may be lost or won on either side.
    assert (index >= -0.5 - 0.5 - 1e-3).all()
    assert (index <= np.array(grid.shape) - 0.5 + 0.5 + 1e-3).all()
    assert_allclose(geometry.voxel_sizes(grid.affine), spacing, rtol=1e-9)
    assert (np.diag(geometry.ASR.T @ geometry.directions(grid.affine)) > 0.9).all()


def naive_weights(source: int, target: int, step: float, start: float) -> np.ndarray:
    """One row at a time: a triangle round each position, cut off at the border, made to sum to one."""
    rows = np.zeros((target, source))
    for v in range(target):
        position = start + step * v
        if not -0.5 - 1e-6 <= position <= source - 0.5 + 1e-6:
            continue
        for s in range(source):
            rows[v, s] = max(0.0, 1 - abs(s - position) / max(1.0, abs(step)))
        rows[v] /= rows[v].sum()
    return rows


@given(source=st.integers(1, 20), target=st.integers(1, 20), step=st.floats(0.1, 5.0), start=st.floats(-8, 8))
@settings(deadline=None)
def test_axis_weights_against_a_loop(source: int, target: int, step: float, start: float) -> None:
    assert_allclose(axis_weights(source, target, step=step, start=start), naive_weights(source, target, step, start), atol=1e-6)


@given(shape=st.tuples(*[st.integers(1, 6)] * 3), target=st.tuples(*[st.integers(1, 6)] * 3), fill=st.floats(-5, 5), data=st.data())
@settings(max_examples=50, deadline=None)
def test_apply_weights_against_a_loop(shape: tuple[int, ...], target: tuple[int, ...], fill: float, data: st.DataObject) -> None:
    volume = np.random.default_rng(sum(shape)).integers(0, 100, shape).astype(np.uint8)
    weights = [
        axis_weights(n, m, step=data.draw(st.floats(0.3, 3)), start=data.draw(st.floats(-3, 3))) for n, m in zip(shape, target, strict=True)
    ]
    expected = np.empty(target)
    for voxel in np.ndindex(target):
        rows = [matrix[index] for matrix, index in zip(weights, voxel, strict=True)]
        inside = all(row.any() for row in rows)
        expected[voxel] = np.einsum("ijk,i,j,k", volume.astype(float), *rows) if inside else fill
    assert_allclose(apply_weights(volume, weights, fill=fill), expected, atol=FLOAT32_TOLERANCE)


@pytest.mark.parametrize("degrees", [0.0, 20.0, 35.0, 60.0])
@pytest.mark.parametrize("target_degrees", [0.0, 20.0])
def test_linear_functions_are_reproduced_on_any_pair_of_grids(degrees: float, target_degrees: float) -> None:
    shape = (24, 26, 28)
    affine = affine_of((1.2, 1.3, 1.4), shape, rotation(0, degrees) @ rotation(2, 7))
    target = Grid((10, 11, 12), affine_of((-1.1, 1.0, 0.9), (10, 11, 12), rotation(1, target_degrees)))
    sampled = resample(world_ramp(shape, affine), affine, target)
    assert_allclose(sampled, world_ramp(target.shape, target.affine), atol=FLOAT32_TOLERANCE)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float64])
@pytest.mark.parametrize("degrees", [0.0, 30.0])
def test_a_ceiling_holds_before_voxels_are_averaged(dtype: type, degrees: float) -> None:
    shape = (9, 8, 7)
    volume = np.random.default_rng(3).integers(0, 200, shape).astype(dtype)
    affine, grid = affine_of((0.9, 1.2, 1.0), shape, rotation(1, degrees)), Grid((5, 6, 7), affine_of((2.0, 1.1, 0.7), (5, 6, 7)))
    cut_off = resample(volume, affine, grid, fill=3.0, ceiling=90.5)
    assert_array_equal(cut_off, resample(np.minimum(volume, 90.5), affine, grid, fill=3.0))
    assert not np.array_equal(cut_off, resample(volume, affine, grid, fill=3.0))


@pytest.mark.parametrize(("order", "flips"), ORIENTATIONS)
def test_target_axes_may_run_in_any_order(order: tuple[int, ...], flips: tuple[int, ...]) -> None:
    shape = (9, 8, 7)
    volume, affine = np.random.default_rng(1).normal(size=shape), affine_of((1.0, 1.2, 0.8), shape)
    plain = Grid((8, 7, 6), affine_of((0.9, 0.9, 0.9), (8, 7, 6)))
    turned, turned_affine = reorder(resample(volume, affine, plain), plain.affine, order, flips)
    assert_allclose(resample(volume, affine, Grid((*turned.shape,), turned_affine)), turned, atol=FLOAT32_TOLERANCE)


def test_rotated_sampling_against_the_separable_one() -> None:
    shape = (12, 13, 14)
    volume, affine = np.random.default_rng(2).normal(size=shape).astype(np.float32), affine_of((1.0, 1.2, 1.4), shape)
    grid = conformed_grid(shape, affine)
    view, turned = coronal_view(volume, affine)
    mapping = np.linalg.inv(turned) @ grid.affine
    rotated = geometry._resample_rotated(view, mapping, grid.shape)
    rotated[~geometry.within_field_of_view(grid, shape, affine)] = 3.0
    assert_allclose(rotated, resample(volume, affine, grid, fill=3.0), atol=FLOAT32_TOLERANCE)


@pytest.mark.parametrize("degrees", [0.0, 12.0, 35.0, 44.0])
@pytest.mark.parametrize("spacing", [1.0, 2.0])
def test_no_voxel_of_the_field_of_view_is_lost(degrees: float, spacing: float) -> None:
    shape = (61, 90, 25)
    affine = affine_of((1.6, 0.9, 6.0), shape, rotation(0, degrees))
    grid = conformed_grid(shape, affine, spacing=spacing)
    covered = resample(np.ones(shape, np.uint8), affine, grid).sum() * geometry.voxel_volume(grid.affine)
    # Rounding the box to whole voxels may cost half a voxel on each of six sides.
    assert_allclose(covered, np.prod(shape) * geometry.voxel_volume(affine), rtol=3 * spacing / 80)


def test_thick_tilted_slices_are_not_averaged_together() -> None:
    affine = affine_of((0.5, 0.5, 6.0), (200, 300, 25), rotation(0, 35))
    grid = conformed_grid((200, 300, 25), affine, spacing=2.0)
    _, turned = coronal_view(np.zeros((200, 300, 25), np.int8), affine)
    mapping = np.linalg.inv(turned) @ grid.affine
    assert geometry.source_blocks(mapping).tolist() == [4, 1, 4]


@given(shear=st.floats(-0.5, 0.5), sizes=st.tuples(*[st.floats(0.5, 6.0)] * 3))
@settings(deadline=None)
def test_voxel_volume_of_a_sheared_affine(shear: float, sizes: tuple[float, ...]) -> None:
    affine = np.diag([*sizes, 1.0])
    affine[0, 1] = shear
    assert_allclose(geometry.voxel_volume(affine), np.prod(sizes), rtol=1e-9)


@pytest.mark.parametrize("degrees", [3.0, 40.0])
def test_nothing_is_changed_in_place(degrees: float) -> None:
    volume, affine = np.arange(60.0).reshape(3, 4, 5), affine_of((1.0, 1.0, 1.0), (3, 4, 5), rotation(1, degrees))
    before = volume.copy(), affine.copy()
    resample(volume, affine, conformed_grid((3, 4, 5), affine), fill=9.0)
    assert_array_equal(volume, before[0])
    assert_array_equal(affine, before[1])


@pytest.mark.parametrize("shape", [(29, 30, 31), (8, 9, 10)])
def test_a_constant_volume_is_that_constant_up_to_its_border_however_it_is_sampled(shape: tuple[int, int, int]) -> None:
    """Sides that do not divide by the voxels averaged before a rotated sampling: the last, partial block is no darker than the others."""
    affine = affine_of((0.5, 0.5, 0.5), shape, rotation(0, 30))
    target = Grid((12, 12, 12), affine_of((2.0, 2.0, 2.0), (12, 12, 12)))
    sampled = resample(np.full(shape, 7.0, np.float32), affine, target, fill=7.0)
    assert_allclose(sampled, 7, rtol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_part_near_a_grid_is_all_that_sampling_on_it_needs(seed: int) -> None:
    """Turned grids inside, at the border of and outside a scan: the same values as from all of it, and beyond its view the fill."""
    rng = np.random.default_rng(seed)
    volume, affine = rng.normal(size=(30, 34, 38)).astype(np.float32), np.diag([1.0, -1.2, 0.9, 1.0])
    turn = Rotation.random(rng=rng).as_matrix()
    middle = geometry.to_world(affine, np.array([15.0, 17.0, 19.0 + 12 * seed]))
    grid = geometry.centred_grid(turn, shape=(9, 8, 7), spacing=1.0, centre=middle)
    part, there = geometry.near(volume, affine, grid)
    assert part.size < volume.size / 2
    expected = geometry.resample(volume, affine, grid, fill=-5.0)
    assert_allclose(geometry.resample(part, there, grid, fill=-5.0), expected, atol=1e-5)
    assert (expected == -5).any() == (seed > 1)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64])
def test_other_numbers_are_sampled_as_in_float32_a_few_lines_at_a_time(monkeypatch: pytest.MonkeyPatch, dtype: type) -> None:
    monkeypatch.setattr(geometry, "CACHED", 100)
    volume = np.random.default_rng(0).integers(0, 255, (13, 11, 9)).astype(dtype)
    for shape, steps in (((5, 14, 9), [2.5, 0.8, 1.0, 1.0]), ((30, 7, 3), [0.5, 1.5, 4.0, 1.0])):
        grid = Grid(shape, np.diag(steps))
        assert_array_equal(resample(volume, np.eye(4), grid, fill=3.0), resample(volume.astype(np.float32), np.eye(4), grid, fill=3.0))


@pytest.mark.parametrize(("order", "flips"), ORIENTATIONS)
def test_how_memory_holds_a_volume_changes_no_bit_of_what_is_sampled(order: tuple[int, ...], flips: tuple[int, ...]) -> None:
    """A file, a store and an array in Python hold the same voxels in other orders."""
    values = np.random.default_rng(3).normal(size=(24, 20, 22)).astype(np.float32)
    affine = np.array([[1.1, 0, 0, -12], [0, 0.9, 0, -9], [0, 0, 1, -11], [0, 0, 0, 1]])
    backward = tuple(slice(None, None, flip) for flip in flips)
    held = np.ascontiguousarray(values.transpose(order)[backward])[backward].transpose(np.argsort(order))
    assert_array_equal(held, values)
    for spacing in (0.7, 1.0, 1.6):
        grid = geometry.centred_grid(geometry.model_directions(affine), shape=(18, 17, 19), spacing=spacing, centre=np.zeros(3))
        assert_array_equal(resample(held, affine, grid, fill=-1.0), resample(values, affine, grid, fill=-1.0))
