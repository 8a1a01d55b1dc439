"""`pipelines.maintenance.perturb` against SciPy voxel by voxel, formulas for blobs and noise, and loops."""

from collections.abc import Callable

import numpy as np
import pytest
from affines import ORIENTATIONS, affine_of, reorder
from affines import rotation as rotated_plane
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage
from scipy.spatial.transform import Rotation

from hypojax.demonstration import RadialMap, deformed
from hypojax.grid import Grid, to_voxel, to_world, voxel_sizes, voxel_volume, within_field_of_view
from pipelines.maintenance import perturb
from pipelines.maintenance.perturb.brightness import signal_of
from pipelines.maintenance.perturb.geometry import rotation
from pipelines.maintenance.perturb.refit import VOXEL_SPREAD, spline_weights

SPLINE_TOLERANCE = 2e-4
"""Of values up to about 100: knots and weights are float32."""

SHAPE = (26, 22, 24)
LAS = np.array([[-1.1, 0, 0, 14], [0, 1.3, 0, -13], [0, 0, 0.9, -11], [0, 0, 0, 1.0]])
OBLIQUE = affine_of((1.1, 1.3, 0.9), SHAPE, rotated_plane(0, 20) @ rotated_plane(2, 10))


def texture(shape: tuple[int, ...] = SHAPE, seed: int = 0) -> np.ndarray:
    """Random values between 10 and 110, a little smooth, read-only: what mutates them raises."""
    values = ndimage.gaussian_filter(np.random.default_rng(seed).uniform(0, 1, shape), 0.7)
    volume = (10 + 100 * (values - values.min()) / np.ptp(values)).astype(np.float32)
    volume.flags.writeable = False
    return volume


def blob(shape: tuple[int, ...], affine: np.ndarray, centre: tuple[float, ...], spread: float) -> np.ndarray:
    """A Gaussian of height 100 in the world."""
    world = to_world(affine, np.moveaxis(np.indices(shape), 0, -1))
    return (100 * np.exp(-((world - np.array(centre)) ** 2).sum(-1) / (2 * spread**2))).astype(np.float32)


def moments(volume: np.ndarray, affine: np.ndarray) -> tuple[float, np.ndarray, float]:
    """Integral (value × mm³), centre of mass and mean squared radius (mm²) of a volume over its background."""
    weight = volume.astype(np.float64) - volume.min()
    world = to_world(affine, np.moveaxis(np.indices(volume.shape), 0, -1))
    centre = (weight[..., None] * world).sum((0, 1, 2)) / weight.sum()
    spread = (weight * ((world - centre) ** 2).sum(-1)).sum() / weight.sum()
    return float(weight.sum() * voxel_volume(affine)), centre, float(spread)


@given(st.tuples(*[st.floats(-180, 180)] * 3))
def test_rotation_is_that_of_scipy(degrees: tuple[float, float, float]) -> None:
    assert_allclose(rotation(degrees), Rotation.from_euler("xyz", degrees, degrees=True).as_matrix(), atol=1e-9)


def test_a_turned_and_shifted_header_moves_every_voxel_so() -> None:
    volume = texture()
    _, turned = perturb.turned(volume, OBLIQUE, degrees=(10.0, -20.0, 30.0))
    same, shifted = perturb.shifted(volume, OBLIQUE, mm=(1.0, 2.0, -3.0))
    assert same is volume
    middle = to_world(OBLIQUE, (np.array(SHAPE) - 1) / 2)
    for voxel in ([0, 0, 0], [25, 3, 7], [5, 21, 23]):
        before = to_world(OBLIQUE, np.array(voxel))
        expected = middle + Rotation.from_euler("xyz", [10, -20, 30], degrees=True).apply(before - middle)
        assert_allclose(to_world(turned, np.array(voxel)), expected, atol=1e-9)
        assert_allclose(to_world(shifted, np.array(voxel)), before + np.array([1, 2, -3]), atol=1e-9)


