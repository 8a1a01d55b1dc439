"""Networks of both stages on all local devices: weights replicated, a batch of scans split over them, one batch at a time.

"Pmapped": `jax.jit` with a sharding over the mesh axis ``scan``. NumPy in and out.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Float32, UInt8

from hypojax.checkpoint import Checkpoint
from hypojax.schema import BOX_SPACING, HEAD_SPACING
from hypojax.segmenter.compile_cache import collector_paused
from hypojax.segmenter.kept_program import Program, kept_program
from hypojax.segmenter.pose import Fit, block_positions, fit_affine
from hypojax.unet import UNet, blueprint, mean_pool

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

EXHAUSTED: Final = ("RESOURCE_EXHAUSTED", "OUT_OF_MEMORY")
"""How errors of XLA and of CUDA below it say that memory did not suffice."""

Forward = Callable[[Float32[np.ndarray, "n x y z"]], tuple[Array, ...]]


@dataclass
class Batch:
    """One batch on its way through the networks.

    Parameters
    ----------
    devices
        Held while a network runs: batches of several threads take turns.
    size
        Scans that are computed, however few there are: the shape that networks are compiled for.
    seconds
        Time it had the devices so far.
    """

    devices: AbstractContextManager[Any] = field(repr=False)
    size: int
    seconds: float = 0.0

    def run(self, forward: Forward, inputs: list[Float32[np.ndarray, "x y z"]]) -> list[list[Any]]:
        """Pad the batch by its last scan, run, and cut the padding off again."""
        padded = np.stack([*inputs, *[inputs[-1]] * (self.size - len(inputs))])
        with self.devices:
            start = time.perf_counter()
            # Back in NumPy before the next turn, so that devices never hold two batches.
            outputs = [np.asarray(output) for output in forward(padded)]
            self.seconds += time.perf_counter() - start
        return [list(output[: len(inputs)]) for output in outputs]


def exhausted(error: Exception) -> bool:
    """Whether an error says that memory of the host or of a device did not suffice.

    >>> exhausted(jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 17179869184 bytes."))
    True
    """
    return isinstance(error, MemoryError) or any(word in str(error) for word in EXHAUSTED)


def compiled(checkpoints: Sequence[Checkpoint], outputs: Callable[[UNet, Array], tuple[Array, ...]], mesh: Mesh) -> tuple[Forward, ...]:
    """Networks of one configuration on a device mesh, compiled once: weights replicated, the batch split over the axis ``scan``."""
    graph, empty = blueprint(checkpoints[0].network)
    replicated, split = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("scan"))

    def forward(leaves: list[Array], images: Float[Array, "n x y z"]) -> tuple[Array, ...]:
        weights = jax.tree.unflatten(jax.tree.structure(empty), leaves)
        # Full float32 on every device: a GPU left to itself multiplies in fewer bits, and a cohort may mix devices.
        with jax.default_matmul_precision("float32"):
            return outputs(nnx.merge(graph, weights), images[..., None])

    programs: dict[int, Program] = {}
    run = jax.jit(forward, in_shardings=(replicated, split), out_shardings=split)

    def placed(weights: list[Array], images: Float32[np.ndarray, "n x y z"]) -> tuple[Array, ...]:
        # Where JAX has further processes, as on the hosts of a TPU slice, it takes an array only when it is told whose it is.
        inputs = jax.device_put(images, split)
        if len(images) in programs:
            return programs[len(images)](weights, inputs)
        with collector_paused():  # traced and compiled by this call
            program = kept_program(run, weights, inputs, network=checkpoints[0].network, outputs=outputs.__name__)
            programs[len(images)] = jax.jit(program, in_shardings=(replicated, split), out_shardings=split)
            return programs[len(images)](weights, inputs)

    return tuple(partial(placed, jax.device_put(jax.tree.leaves(checkpoint.weights), replicated)) for checkpoint in checkpoints)


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
