"""What the networks of both stages say of images: traced once for each version, configuration and batch (`hypojax.segmenter.devices`)."""

from collections.abc import Callable, Mapping
from typing import Final

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, UInt8

from hypojax.checkpoint import weights_of
from hypojax.schema import BOX_SPACING, HEAD_SPACING
from hypojax.segmenter.pose import Fit, block_positions, fit_affine
from hypojax.unet import UNet, blueprint, mean_pool
from hypojax.unet_config import UNetConfig

PLACE_RADIUS: Final = 12.0
"""Millimetres round the likeliest voxel within which the place of the hypothalamus is averaged."""

ICV: Final = 0
"""Output of the head network: cranium with the border that head label maps give it."""

BRAIN_EXTRACTION: Final = 1
"""Cranium with the border that masks of brain extraction give it."""

PLACE: Final = 2
"""Place of the hypothalamus (logits of a softmax over space)."""

COORDINATES: Final = slice(3, 6)
"""Where in the template (MNI152NLin2009cAsym, RAS+) a voxel lies, in units of `TEMPLATE_SCALE`."""

HEAD_OUTPUTS: Final = ("icv", "brain_extraction", "place of the hypothalamus", "template x", "template y", "template z")
"""Names of the outputs of the head network."""

FIRST_OUTPUTS: Final = 2
"""Outputs of head networks that know one protocol and no template: cranium and place."""

BLOCK: Final = 4
"""Side, in voxels of the head grid, of the blocks whose coordinates the pose is fitted to: released networks answer them at 8 mm."""

TEMPLATE_SCALE: Final = 50.0
"""Millimetres that one unit of a coordinate output is: the network's outputs are of the order of one."""


def outputs_of(stage: str, network: UNetConfig, arrays: Mapping[str, Array], images: Float[Array, "n x y z"]) -> tuple[Array, ...]:
    """What the head or the box network with these weights says of images."""
    graph, _ = blueprint(network)
    # Full float32 on every device: a GPU left to itself multiplies in fewer bits, and a cohort may mix devices.
    with jax.default_matmul_precision("float32"):
        return OUTPUTS[stage](nnx.merge(graph, weights_of(network, arrays)), images[..., None])


def head_outputs(network: UNet, images: Float[Array, "n a s r 1"]) -> tuple[Array, ...]:
    """Intracranial posterior × 255 (n a s r), place of the hypothalamus (n 3, voxels), and how much of its posterior lies there (n).

    Of a network that knows the template also the posterior × 255 of brain extraction, and the parts of the `Fit` to its coordinates.
    """
    fine, coarse = network.answers(images)
    first = coarse is None and fine.shape[-1] == FIRST_OUTPUTS
    cranium = jax.nn.sigmoid(fine[..., ICV])
    place, located = jax.vmap(place_of)(fine[..., 1 if first else PLACE])
    known = (_bytes(cranium), place, located)
    if first:
        return known
    coordinates = _blocks(fine[..., COORDINATES], BLOCK) if coarse is None else coarse
    return (*known, _bytes(jax.nn.sigmoid(fine[..., BRAIN_EXTRACTION])), *template_fit(cranium, coordinates))


def template_fit(cranium: Float[Array, "n a s r"], coordinates: Float[Array, "n i j k 3"]) -> Fit:
    """The affine from positions on the head grid (mm from its middle) to the template, voxels counted by how intracranial they are.

    Coordinates are those of blocks of voxels, in units of `TEMPLATE_SCALE`.
    """
    _, a, s, r = cranium.shape
    block = a // coordinates.shape[1]
    counted = _blocks(cranium[..., None], block)
    said = TEMPLATE_SCALE * coordinates
    points = jnp.asarray(block_positions((a, s, r), HEAD_SPACING, block), jnp.float32)
    return fit_affine(points, said.reshape(len(said), -1, 3), counted.reshape(len(said), -1))


def _blocks(values: Float[Array, "n a s r c"], side: int) -> Float[Array, "n i j k c"]:
    """Means of blocks of ``side``³ voxels."""
    n, a, s, r, c = values.shape
    return values.reshape(n, a // side, side, s // side, side, r // side, side, c).mean(axis=(2, 4, 6))


def template_mm(logits: Float[Array, "n a s r 6"]) -> Float[Array, "n i j k 3"]:
    """Coordinates in the template (mm, RAS+) of blocks of 2×2×2 voxels."""
    return TEMPLATE_SCALE * mean_pool(logits[..., COORDINATES])


def place_of(logits: Float[Array, "a s r"]) -> tuple[Float[Array, "3"], Float[Array, ""]]:
    """Mean position (voxels) near the likeliest voxel under a softmax over space, and the share of it that lies there."""
    # Planes first: XLA reduces a whole array to one number voxel by voxel.
    planes = logits.reshape(len(logits), -1)
    top = planes.max(0).max()
    number = jnp.arange(planes.size).reshape(planes.shape)
    peak = jnp.stack(jnp.unravel_index(jnp.where(planes == top, number, planes.size - 1).min(0).min(), logits.shape))
    reach = int(PLACE_RADIUS / HEAD_SPACING)
    sizes = [min(2 * reach + 1, side) for side in logits.shape]
    first = jnp.clip(peak - reach, 0, jnp.array(logits.shape) - jnp.array(sizes))
    index = first + jnp.stack(jnp.meshgrid(*[jnp.arange(size) for size in sizes], indexing="ij"), axis=-1)
    posterior = jnp.exp(jax.lax.dynamic_slice(logits, first, sizes) - top) / jnp.exp(planes - top).sum(0).sum()
    near = posterior * (((index - peak) ** 2).sum(-1) <= (PLACE_RADIUS / HEAD_SPACING) ** 2)
    return (near[..., None] * index).sum((0, 1, 2)) / near.sum(), near.sum()


def box_outputs(network: UNet, images: Float[Array, "n x y z 1"]) -> tuple[UInt8[Array, "n 10 x y z"], Float[Array, "n 2 10"]]:
    """Subunit posteriors × 255, the mean over the box and its left–right mirror, so that neither side is favoured; volumes of both."""

    def view(seen: Float[Array, "n x y z 1"]) -> Float[Array, "n 10 x y z"]:
        return jnp.moveaxis(jax.nn.softmax(network(seen))[..., 1:], -1, 1)

    # One after the other: both at once need twice the memory, and the network is compiled twice.
    seen, mirrored = jax.lax.map(view, jnp.stack([images, images[:, :, :, ::-1]]))
    swapped = jnp.concatenate([mirrored[:, 5:], mirrored[:, :5]], axis=1)[..., ::-1]
    volumes = jnp.stack([seen.sum((2, 3, 4)), swapped.sum((2, 3, 4))], axis=1) * BOX_SPACING**3
    return _bytes((seen + swapped) / 2), volumes


def _bytes(posterior: Array) -> UInt8[Array, "*n"]:
    """Quantise a posterior to 0–255."""
    return jnp.round(posterior * 255).astype(jnp.uint8)


OUTPUTS: Final[Mapping[str, Callable[[UNet, Array], tuple[Array, ...]]]] = {"head": head_outputs, "box": box_outputs}
"""Stage → outputs of its network."""