def naive_refitted(volume: np.ndarray, affine: np.ndarray, grid: Grid) -> np.ndarray:
    """Every target voxel by itself, through SciPy's general lookup, after the same smoothing."""
    per_voxel = np.linalg.norm((np.linalg.inv(affine) @ grid.affine)[:3, :3], axis=1)
    smooth = ndimage.gaussian_filter(volume, VOXEL_SPREAD * np.sqrt(np.maximum(per_voxel**2 - 1, 0)), mode="mirror")
    place = to_voxel(affine, to_world(grid.affine, np.moveaxis(np.indices(grid.shape), 0, -1)))
    found = ndimage.map_coordinates(smooth.astype(np.float64), np.moveaxis(place, -1, 0), order=3, mode="mirror")
    outside = ((place < -0.5) | (place > np.array(volume.shape) - 0.5)).any(-1)
    return np.clip(np.where(outside, volume.min(), found), volume.min(), volume.max())


GRIDS = {
    "parallel": Grid((23, 30, 17), np.array([[-1.3, 0, 0, 15], [0, 0.8, 0, -12], [0, 0, 1.37, -10], [0, 0, 0, 1.0]])),
    "turned about one axis": Grid((23, 30, 21), LAS @ np.block([[rotated_plane(1, 15), np.array([[0.3], [2], [-3.4]])], [np.eye(4)[3:]]])),
    "oblique": Grid((21, 22, 23), OBLIQUE),
    "axes in another order": Grid((22, 24, 26), LAS[:, [1, 2, 0, 3]]),
}


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_refitted_against_a_lookup_of_every_voxel(grid: Grid) -> None:
    found, affine = perturb.refitted(texture(), LAS, grid=grid)
    assert_allclose(found, naive_refitted(texture(), LAS, grid), atol=SPLINE_TOLERANCE * 10)
    assert affine is grid.affine
    assert within_field_of_view(grid, SHAPE, LAS).mean() > 0.3


@given(source=st.integers(1, 9), target=st.integers(1, 9), step=st.floats(-2, 2), start=st.floats(-2, 9))
def test_spline_weights_interpolate_their_knots(source: int, target: int, step: float, start: float) -> None:
    values = np.random.default_rng(source).normal(size=source)
    position = start + step * np.arange(target)
    near = np.abs(np.stack([position + 0.5, position - source + 0.5])).min(axis=0) < 1e-3  # rounding may put these in or out
    knots = ndimage.spline_filter(values, mode="mirror") if source > 1 else values
    expected = ndimage.map_coordinates(values, position[None], order=3, mode="mirror")
    expected[(position < -0.5) | (position > source - 0.5)] = 0
    assert_allclose((spline_weights(source, target, step=step, start=start) @ knots)[~near], expected[~near], atol=1e-5)


@settings(max_examples=8, deadline=None)
@given(degrees=st.tuples(*[st.floats(-15, 15)] * 3), mm=st.tuples(*[st.floats(-5, 5)] * 3), size=st.floats(0.8, 1.3))
def test_a_blob_keeps_mass_and_size_and_goes_where_it_is_sent(
    degrees: tuple[float, float, float], mm: tuple[float, float, float], size: float
) -> None:
    shape, affine = (40, 44, 36), affine_of((1.0, 0.9, 1.1), (40, 44, 36))
    volume = blob(shape, affine, (3.0, -2.0, 1.0), 3.0)
    moved, there = perturb.upright(*perturb.shifted(*perturb.turned(volume, affine, degrees=degrees), mm=mm), sizes=(size, size, size))
    mass, centre, spread = moments(moved, there)
    assert_allclose(mass, moments(volume, affine)[0], rtol=1e-3)
    assert_allclose(centre, rotation(degrees) @ [3.0, -2.0, 1.0] + mm, atol=0.02)
    assert_allclose(spread, 27.0, rtol=0.06)  # three times the variance, and what larger voxels add
    assert_allclose(there[:3, 3] / size, np.round(there[:3, 3] / size), atol=1e-9)


