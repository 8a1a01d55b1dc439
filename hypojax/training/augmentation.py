"""Random spatial transforms and random acquisition of training examples, in JAX.

Positions are mm relative to the middle of a grid, axes anterior, superior, right. Acquisition is contrast, bias field, resolution,
noise and field of view, and at the end the z-score of inference.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jax.scipy.spatial.transform import Rotation
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from hypojax.preprocessing.intensity import CLIP, FARTHEST, TRIM

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
    turned
        Share of examples that are turned about any axis instead, and shifted farther.
    turn
        Largest angle of these, degrees (uniform).
    carried
        Largest shift of these along each axis, mm (uniform).
    """

    rotation: float = 8.0
    scale: float = 0.06
    shear: float = 0.03
    shift: float = 6.0
    elastic: float = 1.5
    control: int = 6
    turned: float = 0.0
    turn: float = 60.0
    carried: float = 30.0


def grid_positions(shape: tuple[int, int, int], spacing: float) -> Positions:
    """Positions (mm) of the voxel centres of a grid relative to its middle."""
    axes = [spacing * (jnp.arange(n) - (n - 1) / 2) for n in shape]
    return jnp.stack(jnp.meshgrid(*axes, indexing="ij"), axis=-1)


def random_affine(key: PRNGKeyArray, config: WarpConfig) -> tuple[Float[Array, "3 3"], Float[Array, "3"]]:
    """A random matrix (rotation, scale, shear) and shift (mm)."""
    turn, stretch, skew, move = jax.random.split(key, 4)
    rotation = Rotation.from_euler("xyz", config.rotation * jax.random.normal(turn, (3,)), degrees=True).as_matrix()
    reach = jnp.asarray(config.shift)
    if config.turned:
        far, angle, axis = jax.random.split(jax.random.fold_in(key, 4), 3)
        turned = jax.random.bernoulli(far, config.turned)
        rotation = jnp.where(turned, _any_rotation(angle, axis, config.turn), rotation)
        reach = jnp.where(turned, config.carried, config.shift)
    scale = jnp.diag(jnp.exp(config.scale * jax.random.normal(stretch, (3,))))
    shear = jnp.eye(3) + jnp.triu(config.shear * jax.random.normal(skew, (3, 3)), 1)
    return rotation @ shear @ scale, jax.random.uniform(move, (3,), minval=-reach, maxval=reach)


def _any_rotation(angle: PRNGKeyArray, axis: PRNGKeyArray, largest: float) -> Float[Array, "3 3"]:
    """A rotation about any axis by up to ``largest`` degrees."""
    vector = jax.random.normal(axis, (3,))
    turn = jnp.radians(jax.random.uniform(angle, maxval=largest))
    matrix: Float[Array, "3 3"] = Rotation.from_rotvec(turn * vector / jnp.linalg.norm(vector)).as_matrix()
    return matrix


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


Image = Float[Array, "x y z"]

BLUR_RADIUS = 5
"""Half width of the blur kernel, voxels: enough for a slice six voxels thick."""

SLICE_PROFILE = 0.4
"""Standard deviation of a slice's profile, as a share of its thickness: a Gaussian of that full width at half maximum."""

GHOST = 0.25
"""Brightest ghost, as a share of the head."""


@dataclass(frozen=True)
class AppearanceConfig:
    """Ranges of the random acquisition.

    Parameters
    ----------
    gamma
        Standard deviation of the logarithm of gamma.
    curve
        Standard deviation of the wiggle of the intensity curve, as a share of its range.
    bias
        Standard deviation of the logarithm of the bias field.
    blur
        Largest blur along each axis, as the standard deviation in voxels.
    thick
        Probability that the image is acquired in thick slices along one axis.
    slice
        Thickest slice, voxels.
    ghost
        Probability of a ghost: the head moved or pulsed while it was imaged.
    noise
        Largest noise, as a share of the intensity range.
    crop
        Probability that the field of view is cut on one side.
    gain, offset
        Standard deviations of what the z-score is off by (logarithm of the gain; offset in standard deviations).
    """

    gamma: float = 0.25
    curve: float = 0.05
    bias: float = 0.2
    blur: float = 0.8
    thick: float = 0.2
    slice: float = 6.0
    ghost: float = 0.15
    noise: float = 0.06
    crop: float = 0.1
    gain: float = 0.08
    offset: float = 0.15


