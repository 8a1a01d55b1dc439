"""`Segmenter`: from the voxels of a scan to posteriors of the intracranial volume and the hypothalamus.

Two stages: the whole head at 2 mm gives the intracranial volume and the place of the hypothalamus; a 1 mm box round that
place gives the subunits. Weights are replicated on every local device and a batch of scans is split over them
("pmapped": `jax.jit` with a sharding over the mesh axis ``scan``). One batch shape, compiled once. NumPy in and out.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Float32, Float64, Num, PyTree, UInt8

from hypojax.checkpoint import Checkpoint, load_checkpoint, released_folder
from hypojax.foreground import Head, find_head, sample_head
from hypojax.grid import Affine, Grid, centred_grid, model_directions, resample, to_world
from hypojax.intensity import Statistics, tissue_statistics, zscore
from hypojax.release import joint_sum, weights_files
from hypojax.schema import BOX_SHAPE, BOX_SPACING, HEAD_SPACING
from hypojax.unet import UNet

PLACE_RADIUS: Final = 12.0
"""Millimetres round the likeliest voxel within which the place of the hypothalamus is averaged."""

RECENTRE: Final = 3.0
"""A box whose hypothalamus lies further than this (mm) from its middle is taken again, centred on it."""

Scan = tuple[Num[np.ndarray, "i j k"], Affine]
Looked = tuple[list[Grid], list[np.ndarray], list[np.ndarray]]
Forward = Callable[[Float32[np.ndarray, "n x y z"]], tuple[Array, ...]]


@dataclass(frozen=True)
class Segmentation:
    """What the networks say of one scan.

    Parameters
    ----------
    head_grid
        The 2 mm grid of ``intracranial``.
    intracranial
        Posterior × 255.
    box_grid
        The 1 mm grid of ``subunits``.
    subunits
        Posteriors × 255 of the ten subunits in label order.
    statistics
        What the whole head was z-scored with.
    located
        Share of the place posterior within 12 mm of the place taken, 0 to 1: low when the head was not understood.
    views
        Soft volume of every subunit, mm³, as each network saw it in the box and in its left–right mirror.
    """

    head_grid: Grid
    intracranial: UInt8[np.ndarray, "a s r"]
    box_grid: Grid
    subunits: UInt8[np.ndarray, "10 x y z"]
    statistics: Statistics
    located: float
    views: Float32[np.ndarray, "view 10"]


class Segmenter:
    """The networks of both stages, compiled for one batch shape on all local devices.

    Examples
    --------
    >>> segmenter = Segmenter.load()  # doctest: +SKIP
    >>> segmentation = segmenter.segment(volume, affine)  # doctest: +SKIP
    """

    def __init__(self, head: Checkpoint, boxes: Sequence[Checkpoint], *, batch: int | None = None) -> None:
        """Take loaded weights, those of one box network or of several of one configuration, whose posteriors are averaged.

        ``batch`` scans are segmented at a time, rounded up to a multiple of the local devices.
        """
        devices = jax.local_devices()
        self.batch = -(-(batch or 1) // len(devices)) * len(devices)
        self.weights = {"head": head.sha256, "box": joint_sum([box.sha256 for box in boxes])}
        self.networks = {"head": asdict(head.network), "box": asdict(boxes[0].network)}
        mesh = Mesh(np.array(devices), ("scan",), axis_types=(AxisType.Auto,))
        (self._head,) = compiled([head], head_outputs, mesh)
        self._boxes = compiled(boxes, box_outputs, mesh)

    @classmethod
    def load(cls, weights: Path | None = None, *, ensemble: bool = False, batch: int | None = None) -> "Segmenter":
        """Load the released weights, or those in a folder with ``head.safetensors``, ``box.safetensors`` and ``SHA256SUMS``.

        Parameters
        ----------
        ensemble
            Take all networks of the cross-validation (``box-fold0.safetensors`` …) instead of the one trained on all subjects.

        Raises
        ------
        RunError
            When weights are missing or their hash is wrong.
        """
        files = weights_files(weights or released_folder(), ensemble=ensemble)
        return cls(load_checkpoint(files["head"][0]), [load_checkpoint(file) for file in files["box"]], batch=batch)

    @property
    def provenance(self) -> Mapping[str, str]:
        """Hashes of the weights, and the devices and library versions that ran them."""
        devices = jax.local_devices()
        return {
            "weights_head_sha256": self.weights["head"],
            "weights_box_sha256": self.weights["box"],
            "device": f"{len(devices)} x {devices[0].device_kind}",
            "jax": jax.__version__,
            "networks": json.dumps(self.networks),
        }

    def segment(self, volume: Num[np.ndarray, "i j k"], affine: Affine) -> Segmentation:
        """Segment one scan: voxels in stored orientation (any real dtype, finite, scaled) and voxel-to-world matrix (mm, RAS+)."""
        return self.segment_batch([(volume, affine)])[0]

    def segment_batch(self, scans: Sequence[Scan]) -> list[Segmentation]:
        """Segment any number of scans, a fixed batch at a time."""
        return [result for start in range(0, len(scans), self.batch) for result in self._segment(scans[start : start + self.batch])]

    def segment_near(self, volume: Num[np.ndarray, "i j k"], affine: Affine, *, centre: Float64[np.ndarray, "3"]) -> Segmentation:
        """Segment the hypothalamus alone, looked for near a place (world, mm): for a block cut out of a head; arguments as `segment`.

        Nothing is said of the intracranial volume: its posterior is zero.
        """
        statistics = tissue_statistics(np.asarray(volume, np.float32))
        (grid,), (subunits,), (views,) = self._settle([(volume, affine)], [statistics.background], [centre])
        return Segmentation(grid, np.zeros(grid.shape, np.uint8), grid, subunits, statistics, 1.0, views)

    def _segment(self, scans: Sequence[Scan]) -> list[Segmentation]:
        """Segment at most one batch of scans."""
        heads = [find_head(volume, affine) for volume, affine in scans]
        intracranial, places, located = self._run(self._head, [head_input(*scan, head) for scan, head in zip(scans, heads, strict=True)])
        centres = [to_world(head.grid.affine, place) for head, place in zip(heads, places, strict=True)]
        grids, subunits, views = self._settle(scans, [head.statistics.background for head in heads], centres)
        return [
            Segmentation(head.grid, icv, grid, posteriors, head.statistics, float(certain), volumes)
            for head, icv, grid, posteriors, certain, volumes in zip(heads, intracranial, grids, subunits, located, views, strict=True)
        ]

    def _settle(self, scans: Sequence[Scan], backgrounds: Sequence[float], centres: Sequence[Float64[np.ndarray, "3"]]) -> Looked:
        """Look near the given places, and once more where the hypothalamus lies far from the middle of its box."""
        grids, subunits, views = self._look(scans, backgrounds, centres)
        better = [recentred(grid, posteriors) for grid, posteriors in zip(grids, subunits, strict=True)]
        if all(new is None for new in better):
            return grids, subunits, views
        # The whole batch again, for its shape is fixed; a box that did not move gives the same once more.
        return self._look(scans, backgrounds, [grid.centre if new is None else new for grid, new in zip(grids, better, strict=True)])

    def _look(self, scans: Sequence[Scan], backgrounds: Sequence[float], centres: Sequence[Float64[np.ndarray, "3"]]) -> Looked:
        """Boxes round the given places (world, mm), and what the box networks say of them."""
        grids = [box_grid(affine, centre) for (_, affine), centre in zip(scans, centres, strict=True)]
        inputs = [box_input(*scan, grid, background=low) for scan, grid, low in zip(scans, grids, backgrounds, strict=True)]
        subunits, views = zip(*[self._run(forward, inputs) for forward in self._boxes], strict=True)
        return grids, [mean_posterior(each) for each in zip(*subunits, strict=True)], [np.concatenate(v) for v in zip(*views, strict=True)]

    def _run(self, forward: Forward, inputs: list[Float32[np.ndarray, "x y z"]]) -> list[list[Any]]:
        """Pad the batch by its last scan, run, and cut the padding off again."""
        padded = np.stack([*inputs, *[inputs[-1]] * (self.batch - len(inputs))])
        return [list(np.asarray(output)[: len(inputs)]) for output in forward(padded)]


def head_input(volume: Num[np.ndarray, "i j k"], affine: Affine, head: Head) -> Float32[np.ndarray, "a s r"]:
    """What the head network sees: the z-scored head grid."""
    return zscore(sample_head(volume, affine, head), head.statistics)


def box_grid(affine: Affine, centre: Float64[np.ndarray, "3"]) -> Grid:
    """The box round a place (world, mm), along the axes of the scan's model grids."""
    return centred_grid(model_directions(affine), shape=BOX_SHAPE, spacing=BOX_SPACING, centre=centre)


