"""Boxes to learn from: along the axes of a run, with as much hypothalamus as is labelled."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from hypojax.grid import ASR
from pipelines.maintenance.perturb.geometry import rotation
from pipelines.maintenance.prepare_training import boxes
from pipelines.maintenance.teacher_volume import settled_volume

LABELLED = 1200
"""Voxels of `teacher`."""


def teacher() -> np.ndarray:
    """Posteriors × 255 of two boxes of 600 voxels, 0.9 each, with a rim of 0.2 a voxel wide."""
    soft = np.zeros((40, 40, 40, 10), np.uint8)
    for subunit, first in ((2, 10), (7, 24)):
        soft[first - 1 : first + 7, 14:26, 14:26, subunit] = 51
        soft[first : first + 6, 15:25, 15:25, subunit] = 230
    return soft


def test_posteriors_sum_to_the_labelled_voxels_and_keep_their_order_and_subunits() -> None:
    soft = teacher()
    soft[10, 15, 15, 3] = 100
    soft[10, 15, 15, 2] = 120
    settled = settled_volume(soft, voxels=LABELLED)
    assert settled.sum() / 255 == pytest.approx(LABELLED, rel=1e-3)
    assert soft.sum() / 255 > 1.05 * LABELLED
    assert 127 < settled[12, 20, 20, 2] < 230
    np.testing.assert_array_equal(settled[soft == 0], 0)
    assert settled[10, 15, 15, 3] / settled[10, 15, 15, 2] == pytest.approx(100 / 120)
    assert 0 < settled[9, 14, 14, 2] < 51


def test_posteriors_that_are_not_those_of_the_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="sign"):
        settled_volume(teacher(), voxels=100)


def test_boxes_along_the_axes_of_a_turned_head_are_those_of_the_same_head_upright(tmp_path: Path) -> None:
    turn = np.eye(4)
    turn[:3, :3] = rotation((44.0, -8.0, 12.0))
    upright = np.diag([1.0, 1.0, 1.0, 1.0])
    for folder, affine in (("upright", upright), ("turned", turn @ upright)):
        head(tmp_path / folder, affine)
    first = boxes(tmp_path / "upright", tmp_path)
    own = boxes(tmp_path / "turned", tmp_path)
    posed = boxes(tmp_path / "turned", tmp_path, {"scans_someone": turn[:3, :3] @ ASR})
    for part in ("images", "posteriors"):
        difference, apart = (np.abs(first[part].astype(float) - other[part]).max() for other in (posed, own))
        assert difference <= 1 < apart
    assert posed["posteriors"].sum() / 255 == pytest.approx(LABELLED, rel=0.02)


def head(folder: Path, affine: np.ndarray) -> None:
    """A folder of data with one head: noise, and what `teacher` says."""
    labels = folder / "labels/hypothalamus_teacher/scans"
    for place in (labels, folder / "scans"):
        place.mkdir(parents=True)
    image = np.random.default_rng(0).uniform(0, 1000, (40, 40, 40)).astype(np.float32)
    soft = teacher()
    files = {
        folder / "scans/someone_T1w.nii.gz": image,
        labels / "someone_dseg.nii.gz": (soft.argmax(-1) + 1).astype(np.uint8) * (soft.max(-1) > 127),
        labels / "someone_probseg.nii.gz": soft,
    }
    for path, voxels in files.items():
        nibabel.Nifti1Image(voxels, affine).to_filename(path)
