"""Random spatial transforms: where in the source each target voxel is looked up.

Positions are mm relative to the middle of a grid, axes anterior, superior, right.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.scipy.spatial.transform import Rotation
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

Positions = Float[Array, "x y z 3"]


@dataclass(frozen=True)
class WarpConfig:
    """Ranges of the random transforms.

    Parameters
    ----------
    rotation
        Standard deviation of the rotation about each axis, degrees.
    scale
        Standard deviation of the logarithm of each axis's scale.
    shear
        Standard deviation of the shear coefficients.
    shift
        Largest shift along each axis, mm (uniform).
    elastic
        Standard deviation of the displacements at the control points, mm.
    control
        Control points a side of the elastic field.
    """

    rotation: float = 8.0
    scale: float = 0.06
    shear: float = 0.03
    shift: float = 6.0
    elastic: float = 1.5
    control: int = 6


def grid_positions(shape: tuple[int, int, int], spacing: float) -> Positions:
    """Positions (mm) of the voxel centres of a grid relative to its middle."""
    axes = [spacing * (jnp.arange(n) - (n - 1) / 2) for n in shape]
    return jnp.stack(jnp.meshgrid(*axes, indexing="ij"), axis=-1)


def random_affine(key: PRNGKeyArray, config: WarpConfig) -> tuple[Float[Array, "3 3"], Float[Array, "3"]]:
    """A random matrix (rotation, scale, shear) and shift (mm)."""
    turn, stretch, skew, move = jax.random.split(key, 4)
    rotation = Rotation.from_euler("xyz", config.rotation * jax.random.normal(turn, (3,)), degrees=True).as_matrix()
    scale = jnp.diag(jnp.exp(config.scale * jax.random.normal(stretch, (3,))))
    shear = jnp.eye(3) + jnp.triu(config.shear * jax.random.normal(skew, (3, 3)), 1)
    return rotation @ shear @ scale, jax.random.uniform(move, (3,), minval=-config.shift, maxval=config.shift)


def random_field(key: PRNGKeyArray, shape: tuple[int, int, int], *, control: int, channels: int) -> Float[Array, "x y z c"]:
    """A smooth random field of unit standard deviation at its control points."""
    coarse = jax.random.normal(key, (control, control, control, channels))
    return jax.image.resize(coarse, (*shape, channels), "cubic")


def random_warp(key: PRNGKeyArray, shape: tuple[int, int, int], *, spacing: float, config: WarpConfig) -> Positions:
    """Source positions (mm) of every voxel of a target grid: random affine plus smooth elastic displacement."""
    first, second = jax.random.split(key)
    matrix, shift = random_affine(first, config)
    elastic = config.elastic * random_field(second, shape, control=config.control, channels=3)
    return settled(grid_positions(shape, spacing) @ matrix.T + shift + elastic)


def settled(values: Array) -> Array:
    """The same values, worked out once: fused into what uses them, the compiler would work them out for each use."""
    out: Array = jax.lax.optimization_barrier(values)
    return out


def to_index(positions: Positions, shape: tuple[int, int, int], spacing: float) -> Positions:
    """Voxel indices (fractional) in a source grid of this shape and spacing of positions relative to its middle."""
    return positions / spacing + (jnp.array(shape) - 1) / 2


def linear_lookup(
    volume: Float[Array, "i j k c"] | UInt8[Array, "i j k c"], index: Positions, *, fill: float | Float[Array, "#c"] = 0.0
) -> Float[Array, "x y z c"]:
    """Trilinear interpolation at fractional indices; ``fill`` outside, one value or one a channel."""
    shape = jnp.array(volume.shape[:3])
    low = jnp.floor(index).astype(jnp.int32)
    part = index - low
    total = jnp.zeros((*index.shape[:3], volume.shape[3]))
    for corner in range(8):
        step = jnp.array([corner >> 2 & 1, corner >> 1 & 1, corner & 1])
        weight = jnp.where(step, part, 1 - part).prod(axis=-1)
        total = total + weight[..., None] * _take(volume, jnp.clip(low + step, 0, shape - 1))
    outside = ((index < -0.5) | (index > shape - 0.5)).any(axis=-1)
    return settled(jnp.where(outside[..., None], fill, total))


def nearest_lookup(labels: Int[Array, "i j k"] | UInt8[Array, "i j k"], index: Positions) -> Int[Array, "x y z"]:
    """The value of the nearest voxel; 0 outside."""
    shape = jnp.array(labels.shape)
    near = jnp.round(index).astype(jnp.int32)
    outside = ((near < 0) | (near >= shape)).any(axis=-1)
    return jnp.where(outside, 0, _take(labels[..., None], jnp.clip(near, 0, shape - 1))[..., 0].astype(jnp.int32))


def _take(volume: Array, index: Int[Array, "x y z 3"]) -> Array:
    """Channels at whole indices known to lie inside."""
    i, j, k, c = volume.shape
    flat = (index[..., 0] * j + index[..., 1]) * k + index[..., 2]
    return volume.reshape(i * j * k, c).at[flat].get(mode="promise_in_bounds").astype(jnp.float32)
