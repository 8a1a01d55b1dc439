"""`hypojax.volumes` against analytic phantoms and what must never change a volume."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from affines import ORIENTATIONS, affine_of, reorder, rotation
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from hypojax.execute.measured import measure_scan
from hypojax.grid import Grid, centred_grid, model_directions, to_world, voxel_sizes, voxel_volume, within_field_of_view
from hypojax.phantom import Phantom, intracranial_coverage, render, subunit_coverage
from hypojax.preprocessing.background import NOISE_OUTSIDE, largest_component
from hypojax.preprocessing.intensity import Statistics
from hypojax.reason import HypojaxError, Reason
from hypojax.schema import BOX_SHAPE, BOX_SPACING, HEAD_SHAPE, HEAD_SPACING, LABELS, PARTS, REGIONS, TABLE
from hypojax.segmenter.segmenter import Segmentation
from hypojax.volumes import FLAGS, Measurement, measure
from hypojax.volumes.measure import CORRELATED_VOXELS, CUT_OFF, SCALP_SIGNAL
from hypojax.volumes.quality import cut_off_share, noise
from hypojax.volumes.structure import (
    CORNERS,
    FACES,
    clean_hypothalamus,
    clean_intracranial,
    fill_holes,
    support,
)

SOFT_TOLERANCE = 0.005
"""Relative error of a soft volume: posteriors are coverages in steps of 1/255 and of the phantom's own 64 points a voxel."""

SUBUNIT_TOLERANCE = 0.03
"""The same for a subunit of 60 to 110 mm³, whose faces the phantom places to a 64th of a voxel."""

SCORED = {"low_quality_hypothalamus", "low_quality_icv"}
"""A phantom's ellipsoids are no hypothalamus that a network would draw: what the score says of them means nothing."""

TIES = 1e-5
"""Share of voxels whose label rounding may decide, because their posteriors stand at one half exactly."""

HEAD = Phantom(rotation=(5.0, 3.0, 4.0), centre=(1.0, -2.0, 3.0), left=0.95, noise=15.0, bias=0.1)


@dataclass(frozen=True)
class Scene:
    """A rendered phantom with perfect posteriors."""

    volume: np.ndarray
    affine: np.ndarray
    head_grid: Grid
    intracranial: np.ndarray
    box_grid: Grid
    subunits: np.ndarray

    def measured(self, **other: object) -> Measurement:
        """Measure it, with some inputs replaced."""
        inputs = {name: getattr(self, name) for name in ("head_grid", "intracranial", "box_grid", "subunits")}
        return measure(self.volume, self.affine, **(inputs | other))


def scene(
    phantom: Phantom = HEAD,
    *,
    sizes: tuple[float, ...] = (2.0, 2.0, 2.0),
    shape: tuple[int, int, int] = (90, 108, 88),
    turn: np.ndarray | None = None,
) -> Scene:
    """A phantom on a grid and its coverages as posteriors, as a network would place them."""
    affine = affine_of(sizes, shape, turn)
    axes, middle = model_directions(affine), np.array(phantom.centre)
    head = centred_grid(axes, shape=HEAD_SHAPE, spacing=HEAD_SPACING, centre=middle)
    box = centred_grid(axes, shape=BOX_SHAPE, spacing=BOX_SPACING, centre=middle + np.array([0.3, 5.0, -20.0]))
    covered = intracranial_coverage(phantom, shape=head.shape, affine=head.affine)
    parts = subunit_coverage(phantom, shape=box.shape, affine=box.affine)
    return Scene(render(phantom, shape=shape, affine=affine), affine, head, quantised(covered), box, quantised(parts))


