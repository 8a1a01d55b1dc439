"""Training examples of the whole head: images made from label maps (after Billot 2023), and real heads re-acquired.

Label maps know the intracranial volume exactly, real heads how a skull base looks and where the hypothalamus lies; each teaches a channel
of its own, for their borders differ. Both know where in the template a voxel lies, by an affine. What an example does not know has no
weight in its loss.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from hypojax.schema import HEAD_SHAPE, HEAD_SPACING
from hypojax.training.augmentation import (
    AppearanceConfig,
    WarpConfig,
    linear_lookup,
    nearest_lookup,
    random_bias,
    random_crop,
    random_curve,
    random_field,
    random_ghost,
    random_noise,
    random_resolution,
    random_warp,
    settled,
    standardise,
    to_index,
)
from hypojax.training.surroundings import SurroundingsConfig, random_surroundings
from hypojax.unet import mean_pool

MAP_SPACING = 1.0
PLACE_WIDTH = 4.0
"""Standard deviation of the target round the hypothalamus, mm."""

FACE_DEPTH = (35.0, 85.0)
"""How far from the middle of the brain the plane lies that a removed face is cut along, mm."""

FACE_MARGIN = 3
"""Voxels round the brain that the removal of a face leaves alone."""

SUBSAMPLES = np.array([[-1, -1, -1], [1, 1, -1], [1, -1, 1], [-1, 1, 1]]) * 0.5
"""Where in a 2 mm voxel the 1 mm labels are looked up, mm: their average gives partial volumes."""

FIRST_EXTRACEREBRAL = 500
CSF = (4, 5, 14, 15, 24, 43, 44, 72, 524)
WHITE = (2, 7, 16, 41, 46, 77, 85)
BONE = (515, 516)
SINUS = (514, 530)
GREY = (3, 8, 17, 18, 26, 42, 47, 53, 54, 58, 136, 137, 163, 164)


class HeadMaps(NamedTuple):
    """Label maps on the device.

    Parameters
    ----------
    labels
        Compact class of every 1 mm voxel.
    centres
        Hypothalamus, as a voxel index.
    intracranial, extracerebral, fluid
        For each class, whether it is so.
    prior
        For each class, the usual intensity in a T1-weighted image (white matter is 1).
    to_template, posed
        From positions (mm from the middle of the grid) to the template (mm, RAS+), and whether that is known.
    """

    labels: UInt8[Array, "map i j k"]
    centres: Float[Array, "map 3"]
    intracranial: Bool[Array, " c"]
    extracerebral: Bool[Array, " c"]
    fluid: Bool[Array, " c"]
    prior: Float[Array, " c"]
    to_template: Float[Array, "map 3 4"]
    posed: Bool[Array, " map"]


class RealHeads(NamedTuple):
    """Whole heads on the 2 mm grid, z-scored; share of each voxel that is intracranial × 255 (``known``), or brain that was left.

    ``to_template`` and ``posed`` as `HeadMaps` has them.
    """

    images: Float[Array, "head x y z"]
    centres: Float[Array, "head 3"]
    intracranial: UInt8[Array, "head x y z"]
    known: Bool[Array, " head"]
    to_template: Float[Array, "head 3 4"]
    posed: Bool[Array, " head"]


class HeadExample(NamedTuple):
    """One example.

    Parameters
    ----------
    image
        Normalised intensities.
    intracranial
        Share of every voxel that lies in the cranium.
    weight
        Where that counts.
    channel
        Which output it teaches: 0 that of the label maps, 1 that of the masks of real heads.
    place
        Of the hypothalamus; sums to one, or is zero where it cannot be seen.
    template
        Where in the template (mm, RAS+) blocks of 2×2×2 voxels lie.
    posed
        Where that counts: the share of a block that is brain in view.
    """

    image: Float[Array, "x y z 1"]
    intracranial: Float[Array, "x y z"]
    weight: Float[Array, "x y z"]
    channel: Int[Array, ""]
    place: Float[Array, "x y z"]
    template: Float[Array, "p q r 3"]
    posed: Float[Array, "p q r"]


class Truth(NamedTuple):
    """What is known of an example before it is imaged."""

    intracranial: Float[Array, "x y z"]
    known: Float[Array, ""]
    channel: int
    place: Float[Array, "x y z"]
    template: Float[Array, "p q r 3"]
    posed: Float[Array, ""]


@dataclass(frozen=True)
class HeadConfig:
    """How head examples are varied.

    Parameters
    ----------
    real
        Share of examples made from real heads.
    free
        Share of label-map examples whose contrast is free of the T1-weighted prior.
    stripped
        Share of label-map examples without skull.
    defaced
        Share of examples whose face is removed.
    scalp
        Standard deviation of the logarithm of what lies outside the cranium of real heads is brightened by: fat may be
        saturated, or burn.
    shape
        Voxels of an example (2 mm): less than the head grid, since nothing in the network depends on its extent.
    deepest
        Largest share of the field of view that is blank on one side.
    warp, appearance, surroundings
        Ranges of the spatial transforms, of the acquisition, and of what lies around the brain.
    """

    real: float = 0.5
    free: float = 0.25
    stripped: float = 0.12
    defaced: float = 0.2
    scalp: float = 0.6
    shape: tuple[int, int, int] = (96, 96, 80)
    deepest: float = 0.35
    warp: WarpConfig = field(default_factory=lambda: WarpConfig(rotation=14.0, scale=0.07, shift=16.0, elastic=3.0, control=7))
    appearance: AppearanceConfig = field(
        default_factory=lambda: AppearanceConfig(bias=0.2, blur=0.7, slice=3.0, noise=0.06, crop=0.15, gain=0.1)
    )
    surroundings: SurroundingsConfig = field(default_factory=SurroundingsConfig)


def tissue_prior(values: Int[np.ndarray, " c"]) -> Float[np.ndarray, " c"]:
    """Usual T1-weighted intensity of FreeSurfer labels, white matter 1, to about a tenth."""
    prior = np.full(len(values), 0.8)
    prior[np.isin(values, WHITE)] = 1.0
    prior[np.isin(values, GREY)] = 0.65
    prior[values >= FIRST_EXTRACEREBRAL] = 0.5
    prior[np.isin(values, BONE)] = 0.15
    prior[np.isin(values, SINUS)] = 0.45
    prior[np.isin(values, CSF)] = 0.2
    prior[values == 0] = 0.0
    return prior


def head_example(key: PRNGKeyArray, maps: HeadMaps, real: RealHeads, config: HeadConfig) -> HeadExample:
    """One random example from a label map or from a real head."""
    kind, key = jax.random.split(key)
    return jax.lax.cond(
        jax.random.bernoulli(kind, config.real),
        lambda k: real_example(k, real, config),
        lambda k: map_example(k, maps, config),
        key,
    )


def map_example(key: PRNGKeyArray, maps: HeadMaps, config: HeadConfig) -> HeadExample:
    """An image made from a random label map."""
    pick, warp_key, paint_key, look_key, flip_key, strip_key = jax.random.split(key, 6)
    which = jax.random.randint(pick, (), 0, maps.labels.shape[0])
    side = _side(flip_key)
    positions = settled(random_warp(warp_key, config.shape, spacing=HEAD_SPACING, config=config.warp) * jnp.stack([1.0, 1.0, side]))
    stripped = jax.random.bernoulli(strip_key, config.stripped)
    means = _class_means(paint_key, maps, config.free)
    means = jnp.where(stripped & (~maps.intracranial | maps.fluid), 0.0, means)
    image, intracranial, outer = _paint(maps.labels[which], positions, jnp.stack([means, maps.intracranial, maps.extracerebral], axis=-1))
    patches = random_field(jax.random.fold_in(paint_key, 1), config.shape, control=20, channels=1)[..., 0]
    image = jnp.maximum(image + 0.3 * jnp.where(stripped, 0.0, outer) * patches, 0)
    place = _place(positions, maps.centres[which], maps.labels.shape[1:], MAP_SPACING)
    template = _in_template(positions, maps.to_template[which], side)
    known = jnp.where(stripped, 0.0, 1.0)
    truth = Truth(intracranial, known, 0, place, template, maps.posed[which].astype(jnp.float32))
    return _reacquire(look_key, image, truth, config)


def real_example(key: PRNGKeyArray, real: RealHeads, config: HeadConfig) -> HeadExample:
    """A random real head, warped and re-acquired."""
    pick, warp_key, look_key, flip_key = jax.random.split(key, 4)
    which = jax.random.randint(pick, (), 0, real.images.shape[0])
    side = _side(flip_key)
    positions = settled(random_warp(warp_key, config.shape, spacing=HEAD_SPACING, config=config.warp) * jnp.stack([1.0, 1.0, side]))
    chosen = settled(real.images[which].astype(jnp.float32))
    source = settled(jnp.stack([chosen, real.intracranial[which].astype(jnp.float32) / 255], axis=-1))
    index = to_index(positions, HEAD_SHAPE, HEAD_SPACING)
    warped = linear_lookup(source, index, fill=jnp.stack([chosen.min(), jnp.zeros(())]))
    place = _place(positions, real.centres[which], HEAD_SHAPE, HEAD_SPACING)
    known = real.known[which].astype(jnp.float32)
    gain = jnp.exp(config.scalp * known * jax.random.normal(jax.random.fold_in(look_key, 0)))
    image = warped[..., 0] - warped[..., 0].min()
    image = image * (warped[..., 1] + (1 - warped[..., 1]) * gain)
    template = _in_template(positions, real.to_template[which], side)
    truth = Truth(warped[..., 1], known, 1, place, template, real.posed[which].astype(jnp.float32))
    return _reacquire(look_key, image, truth, config)


def _side(key: PRNGKeyArray) -> Float[Array, ""]:
    """-1 every other time: left and right swapped."""
    return jnp.where(jax.random.bernoulli(key), -1.0, 1.0)


def _in_template(positions: Float[Array, "x y z 3"], to_template: Float[Array, "3 4"], side: Float[Array, ""]) -> Float[Array, "p q r 3"]:
    """Where in the template blocks of voxels lie; of a mirrored head, in the mirrored template: there right is right again."""
    found = mean_pool(positions[None])[0] @ to_template[:, :3].T + to_template[:, 3]
    return found * jnp.stack([side, 1.0, 1.0])


def _class_means(key: PRNGKeyArray, maps: HeadMaps, free: float) -> Float[Array, " c"]:
    """An intensity for every class: round the T1-weighted prior, or anything."""
    near_key, far_key, free_key, spread_key = jax.random.split(key, 4)
    n = maps.prior.shape[0]
    anything = jax.random.uniform(far_key, (n,))
    spread = jax.random.uniform(spread_key, minval=0.02, maxval=0.12)
    outer = 1.3 * jax.random.uniform(near_key, (n,))
    near = jnp.where(maps.extracerebral & (maps.prior > 0.4), outer, maps.prior + spread * jax.random.normal(near_key, (n,)))
    means = jnp.where(jax.random.bernoulli(free_key, free), anything, near)
    return jnp.maximum(jnp.where(maps.prior == 0, 0.05 * anything, means), 0)


def _paint(labels: UInt8[Array, "i j k"], positions: Float[Array, "x y z 3"], table: Float[Array, "c v"]) -> Float[Array, "v x y z"]:
    """Average over a voxel's subsamples of the values its classes have in ``table``."""
    i, j, k = labels.shape
    total = jnp.zeros((*positions.shape[:3], table.shape[1]))
    for offset in SUBSAMPLES:
        total = total + table[nearest_lookup(labels, to_index(positions + offset, (i, j, k), MAP_SPACING))]
    return jnp.moveaxis(total / len(SUBSAMPLES), -1, 0)