@pytest.mark.parametrize("size", [0.8, 1.0, 1.3])
def test_other_voxels_hold_the_same_blob(size: float) -> None:
    before = affine_of((1.1, 1.3, 0.9), (40, 34, 44), OBLIQUE[:3, :3] / voxel_sizes(OBLIQUE))
    volume = blob((40, 34, 44), before, (1.0, 2.0, -1.0), 3.0)
    found, affine = perturb.resampled(volume, before, sizes=(size, size, size))
    assert_allclose(voxel_sizes(affine), size)
    assert_allclose(moments(found, affine)[0], moments(volume, before)[0], rtol=1e-3)
    assert_allclose(moments(found, affine)[1], (1, 2, -1), atol=0.01)


def test_larger_voxels_average_noise_away() -> None:
    volume = np.random.default_rng(0).normal(0, 1, (48, 48, 48)).astype(np.float32)
    coarse, _ = perturb.resampled(volume, np.eye(4), sizes=(2.0, 2.0, 2.0))
    # A Gaussian of variance s² leaves white noise 1 / (2 √π s)³ of its variance; voxels half as fine would leave all of it.
    expected = (2 * np.sqrt(np.pi) * VOXEL_SPREAD * np.sqrt(3)) ** -1.5
    assert_allclose(coarse.std(), expected, rtol=0.08)


def test_the_48_orders_are_those_of_a_naive_reordering() -> None:
    volume = texture((5, 6, 7))
    assert sorted(perturb.ORIENTATIONS) == sorted(ORIENTATIONS)
    for order, flips in perturb.ORIENTATIONS:
        found, affine = perturb.reoriented(volume, OBLIQUE, order=order, flips=flips)
        expected, there = reorder(volume, OBLIQUE, order, flips)
        assert_array_equal(found, expected)
        assert_allclose(affine, there, atol=1e-12)


def test_thick_slices_are_means_of_slices_in_place() -> None:
    volume = texture((6, 5, 11))
    found, affine = perturb.thickened(volume, LAS, axis=2, mm=2.7)
    assert found.shape == (6, 5, 3)
    for k in range(3):
        assert_allclose(found[:, :, k], volume[:, :, 3 * k : 3 * k + 3].mean(axis=2), rtol=1e-6)
        assert_allclose(to_world(affine, np.array([1, 2, k])), to_world(LAS, np.array([1, 2, 3 * k + 1])))


def test_grey_values_follow_their_formulas() -> None:
    volume = texture()
    low, signal = signal_of(volume)
    assert_allclose(perturb.gained(volume, LAS, gain=0.5, offset=7.0)[0], volume * 0.5 + 7, rtol=1e-6)
    assert_allclose(perturb.powered(volume, LAS, gamma=1.25)[0], low + signal * ((volume - low) / signal) ** 1.25, rtol=1e-5)
    assert_array_equal(perturb.saturated(volume, LAS, level=60.0)[0], np.where(volume > 60, 60, volume))
    mask = volume > 50
    brighter, _ = perturb.brightened_outside(volume, LAS, mask=mask, factor=3.0)
    assert_array_equal(brighter[mask], volume[mask])
    assert_allclose(brighter[~mask], low + 3 * (volume[~mask] - low), rtol=1e-5)
    assert_array_equal(perturb.stripped(volume, LAS, mask=mask)[0], volume * mask)


@given(gain=st.floats(0.01, 100), offset=st.floats(-1000, 1000), gamma=st.floats(0.8, 1.25))
def test_gamma_follows_gain_and_offset(gain: float, offset: float, gamma: float) -> None:
    volume = texture()
    scale = np.abs(offset) + 200 * gain
    one, _ = perturb.powered(*perturb.gained(volume, LAS, gain=gain, offset=offset), gamma=gamma)
    other, _ = perturb.gained(*perturb.powered(volume, LAS, gamma=gamma), gain=gain, offset=offset)
    assert_allclose(one, other, atol=1e-3 * scale)