def quantised(posterior: np.ndarray) -> np.ndarray:
    """Posterior × 255 as the networks give it."""
    return np.round(posterior * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def plain() -> Scene:
    """A head in 2 mm voxels."""
    return scene()


@pytest.mark.parametrize(
    ("sizes", "shape", "turn"),
    [
        ((1.0, 1.2, 1.4), (180, 180, 126), None),
        ((1.4, 1.0, 1.0), (126, 212, 176), rotation(0, 15)),
        ((1.3, 1.3, 1.3), (140, 166, 136), rotation(0, 35)),
        ((1.0, 1.0, 6.0), (180, 216, 30), None),
    ],
    ids=["anisotropic", "tilted", "oblique", "thick slices"],
)
def test_volumes_are_the_analytic_ones(sizes: tuple[float, ...], shape: tuple[int, int, int], turn: np.ndarray | None) -> None:
    measured = scene(sizes=sizes, shape=shape, turn=turn).measured()
    assert tuple(measured.volumes) == REGIONS
    for region, exact in HEAD.volumes.items():
        found = measured.volumes[region]
        assert_allclose(found.volume_mm3, exact, rtol=SUBUNIT_TOLERANCE if region in LABELS.values() else SOFT_TOLERANCE, err_msg=region)
        assert found.missing_reason == ""
        # As many voxels are drawn as the soft volume amounts to, up to one; of wholes up to half of one.
        most = 0.5 if region in ("icv", "hypothalamus") else 1.0
        assert abs(found.volume_hard_mm3 - found.volume_mm3) <= most * np.prod(sizes) + 1e-3
    assert ("thick_voxels" in measured.flags) == (max(sizes) > 2)
    assert set(measured.flags) <= {"thick_voxels", "low_contrast", *SCORED}


def test_wholes_are_sums_of_their_parts(plain: Scene) -> None:
    volumes = plain.measured().volumes
    for whole, values in PARTS.items():
        parts = [volumes[LABELS[value]] for value in values]
        assert_allclose(volumes[whole].volume_mm3, sum(part.volume_mm3 for part in parts), rtol=1e-6)
        assert volumes[whole].volume_hard_mm3 == sum(part.volume_hard_mm3 for part in parts)


def test_hard_volumes_are_what_anybody_counts_in_the_label_maps(plain: Scene) -> None:
    measured = plain.measured()
    assert measured.hypothalamus.shape == measured.intracranial.shape == plain.volume.shape
    assert set(np.unique(measured.intracranial)) == {0, 1}
    assert measured.volumes["icv"].volume_hard_mm3 == measured.intracranial.sum() * 8.0
    for value, region in LABELS.items():
        assert measured.volumes[region].volume_hard_mm3 == (measured.hypothalamus == value).sum() * 8.0


def test_quality_is_that_of_the_schema_and_finite(plain: Scene) -> None:
    quality = plain.measured().quality
    declared = {v.name for v in TABLE if v.name.startswith("quality_") and v.dims == ("scan",)} | {"extracranial_signal", "icv_cut_off"}
    assert "brain_mask_mm3" not in quality, "whole heads have an intracranial volume"
    assert set(quality) == declared
    assert np.isfinite(list(quality.values())).all()
    left, right = HEAD.volumes["hypothalamus_left"], HEAD.volumes["hypothalamus_right"]
    assert_allclose(quality["quality_asymmetry"], (left - right) / (left + right), atol=0.005)
    assert 0.5 <= quality["quality_certainty"] <= 1
    assert quality["icv_cut_off"] == 0


@pytest.mark.parametrize("turn", [None, rotation(1, 30)], ids=["straight", "oblique"])
def test_any_axis_order_gives_the_same_maps_and_numbers(turn: np.ndarray | None) -> None:
    """All six orders, and all eight flips: a third of the 48 pairs of them."""
    base = scene(sizes=(3.0, 2.5, 2.0), shape=(60, 86, 86), turn=turn)
    expected = base.measured()
    for order, flips in ORIENTATIONS[:: 3 if turn is None else 6]:
        stored, turned = reorder(base.volume, base.affine, order, flips)
        found = measure(
            stored, turned, head_grid=base.head_grid, intracranial=base.intracranial, box_grid=base.box_grid, subunits=base.subunits
        )
        for ours, theirs in ((found.hypothalamus, expected.hypothalamus), (found.intracranial, expected.intracranial)):
            back, _ = reorder(theirs, base.affine, order, flips)
            assert (ours != back).mean() < TIES
        assert found.flags == expected.flags
        for region, volume in expected.volumes.items():
            assert_allclose(found.volumes[region].volume_mm3, volume.volume_mm3, rtol=1e-9)
        assert_allclose(list(found.quality.values()), list(expected.quality.values()), atol=2e-3)


@given(shift=st.tuples(*[st.floats(-300, 300)] * 3))
@settings(max_examples=10, deadline=None)
def test_moving_the_world_moves_nothing(plain: Scene, shift: tuple[float, ...]) -> None:
    def moved(affine: np.ndarray) -> np.ndarray:
        result = affine.copy()
        result[:3, 3] += shift
        return result

    heads, boxes = (Grid(grid.shape, moved(grid.affine)) for grid in (plain.head_grid, plain.box_grid))
    found = measure(
        plain.volume, moved(plain.affine), head_grid=heads, intracranial=plain.intracranial, box_grid=boxes, subunits=plain.subunits
    )
    expected = plain.measured()
    assert (found.hypothalamus != expected.hypothalamus).sum() <= 2
    assert (found.intracranial != expected.intracranial).mean() < TIES
    for region, volume in expected.volumes.items():
        assert_allclose(found.volumes[region].volume_mm3, volume.volume_mm3, rtol=1e-9)


def test_probability_far_away_adds_nothing(plain: Scene) -> None:
    expected = plain.measured()
    haze, other_piece = plain.subunits.copy(), plain.intracranial.copy()
    far = (slice(0, 6), slice(None), slice(None))
    haze[(slice(None), *far)] = 12
    haze[3, 0:3, 0:3, 0:3] = 255
    other_piece[:6, :6, :6] = 255
    found = plain.measured(subunits=haze, intracranial=other_piece)
    assert_array_equal(found.hypothalamus, expected.hypothalamus)
    assert_array_equal(found.intracranial, expected.intracranial)
    assert found.volumes == expected.volumes


def test_holes_are_filled(plain: Scene) -> None:
    holed = plain.intracranial.copy()
    holed[50:55, 50:55, 45:50] = 0
    expected, found = plain.measured(), plain.measured(intracranial=holed)
    assert_array_equal(found.intracranial, expected.intracranial)
    assert_allclose(found.volumes["icv"].volume_mm3, expected.volumes["icv"].volume_mm3, rtol=1e-6)


def test_uncertainty_is_that_of_correlated_draws(plain: Scene) -> None:
    inside = within_field_of_view(plain.box_grid, plain.volume.shape, plain.affine)
    posterior = clean_hypothalamus(plain.subunits, plain.box_grid, inside)[7].astype(np.float64)
    expected = np.sqrt(CORRELATED_VOXELS * (posterior * (1 - posterior)).sum())
    assert_allclose(plain.measured().volumes["right_posterior"].uncertainty_mm3, expected, rtol=1e-5)


def test_what_views_disagree_by_joins_the_uncertainty(plain: Scene) -> None:
    """By the root of the sum of squares; subunits that differ in opposite ways leave the whole as sure as it was."""
    sure = plain.measured().volumes
    views = np.full((2, 10), 80.0, np.float32)
    views[1, :2] += 8.0, -8.0
    doubtful = plain.measured(views=views).volumes
    first, second = (LABELS[value] for value in (1, 2))
    for region in (first, second):
        assert doubtful[region].uncertainty_mm3 == pytest.approx(np.hypot(sure[region].uncertainty_mm3, 8 / np.sqrt(2)))
    assert doubtful["hypothalamus"].uncertainty_mm3 == pytest.approx(sure["hypothalamus"].uncertainty_mm3)


def test_a_removed_skull_takes_the_intracranial_volume_only() -> None:
    stripped = scene(Phantom(skull_stripped=True, noise=15.0))
    measured = stripped.measured()
    kept = np.count_nonzero(stripped.volume != stripped.volume[0, 0, 0]) * voxel_volume(stripped.affine)
    assert measured.quality["brain_mask_mm3"] == kept
    assert measured.volumes["icv"].missing_reason == Reason.SKULL_STRIPPED
    assert np.isnan(measured.volumes["icv"].volume_mm3)
    assert measured.quality["extracranial_signal"] < SCALP_SIGNAL / 3
    assert set(measured.flags) - SCORED == {"skull_stripped"}
    assert measured.volumes["hypothalamus"].missing_reason == ""


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (0.01, 0.0), (1.0, -1000.0), (3.0, 500.0)])
@pytest.mark.parametrize("skull_stripped", [True, False])
def test_the_scalp_is_seen_whatever_gain_and_offset(plain: Scene, gain: float, offset: float, skull_stripped: bool) -> None:
    volume = render(Phantom(skull_stripped=skull_stripped, noise=15.0), shape=plain.volume.shape, affine=plain.affine)
    found = measure(
        volume * np.float32(gain) + np.float32(offset),
        plain.affine,
        head_grid=plain.head_grid,
        intracranial=plain.intracranial,
        box_grid=plain.box_grid,
        subunits=plain.subunits,
    )
    assert ("skull_stripped" in found.flags) == skull_stripped