def box_input(volume: Num[np.ndarray, "i j k"], affine: Affine, grid: Grid, *, background: float) -> Float32[np.ndarray, "x y z"]:
    """What the box network sees: the box, z-scored with the statistics of its own tissue; background outside the field of view."""
    sampled = resample(volume, affine, grid, fill=background)
    return zscore(sampled, tissue_statistics(sampled))


def box_offset(posteriors: UInt8[np.ndarray, "10 x y z"], grid: Grid) -> Float64[np.ndarray, "3"]:
    """Where the hypothalamus lies relative to the middle of its box, voxels; zero when there is none."""
    whole = posteriors.astype(np.float64).sum(axis=0)
    whole = np.where(whole > 127, whole, 0)
    if not whole.any():
        return np.zeros(3)
    index = np.indices(grid.shape)
    return np.array((index * whole).sum(axis=(1, 2, 3)) / whole.sum() - (np.array(grid.shape) - 1) / 2)


def recentred(grid: Grid, posteriors: UInt8[np.ndarray, "10 x y z"]) -> Float64[np.ndarray, "3"] | None:
    """A better middle (world, mm) for a box whose hypothalamus lies far from it; None where it lies well."""
    offset = grid.affine[:3, :3] @ box_offset(posteriors, grid)
    return np.array(grid.centre + offset) if np.linalg.norm(offset) > RECENTRE else None