def random_curve(key: PRNGKeyArray, image: Image, config: AppearanceConfig) -> Image:
    """Gamma and a smooth wiggle of the intensities, kept between the image's own ends."""
    gamma_key, wiggle_key = jax.random.split(key)
    low, high = jnp.percentile(image[::2, ::2, ::2], jnp.array([0.5, 99.5]))
    unit = jnp.clip((image - low) / jnp.maximum(high - low, 1e-6), 0, 1)
    unit = unit ** jnp.exp(config.gamma * jax.random.normal(gamma_key))
    wiggle = config.curve * jax.random.normal(wiggle_key, (3,)) / jnp.arange(1.0, 4.0)
    return unit + sum(wiggle[n] * jnp.sin((n + 1) * jnp.pi * unit) for n in range(3))


def random_bias(key: PRNGKeyArray, image: Image, config: AppearanceConfig) -> Image:
    """Multiply by a smooth field, as an uneven coil does."""
    shape = (image.shape[0], image.shape[1], image.shape[2])
    return image * jnp.exp(config.bias * random_field(key, shape, control=4, channels=1)[..., 0])


def random_resolution(key: PRNGKeyArray, image: Image, config: AppearanceConfig) -> Image:
    """Blur, differently along each axis; now and then slices of a random thickness along one, interpolated back."""
    width_key, thick_key, axis_key, slice_key, phase_key = jax.random.split(key, 5)
    sigma = jax.random.uniform(width_key, (3,), maxval=config.blur)
    thick = jax.random.bernoulli(thick_key, config.thick) * jax.nn.one_hot(jax.random.randint(axis_key, (), 0, 3), 3)
    spacing = 1 + thick * jax.random.uniform(slice_key, minval=1.0, maxval=config.slice - 1.0)
    phase = jax.random.uniform(phase_key)
    for axis in range(3):
        profile = SLICE_PROFILE * jnp.sqrt(spacing[axis] ** 2 - 1)
        image = _blur_axis(image, jnp.hypot(sigma[axis], profile), axis)
        image = resliced(image, spacing[axis], phase * spacing[axis], axis)
    return image


def random_ghost(key: PRNGKeyArray, image: Image, config: AppearanceConfig) -> Image:
    """A faint copy of the head, displaced along one axis: near for a head that moved, far for one that pulsed."""
    chance, size_key, axis_key, shift_key = jax.random.split(key, 4)
    size = jax.random.bernoulli(chance, config.ghost) * jax.random.uniform(size_key, maxval=GHOST)
    axis = jax.random.randint(axis_key, (), 0, 3)
    share = jnp.exp(jax.random.uniform(shift_key, minval=jnp.log(0.03), maxval=jnp.log(0.5)))
    copies = [partial(_displaced, axis=n) for n in range(3)]
    return (1 - size) * image + size * jax.lax.switch(axis, copies, image, share)


def random_noise(key: PRNGKeyArray, image: Image, config: AppearanceConfig) -> Image:
    """Rician noise (Gudbjartsson 1995) of a random size; the image lies roughly in 0–1."""
    size_key, real_key, imaginary_key = jax.random.split(key, 3)
    size = jax.random.uniform(size_key, maxval=config.noise)
    real = image + size * jax.random.normal(real_key, image.shape)
    return jnp.sqrt(real**2 + (size * jax.random.normal(imaginary_key, image.shape)) ** 2)


def random_crop(key: PRNGKeyArray, image: Image, config: AppearanceConfig, *, deepest: float) -> tuple[Image, Bool[Array, "x y z"]]:
    """Set one side of the image to background, at most ``deepest`` of its length; return what is left to see."""
    chance, axis_key, depth_key, side_key = jax.random.split(key, 4)
    depth = jax.random.bernoulli(chance, config.crop) * jax.random.uniform(depth_key, maxval=deepest)
    axis, side = jax.random.randint(axis_key, (), 0, 3), jax.random.bernoulli(side_key)
    along = jnp.stack(jnp.meshgrid(*[(jnp.arange(n) + 0.5) / n for n in image.shape], indexing="ij"))[axis]
    seen = jnp.where(side, along, 1 - along) > depth
    return jnp.where(seen, image, image.min()), seen