def test_a_stripped_scan_whose_background_is_not_the_darkest_value() -> None:
    stripped = scene(Phantom(skull_stripped=True, noise=15.0))
    centred = np.where(stripped.volume > 0, stripped.volume - 800, 0).astype(np.float32)
    found = measure(
        centred,
        stripped.affine,
        head_grid=stripped.head_grid,
        intracranial=stripped.intracranial,
        box_grid=stripped.box_grid,
        subunits=stripped.subunits,
    )
    assert "skull_stripped" in found.flags


@pytest.mark.parametrize(("slices", "missing"), [(0, False), (1, False), (12, True), (30, True)])
def test_a_field_of_view_that_cuts_the_head(slices: int, missing: bool) -> None:
    whole = scene()
    top = 78 - slices
    cut = measure(
        whole.volume[:, :, :top],
        whole.affine,
        head_grid=whole.head_grid,
        intracranial=whole.intracranial,
        box_grid=whole.box_grid,
        subunits=whole.subunits,
    )
    assert (cut.volumes["icv"].missing_reason == Reason.CUT_OFF) == missing
    assert ("icv_cut_off" in cut.flags) == missing == (cut.quality["icv_cut_off"] > CUT_OFF)
    assert cut.volumes["hypothalamus"].missing_reason == ""
    if not missing:
        assert_allclose(cut.volumes["icv"].volume_mm3, HEAD.volumes["icv"], rtol=0.01)


