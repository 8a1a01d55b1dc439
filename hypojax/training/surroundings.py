"""What lies around the brain in users' scans and not in ours: noise in air, fat beside the coil, metal, things beside the head, saturation.

Each by chance. Intensities lie roughly in 0-1; positions are mm relative to the middle of the example.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hypojax.schema import HEAD_SPACING
from hypojax.training.augmentation import Image, grid_positions, random_field

DARK = 0.25
"""Below this air, bone, sinuses and fluid lie."""

METAL_DISTANCE = (55.0, 95.0)
METAL_RADIUS = (8.0, 32.0)
"""How far from the middle of the brain metal is, and how far around it the signal is gone, mm."""

FAT_DISTANCE = (90.0, 150.0)
FAT_WIDTH = (25.0, 60.0)
"""How far from the middle of the brain a coil is that fat burns beside, and over how many mm its brightness falls."""

OBJECT_DISTANCE = (85.0, 115.0)
"""How far from the middle of the brain a thing beside the head begins, mm."""


@dataclass(frozen=True)
class SurroundingsConfig:
    """How often each happens.

    Parameters
    ----------
    noise
        Noise over the full range where there is little signal: air, bone and sinuses, as in MP2RAGE images.
    floor
        A floor of noise: what is darker than it cannot be seen.
    fat
        Scalp, fat or shoulders burn beside a coil.
    metal
        A piece of metal outside the brain takes the signal round it away, with a bright rim.
    thing
        Something grey beside the head.
    saturated
        All above some intensity looks the same.
    """

    noise: float = 0.0
    floor: float = 0.0
    fat: float = 0.0
    metal: float = 0.0
    thing: float = 0.0
    saturated: float = 0.0


def random_surroundings(key: PRNGKeyArray, image: Image, inside: Image, config: SurroundingsConfig) -> Image:
    """Perhaps one or several of these; ``inside`` is the share of every voxel that is brain."""
    changes: tuple[tuple[float, Callable[[PRNGKeyArray, Image, Image], Image]], ...] = (
        (config.fat, burning_fat),
        (config.thing, thing_beside),
        (config.metal, metal_void),
        (config.saturated, saturated),
        (config.noise, noisy_air),
        (config.floor, noise_floor),
    )
    for number, (chance, change) in enumerate(changes):
        happens, how = jax.random.split(jax.random.fold_in(key, number))
        if chance:
            image = jax.lax.cond(jax.random.bernoulli(happens, chance), change, _unchanged, how, image, inside)
    return image


def _unchanged(_key: PRNGKeyArray, image: Image, _inside: Image) -> Image:
    """Nothing of it."""
    return image


def noisy_air(key: PRNGKeyArray, image: Image, inside: Image) -> Image:
    """Noise over much of the range where there is little signal; in the brain the fluid keeps most of its own."""
    value, level, width, amount = jax.random.split(key, 4)
    noise = jax.random.uniform(value, image.shape) - 0.5
    noise = 0.5 + noise * jax.random.uniform(amount, minval=0.3, maxval=1.0)
    threshold = jax.random.uniform(level, minval=0.4, maxval=1.0) * DARK
    share = jax.nn.sigmoid((threshold - image) / jax.random.uniform(width, minval=0.01, maxval=0.05))
    return image + share * (1 - 0.9 * inside) * (noise - image)


def noise_floor(key: PRNGKeyArray, image: Image, inside: Image) -> Image:
    """The size of the signal with a constant floor under it, and more noise than usual."""
    size, first = jax.random.split(key)
    floor = jax.random.uniform(size, minval=0.03, maxval=0.2)
    return jnp.sqrt(image**2 + (floor * (1 + 0.4 * jax.random.normal(first, image.shape))) ** 2) + 0 * inside


def burning_fat(key: PRNGKeyArray, image: Image, inside: Image) -> Image:
    """What is not brain, brighter by up to six times near a point outside the head."""
    where, size, width = jax.random.split(key, 3)
    gain = jnp.exp(jax.random.uniform(size, minval=0.4, maxval=1.8)) - 1
    distance = _distance(where, inside, FAT_DISTANCE)
    near = jnp.exp(-0.5 * (distance / jax.random.uniform(width, minval=FAT_WIDTH[0], maxval=FAT_WIDTH[1])) ** 2)
    return image * (1 + gain * near * (1 - 0.85 * inside))


def metal_void(key: PRNGKeyArray, image: Image, inside: Image) -> Image:
    """An uneven ball without signal, its rim bright."""
    where, size, rim, shape = jax.random.split(key, 4)
    radius = jax.random.uniform(size, minval=METAL_RADIUS[0], maxval=METAL_RADIUS[1])
    uneven = random_field(shape, (image.shape[0], image.shape[1], image.shape[2]), control=8, channels=1)[..., 0]
    far = _distance(where, inside, METAL_DISTANCE) / radius * (1 + 0.15 * uneven)
    bright = jax.random.uniform(rim, maxval=1.2) * jnp.exp(-0.5 * ((far - 1.1) / 0.12) ** 2)
    return image * jax.nn.sigmoid((far - 1) / 0.05) + bright * image.max()


def thing_beside(key: PRNGKeyArray, image: Image, inside: Image) -> Image:
    """A grey slab in the air on one side of the head."""
    where, depth, value, thick = jax.random.split(key, 4)
    direction = _direction(where)
    along = (_relative(inside) * direction).sum(-1)
    first = jax.random.uniform(depth, minval=OBJECT_DISTANCE[0], maxval=OBJECT_DISTANCE[1])
    there = (along > first) & (along < first + jax.random.uniform(thick, minval=6.0, maxval=60.0))
    grey = jax.random.uniform(value, minval=0.1, maxval=0.9)
    return jnp.where(there & (inside < 0.01) & (image < 0.2), grey, image)


def saturated(key: PRNGKeyArray, image: Image, inside: Image) -> Image:
    """Cut off above an intensity between that of bright brain and the brightest."""
    level = jax.random.uniform(key, minval=0.85, maxval=1.4)
    brain = (image * inside).sum() / (inside.sum() + 1e-6)
    return jnp.minimum(image, level * jnp.maximum(brain, 0.1) * 1.2)


def _relative(inside: Image) -> Float[Array, "x y z 3"]:
    """Positions relative to the middle of the brain, mm."""
    positions = grid_positions((inside.shape[0], inside.shape[1], inside.shape[2]), HEAD_SPACING)
    middle = (positions * inside[..., None]).sum((0, 1, 2)) / (inside.sum() + 1e-6)
    return positions - middle


def _direction(key: PRNGKeyArray) -> Float[Array, "3"]:
    """A random unit vector."""
    vector = jax.random.normal(key, (3,))
    return vector / jnp.linalg.norm(vector)


def _distance(key: PRNGKeyArray, inside: Image, reach: tuple[float, float]) -> Image:
    """Distance (mm) of every voxel from a random point so far from the middle of the brain, never above it."""
    where, far = jax.random.split(key)
    direction = _direction(where)
    direction = direction.at[1].set(-jnp.abs(direction[1]))
    point = direction * jax.random.uniform(far, minval=reach[0], maxval=reach[1])
    return jnp.linalg.norm(_relative(inside) - point, axis=-1)