@pytest.mark.parametrize("level", [0.0, 20.0, 100.0])
def test_noise_is_rician(level: float) -> None:
    # One dark and one bright voxel give background and signal; the rest is what is looked at.
    volume = np.full((40, 40, 40), level, np.float32)
    volume[:2], volume[2:20] = 0, 100
    found, _ = perturb.noisy(volume, np.eye(4), share=0.1, seed=3)
    sigma = 0.1 * float(signal_of(volume)[1])
    assert_allclose(sigma, 10, rtol=0.5)
    # The mean of the square of a Rician magnitude is A² + 2σ² whatever A (Gudbjartsson 1995).
    part = found[20:].astype(np.float64)
    assert_allclose((part**2).mean(), level**2 + 2 * sigma**2, rtol=0.03)
    assert_array_equal(found, perturb.noisy(volume, np.eye(4), share=0.1, seed=3)[0])
    assert np.abs(found - perturb.noisy(volume, np.eye(4), share=0.1, seed=4)[0]).mean() > 1


def test_a_coil_is_a_cubic_of_the_promised_range() -> None:
    flat = np.full((16, 17, 18), 100, np.float32)
    flat[0, 0, 0] = 0
    field = (perturb.biased(flat, np.eye(4), share=0.4, seed=5)[0] / 100)[1:].astype(np.float64)
    assert field.min() >= 0.8 - 1e-5
    assert field.max() <= 1.2 + 1e-5
    assert np.ptp(field) > 0.2
    for axis in range(3):
        assert np.abs(np.diff(field, n=4, axis=axis)).max() < 1e-4
        assert np.abs(np.diff(field, axis=axis)).max() > 1e-3


def test_cropping_keeps_exactly_the_voxels_in_the_box() -> None:
    volume, low, high = texture(), (-5.0, -np.inf, -4.2), (6.1, 3.3, np.inf)
    found, affine = perturb.cropped(volume, LAS, low=low, high=high)
    world = to_world(LAS, np.moveaxis(np.indices(SHAPE), 0, -1))
    inside = ((world >= np.array(low)) & (world <= np.array(high))).all(-1)
    assert_array_equal(found.ravel(), volume[inside])
    assert_allclose(to_world(affine, np.zeros(3)), world[inside][0])


def test_padding_puts_darkness_round_a_scan_in_place() -> None:
    volume = texture()
    found, affine = perturb.padded(volume, OBLIQUE, before=(3, 0, 1), after=(0, 4, 2))
    assert_array_equal(found[3:, :22, 1:25], volume)
    assert found.sum(dtype=float) - volume.sum(dtype=float) == pytest.approx((found.size - volume.size) * volume.min(), rel=1e-5)
    assert_allclose(to_world(affine, np.array([3, 0, 1])), to_world(OBLIQUE, np.zeros(3)))


@given(st.floats(0.6, 1.5))
def test_the_radial_map_never_folds_and_joins_smoothly(factor: float) -> None:
    by = RadialMap((0.0, 0.0, 0.0), 12.0, 28.0, factor)
    radius = np.linspace(0, 40, 4001)
    source = by.source_radius(radius)
    slope = np.diff(source) / np.diff(radius)
    assert slope.min() > 0.5
    assert np.abs(np.diff(slope)).max() < 0.01
    assert_allclose(source[radius > 28], radius[radius > 28])
    inside = radius < 12 * factor ** (1 / 3)
    assert_allclose(source[inside] ** 3 * factor, radius[inside] ** 3, atol=1e-9)


@pytest.mark.parametrize("factor", [0.88, 0.97, 1.1])
@pytest.mark.parametrize("affine", [LAS, OBLIQUE], ids=["straight", "oblique"])
def test_a_label_mask_changes_its_volume_by_the_factor(factor: float, affine: np.ndarray) -> None:
    shape = (70, 60, 84)
    centre = to_world(affine, np.array([35.2, 29.7, 41.1]))
    offset = to_world(affine, np.moveaxis(np.indices(shape), 0, -1)) - centre
    # Two ellipsoids with soft edges, as posteriors have: no sphere round the centre of the map.
    sides = [np.linalg.norm((offset - [x, 1, -1]) / [3.5, 7, 5], axis=-1) for x in (-5, 5)]
    label = np.clip(2.5 - 2 * np.minimum(*sides), 0, 1).astype(np.float32)
    by = RadialMap((float(centre[0]), float(centre[1]), float(centre[2])), 12.0, 28.0, factor)
    after, _ = deformed(label, affine, by=by)
    assert after.sum() / label.sum() == pytest.approx(factor, rel=0.002)
    volume = texture(shape)
    moved, _ = deformed(volume, affine, by=by)
    far = np.linalg.norm(offset, axis=-1) >= by.rim
    assert_array_equal(moved[far], volume[far])
    assert np.abs(moved - volume)[~far].mean() > 0.1