def standardise(
    key: PRNGKeyArray,
    image: Image,
    config: AppearanceConfig,
    *,
    stride: int,
    inside: Bool[Array, "x y z"] | None = None,
    brightest: float = FARTHEST,
) -> Image:
    """The z-score of `intensity`, off by a small random gain and offset; its statistics are of every ``stride``-th voxel inside."""
    counted = jnp.ones_like(image, bool) if inside is None else inside
    mean, std = tissue_statistics(*(volume[::stride, ::stride, ::stride].ravel() for volume in (image, counted)))
    gain_key, offset_key = jax.random.split(key)
    gain = jnp.exp(config.gain * jax.random.normal(gain_key))
    scored = (image - mean) / jnp.maximum(std, 1e-6) * gain + config.offset * jax.random.normal(offset_key)
    return jnp.clip(scored, -FARTHEST, brightest)


def tissue_statistics(values: Float[Array, " n"], counted: Bool[Array, " n"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Trimmed mean and standard deviation of tissue among ``values[counted]``, by sorting: twin of `hypojax.preprocessing.intensity`."""
    order = jnp.argsort(values)
    ordered, weight = values[order], counted[order].astype(jnp.float32)
    below = jnp.cumsum(weight)
    n = below[-1]
    ends = [ordered[jnp.searchsorted(below, 1 + jnp.floor(percentile / 100 * (n - 1)))] for percentile in CLIP]
    moment = jnp.cumsum(weight * (jnp.clip(ordered, *ends) - ends[0]))
    above = n - below
    gap = moment / jnp.maximum(below, 1) - (moment[-1] - moment) / jnp.maximum(above, 1)
    split = below[jnp.argmax(below / n * above / n * gap**2)]
    kept = (weight > 0) & (below - 1 >= split + TRIM[0] / 100 * (n - split)) & (below - 1 <= split + TRIM[1] / 100 * (n - split))
    mean = jnp.sum(ordered, where=kept) / kept.sum()
    return mean, jnp.sqrt(jnp.sum((ordered - mean) ** 2, where=kept) / kept.sum())


def _displaced(image: Image, share: Float[Array, ""], *, axis: int) -> Image:
    """The image moved along an axis by a share of its length; what leaves comes in again on the other side."""
    return jnp.roll(image, jnp.round(share * image.shape[axis]).astype(jnp.int32), axis)


def resliced(image: Image, spacing: Float[Array, ""], phase: Float[Array, ""], axis: int) -> Image:
    """Planes ``spacing`` voxels apart (1 or more), the first at ``phase``, with linear interpolation between them.

    Each plane is the nearest one of the image and stands where that one stands: the image must not move against its labels.

    Examples
    --------
    >>> line = jnp.arange(7.0).at[3].set(9.0)[:, None, None]
    >>> resliced(line, jnp.float32(2), jnp.float32(0), 0).ravel().tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    """
    length = image.shape[axis]
    here = jnp.arange(length)
    low = jnp.floor((here - phase) / spacing)
    before, after = (jnp.floor((low + step) * spacing + phase + 0.5).astype(jnp.int32) for step in (0, 1))
    part = jnp.expand_dims((here - before) / jnp.maximum(after - before, 1), [a for a in range(3) if a != axis])
    near, far = (jnp.take(image, jnp.clip(plane, 0, length - 1), axis=axis) for plane in (before, after))
    return (1 - part) * near + part * far


def _blur_axis(image: Image, sigma: Float[Array, ""], axis: int) -> Image:
    """Gaussian blur along one axis, edges repeated."""
    offsets = jnp.arange(-BLUR_RADIUS, BLUR_RADIUS + 1)
    weights = jnp.exp(-0.5 * (offsets / jnp.maximum(sigma, 1e-3)) ** 2)
    weights = weights / weights.sum()
    pad = [(BLUR_RADIUS, BLUR_RADIUS) if a == axis else (0, 0) for a in range(3)]
    padded, length = jnp.pad(image, pad, mode="edge"), image.shape[axis]
    shifted = [jax.lax.slice_in_dim(padded, n, n + length, axis=axis) for n in range(2 * BLUR_RADIUS + 1)]
    return sum((weight * part for weight, part in zip(weights, shifted, strict=True)), start=jnp.zeros(()))
