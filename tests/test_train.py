"""Training examples: labels deform with the image, sides swap under a flip, seeds repeat; losses are least at the truth."""

from dataclasses import replace
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import floats, integers
from jaxtyping import Array, Float
from scipy import ndimage

from hypojax.preprocessing import intensity
from hypojax.schema import BOX_SHAPE, HEAD_SPACING
from hypojax.segmenter.forward import TEMPLATE_SCALE
from hypojax.segmenter.pose import block_positions
from hypojax.training import augmentation, head
from hypojax.training.augmentation import AppearanceConfig, WarpConfig, grid_positions, linear_lookup, nearest_lookup, random_warp, to_index
from hypojax.training.box import BoxConfig, Boxes, box_example, plain_box, random_scalp, swollen
from hypojax.training.stage import box_loss, hard_dice, head_loss, pose_loss, pose_losses, soft_dice

INTERPOLATION = 1e-4
ALIGNED = 0.999
"""Correlation of two images that are the same but for interpolation and the ends of the intensity curve."""

A_BIN = 0.05
"""Standard deviations: Otsu's threshold is the edge of a bin in NumPy and a voxel in JAX; what lies between moves the mean."""

STILL = BoxConfig(
    shape=BOX_SHAPE,
    stripped=0.0,
    scalp=0.0,
    warp=WarpConfig(rotation=0.0, scale=0.0, shear=0.0, shift=0.0, elastic=0.0),
    appearance=AppearanceConfig(gamma=0.0, curve=0.0, bias=0.0, blur=0.0, thick=0.0, ghost=0.0, noise=0.0, crop=0.0, gain=0.0, offset=0.0),
)
seeds = given(seed=integers(0, 2**32 - 1))
few = settings(max_examples=8, deadline=None, derandomize=True)
"""Every property here holds for each seed; a handful of them is what two cores do in a second or two."""

box = jax.jit(box_example, static_argnums=2)
face = jax.jit(head.removed_face)
blurred = jax.jit(augmentation.random_resolution, static_argnums=2)
sliced = [jax.jit(partial(augmentation.resliced, axis=axis)) for axis in range(3)]
ghosted = jax.jit(augmentation.random_ghost, static_argnums=2)


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


@cache
def blobs() -> Boxes:
    """One box, brighter on one side, and posteriors of two subunits: left (index 0) and right (5) of the middle."""
    where = np.indices((72, 72, 72)) - 35.5
    left, right = (where[0] ** 2 + where[1] ** 2 + (where[2] - side) ** 2 < 16 for side in (-5, 5))
    tissue = 80 * ((where**2).sum(0) < 24**2)
    image = np.random.default_rng(0).normal(20, 2, left.shape) + tissue + 20 * left + 30 * right
    posteriors = np.zeros((72, 72, 72, 10), np.uint8)
    posteriors[left, 0], posteriors[right, 5] = 255, 255
    return one_box(image, posteriors)


def one_box(image: np.ndarray, posteriors: np.ndarray, intracranial: np.ndarray | None = None) -> Boxes:
    """A single box on the device, all of it intracranial unless said otherwise."""
    cranium = np.full(image.shape, 255, np.uint8) if intracranial is None else intracranial
    return Boxes(jnp.asarray(image, jnp.float32)[None], jnp.asarray(posteriors)[None], jnp.asarray(cranium)[None], jnp.ones(1))


@pytest.mark.slow
@few
@seeds
def test_labels_deform_with_the_image(seed: int) -> None:
    """An image that is its own label stays so, wherever the warp takes it and whatever is cut out of it."""
    where = np.indices((72, 72, 72)) - 35.5
    hill = np.exp(-0.5 * ((where - 3 * np.sin(where[[1, 2, 0]] / 5)) ** 2).sum(0) / 12**2)
    posteriors = np.zeros((72, 72, 72, 10), np.uint8)
    posteriors[..., 3] = np.round(255 * hill)
    seen, target = box(jax.random.key(seed), one_box(255 * hill, posteriors), replace(BoxConfig(stripped=0.0), appearance=STILL.appearance))
    ours, theirs = np.asarray(seen).ravel(), np.asarray(target[..., 1:].sum(-1)).ravel()
    between = (theirs > np.percentile(theirs, 2)) & (theirs < np.percentile(theirs, 98))  # the ends are clipped by the z-score
    assert np.corrcoef(ours[between], theirs[between])[0, 1] > ALIGNED
    np.testing.assert_allclose(np.asarray(target.sum(-1)), 1, atol=1e-3)