def test_a_deformed_scan_against_a_lookup_of_every_voxel() -> None:
    volume = texture()
    by = RadialMap((1.0, 0.0, -1.0), 4.0, 9.0, 0.8)
    place = to_voxel(LAS, by.source(to_world(LAS, np.moveaxis(np.indices(SHAPE), 0, -1))))
    expected = ndimage.map_coordinates(volume.astype(np.float64), np.moveaxis(place, -1, 0), order=3, mode="nearest")
    # Splines see the whole row; the box sees it from two voxels beyond the rim on, where the lookup is close to the voxel itself.
    assert_allclose(deformed(volume, LAS, by=by)[0], expected, atol=1.0)
    assert np.abs(deformed(volume, LAS, by=by)[0] - expected).mean() < 0.01


def test_blur_adds_its_variance() -> None:
    affine = affine_of((1.0, 1.2, 0.8), (50, 42, 62))
    sharp = blob((50, 42, 62), affine, (0.0, 0.0, 0.0), 3.0)
    soft, _ = perturb.smoothed(sharp, affine, mm=5.0)
    assert_allclose(moments(soft, affine)[2], 3 * (3.0**2 + 5.0**2 / (8 * np.log(2))), rtol=0.01)
    assert_allclose(moments(soft, affine)[0], moments(sharp, affine)[0], rtol=1e-3)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_ringing_keeps_the_low_frequencies_of_a_full_transform(axis: int) -> None:
    volume = texture()
    n = SHAPE[axis]
    waves = np.exp(-2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n)
    frequency = np.abs(np.fft.fftfreq(n)) * 2
    keep = np.linalg.inv(waves) @ np.diag(frequency <= 0.4) @ waves
    expected = np.moveaxis(np.tensordot(keep, volume, axes=(1, axis)), 0, axis).real
    assert_allclose(perturb.ringing(volume, LAS, axis=axis, kept=0.4)[0], expected, atol=1e-3)


def test_motion_of_nothing_changes_nothing_and_motion_leaves_ghosts() -> None:
    volume = texture()
    assert_allclose(perturb.moved_during(volume, LAS, axis=1, mm=0.0, seed=0)[0], volume, atol=1e-3)
    bar = np.zeros((8, 64, 8), np.float32)
    bar[:, 30:34] = 100
    ghosts, _ = perturb.moved_during(bar, np.eye(4), axis=1, mm=4.0, seed=1)
    # Phases take no energy away; what left the bar lies beside it.
    assert_allclose((ghosts.astype(float) ** 2).sum(), (bar.astype(float) ** 2).sum(), rtol=1e-4)
    assert ghosts[:, :24].mean() > 0.5
    assert_allclose(ghosts, np.broadcast_to(ghosts[:1, :, :1], ghosts.shape), atol=1e-3)


def test_a_head_that_jumps_once_is_the_sum_of_two_filtered_heads() -> None:
    volume, seed = texture((4, 16, 4)), 7
    jumps = np.random.default_rng(seed).normal(0, 3.0, 2)
    jumps[1] = 0
    frequency = np.fft.fftfreq(16)
    expected = np.zeros(volume.shape, complex)
    for jump, lines in zip(jumps, (frequency < 0, frequency >= 0), strict=True):
        waves = np.exp(2j * np.pi * np.outer(np.arange(16), frequency[lines]))
        back = np.exp(-2j * np.pi * np.outer(frequency[lines], np.arange(16) + jump))
        expected += np.einsum("xk,ky,iyj->ixj", waves, back, volume) / 16
    found, _ = perturb.moved_during(volume, np.eye(4), axis=1, mm=3.0, seed=seed, states=2)
    assert_allclose(found, np.abs(expected), atol=1e-3)


