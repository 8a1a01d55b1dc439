"""Training: labels deform with the image, sides swap under a flip, seeds repeat, a killed run goes on bit for bit."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, PyTree
from scipy import ndimage

from hypojax import intensity
from hypojax.train import appearance, head
from hypojax.train.appearance import AppearanceConfig
from hypojax.train.box import BoxConfig, box_example, plain_box
from hypojax.train.loop import LoopConfig, State, Training, make_training, train
from hypojax.train.loss import box_loss, hard_dice, head_loss, soft_dice
from hypojax.train.warp import WarpConfig, grid_positions, linear_lookup, nearest_lookup, random_warp, to_index
from hypojax.unet import UNetConfig

INTERPOLATION = 1e-4
STILL = BoxConfig(
    warp=WarpConfig(rotation=0.0, scale=0.0, shear=0.0, shift=0.0, elastic=0.0),
    appearance=AppearanceConfig(gamma=0.0, curve=0.0, bias=0.0, blur=0.0, thick=0.0, noise=0.0, crop=0.0, gain=0.0, offset=0.0),
)


def test_linear_lookup_agrees_with_scipy() -> None:
    rng = np.random.default_rng(0)
    volume, index = rng.normal(size=(5, 6, 7)), rng.uniform(0, 4, (3, 4, 5, 3))
    expected = ndimage.map_coordinates(volume, np.moveaxis(index, -1, 0), order=1)
    ours = linear_lookup(jnp.asarray(volume[..., None]), jnp.asarray(index))[..., 0]
    np.testing.assert_allclose(ours, expected, atol=INTERPOLATION)


def test_nearest_lookup_is_zero_outside() -> None:
    labels = jnp.ones((3, 3, 3), jnp.uint8)
    index = jnp.array([[[[1.0, 1.0, 1.0], [-2.0, 0.0, 0.0], [0.0, 0.0, 2.6]]]])
    np.testing.assert_array_equal(nearest_lookup(labels, index).ravel(), [1, 0, 0])


def test_warp_without_ranges_is_the_grid_itself() -> None:
    positions = random_warp(jax.random.key(0), (4, 5, 6), spacing=2.0, config=STILL.warp)
    np.testing.assert_allclose(positions, grid_positions((4, 5, 6), 2.0), atol=1e-5)
    np.testing.assert_allclose(to_index(positions, (4, 5, 6), 2.0)[1, 2, 3], [1, 2, 3], atol=1e-5)


def blob(sign: float) -> tuple[Array, Array]:
    """An image brighter on one side, and posteriors of two subunits: left (index 0) and right (5) of the middle."""
    where = np.indices((72, 72, 72)) - 35.5
    left = (where[0] ** 2 + where[1] ** 2 + (where[2] + 5 * sign) ** 2) < 16
    right = (where[0] ** 2 + where[1] ** 2 + (where[2] - 5 * sign) ** 2) < 16
    tissue = 80 * ((where**2).sum(0) < 24**2)
    image = np.random.default_rng(0).normal(20, 2, left.shape) + tissue + 20 * left + 30 * right
    posteriors = np.zeros((72, 72, 72, 10), np.uint8)
    posteriors[left, 0], posteriors[right, 5] = 255, 255
    return jnp.asarray(image, jnp.float32), jnp.asarray(posteriors)


@pytest.mark.parametrize("seed", range(6))
def test_labels_deform_with_the_image(seed: int) -> None:
    """Wherever a structure goes, its intensity goes too: inside the label the image is bright, outside it is dark."""
    image, posteriors = blob(1.0)
    config = BoxConfig(appearance=STILL.appearance)
    seen, target = box_example(jax.random.key(seed), image, posteriors, config)
    inside = np.asarray(target[..., 1:].sum(-1)) > 0.99
    outside = np.asarray(target[..., 0]) > 0.999
    assert inside.sum() > 50
    assert np.asarray(seen)[inside].min() > np.asarray(seen)[outside].max() - 1e-3
    np.testing.assert_allclose(np.asarray(target.sum(-1)), 1, atol=1e-3)


def test_sides_follow_anatomy_under_a_flip() -> None:
    """Left stays on the left whether or not the example is mirrored, and both kinds occur."""
    image, posteriors = blob(1.0)
    bright_side = []
    for seed in range(8):
        seen, target = box_example(jax.random.key(seed), image, posteriors, STILL)
        left, right = (np.average(np.arange(40), weights=np.asarray(target[..., n]).sum((0, 1))) for n in (1, 6))
        assert left < right
        # Smoothed, so that noise cannot decide where the z-score is clipped.
        smooth = ndimage.uniform_filter(np.asarray(seen[..., 0]), 5)
        bright_side.append(bool(smooth[:, :, 20:].max() > smooth[:, :, :20].max()))
    assert len(set(bright_side)) == 2


def test_examples_repeat_from_their_seed() -> None:
    image, posteriors = blob(1.0)
    first = box_example(jax.random.key(5), image, posteriors, BoxConfig())
    again = box_example(jax.random.key(5), image, posteriors, BoxConfig())
    other = box_example(jax.random.key(6), image, posteriors, BoxConfig())
    np.testing.assert_array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])


def test_plain_box_is_the_still_example() -> None:
    image, posteriors = blob(1.0)
    _, target = plain_box(image, posteriors)
    np.testing.assert_allclose(target[..., 1], np.asarray(posteriors)[16:56, 16:56, 16:56, 0] / 255, atol=INTERPOLATION)


def test_statistics_in_jax_are_those_of_inference() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(5, 2, 4000), rng.normal(60, 6, 4000), rng.normal(100, 6, 2000)]).astype(np.float32)
    mean, std = appearance.tissue_statistics(jnp.asarray(values))
    twin = intensity.tissue_statistics(values)
    assert float(mean) == pytest.approx(twin.mean, rel=0.005)
    assert float(std) == pytest.approx(twin.std, rel=0.02)


def head_maps() -> head.HeadMaps:
    """One map: a ball of white matter in CSF, in a shell of scalp; the hypothalamus off the middle."""
    radius = np.sqrt(((np.indices((240, 240, 208)) - np.array([119.5, 119.5, 103.5])[:, None, None, None]) ** 2).sum(0))
    labels = np.select([radius < 60, radius < 70, radius < 85], [1, 2, 3], 0).astype(np.uint8)[None]
    values = np.array([0, 2, 24, 507])
    return head.HeadMaps(
        labels=jnp.asarray(labels),
        centres=jnp.array([[130.0, 110.0, 103.5]]),
        intracranial=jnp.array([False, True, True, False]),
        extracerebral=jnp.array([False, False, False, True]),
        fluid=jnp.array([False, False, True, False]),
        prior=jnp.asarray(head.tissue_prior(values), jnp.float32),
    )


def test_a_head_made_from_a_map_knows_its_volume_and_place() -> None:
    config = head.HeadConfig(stripped=0.0, shape=(112, 112, 96), warp=STILL.warp, appearance=STILL.appearance)
    made = head.map_example(jax.random.key(0), head_maps(), config)
    truth = 4 / 3 * np.pi * 70**3
    assert float(made.intracranial.sum()) * 8 == pytest.approx(truth, rel=0.002)
    assert float(made.place.sum()) == pytest.approx(1, abs=1e-4)
    middle = [
        float((made.place.sum(tuple(a for a in range(3) if a != axis)) * jnp.arange(n)).sum()) for axis, n in enumerate((112, 112, 96))
    ]
    expected = (np.array([130.0, 110.0, 103.5]) - np.array([119.5, 119.5, 103.5])) / 2 + np.array([55.5, 55.5, 47.5])
    np.testing.assert_allclose(middle, expected, atol=0.1)


def test_a_head_without_skull_has_no_intracranial_weight() -> None:
    made = head.map_example(jax.random.key(0), head_maps(), head.HeadConfig(stripped=1.0))
    assert float(made.weight.max()) == 0


def test_dice_of_equal_and_of_empty_masks_is_one() -> None:
    mask = (jax.random.uniform(jax.random.key(0), (4, 4, 4, 2)) > 0.5).astype(jnp.float32)
    np.testing.assert_allclose(soft_dice(mask, mask), 1, atol=1e-6)
    np.testing.assert_allclose(soft_dice(jnp.zeros((2, 2, 2, 1)), jnp.zeros((2, 2, 2, 1))), 1)


def test_losses_are_least_at_the_truth() -> None:
    target = jax.nn.one_hot(jax.random.randint(jax.random.key(0), (6, 6, 6), 0, 11), 11)
    good, bad = 20 * target, 20 * jnp.roll(target, 1, axis=-1)
    assert float(box_loss(good, target)) < 0.05 < float(box_loss(bad, target))
    np.testing.assert_allclose(hard_dice(good, target), 1)
    mask = target[..., 0]
    place = mask / mask.sum()
    logits = jnp.stack([20 * (2 * mask - 1), 20 * mask], axis=-1)
    assert float(head_loss(logits, mask, place, weight=jnp.ones_like(mask))) < float(
        head_loss(-logits, mask, place, weight=jnp.ones_like(mask))
    )


def test_unknown_intracranial_volume_gives_no_gradient() -> None:
    place = jnp.zeros((4, 4, 4))
    gradient = jax.grad(lambda x: head_loss(x, place, place, weight=jnp.zeros((4, 4, 4))))(jnp.ones((4, 4, 4, 2)))
    np.testing.assert_array_equal(gradient, 0)


def tiny_training(steps: int) -> Training:
    """A tiny network that learns which images are bright."""

    def example(key: Array, data: PyTree) -> tuple[Array, Array]:
        level_key, noise_key = jax.random.split(key)
        level = jnp.where(jax.random.bernoulli(level_key), data, -data)
        return level + 0.1 * jax.random.normal(noise_key, (8, 8, 8, 1)), jnp.full((8, 8, 8, 1), level > 0, jnp.float32)

    def loss(logits: Array, target: Array) -> Array:
        return jnp.mean((logits - target) ** 2)

    return make_training(LoopConfig(network=UNetConfig(outputs=1, widths=(4, 8)), steps=steps, warmup=2, learning_rate=1e-2), example, loss)


class Killed(Exception):
    """Stands for a kill in the middle of a run."""


def test_a_killed_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    training = tiny_training(8)
    whole = train(training, jnp.float32(1), tmp_path / "whole", every=4, say=lambda _: None)

    def kill(state: State) -> str:
        if int(state.step) == 4:
            raise Killed
        return ""

    with pytest.raises(Killed):
        train(training, jnp.float32(1), tmp_path / "killed", every=4, watch=kill, say=lambda _: None)
    resumed = train(training, jnp.float32(1), tmp_path / "killed", every=4, say=lambda _: None)
    for ours, theirs in zip(jax.tree.leaves(resumed), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_training_learns(tmp_path: Path) -> None:
    training = tiny_training(120)
    train(training, jnp.float32(1), tmp_path, every=40, say=lambda _: None)
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    first, last = (float(line.split('"loss": ')[1].split(",")[0]) for line in (lines[0], lines[-1]))
    assert len(lines) == 3
    assert last < first / 2