def test_sides_follow_anatomy_under_a_flip() -> None:
    """Left stays on the left whether or not the example is mirrored, and both kinds occur."""
    bright_side = []
    for seed in range(8):
        seen, target = box(jax.random.key(seed), blobs(), STILL)
        left, right = (np.average(np.arange(40), weights=np.asarray(target[..., n]).sum((0, 1))) for n in (1, 6))
        assert left < right
        # Smoothed, so that noise cannot decide where the z-score is clipped.
        smooth = ndimage.uniform_filter(np.asarray(seen[..., 0]), 5)
        bright_side.append(bool(smooth[:, :, 20:].max() > smooth[:, :, :20].max()))
    assert len(set(bright_side)) == 2


@pytest.mark.slow
@few
@seeds
def test_examples_repeat_from_their_seed(seed: int) -> None:
    first, again, other = (box(jax.random.key(s), blobs(), BoxConfig()) for s in (seed, seed, seed ^ 1))
    for ours, theirs in zip(first, again, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(first[0], other[0])
    assert np.isfinite(np.asarray(first[0])).all()


@pytest.mark.slow
def test_an_example_is_cut_out_of_the_whole_box() -> None:
    """With nothing varied, what is cut out stands somewhere in the whole example, image and label at the same place."""
    config, wide = replace(STILL, shape=(24, 16, 32)), STILL
    for seed in range(3):
        seen, target = box(jax.random.key(seed), blobs(), config)
        whole, labels = box(jax.random.key(seed), blobs(), wide)
        windows = np.lib.stride_tricks.sliding_window_view(np.asarray(whole[..., 0]), config.shape)
        same = np.argwhere(np.isclose(windows, np.asarray(seen[..., 0]), atol=INTERPOLATION).all(axis=(3, 4, 5)))
        assert len(same) == 1
        cut = tuple(slice(start, start + length) for start, length in zip(same[0], config.shape, strict=True))
        np.testing.assert_allclose(target, labels[cut], atol=INTERPOLATION)


def test_marrow_and_fat_burn_outside_the_cranium_alone() -> None:
    """Before the z-score, what lies inside is as it was; what lies outside is one factor brighter, counted from the darkest voxel."""
    image = jax.random.uniform(jax.random.key(0), (8, 8, 8), minval=3.0, maxval=5.0).at[0, 0, 0].set(2.0)
    inside = (jnp.indices((8, 8, 8))[0] < 4).astype(jnp.float32)
    burning = random_scalp(jax.random.key(1), image, inside, 0.5)
    np.testing.assert_allclose(burning[:4], image[:4], rtol=1e-6)
    factors = np.asarray((burning[4:] - image.min()) / (image[4:] - image.min()))
    np.testing.assert_allclose(factors, factors.ravel()[0], rtol=1e-3)
    assert factors.ravel()[0] != pytest.approx(1, abs=1e-3)
    np.testing.assert_array_equal(random_scalp(jax.random.key(1), image, inside, 0.0), image)


@pytest.mark.slow
def test_a_stripped_box_is_dark_outside_the_cranium_alone() -> None:
    """Inside a stripped box all is as it was; outside there is one value, the darkest."""
    boxes = blobs()
    inside = (np.indices((72, 72, 72)) - 35.5)[0] < 4
    cut = boxes._replace(intracranial=jnp.asarray(np.where(inside, 255, 0).astype(np.uint8))[None])
    still = replace(STILL.appearance, gamma=0.0)
    for seed in range(3):
        plain, _ = box(jax.random.key(seed), cut, replace(STILL, appearance=still))
        stripped, target = box(jax.random.key(seed), cut, replace(STILL, appearance=still, stripped=1.0))
        here = inside[16:56, 16:56, 16:56]
        outside = np.asarray(stripped[..., 0])[~here]
        assert np.ptp(outside) == 0
        assert outside[0] == np.asarray(stripped).min()
        assert np.corrcoef(np.asarray(stripped[..., 0])[here], np.asarray(plain[..., 0])[here])[0, 1] > ALIGNED
        np.testing.assert_array_equal(target, box(jax.random.key(seed), cut, STILL)[1])


def test_plain_box_is_the_still_example() -> None:
    """Without variation the two differ by the mirror alone, which comes or not."""
    boxes = blobs()
    _, target = plain_box(boxes.images[0], boxes.posteriors[0], boxes.intracranial[0])
    np.testing.assert_allclose(target[..., 1], np.asarray(boxes.posteriors)[0, 16:56, 16:56, 16:56, 0] / 255, atol=INTERPOLATION)
    made = [np.asarray(box(jax.random.key(seed), boxes, STILL)[1]) for seed in range(3)]
    assert any(np.allclose(labels, target, atol=INTERPOLATION) for labels in made)


@pytest.mark.parametrize("removed", [True, False])
def test_a_plain_box_is_z_scored_as_at_inference(removed: bool) -> None:
    """By the same voxels, with a skull and without: what was removed is blank and does not count."""
    rng = np.random.default_rng(0)
    distance = np.sqrt(((np.indices((72, 72, 72)) - 35.5) ** 2).sum(0))
    image = np.where(distance < 24, rng.normal(100, 10, distance.shape), 0.0 if removed else rng.normal(400, 50, distance.shape))
    image = np.where(distance < 8, rng.normal(30, 5, distance.shape), image).astype(np.float32)
    cranium = np.where((distance < 24) | removed, 255, 0).astype(np.uint8)  # not known where the skull was removed: all of it
    seen, _ = plain_box(jnp.asarray(image), jnp.asarray(blobs().posteriors[0]), jnp.asarray(cranium))
    middle = (slice(16, 56),) * 3
    inside = None if removed else cranium[middle] > 0
    statistics = intensity.box_statistics(image[middle], inside, background=float(image.min()))
    expected = intensity.zscore(image[middle], statistics, brightest=intensity.BRIGHTEST)
    np.testing.assert_allclose(seen[..., 0], expected, atol=A_BIN)
    assert statistics.mean == pytest.approx(100, abs=3)


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_statistics_in_jax_are_those_of_inference(share: float) -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(5, 2, 4000), rng.normal(60, 6, 4000), rng.normal(100, 6, 2000)]).astype(np.float32)
    counted = rng.random(values.size) < share
    mean, std = augmentation.tissue_statistics(jnp.asarray(values), jnp.asarray(counted))
    twin = intensity.tissue_statistics(values[counted])
    assert float(mean) == pytest.approx(twin.mean, rel=0.005)
    assert float(std) == pytest.approx(twin.std, rel=0.02)