def test_a_field_of_view_that_cuts_the_hypothalamus() -> None:
    whole = scene()
    cut = measure(
        whole.volume[:, 56:],
        _shifted(whole.affine, 56),
        head_grid=whole.head_grid,
        intracranial=whole.intracranial,
        box_grid=whole.box_grid,
        subunits=whole.subunits,
    )
    assert all(cut.volumes[region].missing_reason == Reason.CUT_OFF for region in PARTS)
    assert "hypothalamus_cut_off" in cut.flags


def _shifted(affine: np.ndarray, steps: int) -> np.ndarray:
    """Affine of a volume whose first ``steps`` voxels along the second axis were cut off."""
    result = affine.copy()
    result[:3, 3] += steps * affine[:3, 1]
    return result


def test_one_side_alone_is_no_whole(plain: Scene) -> None:
    right_only = plain.subunits.copy()
    right_only[:5] = 0
    right_only[2, 20, 20, 20] = 255  # one voxel is no side
    volumes = plain.measured(subunits=right_only).volumes
    assert volumes["hypothalamus_right"].missing_reason == ""
    assert volumes["hypothalamus"].missing_reason == volumes["left_posterior"].missing_reason == Reason.NO_HYPOTHALAMUS
    assert "one_side" in plain.measured(subunits=right_only).flags


@pytest.mark.parametrize("specks", [0, 3])
@pytest.mark.parametrize(("lost", "reason"), [("intracranial", Reason.NO_BRAIN), ("subunits", Reason.NO_HYPOTHALAMUS)])
def test_nothing_found_is_a_typed_error(plain: Scene, lost: str, reason: Reason, specks: int) -> None:
    posterior = np.full_like(getattr(plain, lost), 12)
    posterior[..., 20, 20, 20 : 20 + specks] = 255
    with pytest.raises(HypojaxError, match=r"only .* look") as caught:
        plain.measured(**{lost: posterior})
    assert caught.value.reason == reason


def test_flags_are_raised_by_what_they_name(plain: Scene) -> None:
    lopsided = scene(Phantom(left=0.7)).measured()
    assert "asymmetric" in lopsided.flags
    assert "uncertain" in plain.measured(subunits=(plain.subunits * 0.55).astype(np.uint8)).flags
    assert "unusual_hypothalamus" in scene(Phantom(left=0.5, right=0.5)).measured().flags
    assert "unusual_icv" in scene(Phantom(head=0.75)).measured().flags
    noisy = plain.volume + np.random.default_rng(0).normal(0, 600, plain.volume.shape).astype(np.float32)
    assert (
        "noisy"
        in Scene(noisy, *(getattr(plain, name) for name in ("affine", "head_grid", "intracranial", "box_grid", "subunits")))
        .measured()
        .flags
    )
    assert set(lopsided.flags) <= set(FLAGS)
    cut = np.minimum(plain.volume, np.percentile(plain.volume[plain.volume > plain.volume.mean()], 90))
    raised = [replace(plain, volume=volume).measured().flags for volume in (plain.volume, cut)]
    assert ["saturated" in flags for flags in raised] == [False, True]


