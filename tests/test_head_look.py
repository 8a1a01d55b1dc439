"""Heads in any pose: looked at until they lie level, boxes in their pose, the same volumes and sides in all of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np
import pytest
from jaxtyping import Float32
from scipy.spatial.transform import Rotation
from standin import coverage_of

from hypojax.execute import measured as measuring
from hypojax.execute.measured import full_row, measure_scan
from hypojax.grid import ASR, NOD, Affine, Grid, centred_grid, directions, resample, to_world
from hypojax.phantom import Phantom, render
from hypojax.preprocessing.foreground import Prepared, conform, prepared
from hypojax.schema import LARGEST_POSE_RESIDUAL
from hypojax.segmenter.devices import Batch
from hypojax.segmenter.head_look import LEVEL, MOST_LOOKS, HeadLook, Shown
from hypojax.segmenter.pose import MIDDLE, pose_of, template_axes, turn_on, upright_grid
from hypojax.segmenter.segmenter import Segmentation, Segmenter, box_grid, box_input

SHAPE = (52, 60, 52)
POSES = [
    ((NOD, 0.0, 0.0), (0.0, 0.0, 0.0)),
    ((-35.0, 0.0, 0.0), (0.0, -20.0, 10.0)),
    ((NOD, 40.0, 0.0), (20.0, 0.0, 0.0)),
    ((10.0, -20.0, 45.0), (-10.0, 30.0, -30.0)),
]
"""Turns (degrees) and shifts (mm)."""


@pytest.fixture(autouse=True)
def every_scan_is_t1w(monkeypatch: pytest.MonkeyPatch) -> None:
    """A phantom's ellipsoids are no brain, however bright: here they count as one."""
    monkeypatch.setattr(measuring, "t1w_probability", lambda *_, **__: 0.8)