@few
@given(seed=integers(0, 2**32 - 1), spacing=floats(1, 8), share=floats(0, 1, exclude_max=True), axis=integers(0, 2))
def test_reslicing_agrees_with_a_slow_twin(seed: int, spacing: float, share: float, axis: int) -> None:
    """Every line along the axis, by itself: planes are picked, and NumPy joins them."""
    image, phase = np.random.default_rng(seed).normal(size=(5, 6, 7)), np.float32(share * np.float32(spacing))
    planes = np.unique(np.floor(np.arange(-9, 9, dtype=np.float32) * np.float32(spacing) + phase + np.float32(0.5)).astype(int))
    expected = np.empty_like(image)
    for line in np.ndindex(*np.delete(image.shape, axis)):
        where = tuple(np.insert(np.array(line, object), axis, slice(None)))
        values = image[where][np.clip(planes, 0, image.shape[axis] - 1)]
        expected[where] = np.interp(np.arange(image.shape[axis]), planes, values)
    ours = sliced[axis](jnp.asarray(image, jnp.float32), jnp.float32(spacing), jnp.float32(phase))
    np.testing.assert_allclose(ours, expected, atol=INTERPOLATION)


@few
@seeds
def test_resolution_alone_does_not_move_an_image(seed: int) -> None:
    """A ramp stays where it is, in thick slices or not; and without blur and thick slices nothing changes at all."""
    ramp = jnp.broadcast_to(jnp.arange(40.0)[:, None, None], (40, 8, 8)) / 40
    seen = np.asarray(blurred(jax.random.key(seed), ramp, AppearanceConfig(thick=1.0)))
    np.testing.assert_allclose(seen[12:28], ramp[12:28], atol=INTERPOLATION)
    same = blurred(jax.random.key(seed), ramp, AppearanceConfig(thick=0.0, blur=0.0))
    np.testing.assert_allclose(same, ramp, atol=INTERPOLATION)


