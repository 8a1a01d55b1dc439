"""Training examples of the hypothalamus box: real scans with subunit posteriors, warped and re-acquired at random."""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from hypojax.schema import BOX_SHAPE, BOX_SPACING
from hypojax.train.appearance import AppearanceConfig, random_bias, random_blur, random_crop, random_curve, random_noise, standardise
from hypojax.train.warp import WarpConfig, grid_positions, linear_lookup, random_warp, to_index


@dataclass(frozen=True)
class BoxConfig:
    """How box examples are varied."""

    warp: WarpConfig = field(default_factory=WarpConfig)
    appearance: AppearanceConfig = field(default_factory=AppearanceConfig)


def box_example(
    key: PRNGKeyArray, image: Float[Array, "i j k"], posteriors: UInt8[Array, "i j k 10"], config: BoxConfig
) -> tuple[Float[Array, "x y z 1"], Float[Array, "x y z 11"]]:
    """One random example.

    Parameters
    ----------
    image
        1 mm box in stored units, the hypothalamus in its middle.
    posteriors
        Teacher's posteriors × 255 on the same grid.

    Returns
    -------
    Normalised intensities, and posteriors of background and the ten subunits (they sum to one).
    """
    warp_key, flip_key, look_key = jax.random.split(key, 3)
    positions = random_warp(warp_key, BOX_SHAPE, spacing=BOX_SPACING, config=config.warp)
    flip = jax.random.bernoulli(flip_key)
    positions = jnp.where(flip, positions * jnp.array([1.0, 1.0, -1.0]), positions)
    subunits = _lookup(posteriors.astype(jnp.float32) / 255, positions)
    subunits = jnp.where(flip, jnp.concatenate([subunits[..., 5:], subunits[..., :5]], axis=-1), subunits)
    target = jnp.concatenate([1 - subunits.sum(axis=-1, keepdims=True), subunits], axis=-1)
    return _reacquire(look_key, _lookup(image[..., None], positions)[..., 0], config.appearance)[..., None], jnp.clip(target, 0, 1)


def plain_box(
    image: Float[Array, "i j k"], posteriors: UInt8[Array, "i j k 10"]
) -> tuple[Float[Array, "x y z 1"], Float[Array, "x y z 11"]]:
    """The same without any variation: for validation."""
    positions = grid_positions(BOX_SHAPE, BOX_SPACING)
    subunits = _lookup(posteriors.astype(jnp.float32) / 255, positions)
    target = jnp.concatenate([1 - subunits.sum(axis=-1, keepdims=True), subunits], axis=-1)
    still = AppearanceConfig(gain=0.0, offset=0.0)
    seen = standardise(jax.random.key(0), _lookup(image[..., None], positions)[..., 0], still, stride=1)
    return seen[..., None], jnp.clip(target, 0, 1)


def _lookup(volume: Float[Array, "i j k c"], positions: Float[Array, "x y z 3"]) -> Float[Array, "x y z c"]:
    """Interpolate a 1 mm volume at positions relative to its middle."""
    i, j, k, _ = volume.shape
    return linear_lookup(volume, to_index(positions, (i, j, k), BOX_SPACING))


def _reacquire(key: PRNGKeyArray, image: Float[Array, "x y z"], config: AppearanceConfig) -> Float[Array, "x y z"]:
    """Another contrast, coil, resolution and noise; then the z-score."""
    keys = jax.random.split(key, 6)
    image = random_curve(keys[0], image, config)
    image = random_bias(keys[1], image, config)
    image = random_blur(keys[2], image, config)
    image = random_noise(keys[3], image, config)
    image, _ = random_crop(keys[4], image, config, deepest=0.25)
    return standardise(keys[5], image, config, stride=1)