def _place(positions: Float[Array, "x y z 3"], centre: Float[Array, "3"], shape: tuple[int, ...], spacing: float) -> Float[Array, "x y z"]:
    """A Gaussian round the hypothalamus that sums to one; all zero when it lies outside."""
    middle = (centre - (jnp.array(shape) - 1) / 2) * spacing
    bump = jnp.exp(-0.5 * ((positions - middle) ** 2).sum(-1) / PLACE_WIDTH**2)
    return jnp.where(bump.max() > 0.5, bump / jnp.maximum(bump.sum(), 1e-6), 0.0)


def _reacquire(key: PRNGKeyArray, image: Float[Array, "x y z"], truth: Truth, config: HeadConfig) -> HeadExample:
    """Perhaps no face; another contrast, surroundings, coil, resolution, noise and field of view; then the z-score."""
    keys = jax.random.split(key, 9)
    image = jnp.where(removed_face(keys[7], truth.intracranial, config.defaced * truth.known), image.min(), image)
    look = config.appearance
    image = settled(random_curve(keys[0], settled(image), look))
    image = settled(random_surroundings(keys[8], image, truth.intracranial, config.surroundings))
    for number, vary in ((1, random_bias), (2, random_resolution), (6, random_ghost), (3, random_noise)):
        image = settled(vary(keys[number], image, look))
    image, seen = random_crop(keys[4], image, look, deepest=config.deepest)
    return _taught(settled(standardise(keys[5], image, look, stride=2)), seen, truth)