@few
@seeds
def test_a_ghost_is_a_faint_copy_along_one_axis(seed: int) -> None:
    """A single bright voxel shows itself and its ghost, on one line and of one size together."""
    image = jnp.zeros((20, 24, 28)).at[9, 11, 13].set(1.0)
    seen = np.asarray(ghosted(jax.random.key(seed), image, AppearanceConfig(ghost=1.0)))
    bright = np.argwhere(seen > 0)
    assert seen.sum() == pytest.approx(1)
    assert seen[9, 11, 13] >= 1 - augmentation.GHOST
    assert len(bright) == 2
    assert (bright != [9, 11, 13]).sum() == 1


TO_TEMPLATE = np.array([[0.0, 0.1, 1.1, 2.0], [1.0, 0.0, 0.0, -18.0], [0.0, 1.2, 0.0, 5.0]])
"""From anterior, superior, right to a template that is larger, shifted and a little sheared."""


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
        to_template=jnp.asarray([TO_TEMPLATE]),
        posed=jnp.array([True]),
    )


@pytest.mark.slow
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


@pytest.mark.slow
def test_coordinates_of_turned_and_mirrored_heads_are_an_affine_that_does_not_mirror() -> None:
    """Without elastic parts coordinates are an affine of the example's voxels; at the hypothalamus they are its place in the template."""
    warp = replace(STILL.warp, turned=1.0, turn=60.0, carried=10.0)
    config = head.HeadConfig(stripped=0.0, warp=warp, appearance=STILL.appearance)
    make = jax.jit(lambda key: head.map_example(key, head_maps(), config))
    truth = TO_TEMPLATE @ np.array([10.5, -9.5, 0.0, 1.0])
    for made in map(make, jax.random.split(jax.random.key(0), 4)):
        template, there = np.asarray(made.template), np.asarray(made.posed) > 0.5
        positions = block_positions(config.shape, HEAD_SPACING, 2)[there.ravel()]
        design = np.column_stack([positions, np.ones(len(positions))])
        found, *_ = np.linalg.lstsq(design, template[there], rcond=None)
        np.testing.assert_allclose(design @ found, template[there], atol=0.01)
        assert np.linalg.det(found[:3]) > 0
        place = np.asarray(made.place).reshape(48, 2, 48, 2, 40, 2).sum((1, 3, 5))
        np.testing.assert_allclose(np.abs((place[..., None] * template).sum((0, 1, 2))), np.abs(truth), atol=0.3)


@pytest.mark.slow
def test_a_head_without_skull_has_no_intracranial_weight() -> None:
    made = head.map_example(jax.random.key(0), head_maps(), head.HeadConfig(stripped=1.0))
    assert float(made.weight.max()) == 0


def ball(radius: float, centre: tuple[float, float, float]) -> np.ndarray:
    """A soft ball in a head example (2 mm voxels)."""
    where = np.indices(head.HeadConfig().shape) - np.array(centre)[:, None, None, None]
    return np.clip(radius - np.sqrt((where**2).sum(0)) + 0.5, 0, 1).astype(np.float32)


@few
@given(seed=integers(0, 2**32 - 1), radius=floats(15, 35), forward=floats(-8, 8))
def test_a_removed_face_never_touches_the_cranium(seed: int, radius: float, forward: float) -> None:
    cranium = ball(radius, (48 + forward, 60.0, 40.0))
    removed = np.asarray(face(jax.random.key(seed), jnp.asarray(cranium), jnp.float32(1)))
    near = ndimage.binary_dilation(cranium >= 0.5, np.ones((3, 3, 3)), iterations=head.FACE_MARGIN)
    assert not (removed & near).any()
    anterior, superior, _ = np.indices(removed.shape)
    assert not (removed & (anterior < 48 + forward) & (superior > 60)).any()  # nothing behind and above the middle of the brain
    assert not np.asarray(face(jax.random.key(seed), jnp.asarray(cranium), jnp.float32(0))).any()


def test_faces_are_removed_where_faces_are() -> None:
    """Over many draws most of what is removed lies in front of the brain and below its middle."""
    cranium = jnp.asarray(ball(30, (48, 60, 40)))
    removed = np.mean([np.asarray(face(jax.random.key(seed), cranium, jnp.float32(1))) for seed in range(20)], axis=0)
    assert removed[-8:, :8].mean() > 0.9
    assert removed[:48, 60:].max() == 0