@given(mask=st.integers(0, 2**27 - 1))
@settings(deadline=None)
def test_components_and_holes_of_small_masks(mask: int) -> None:
    voxels = np.array([mask >> bit & 1 for bit in range(27)], bool).reshape(3, 3, 3)
    faces, corners = largest_component(voxels, FACES), largest_component(voxels, CORNERS)
    assert faces.sum() <= corners.sum() <= voxels.sum()
    assert (fill_holes(voxels) >= voxels).all()
    # Only the middle of a 3 x 3 x 3 volume can be enclosed.
    enclosed = voxels.copy()
    enclosed[1, 1, 1] |= all(voxels[side] for side in ((0, 1, 1), (2, 1, 1), (1, 0, 1), (1, 2, 1), (1, 1, 0), (1, 1, 2)))
    assert_array_equal(fill_holes(voxels), enclosed)


def test_support_against_distances() -> None:
    mask = np.random.default_rng(0).random((12, 13, 14)) > 0.995
    grid = Grid(mask.shape, affine_of((1.0, 0.8, 1.3), mask.shape))
    places = to_world(grid.affine, np.argwhere(np.ones(mask.shape, bool)))
    nearest = np.sqrt(((places[:, None] - to_world(grid.affine, np.argwhere(mask))) ** 2).sum(-1)).min(axis=1)
    assert_array_equal(support(mask, grid), (nearest <= 2.0 + 1e-6).reshape(mask.shape))


def test_cut_off_share_of_a_cube() -> None:
    cube = np.zeros((6, 6, 6), bool)
    cube[:2, 2:4, 2:4] = True
    assert_allclose(cut_off_share(cube, np.ones_like(cube)), 4 / 24)
    assert cut_off_share(np.zeros_like(cube), np.ones_like(cube)) == 0


@pytest.mark.parametrize("shape", [(40, 40, 40), (60, 60, 2), (1, 80, 80)])
def test_noise_of_known_noise_on_a_slope(shape: tuple[int, ...]) -> None:
    slope = np.indices(shape).sum(axis=0) * 3.0
    voxels = (slope + np.random.default_rng(0).normal(0, 7, shape)).astype(np.float32)
    assert_allclose(noise(voxels), 7, rtol=0.05)


def test_nothing_is_changed_in_place(plain: Scene) -> None:
    before = [array.copy() for array in (plain.volume, plain.affine, plain.intracranial, plain.subunits)]
    plain.measured()
    for array, copy in zip((plain.volume, plain.affine, plain.intracranial, plain.subunits), before, strict=True):
        assert_array_equal(array, copy)


def test_cleaning_an_intracranial_posterior_keeps_its_rim(plain: Scene) -> None:
    cleaned = clean_intracranial(plain.intracranial, plain.head_grid, np.ones(plain.head_grid.shape, bool))
    assert_allclose(cleaned.sum(dtype=np.float64) * voxel_volume(plain.head_grid.affine), HEAD.volumes["icv"], rtol=SOFT_TOLERANCE)


UNTOUCHED = 0.9999
"""Share of a massive head that must stay: the coarse grid may round off a corner voxel here and there."""


def ball(grid: Grid, centre: tuple[float, float, float], radius: float) -> np.ndarray:
    """Voxels of a grid within a ball (mm, in grid axes from its first corner)."""
    place = np.moveaxis(np.indices(grid.shape), 0, -1) * voxel_sizes(grid.affine)
    return ((place - centre) ** 2).sum(-1) <= radius**2


def cleaned(mask: np.ndarray, grid: Grid) -> np.ndarray:
    """Where a sure mask of a head is taken for intracranial."""
    return clean_intracranial(np.where(mask, np.uint8(255), np.uint8(0)), grid, np.ones(grid.shape, bool)) > 0.5


