"""`hypojax.volumes.contrast`: scans painted where the model looks, in contrasts that are T1-weighted and others, in any pose."""

from functools import cache

import numpy as np
import pytest
from affines import affine_of, rotation
from scipy.spatial import cKDTree

from hypojax.execute import measured
from hypojax.execute.measured import measure_scan
from hypojax.grid import Grid, centred_grid, model_directions, to_world
from hypojax.phantom import Phantom, intracranial_coverage, render, subunit_coverage
from hypojax.preprocessing.intensity import Statistics
from hypojax.reason import HypojaxError, Reason
from hypojax.schema import BOX_SHAPE, BOX_SPACING, HEAD_SHAPE, HEAD_SPACING
from hypojax.segmenter.pose import PoseFound, pose_of
from hypojax.segmenter.segmenter import Segmentation
from hypojax.volumes.contrast import released_t1w_model, t1w_probability
from hypojax.volumes.flags import LEAST_T1W, LOWEST_T1W

TISSUES = ("fluid", "grey", "cortex", "white", "bone")
T1W = {"fluid": 0.25, "grey": 0.65, "cortex": 0.65, "white": 1.0, "bone": 0.1}
OTHERS = {
    "T2": {"fluid": 1.0, "grey": 0.6, "cortex": 0.6, "white": 0.4, "bone": 0.05},
    "FLAIR": {"fluid": 0.2, "grey": 0.9, "cortex": 0.9, "white": 0.7, "bone": 0.05},
    "PD": {"fluid": 0.9, "grey": 1.0, "cortex": 1.0, "white": 0.8, "bone": 0.05},
    "CT": {"fluid": 0.4, "grey": 0.47, "cortex": 0.47, "white": 0.44, "bone": 1.0},
    "one tissue": {"fluid": 0.8, "grey": 0.8, "cortex": 0.8, "white": 0.8, "bone": 0.8},
}
SHAPE = (64, 78, 64)
SAME = np.eye(4)
UPRIGHT = affine_of((3.0, 3.0, 3.0), SHAPE)


def painted(levels: dict[str, float], turn: float = 0.0) -> np.ndarray:
    """A scan that has, near every place of the model, the brightness of its tissue; air elsewhere. The head is turned by so much."""
    nearest, away = nearest_tissue(turn)
    level = np.array([levels[tissue] for tissue in TISSUES])[nearest]
    noise = np.random.default_rng(0).normal(0, 0.02, SHAPE)
    return (1000 * np.where(away < 12, level + noise, np.abs(noise))).astype(np.float32)


@cache
def nearest_tissue(turn: float) -> tuple[np.ndarray, np.ndarray]:
    """Number of the tissue that the nearest place of the model has, and how far it is, mm, for every voxel."""
    places = released_t1w_model().places
    tissue = np.concatenate([np.full(len(places[name]), number) for number, name in enumerate(TISSUES)])
    world = to_world(turned(turn), to_world(UPRIGHT, np.moveaxis(np.indices(SHAPE), 0, -1)))
    away, nearest = cKDTree(np.concatenate([places[name] for name in TISSUES])).query(world)
    return tissue[nearest], away