def test_dice_of_equal_and_of_empty_masks_is_one() -> None:
    mask = (jax.random.uniform(jax.random.key(0), (4, 4, 4, 2)) > 0.5).astype(jnp.float32)
    np.testing.assert_allclose(soft_dice(mask, mask), 1, atol=1e-6)
    np.testing.assert_allclose(soft_dice(jnp.zeros((2, 2, 2, 1)), jnp.zeros((2, 2, 2, 1))), 1)


def test_losses_are_least_at_the_truth() -> None:
    target = jax.nn.one_hot(jax.random.randint(jax.random.key(0), (6, 6, 6), 0, 11), 11)
    good, bad = 20 * target, 20 * jnp.roll(target, 1, axis=-1)
    assert float(box_loss(good, target)) < 0.05 < float(box_loss(bad, target))
    np.testing.assert_allclose(hard_dice(good, target), 1)


def head_target(*, channel: int, weight: float) -> head.HeadExample:
    """A small example: random cranium, and coordinates that grow along each axis."""
    mask = (jax.random.uniform(jax.random.key(0), (4, 4, 4)) > 0.5).astype(jnp.float32)
    template = jnp.stack(jnp.meshgrid(*[30.0 * jnp.arange(2)] * 3, indexing="ij"), axis=-1)
    counted = jnp.full((4, 4, 4), weight)
    return head.HeadExample(mask[..., None], mask, counted, jnp.asarray(channel), mask / mask.sum(), template, jnp.full((2, 2, 2), weight))


def head_logits(target: head.HeadExample) -> Float[Array, "x y z 6"]:
    """What a network that knows everything would say of an example."""
    sure = 20 * (2 * target.intracranial - 1)
    coordinates = jnp.repeat(jnp.repeat(jnp.repeat(target.template, 2, 0), 2, 1), 2, 2) / TEMPLATE_SCALE
    return jnp.concatenate([jnp.stack([sure, sure, 20 * target.intracranial], axis=-1), coordinates], axis=-1)


def test_each_loss_of_the_head_is_least_at_the_truth() -> None:
    target = head_target(channel=0, weight=1.0)
    logits = head_logits(target)
    good, bad = pose_losses(logits, target), pose_losses(-logits, target)
    assert (np.asarray(good) < np.asarray(bad)).all()
    np.testing.assert_allclose(good[jnp.array([0, 1, 3])], 0, atol=0.01)
    assert float(pose_loss(logits, target)) == pytest.approx(float(good.sum()))
    both = logits[..., jnp.array([0, 2])]
    assert float(head_loss(both, target)) < float(head_loss(-both, target))


@pytest.mark.parametrize("channel", [0, 1])
def test_an_example_teaches_its_own_channel_alone(channel: int) -> None:
    """No gradient reaches the output of the other protocol."""
    gradient = jax.grad(lambda x: pose_loss(x, head_target(channel=channel, weight=1.0)))(jnp.ones((4, 4, 4, 6)))
    reached = np.abs(gradient).max((0, 1, 2)) > 0
    assert reached.tolist() == [channel == 0, channel == 1, True, True, True, True]


def test_unknown_intracranial_volume_gives_no_gradient() -> None:
    unknown = head_target(channel=0, weight=0.0)._replace(place=jnp.zeros((4, 4, 4)))
    for loss, outputs in ((head_loss, 2), (pose_loss, 6)):
        np.testing.assert_array_equal(jax.grad(lambda x, loss=loss: loss(x, unknown))(jnp.ones((4, 4, 4, outputs))), 0)


@pytest.mark.parametrize("seed", range(4))
def test_a_swollen_hypothalamus_changes_within_and_not_far_away_and_never_folds(seed: int) -> None:
    positions = grid_positions((72, 72, 72), 1.0)
    assert np.array_equal(swollen(jax.random.key(seed), positions, 0.0), positions)
    moved = np.asarray(swollen(jax.random.key(seed), positions, 10.0), np.float64)  # as far as it goes either way
    slopes = np.stack([np.stack(np.gradient(moved[..., axis]), axis=-1) for axis in range(3)], axis=-2)
    change = np.linalg.det(slopes)
    assert change.min() > 0.2
    middle = change[36, 36, 36]
    assert middle == pytest.approx(np.exp(0.9), rel=0.15) or middle == pytest.approx(np.exp(-0.9), rel=0.15)  # three edges of 0.3
    np.testing.assert_allclose(moved[0, 0, 0], positions[0, 0, 0], atol=1e-3)