@pytest.mark.parametrize("spacing", [1.0, 2.0, 3.0])
@pytest.mark.parametrize(("bridge", "stays"), [(0.0, False), (5.0, False), (13.0, True)])
def test_what_hangs_on_a_head_by_a_narrow_bridge_falls_off(spacing: float, bridge: float, stays: bool) -> None:
    side = round(180 / spacing)
    grid = centred_grid(np.eye(3), shape=(side, side, side), spacing=spacing, centre=np.zeros(3))
    head, tongue = ball(grid, (70, 90, 90), 50), ball(grid, (150, 90, 90), 24)
    place = np.moveaxis(np.indices(grid.shape), 0, -1) * spacing
    tube = (np.abs(place[..., 1:] - 90) <= bridge).all(-1) & (place[..., 0] > 70) & (place[..., 0] < 150) & (bridge > 0)
    kept = cleaned(head | tube | tongue, grid)
    assert kept[head].mean() > UNTOUCHED
    far = tongue & ball(grid, (160, 90, 90), 10)
    assert kept[far].all() == kept[far].any() == stays


def test_a_mask_with_nothing_massive_is_left_alone() -> None:
    grid = centred_grid(np.eye(3), shape=(20, 20, 20), spacing=2.0, centre=np.zeros(3))
    sheet = np.zeros(grid.shape, bool)
    sheet[9:11] = True
    np.testing.assert_array_equal(cleaned(sheet, grid), sheet)