def mean_posterior(posteriors: Sequence[UInt8[np.ndarray, "10 x y z"]]) -> UInt8[np.ndarray, "10 x y z"]:
    """Mean of posteriors × 255 over networks."""
    total = np.zeros(posteriors[0].shape, np.uint16)
    for posterior in posteriors:
        total += posterior
    return np.round(total / len(posteriors)).astype(np.uint8)


def compiled(checkpoints: Sequence[Checkpoint], outputs: Callable[[UNet, Array], tuple[Array, ...]], mesh: Mesh) -> tuple[Forward, ...]:
    """Networks of one configuration on a device mesh, compiled once: weights replicated, the batch split over the axis ``scan``."""
    # Traced, not made: drawing weights that are thrown away would take seconds.
    graph = nnx.graphdef(nnx.eval_shape(lambda: UNet(checkpoints[0].network, rngs=nnx.Rngs(0))))
    replicated, split = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("scan"))

    def forward(weights: PyTree, images: Float[Array, "n x y z"]) -> tuple[Array, ...]:
        # Full float32 on every device: a GPU left to itself multiplies in fewer bits, and a cohort may mix devices.
        with jax.default_matmul_precision("float32"):
            return outputs(nnx.merge(graph, weights), images[..., None])

    run = jax.jit(forward, in_shardings=(replicated, split), out_shardings=split)
    return tuple(partial(run, jax.device_put(checkpoint.weights, replicated)) for checkpoint in checkpoints)


def head_outputs(
    network: UNet, images: Float[Array, "n a s r 1"]
) -> tuple[UInt8[Array, "n a s r"], Float[Array, "n 3"], Float[Array, " n"]]:
    """Intracranial posterior × 255, place of the hypothalamus (voxels), and how much of its posterior lies there."""
    logits = network(images)
    place, located = jax.vmap(place_of)(logits[..., 1])
    return _bytes(jax.nn.sigmoid(logits[..., 0])), place, located


def place_of(logits: Float[Array, "a s r"]) -> tuple[Float[Array, "3"], Float[Array, ""]]:
    """Mean position (voxels) near the likeliest voxel under a softmax over space, and the share of it that lies there."""
    posterior = jax.nn.softmax(logits.ravel()).reshape(logits.shape)
    index = jnp.stack(jnp.meshgrid(*[jnp.arange(n) for n in logits.shape], indexing="ij"), axis=-1).astype(jnp.float32)
    peak = jnp.stack(jnp.unravel_index(posterior.argmax(), logits.shape)).astype(jnp.float32)
    near = posterior * (((index - peak) ** 2).sum(-1) <= (PLACE_RADIUS / HEAD_SPACING) ** 2)
    return (near[..., None] * index).sum((0, 1, 2)) / near.sum(), near.sum()


def box_outputs(network: UNet, images: Float[Array, "n x y z 1"]) -> tuple[UInt8[Array, "n 10 x y z"], Float[Array, "n 2 10"]]:
    """Subunit posteriors × 255, the mean over the box and its left–right mirror, so that neither side is favoured; volumes of both."""
    seen = jax.nn.softmax(network(images))[..., 1:]
    mirrored = jax.nn.softmax(network(images[:, :, :, ::-1]))[:, :, :, ::-1, 1:]
    swapped = jnp.concatenate([mirrored[..., 5:], mirrored[..., :5]], axis=-1)
    volumes = jnp.stack([seen.sum((1, 2, 3)), swapped.sum((1, 2, 3))], axis=1) * BOX_SPACING**3
    return jnp.moveaxis(_bytes((seen + swapped) / 2), -1, 1), volumes


def _bytes(posterior: Array) -> UInt8[Array, "*n"]:
    """Quantise a posterior to 0–255."""
    return jnp.round(posterior * 255).astype(jnp.uint8)