def _taught(image: Float[Array, "x y z"], seen: Bool[Array, "x y z"], truth: Truth) -> HeadExample:
    """An image with what can be learnt of it where it is ``seen``."""
    visible = truth.place * seen
    place = jnp.where(visible.sum() > 0.9, visible / jnp.maximum(visible.sum(), 1e-6), 0.0)
    posed = truth.posed * mean_pool((truth.intracranial * seen)[None, ..., None])[0, ..., 0]
    channel = jnp.asarray(truth.channel, jnp.int32)
    return HeadExample(image[..., None], truth.intracranial, truth.known * seen, channel, place, truth.template, posed)


def removed_face(key: PRNGKeyArray, intracranial: Float[Array, "x y z"], chance: Float[Array, ""]) -> Bool[Array, "x y z"]:
    """What software that removes faces would remove, by chance: beyond an oblique plane before and below the brain, not near it."""
    happens, slope_key, depth_key = jax.random.split(key, 3)
    slope = jax.random.uniform(slope_key, minval=0.3, maxval=1.5)
    anterior, superior = (jnp.arange(n, dtype=jnp.float32) * HEAD_SPACING for n in intracranial.shape[:2])
    mass = intracranial.sum() + 1e-6
    middle = [(intracranial.sum(axes) * line).sum() / mass for axes, line in (((1, 2), anterior), ((0, 2), superior))]
    beyond = (anterior - middle[0])[:, None] - slope * (superior - middle[1])[None]
    depth = jax.random.uniform(depth_key, minval=FACE_DEPTH[0], maxval=FACE_DEPTH[1]) * jnp.hypot(1.0, slope)
    near = intracranial
    for axis in range(3):
        window = [2 * FACE_MARGIN + 1 if a == axis else 1 for a in range(3)]
        near = jax.lax.reduce_window(near, -jnp.inf, jax.lax.max, window, (1, 1, 1), "SAME")
    return jax.random.bernoulli(happens, chance) & (beyond > depth)[..., None] & (near < 0.5)
