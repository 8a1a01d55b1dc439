"""Boxes to learn from: along the axes of a run, with as much hypothalamus as is labelled; and pairs that differ in its size alone."""

from pathlib import Path

import jax
import jax.numpy as jnp
import nibabel
import numpy as np
import pytest
from jaxtyping import Array, PyTree

from hypojax.grid import ASR
from hypojax.training import box
from hypojax.training.augmentation import grid_positions
from hypojax.training.box import OWN, BoxConfig, Boxes, box_pair, look_keys, swollen
from hypojax.training.loop import make_training
from hypojax.training.stage import box_loss, pair_loss
from hypojax.training.train_config import LoopConfig
from hypojax.unet_config import UNetConfig
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


def test_the_two_of_a_pair_are_one_example_with_another_size(monkeypatch: pytest.MonkeyPatch) -> None:
    def example(key: Array, boxes: Boxes, config: BoxConfig, way: Array) -> tuple[Array, Array]:
        positions = swollen(key, grid_positions((9, 9, 9), 1.0), config.swell * way)
        return jax.random.normal(key, (9, 9, 9, 1)), jnp.pad(positions, [(0, 0)] * 3 + [(0, 8)])

    monkeypatch.setattr(box, "box_example", example)
    boxes = Boxes(jnp.zeros((1, 1, 1, 1)), jnp.zeros((1, 1, 1, 1, 10), jnp.uint8), jnp.zeros((1, 1, 1, 1), jnp.uint8), jnp.ones(1))
    images, positions = box_pair(jax.random.key(3), boxes, BoxConfig(swell=0.1, pairs=5.0))
    np.testing.assert_array_equal(images[0], images[1])
    edges = np.linalg.norm(np.diff(positions[:, 3:6, 4, 4], axis=1), axis=-1).mean(axis=1)
    assert abs(np.log(edges[0])) > 0.02
    assert edges[0] * edges[1] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("apart", [False, True])
def test_the_two_of_a_pair_may_be_acquired_apart(apart: bool) -> None:
    """What blurs, doubles or cuts the structure is that of both."""
    keys = [jax.random.key_data(jnp.stack(look_keys(jax.random.key(2), way, apart=apart))) for way in (1.0, -1.0)]
    differ = (np.asarray(keys[0]) != np.asarray(keys[1])).any(axis=1)
    np.testing.assert_array_equal(differ, [apart and own for own in OWN.values()])


def test_the_loss_of_a_pair_asks_for_the_ratio_of_the_volumes() -> None:
    """Of volumes that are the same share of 512 voxels everywhere, the ratio is known."""
    shares = jnp.array([[0.5, 0.4], [0.2, 0.16], [0.5, 0.2]])

    def said(pair: Array) -> Array:
        """Probabilities of a pair with these shares of one subunit."""
        share = jnp.broadcast_to(pair[:, None, None, None], (2, 8, 8, 8))
        return jnp.full((2, 8, 8, 8, 11), 1e-9).at[..., 0].set(1 - share).at[..., 3].set(share)

    for found, true in ((0, 0), (0, 1), (0, 2), (2, 0)):
        logits, target = jnp.log(said(shares[found])), said(shares[true])
        excess = pair_loss(logits, target, weight=5.0) - jax.vmap(box_loss)(logits, target).mean()
        ratios = jnp.log(512 * shares + 1) @ jnp.array([1.0, -1.0])
        assert float(excess) == pytest.approx(5 * float(ratios[found] - ratios[true]) ** 2, abs=1e-4)


def test_an_example_may_be_several_images_that_the_loss_compares() -> None:
    shapes = []

    def example(key: Array, data: PyTree) -> tuple[Array, Array]:
        return data * jax.random.normal(key, (2, 8, 8, 8, 1)), jnp.zeros(())

    def loss(logits: Array, _: Array) -> Array:
        shapes.append(logits.shape)
        return (logits[0] - logits[1]).mean() ** 2

    config = LoopConfig(network=UNetConfig(outputs=3, widths=(4, 8)), steps=120, batch=3, warmup=2)
    training = make_training(config, example, loss)
    _, value = training.step(training.start, jnp.float32(1))
    assert set(shapes) == {(2, 8, 8, 8, 3)}
    assert float(value) > 0