def places(shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """World position of every voxel, mm."""
    return to_world(affine, np.moveaxis(np.indices(shape), 0, -1))


def blanked(scene: Scene, axis: int, limit: float, *, sign: int) -> Measurement:
    """Measure a scene that is 0 on one side of a plane (world, mm), and whose intracranial posterior ends there."""
    blank, gone = (
        sign * (places(shape, affine)[..., axis] - limit) > 0
        for shape, affine in ((scene.volume.shape, scene.affine), (scene.head_grid.shape, scene.head_grid.affine))
    )
    cut = replace(scene, volume=np.where(blank, np.float32(0), scene.volume))
    return cut.measured(intracranial=np.where(gone, np.uint8(0), scene.intracranial))


@pytest.mark.parametrize(("axis", "limit", "sign"), [(0, 35.0, 1), (0, -35.0, -1), (1, -40.0, -1), (1, 45.0, 1), (2, 45.0, 1)])
def test_a_head_of_which_a_part_is_blank_has_no_intracranial_volume(plain: Scene, axis: int, limit: float, sign: int) -> None:
    whole, found = plain.measured(), blanked(plain, axis, limit, sign=sign)
    assert found.volumes["icv"].missing_reason == Reason.PARTLY_BLANK
    assert "partly_blank" in found.flags
    assert found.volumes["hypothalamus"] == whole.volumes["hypothalamus"]


def test_a_removed_face_takes_nothing_away(plain: Scene) -> None:
    place = places(plain.volume.shape, plain.affine)
    face = (place[..., 1] > 60) & (place[..., 2] < -30)
    found = replace(plain, volume=np.where(face, np.float32(0), plain.volume)).measured()
    assert found.volumes["icv"].missing_reason == ""
    assert "partly_blank" not in found.flags


@pytest.mark.parametrize("axis", range(3))
def test_blank_slices_within_a_head_take_its_volume_away(plain: Scene, axis: int) -> None:
    volume = plain.volume.copy()
    middle = volume.shape[axis] // 2 + 12
    np.moveaxis(volume, axis, 0)[middle : middle + 3] = 0
    found = replace(plain, volume=volume).measured()
    assert found.volumes["icv"].missing_reason == Reason.PARTLY_BLANK


def test_blank_slices_are_the_reason_also_where_the_mask_runs_to_the_border(plain: Scene) -> None:
    volume = plain.volume.copy()
    middle = volume.shape[2] // 2 + 12
    volume[:, :, middle : middle + 3] = 0
    found = replace(plain, volume=volume).measured(intracranial=np.full_like(plain.intracranial, 255))
    assert found.quality["icv_cut_off"] > CUT_OFF
    assert found.volumes["icv"].missing_reason == Reason.PARTLY_BLANK


def test_a_part_of_a_head_that_holds_noise_takes_its_volume_away(plain: Scene) -> None:
    place, random = places(plain.volume.shape, plain.affine), np.random.default_rng(0)
    noise = random.uniform(0, plain.volume.max(), plain.volume.shape)
    part = (place[..., 0] > 0) & (place[..., 2] > 0)
    found = replace(plain, volume=np.where(part, noise, plain.volume).astype(np.float32)).measured()
    assert found.volumes["icv"].missing_reason == Reason.PARTLY_BLANK
    everywhere = plain.volume + random.normal(0, 0.2 * plain.volume.max(), plain.volume.shape)
    assert not replace(plain, volume=everywhere.astype(np.float32)).measured().volumes["icv"].missing_reason


def test_a_small_hole_beside_the_hypothalamus_takes_its_volume_away() -> None:
    scan = scene(sizes=(1.0, 1.0, 1.0), shape=(180, 216, 176))
    labels = scan.measured().hypothalamus > 0
    centre = np.argwhere(labels)[0]
    hole = np.linalg.norm(np.moveaxis(np.indices(labels.shape), 0, -1) - centre, axis=-1) < 4
    found = replace(scan, volume=np.where(hole, scan.volume.min(), scan.volume)).measured()
    assert {found.volumes[region].missing_reason for region in PARTS} == {Reason.PARTLY_BLANK}


HEAD_IMAGE, BOX_IMAGE = np.zeros(HEAD_SHAPE, np.float32), np.zeros(BOX_SHAPE, np.float32)
"""What a network saw, where that does not matter."""


def test_a_few_missing_voxels_in_the_hypothalamus_take_its_volumes_away_and_many_elsewhere_nothing() -> None:
    scan = scene(sizes=(1.0, 1.0, 1.0), shape=(180, 216, 176))
    few, many = np.zeros(scan.volume.shape, bool), np.zeros(scan.volume.shape, bool)
    few[tuple(np.argwhere(scan.measured().hypothalamus)[::40].T)] = True
    many[:40] = True
    for missing, reason in ((few, Reason.NONFINITE_VOXELS), (many, Reason.NONE)):
        volume = np.where(missing, scan.volume.min() - 1, scan.volume)
        views, statistics = np.ones((1, 10), np.float32), Statistics(0.0, 0.0, 0.0, 1.0)
        segmentation = Segmentation(
            scan.head_grid, scan.intracranial, scan.box_grid, scan.subunits, statistics, 1.0, views, HEAD_IMAGE, BOX_IMAGE
        )
        found = measure_scan(volume, scan.affine, segmentation, nonfinite=int(missing.sum()))
        assert {found.volumes[region].missing_reason for region in PARTS} == {reason}
        assert ("nonfinite_near_hypothalamus" in found.flags) == bool(reason)


def test_noise_outside_the_head_is_the_reason_where_the_mask_runs_into_it(plain: Scene) -> None:
    views, everything = np.ones((1, 10), np.float32), np.full_like(plain.intracranial, 255)
    segmentation = Segmentation(
        plain.head_grid,
        everything,
        plain.box_grid,
        plain.subunits,
        Statistics(0.0, 0.0, 0.0, 1.0),
        1.0,
        views,
        HEAD_IMAGE,
        BOX_IMAGE,
        flags=(NOISE_OUTSIDE,),
    )
    found = measure_scan(plain.volume, plain.affine, segmentation)
    assert found.volumes["icv"].missing_reason == Reason.NOISE_OUTSIDE_HEAD
    assert NOISE_OUTSIDE in found.flags
    assert "icv_cut_off" not in found.flags


@pytest.mark.parametrize("place", [(0.0, -95.0, -20.0), (75.0, 0.0, 20.0)])
def test_a_void_at_the_surface_of_a_head_takes_its_volume_away(plain: Scene, place: tuple[float, float, float]) -> None:
    near, coarse = (
        np.linalg.norm(places(shape, affine) - place, axis=-1)
        for shape, affine in ((plain.volume.shape, plain.affine), (plain.head_grid.shape, plain.head_grid.affine))
    )
    bright = np.where(near < 49, plain.volume.max(), plain.volume)
    void = replace(plain, volume=np.where(near < 45, plain.volume.min(), bright))
    assert void.measured(intracranial=np.where(coarse < 45, np.uint8(0), plain.intracranial)).volumes["icv"].missing_reason


def test_a_blank_hypothalamus_is_missing(plain: Scene) -> None:
    place = places(plain.volume.shape, plain.affine)
    hole = np.linalg.norm(place - plain.box_grid.centre, axis=-1) < 15
    found = replace(plain, volume=np.where(hole, plain.volume.min(), plain.volume)).measured()
    assert {found.volumes[region].missing_reason for region in PARTS} == {Reason.PARTLY_BLANK}
    assert "blank_near_hypothalamus" in found.flags