def straight(shape: tuple[int, int, int], size: float) -> Affine:
    """A scan along the world's axes with its origin in the middle, LAS."""
    affine = np.diag([-size, size, size, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


AFFINE = straight(SHAPE, 4.0)


@dataclass
class Knowing(Segmenter):
    """A segmenter whose networks know where a phantom lies, and turn too little as real ones do: by ``share`` of what is left.

    They find no pose where the head lies farther than ``reach`` mm from the middle of the grid. All around them is the segmenter's own.
    """

    phantom: Phantom
    share: float = 1.0
    residual: float = 3.0
    reach: float = 300.0

    def __post_init__(self) -> None:
        self.batch, self.looks, self._devices = 1, 0, Lock()

    @property
    def true(self) -> Affine:
        """From the phantom's world to its own axes, its size kept."""
        to_head = np.eye(4)
        to_head[:3, :3] = Rotation.from_euler("xyz", self.phantom.rotation, degrees=True).as_matrix() * self.phantom.head
        to_head[:3, 3] = self.phantom.centre
        return np.linalg.inv(to_head)

    def _look(self, batch: Batch, shown: Sequence[Shown]) -> list[HeadLook]:
        [(grid, image)] = shown
        self.looks += 1
        true = pose_of(self.true)
        left = Rotation.from_matrix(template_axes(true, nod=NOD) @ directions(grid.affine).T).as_rotvec()
        short = Rotation.from_rotvec(-(1 - self.share) * left).as_matrix()
        middle = to_world(np.linalg.inv(self.true), MIDDLE)
        found = self.true.copy()
        found[:3, :3] = self.true[:3, :3] @ short.T
        found[:3, 3] = MIDDLE - found[:3, :3] @ middle  # turned about the middle of the head
        cranium, _ = coverage_of(self.phantom, grid)
        place = to_world(np.linalg.inv(self.true), np.array([0.0, 5.0, -20.0]))
        pose = pose_of(found) if np.linalg.norm(grid.centre - np.array(self.phantom.centre)) < self.reach else None
        return [HeadLook(grid, image, cranium, place, 1.0, cranium, pose, self.residual)]

    def _segment_boxes(self, batch: Batch, scans: Sequence[tuple], around: Sequence, boxes: Sequence[Grid]) -> tuple:
        [scan], [known], [grid] = scans, around, boxes
        _, subunits = coverage_of(self.phantom, grid)
        return [grid], [box_input(*scan, grid, around=known)], [subunits], [subunits.sum(axis=(1, 2, 3), dtype=np.float32)[None] / 255]


def shown_on(scan: Prepared, grid: Grid) -> Float32[np.ndarray, "a s r"]:
    """What the head network sees of a scan on a grid."""
    return conform(scan.volume, scan.affine, grid=grid, statistics=scan.head.statistics)


def segmented(phantom: Phantom, **how: float) -> tuple[Prepared, Segmentation, Knowing]:
    network = Knowing(replace(phantom, left=0.8), **how)
    scan = prepared(render(network.phantom, shape=SHAPE, affine=AFFINE), AFFINE)
    return scan, network.segment_batch([scan])[0], network


@pytest.mark.parametrize(("turn", "shift"), POSES)
def test_a_head_in_any_pose_has_the_volumes_of_the_upright_one(turn: tuple[float, ...], shift: tuple[float, ...]) -> None:
    """Networks that turn by two thirds of what is left: it settles; volumes, sides, sections and the columns of the table are right."""
    phantom = Phantom(rotation=turn, centre=shift, left=0.8)
    scan, found, network = segmented(phantom, share=0.67)
    assert network.looks == (1 if turn == (NOD, 0.0, 0.0) else 3)
    measured = measure_scan(scan.volume, AFFINE, found)
    for region in ("icv", "hypothalamus_left", "hypothalamus_right"):
        assert measured.volumes[region].volume_mm3 == pytest.approx(phantom.volumes[region], rel=0.01), region
    at = to_world(network.true, to_world(AFFINE, np.argwhere(measured.hypothalamus > 0)))
    is_left = measured.hypothalamus[measured.hypothalamus > 0] <= 5
    assert (at[is_left, 0] < 3).all()  # to a voxel of 4 mm
    assert (at[~is_left, 0] > -3).all()
    assert at[is_left, 0].mean() < -4 < 4 < at[~is_left, 0].mean()
    sections = template_axes(pose_of(network.true)).T @ directions(found.box_grid.affine)
    assert sections.diagonal().min() > np.cos(np.radians(6))  # the head's own, AC-PC coronal
    row = full_row({"flags": ""}, measured, seconds=0.0)
    np.testing.assert_allclose(row["tilt_deg"], turn, atol=6)
    np.testing.assert_allclose(row["shift_mm"], shift, atol=4)
    assert row["head_scale"] == pytest.approx(1)
    assert row["pose_residual_mm"] == 3
    assert row["brain_extraction_mm3"] == measured.volumes["icv"].volume_mm3
    assert "poor_pose" not in measured.flags


def test_boxes_of_the_same_anatomy_are_the_same_in_every_pose() -> None:
    """Networks that turn by all of it: what the box network sees and says of a turned and moved head is that of the upright one."""
    (_, upright, _), *others = [segmented(Phantom(rotation=turn, centre=shift)) for turn, shift in POSES]
    for _, found, _ in others:
        assert np.abs(found.subunits.astype(int) - upright.subunits).max() <= 3
        apart = np.abs(found.box_image - upright.box_image)
        assert apart.mean() < 0.25 * upright.box_image.std()  # voxels of 4 mm, looked at every 1 mm, blur otherwise in each pose


def test_an_upright_head_lies_in_the_middle_of_its_grid() -> None:
    """A grid made of a pose has the head level on it, and `MIDDLE` in its middle."""
    pose = pose_of(Knowing(Phantom(rotation=(30.0, 20.0, -10.0), centre=(5.0, 6.0, 7.0), head=1.1)).true)
    grid = upright_grid(pose, (8, 6, 4), 2.0)
    assert turn_on(grid, pose) == pytest.approx(0, abs=1e-5)
    np.testing.assert_allclose(to_world(pose.to_template, grid.centre), MIDDLE, atol=1e-9)
    usual = pose_of(Knowing(Phantom(rotation=(NOD, 0.0, 0.0))).true)
    np.testing.assert_allclose(template_axes(usual, nod=NOD), ASR, atol=1e-9)


@pytest.mark.parametrize("how", [{"residual": LARGEST_POSE_RESIDUAL + 1}, {"share": 2.0}])
def test_a_pose_that_is_not_believed_leaves_the_axes_of_the_scan_and_is_flagged(how: dict[str, float]) -> None:
    """One that fits badly, and one that does not settle."""
    scan, found, network = segmented(Phantom(rotation=(-25.0, 0.0, 0.0)), **how)
    assert network.looks == 2 * MOST_LOOKS  # the second time from another grid
    assert found.head_grid is scan.head.grid
    np.testing.assert_array_equal(directions(found.box_grid.affine), directions(box_grid(AFFINE, np.zeros(3)).affine))
    measured = measure_scan(scan.volume, AFFINE, found)
    assert "poor_pose" in measured.flags
    row = full_row({"flags": ""}, measured, seconds=0.0)
    assert row["pose_residual_mm"] == how.get("residual", 3.0)
    assert "tilt_deg" not in row


def test_a_head_outside_its_first_grid_is_found_where_it_is_bright() -> None:
    """Something else was taken for the head."""
    phantom = Phantom(rotation=(NOD, 10.0, 0.0), centre=(10.0, 0.0, -5.0))
    network = Knowing(phantom, reach=40.0)
    scan = prepared(render(phantom, shape=SHAPE, affine=AFFINE), AFFINE)
    away = centred_grid(ASR, shape=scan.head.grid.shape, spacing=2.0, centre=scan.head.grid.centre + np.array([90.0, 0.0, 0.0]))
    lost = replace(scan, head=replace(scan.head, grid=away), image=shown_on(scan, away))
    [found] = network.segment_batch([lost])
    assert network.looks == 2
    assert found.pose is not None
    assert found.pose.pose is not None
    np.testing.assert_allclose(found.head_grid.centre, phantom.centre, atol=10)


def test_what_is_looked_at_again_is_the_scan_itself() -> None:
    """On another grid the head network sees the same tissue."""
    scan, found, _ = segmented(Phantom(rotation=(-25.0, 0.0, 0.0)))
    assert found.head_grid is not scan.head.grid
    np.testing.assert_array_equal(found.head_image, shown_on(scan, found.head_grid))
    there = resample(found.head_image, found.head_grid.affine, scan.head.grid, fill=float(found.head_image.min()))
    assert np.corrcoef(there[20:-20, 30:-20, 20:-20].ravel(), scan.image[20:-20, 30:-20, 20:-20].ravel())[0, 1] > 0.95


def test_tilts_of_ordinary_scans_cost_no_second_look() -> None:
    """Up to `LEVEL` one look is enough."""
    for turn, looks in ((NOD + LEVEL - 1, 1), (NOD - LEVEL + 1, 1), (NOD - LEVEL - 1, 2)):
        assert segmented(Phantom(rotation=(turn, 0.0, 0.0)))[2].looks == looks