def turned(degrees: float) -> np.ndarray:
    """From the scan's world to the template."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(0, degrees)
    return matrix


def probability(volume: np.ndarray, *, affine: np.ndarray = UPRIGHT, to_template: np.ndarray | None = SAME) -> float:
    """Of a scan in which a ball was taken for the cranium."""
    grid = centred_grid(model_directions(affine), shape=(40, 48, 40), spacing=5.0, centre=np.zeros(3))
    ball = np.linalg.norm(to_world(grid.affine, np.moveaxis(np.indices(grid.shape), 0, -1)), axis=-1) < 70
    return t1w_probability(
        volume, affine, grid=grid, intracranial=(255 * ball).astype(np.uint8), located=0.9, to_template=to_template, residual_mm=2.8
    )


def test_t1w_is_told_from_other_contrasts_whatever_gain_and_offset() -> None:
    t1w = probability(painted(T1W))
    assert t1w > 0.9
    assert probability(3 * painted(T1W) - 500) == pytest.approx(t1w, abs=1e-3)
    for name, levels in OTHERS.items():
        assert probability(painted(levels)) < (LEAST_T1W if name in ("T2", "FLAIR", "PD") else LOWEST_T1W), name
    assert probability(-painted(T1W)) < LEAST_T1W


def test_a_turned_head_is_looked_at_in_its_pose() -> None:
    for levels in (T1W, OTHERS["FLAIR"]):
        assert probability(painted(levels, 35.0), to_template=turned(35.0)) == pytest.approx(probability(painted(levels)), abs=0.05)


def test_what_lies_outside_the_field_of_view_does_not_count() -> None:
    """A third of the head, and less than any tissue needs."""
    whole = painted(T1W)
    lower = UPRIGHT @ np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 25], [0, 0, 0, 1]])
    assert probability(whole[:, :, 25:], affine=lower) > LOWEST_T1W
    assert 0 < probability(whole[:6, :6, :6]) < 1


def test_a_probability_is_rounded_before_it_is_compared_and_missing_without_a_cranium() -> None:
    found = probability(painted(T1W) + 200 * (np.indices(SHAPE)[0] > 40).astype(np.float32))
    assert found == round(found, 3)
    grid = Grid((4, 4, 4), np.eye(4))
    nothing = np.zeros(grid.shape, np.uint8)
    values = t1w_probability(painted(T1W), UPRIGHT, grid=grid, intracranial=nothing, located=0.0, to_template=None, residual_mm=9.0)
    assert np.isnan(values)


def segmented(*, pose: PoseFound | None) -> tuple[np.ndarray, np.ndarray, Segmentation]:
    """A phantom and perfect posteriors, with or without what the network says of the template."""
    phantom, shape = Phantom(noise=15.0), (45, 54, 44)
    affine = affine_of((4.0, 4.0, 4.0), shape)
    axes = model_directions(affine)
    head = centred_grid(axes, shape=HEAD_SHAPE, spacing=HEAD_SPACING, centre=np.zeros(3))
    box = centred_grid(axes, shape=BOX_SHAPE, spacing=BOX_SPACING, centre=np.array([0.0, 5.0, -20.0]))
    covered = np.round(255 * intracranial_coverage(phantom, shape=head.shape, affine=head.affine)).astype(np.uint8)
    parts = np.round(255 * subunit_coverage(phantom, shape=box.shape, affine=box.affine)).astype(np.uint8)
    views = np.tile(parts.sum(axis=(1, 2, 3), dtype=np.float32) / np.float32(255), (2, 1))
    seen = np.zeros(head.shape, np.float32), np.zeros(box.shape, np.float32)
    found = Segmentation(head, covered, box, parts, Statistics(0.0, 1.0, 0.0, 0.0), 0.9, views, *seen, pose=pose)
    return render(phantom, shape=shape, affine=affine), affine, found


@pytest.mark.parametrize(("probability", "flagged"), [(0.049, None), (0.05, True), (0.499, True), (0.5, False)])
def test_a_scan_is_refused_flagged_or_measured(monkeypatch: pytest.MonkeyPatch, probability: float, flagged: bool | None) -> None:
    monkeypatch.setattr(measured, "t1w_probability", lambda *_, **__: probability)
    scan = segmented(pose=PoseFound(pose_of(np.eye(4)), 2.5))
    if flagged is None:
        with pytest.raises(HypojaxError, match=r"t1w_probability 0\.049.*give the T1-weighted image") as refused:
            measure_scan(*scan)
        assert refused.value.reason == Reason.NOT_T1W
        return
    found = measure_scan(*scan)
    assert found.quality["t1w_probability"] == probability
    assert ("not_t1w" in found.flags) == flagged


def test_a_network_that_knows_no_template_says_nothing_of_contrast() -> None:
    found = measure_scan(*segmented(pose=None))
    assert np.isnan(found.quality["t1w_probability"])
    assert "not_t1w" not in found.flags
