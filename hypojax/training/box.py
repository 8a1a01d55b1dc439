"""Training examples of the hypothalamus box: real scans with subunit posteriors, warped and re-acquired at random."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, UInt8

from hypojax.preprocessing.intensity import BRIGHTEST
from hypojax.schema import BOX_SHAPE, BOX_SPACING
from hypojax.training.augmentation import (
    AppearanceConfig,
    WarpConfig,
    grid_positions,
    linear_lookup,
    random_bias,
    random_crop,
    random_curve,
    random_ghost,
    random_noise,
    random_resolution,
    random_warp,
    settled,
    standardise,
    to_index,
)

Example = tuple[Float[Array, "x y z 1"], Float[Array, "x y z 11"]]
"""Normalised intensities, and posteriors of background and the ten subunits (they sum to one)."""


Pair = tuple[Float[Array, "2 x y z 1"], Float[Array, "2 x y z 11"]]
"""Two examples that differ in the size of the hypothalamus alone."""


OWN: Final = {"curve": True, "bias": True, "resolution": False, "ghost": False, "noise": True, "crop": False, "standardise": True}
"""Steps of an acquisition that each of a pair has of its own with `BoxConfig.apart`: those that leave the structure in sight. What blurs,
doubles or cuts it is that of both, so that both show as much of it."""


class Boxes(NamedTuple):
    """Boxes on the device, the hypothalamus in the middle of each.

    Parameters
    ----------
    images
        1 mm, stored units.
    posteriors
        Teacher's posteriors × 255 on the same grid.
    intracranial
        Share of every voxel that is intracranial × 255; 255 throughout where that is not known.
    odds
        How often each is drawn (they sum to one).
    """

    images: Float[Array, "box i j k"]
    posteriors: UInt8[Array, "box i j k 10"]
    intracranial: UInt8[Array, "box i j k"]
    odds: Float[Array, " box"]


@dataclass(frozen=True)
class BoxConfig:
    """How box examples are varied.

    Parameters
    ----------
    shape
        Voxels of an example: less than the box of inference, since nothing in the network depends on its extent. It is cut
        out of a whole box at random.
    stripped
        Share of examples without skull.
    scalp
        Standard deviation of the logarithm of what lies outside the cranium is brightened by: marrow and fat in the box may be
        saturated, or burn.
    whole_heads
        Share of examples from scans that are not skull-stripped.
    swell
        Standard deviation of the logarithm of the length by which the hypothalamus is made larger or smaller while the head round it stays.
        Without it a network learns that sizes follow from the surroundings.
    pairs
        Weight of what pairs of examples are told apart by; 0: examples are single. The two of a pair are one example whose hypothalamus is
        larger in one and smaller in the other by one factor (`swell`), and the loss holds the ratio of the two volumes against the true
        one. A network that is asked for volumes alone leans towards the usual size by as much as noise and blur hide the true one, in
        clean images as well, and measures 0.86 to 0.89 of a true change.
    apart
        Whether the two of a pair differ in grey values, coil and noise as well, which the ratio of their volumes must not follow. Without
        it a network whose slope is mended follows brightness more than before.
    warp, appearance
        Ranges of the spatial transforms and of the acquisition.
    """

    shape: tuple[int, int, int] = (32, 32, 32)
    stripped: float = 0.15
    scalp: float = 0.5
    whole_heads: float = 0.5
    swell: float = 0.0
    pairs: float = 0.0
    apart: bool = False
    warp: WarpConfig = field(default_factory=lambda: WarpConfig(rotation=13.0, shift=3.0))
    appearance: AppearanceConfig = field(default_factory=AppearanceConfig)


def box_pair(key: PRNGKeyArray, boxes: Boxes, config: BoxConfig) -> Pair:
    """One random example twice, its hypothalamus larger and smaller by the same factor."""
    pair: Pair = jax.lax.map(lambda way: box_example(key, boxes, config, way), jnp.array([1.0, -1.0]))
    return pair


def box_example(key: PRNGKeyArray, boxes: Boxes, config: BoxConfig, way: float | Float[Array, ""] = 1.0) -> Example:
    """One random example: the z-score is that of the whole box by its intracranial tissue, as at inference.

    ``way`` is 1, or -1 for the same example with its hypothalamus smaller by the factor by which it were larger, or the other way round.
    """
    pick, warp_key, flip_key, strip_key, look_key, cut_key = jax.random.split(key, 6)
    which = jax.random.choice(pick, boxes.odds.shape[0], p=boxes.odds)
    positions = random_warp(warp_key, BOX_SHAPE, spacing=BOX_SPACING, config=config.warp)
    positions = swollen(jax.random.fold_in(warp_key, 0), positions, config.swell * way)
    flip = jax.random.bernoulli(flip_key)
    positions = settled(jnp.where(flip, positions * jnp.array([1.0, 1.0, -1.0]), positions))
    seen = _lookup(jnp.stack([boxes.images[which], boxes.intracranial[which].astype(jnp.float32) / 255], axis=-1), positions)
    image = random_scalp(jax.random.fold_in(strip_key, 0), seen[..., 0], seen[..., 1], config.scalp)
    image = _stripped(strip_key, image, seen[..., 1], config.stripped)
    image = _reacquire(look_keys(look_key, way, apart=config.apart), image, tissue(image, seen[..., 1]), config.appearance)
    corner = jax.random.randint(cut_key, (3,), 0, jnp.array(BOX_SHAPE) - jnp.array(config.shape) + 1)
    subunits = _lookup(boxes.posteriors[which], jax.lax.dynamic_slice(positions, (*corner, 0), (*config.shape, 3))) / 255
    subunits = jnp.where(flip, jnp.concatenate([subunits[..., 5:], subunits[..., :5]], axis=-1), subunits)
    return jax.lax.dynamic_slice(image, corner, config.shape)[..., None], with_background(subunits)


def swollen(key: PRNGKeyArray, positions: Float[Array, "x y z 3"], spread: float | Float[Array, ""]) -> Float[Array, "x y z 3"]:
    """Source positions that also make what lies near the middle larger or smaller, by a random factor, and leave alone what lies far away.

    Lengths within about two thirds of ``reach`` change by the factor; the displacement ends smoothly beyond it, so that nothing folds for
    factors between 0.74 and 1.35.
    """
    scale_key, reach_key, place_key = jax.random.split(key, 3)
    stretch = jnp.exp(jnp.clip(spread * jax.random.normal(scale_key), -0.3, 0.3))
    reach = jax.random.uniform(reach_key, minval=14.0, maxval=22.0)
    offset = positions - 2.0 * jax.random.normal(place_key, (3,))
    fade = jnp.exp(-(((offset**2).sum(axis=-1, keepdims=True) / reach**2) ** 2))
    return positions + (1 / stretch - 1) * fade * offset


def plain_box(image: Float[Array, "i j k"], posteriors: UInt8[Array, "i j k 10"], intracranial: UInt8[Array, "i j k"]) -> Example:
    """The same without any variation: for validation."""
    positions = grid_positions(BOX_SHAPE, BOX_SPACING)
    still = AppearanceConfig(gain=0.0, offset=0.0)
    seen = _lookup(jnp.stack([image, intracranial.astype(jnp.float32) / 255], axis=-1), positions)
    counted = tissue(seen[..., 0], seen[..., 1])
    scored = standardise(jax.random.key(0), seen[..., 0], still, stride=1, inside=counted, brightest=BRIGHTEST)
    return scored[..., None], with_background(_lookup(posteriors, positions) / 255)


def tissue(image: Float[Array, "x y z"], intracranial: Float[Array, "x y z"]) -> Bool[Array, "x y z"]:
    """What the z-score is made of, as `intensity.box_statistics`: intracranial, and not blank as what was removed is."""
    return (intracranial > 0.5) & (image > image.min())


def with_background(subunits: Float[Array, "x y z 10"]) -> Float[Array, "x y z 11"]:
    """Posteriors of ten subunits, and before them what they leave to background."""
    return jnp.clip(jnp.concatenate([1 - subunits.sum(axis=-1, keepdims=True), subunits], axis=-1), 0, 1)


def _lookup(volume: Float[Array, "i j k c"] | UInt8[Array, "i j k c"], positions: Float[Array, "x y z 3"]) -> Float[Array, "x y z c"]:
    """Interpolate a 1 mm volume at positions relative to its middle."""
    i, j, k, _ = volume.shape
    return linear_lookup(volume, to_index(positions, (i, j, k), BOX_SPACING))


def random_scalp(
    key: PRNGKeyArray, image: Float[Array, "x y z"], intracranial: Float[Array, "x y z"], spread: float
) -> Float[Array, "x y z"]:
    """All outside the cranium brighter or darker by one random factor, counted from the darkest voxel."""
    gain = jnp.exp(spread * jax.random.normal(key))
    low = image.min()
    return low + (image - low) * (intracranial + (1 - intracranial) * gain)


def _stripped(key: PRNGKeyArray, image: Float[Array, "x y z"], intracranial: Float[Array, "x y z"], chance: float) -> Float[Array, "x y z"]:
    """Now and then all outside the cranium as dark as can be, with a margin as loose or tight as software leaves it."""
    happens, edge = jax.random.split(key)
    outside = intracranial < jax.random.uniform(edge, minval=0.02, maxval=0.9)
    return jnp.where(jax.random.bernoulli(happens, chance) & outside, image.min(), image)


def look_keys(key: PRNGKeyArray, way: float | Float[Array, ""], *, apart: bool) -> list[PRNGKeyArray]:
    """Random keys of the steps of an acquisition; where the two of a pair are acquired apart, those of `OWN` are of each alone."""
    shared = jax.random.split(key, len(OWN))
    if not apart:
        return list(shared)
    each = jax.random.split(jax.random.fold_in(key, (jnp.asarray(way) < 0).astype(int)), len(OWN))
    return [(each if own else shared)[step] for step, own in enumerate(OWN.values())]


def _reacquire(
    keys: Sequence[PRNGKeyArray], image: Float[Array, "x y z"], inside: Bool[Array, "x y z"], config: AppearanceConfig
) -> Float[Array, "x y z"]:
    """Another contrast, coil, resolution and noise; then the z-score."""
    for stage, vary in enumerate((random_curve, random_bias, random_resolution, random_ghost, random_noise)):
        image = settled(vary(keys[stage], image, config))
    image, seen = random_crop(keys[5], image, config, deepest=0.25)
    return settled(standardise(keys[6], image, config, stride=2, inside=inside & seen, brightest=BRIGHTEST))