def test_wrap_around_and_spikes() -> None:
    volume = texture()
    once, _ = perturb.folded(volume, LAS, axis=0, share=0.5)
    assert_allclose(once, [(volume[i] + volume[(i - 13) % 26]) / 2 for i in range(26)], rtol=1e-6)
    striped, _ = perturb.spiked(volume, LAS, share=0.5, cycles=(3, 0, 0))
    wave = 0.5 * float(signal_of(volume)[1]) * np.cos(2 * np.pi * 3 * np.arange(26) / 25)
    assert_allclose(striped - volume, np.broadcast_to(wave[:, None, None], SHAPE), atol=1e-3)


def test_dropout_takes_all_of_the_middle_and_nothing_far_away() -> None:
    volume = texture()
    centre = to_world(LAS, np.array([13, 11, 12]))
    found, _ = perturb.dropped_out(volume, LAS, centre=(float(centre[0]), float(centre[1]), float(centre[2])), mm=2.0, depth=1.0)
    distance = np.linalg.norm(to_world(LAS, np.moveaxis(np.indices(SHAPE), 0, -1)) - centre, axis=-1)
    left = (found - volume.min()) / np.maximum(volume - volume.min(), 1e-3)
    bright = volume > volume.min() + 20
    assert_allclose(left[bright], (1 - np.exp(-(distance**2) / 8))[bright], atol=1e-3)


def test_an_inverted_head_is_dark_where_it_was_bright_and_air_stays() -> None:
    volume = np.zeros((30, 30, 30), np.float32)
    volume[6:24, 6:24, 6:24] = 100
    volume[10:20, 10:20, 10:20] = 160
    found, _ = perturb.inverted(volume, np.eye(4))
    assert found[15, 15, 15] < found[8, 15, 15]
    assert_array_equal(found[0], 0)


def test_mixed_pieces_and_wrong_headers() -> None:
    volume = texture()
    mixed, _ = perturb.mirrored_slabs(volume, LAS, axis=1, across=0, mm=2.6)
    for j in range(22):
        assert_array_equal(mixed[:, j], volume[::-1, j] if j // 2 % 2 else volume[:, j])
    same, affine = perturb.rescaled_header(volume, OBLIQUE, factors=(1.0, 2.0, -1.0))
    assert_array_equal(same, volume)
    assert_allclose(voxel_sizes(affine), voxel_sizes(OBLIQUE) * [1, 2, 1])
    assert np.linalg.det(affine) == pytest.approx(-2 * np.linalg.det(OBLIQUE))


EVERY: dict[str, Callable[[np.ndarray, np.ndarray], perturb.Scan]] = {
    "noisy": lambda v, a: perturb.noisy(v, a, share=0.1, seed=0),
    "biased": lambda v, a: perturb.biased(v, a, share=0.4, seed=0),
    "powered": lambda v, a: perturb.powered(v, a, gamma=0.8),
    "inverted": perturb.inverted,
    "moved": lambda v, a: perturb.moved_during(v, a, axis=0, mm=2.0, seed=0),
    "ringing": lambda v, a: perturb.ringing(v, a, axis=2, kept=0.5),
    "spiked": lambda v, a: perturb.spiked(v, a, share=0.2, cycles=(2, 3, 1)),
    "dropped": lambda v, a: perturb.dropped_out(v, a, centre=(0.0, 0.0, 0.0), mm=5.0, depth=0.5),
    "upright": lambda v, a: perturb.upright(v, a, sizes=(1.0, 1.0, 1.0)),
}


@pytest.mark.parametrize("name", EVERY)
def test_every_change_is_repeatable_float32_and_leaves_its_input_alone(name: str) -> None:
    volume, affine = texture(), OBLIQUE.copy()
    affine.flags.writeable = False
    found, there = EVERY[name](volume, affine)
    again, _ = EVERY[name](volume, affine)
    assert found.dtype == np.float32
    assert there.dtype == np.float64
    assert np.isfinite(found).all()
    assert_array_equal(found, again)
    assert np.abs(np.resize(found, SHAPE) - volume).max() > 0.1
