"""`Segmenter`: from the voxels of a scan to posteriors of the intracranial volume and the hypothalamus.

Two stages: the whole head at 2 mm gives the intracranial volume and the place of the hypothalamus; a 1 mm box round that
place gives the subunits. A batch of scans is split over every local device (`hypojax.segmenter.devices`). One batch shape, compiled
once; half of it where that is too much for the memory of a device. NumPy in and out.
"""

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

import jax
import numpy as np
from jax.sharding import AxisType, Mesh
from jaxtyping import Float32, Float64, Num, UInt8

from hypojax.checkpoint import Checkpoint, load_checkpoint
from hypojax.grid import Affine, Grid, centred_grid, model_directions, near, resample
from hypojax.preprocessing.foreground import Prepared, prepared
from hypojax.preprocessing.intensity import BRIGHTEST, NORMALISATION, Statistics, box_statistics, tissue_statistics, zscore
from hypojax.preprocessing.normalisation import RELEASED, difference
from hypojax.reason import HypojaxError, Reason, RunError
from hypojax.release import joint_sum, listed_sum, released_folder, weights_files
from hypojax.schema import BOX_SHAPE, BOX_SPACING, HEAD_SHAPE
from hypojax.segmenter.compile_cache import collector_paused, use_compile_cache
from hypojax.segmenter.devices import Batch, compiled, exhausted
from hypojax.segmenter.head_look import HeadLook, Shown, look_of, looked_until_settled
from hypojax.segmenter.pose import PoseFound, template_axes
from hypojax.storage import Disk, on_disk

RECENTRE: Final = 3.0
"""A box whose hypothalamus lies further than this (mm) from its middle is taken again, centred on it."""

HALF: Final = 127.5
"""Half of a posterior × 255."""

KEPT: Final = 4
"""Segmenters that a process keeps: several sets of weights compared in turn, but not one for each of a training's."""

LOADING: Final = threading.RLock()
"""Held while weights are loaded, so that two threads do not load the same."""

LOG: Final = logging.getLogger("hypojax")

Scan = tuple[Num[np.ndarray, "i j k"], Affine]


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
    head_image, box_image
        What the networks saw on these grids: z-scored intensities.
    device_seconds
        Its share of the time its batch had the devices.
    flags
        What was mended before (see `hypojax.preprocessing.background`).
    brain_extraction
        Posterior × 255 of the cranium by the border of brain extraction, on ``head_grid``; None where the network does not know it.
    pose
        Of the head; None where the network knows no template.
    """

    head_grid: Grid
    intracranial: UInt8[np.ndarray, "a s r"]
    box_grid: Grid
    subunits: UInt8[np.ndarray, "10 x y z"]
    statistics: Statistics
    located: float
    views: Float32[np.ndarray, "view 10"]
    head_image: Float32[np.ndarray, "a s r"] = field(repr=False)
    box_image: Float32[np.ndarray, "x y z"] = field(repr=False)
    device_seconds: float = 0.0
    flags: tuple[str, ...] = ()
    brain_extraction: UInt8[np.ndarray, "a s r"] | None = None
    pose: PoseFound | None = None


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What is known of a scan before a box in it is looked at.

    Parameters
    ----------
    background
        Intensity of air outside the field of view, stored units.
    head_grid, intracranial
        Posterior × 255 of the intracranial volume and its grid; None where only a block of a head is at hand.
    """

    background: float
    head_grid: Grid | None = None
    intracranial: UInt8[np.ndarray, "a s r"] | None = None


class Segmenter:
    """The networks of both stages, compiled for one batch shape on all local devices. Several threads may use one at once.

    Examples
    --------
    >>> segmenter = Segmenter.load()  # doctest: +SKIP
    >>> segmentation = segmenter.segment(volume, affine)  # doctest: +SKIP
    """

    prepare = staticmethod(prepared)

    def __init__(self, head: Checkpoint, boxes: Sequence[Checkpoint], *, batch: int | None = None) -> None:
        """Take loaded weights, those of one box network or of several of one configuration, whose posteriors are averaged.

        ``batch`` scans are segmented at a time, rounded up to a multiple of the local devices; fewer once memory did not suffice.
        """
        devices = jax.local_devices()
        self.batch = -(-(batch or 1) // len(devices)) * len(devices)
        self._least, self._devices = len(devices), threading.Lock()
        self.weights = {"head": head.sha256, "box": joint_sum([box.sha256 for box in boxes])}
        self.networks = {"head": asdict(head.network), "box": asdict(boxes[0].network)}
        mesh = Mesh(np.array(devices), ("scan",), axis_types=(AxisType.Auto,))
        (self._head,) = compiled([head], "head", mesh)
        self._boxes = compiled(boxes, "box", mesh)

    @classmethod
    def load(cls, weights: Disk | None = None, *, ensemble: bool = False, batch: int | None = None) -> "Segmenter":
        """Load the released weights, or those in a folder with ``head.safetensors``, ``box.safetensors`` and ``SHA256SUMS``.

        It is loaded and compiled once in a process: the same weights, options and devices give the same segmenter again, in any thread.
        The last few are kept, with their memory, until `unload`; weights that were changed on the disk are loaded anew. What was compiled
        is kept for the next process too (`hypojax.segmenter.compile_cache`).

        Parameters
        ----------
        weights
            The folder (text or path); the released weights when left out.
        ensemble
            Take all networks of the cross-validation (``box-fold0.safetensors`` …) instead of the one trained on all subjects.
        batch
            Scans segmented at a time; one for each device when left out.

        Raises
        ------
        RunError
            When weights are missing, their hash is wrong, or they learnt from intensities normalised otherwise.
        """
        use_compile_cache()
        files = weights_files(released_folder() if weights is None else on_disk(weights), ensemble=ensemble)
        states = {stage: tuple(WeightsFile.of(path) for path in paths) for stage, paths in files.items()}
        with LOADING:
            return _loaded(states["head"], states["box"], batch, tuple(jax.local_devices()))

    @classmethod
    def unload(cls) -> None:
        """Let go of the segmenters that `load` keeps; the memory of each is free once nobody else holds it."""
        with LOADING:
            _loaded.cache_clear()

    def compile(self) -> None:
        """Compile the networks for a batch before it comes; one that memory does not suffice for meets that itself, and is halved."""
        with suppress(MemoryError, jax.errors.JaxRuntimeError), self._devices:
            self._head.compile((self.batch, *HEAD_SHAPE))
            self._boxes[0].compile((self.batch, *BOX_SHAPE))

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

    def segment_batch(self, scans: Sequence[Scan | Prepared]) -> list[Segmentation]:
        """Segment any number of scans, prepared or not, a fixed batch at a time; a smaller one once memory does not suffice.

        Raises
        ------
        HypojaxError
            ``OUT_OF_MEMORY``: not even the smallest batch fits.
        """
        found: list[Segmentation] = []
        while len(found) < len(scans):
            size = self.batch
            part = scans[len(found) : len(found) + size]
            try:
                # Held by no name here: what did not fit is free before it is tried again.
                found += self._segment(
                    [scan if isinstance(scan, Prepared) else self.prepare(*scan) for scan in part], Batch(self._devices, size)
                )
            except (MemoryError, jax.errors.JaxRuntimeError) as error:
                if not exhausted(error):
                    raise
                LOG.debug("batch of %d", size, exc_info=error)
                self._shrink(size)
        return found

    def segment_near(self, volume: Num[np.ndarray, "i j k"], affine: Affine, *, centre: Float64[np.ndarray, "3"]) -> Segmentation:
        """Segment the hypothalamus alone, looked for near a place (world, mm): for a block cut out of a head; arguments as `segment`.

        Nothing is said of the intracranial volume: its posterior is zero.
        """
        statistics = tissue_statistics(np.asarray(volume, np.float32))
        batch = Batch(self._devices, self.batch)
        around = [Surroundings(statistics.background)]
        boxes = [box_grid(affine, centre)]
        (grid,), (image,), (subunits,), (views,) = self._segment_boxes(batch, [(volume, affine)], around, boxes)
        nothing = np.zeros(grid.shape, np.uint8)
        return Segmentation(grid, nothing, grid, subunits, statistics, 1.0, views, image, image, batch.seconds)

    def _shrink(self, size: int) -> None:
        """Halve the batch, which was ``size`` and did not fit; another thread may have done so before.

        Raises
        ------
        HypojaxError
            It is the smallest already.
        """
        if size <= self._least:
            message = f"memory does not suffice for {size} at a time, one for each device; free some, or use a device with more"
            raise HypojaxError(Reason.OUT_OF_MEMORY, message)
        with self._devices:
            if self.batch == size:
                self.batch = max(self._least, size // 2 // self._least * self._least)
                LOG.warning("memory does not suffice for %d scans at a time; going on with %d", size, self.batch)

    def _segment(self, scans: Sequence[Prepared], batch: Batch) -> list[Segmentation]:
        """Segment at most one batch of scans."""
        looks = looked_until_settled(scans, lambda shown: self._look(batch, shown))
        whole = [(scan.volume, scan.affine) for scan in scans]
        around = [
            Surroundings(scan.head.statistics.background, look.grid, look.intracranial) for scan, look in zip(scans, looks, strict=True)
        ]
        placed = [posed_box(scan.affine, look) for scan, look in zip(scans, looks, strict=True)]
        boxes = zip(*self._segment_boxes(batch, whole, around, placed), strict=True)
        return [
            Segmentation(
                head_grid=look.grid,
                intracranial=look.intracranial,
                box_grid=grid,
                subunits=posteriors,
                statistics=scan.head.statistics,
                located=look.located,
                views=volumes,
                head_image=look.image,
                box_image=image,
                device_seconds=batch.seconds / len(scans),
                flags=scan.flags,
                brain_extraction=look.brain_extraction,
                pose=look.found,
            )
            for scan, look, (grid, image, posteriors, volumes) in zip(scans, looks, boxes, strict=True)
        ]

    def _look(self, batch: Batch, shown: Sequence[Shown]) -> list[HeadLook]:
        """What the head network says of at most one batch of heads."""
        said = batch.run(self._head, [image for _, image in shown])
        return [look_of(one, each) for one, each in zip(shown, zip(*said, strict=True), strict=True)]

    def _segment_boxes(
        self, batch: Batch, scans: Sequence[Scan], around: Sequence[Surroundings], boxes: Sequence[Grid]
    ) -> tuple[list[Grid], list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
        """The given boxes, moved and taken once more where the hypothalamus lies far from the middle of its box.

        Their grids, what the box networks see in them, and what they say of them: posteriors, and volumes of each view.
        """
        grids = list(boxes)
        for last in (False, True):
            inputs = [box_input(*scan, grid, around=known) for scan, grid, known in zip(scans, grids, around, strict=True)]
            subunits, views = zip(*[batch.run(forward, inputs) for forward in self._boxes], strict=True)
            posteriors = [np.asarray(np.round(np.mean(each, axis=0)), np.uint8) for each in zip(*subunits, strict=True)]
            better = [None if last else recentred(grid, found) for grid, found in zip(grids, posteriors, strict=True)]
            if all(centre is None for centre in better):
                break
            # The whole batch again, for its shape is fixed; a box that did not move gives the same once more.
            grids = [grid if centre is None else moved(grid, centre) for grid, centre in zip(grids, better, strict=True)]
        return grids, inputs, posteriors, [np.concatenate(each) for each in zip(*views, strict=True)]


@dataclass(frozen=True)
class WeightsFile:
    """A weights file as it is on the disk: what decides whether it must be read again."""

    path: Path
    sha256: str
    size: int
    modified_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> "WeightsFile":
        """A file and the hash that it must have, which ``SHA256SUMS`` beside it says."""
        found = path.stat()
        return cls(path.resolve(), listed_sum(path), found.st_size, found.st_mtime_ns, found.st_ino)


@lru_cache(maxsize=KEPT)
@collector_paused()
def _loaded(
    head: tuple[WeightsFile, ...], boxes: tuple[WeightsFile, ...], batch: int | None, _devices: tuple[jax.Device, ...]
) -> Segmenter:
    """The segmenter of these files, loaded once."""
    [first], others = [[_suited(load_checkpoint(file.path), stage) for file in files] for stage, files in (("head", head), ("box", boxes))]
    return Segmenter(first, others, batch=batch)


def _suited(checkpoint: Checkpoint, stage: str) -> Checkpoint:
    """The same weights, if they learnt from intensities as this version makes them."""
    learnt, made = checkpoint.header.get("normalisation"), NORMALISATION[stage]
    differs = difference(checkpoint.header.get("normalisation_constants", RELEASED))
    if learnt == made and not differs:
        return checkpoint
    what = differs if learnt == made else f"it was: {learnt}, is: {made}"
    message = f"{stage} weights {checkpoint.sha256[:12]}… learnt from another normalisation than this version makes ({what})"
    raise RunError(Reason.OTHER_SETTINGS, f"{message}; use the version of hypojax that made them, or train them anew")


def box_grid(affine: Affine, centre: Float64[np.ndarray, "3"]) -> Grid:
    """The box round a place (world, mm), along the axes of the scan's model grids."""
    return centred_grid(model_directions(affine), shape=BOX_SHAPE, spacing=BOX_SPACING, centre=centre)


def posed_box(affine: Affine, look: HeadLook) -> Grid:
    """The box round the hypothalamus of a head, along the template's axes in its pose, or of the scan's model grids where it has none."""
    if look.pose is None:
        return box_grid(affine, look.place)
    return centred_grid(template_axes(look.pose), shape=BOX_SHAPE, spacing=BOX_SPACING, centre=look.place)


def moved(grid: Grid, centre: Float64[np.ndarray, "3"]) -> Grid:
    """The same grid round another place (world, mm)."""
    return centred_grid(grid.affine[:3, :3] / BOX_SPACING, shape=grid.shape, spacing=BOX_SPACING, centre=centre)


def box_input(volume: Num[np.ndarray, "i j k"], affine: Affine, grid: Grid, *, around: Surroundings) -> Float32[np.ndarray, "x y z"]:
    """What the box network sees: the box, z-scored by its intracranial tissue; background outside the field of view.

    What burns is cut off in the scan's own voxels: sampled first, it would brighten its neighbours by as much as it burns.
    """
    if not np.array_equal(grid.affine[:3, :3], BOX_SPACING * model_directions(affine)):
        volume, affine = near(volume, affine, grid)
    sampled, inside = resample(volume, affine, grid, fill=around.background), None
    if around.head_grid is not None and around.intracranial is not None:
        inside = resample(around.intracranial, around.head_grid.affine, grid) > HALF
    statistics = box_statistics(sampled, inside, background=around.background)
    ceiling = statistics.mean + BRIGHTEST * statistics.std
    return zscore(resample(volume, affine, grid, fill=around.background, ceiling=ceiling), statistics, brightest=BRIGHTEST)


def recentred(grid: Grid, posteriors: UInt8[np.ndarray, "10 x y z"]) -> Float64[np.ndarray, "3"] | None:
    """A better middle (world, mm) for a box whose hypothalamus lies far from it; None where it lies well, or there is none."""
    whole = posteriors.astype(np.float64).sum(axis=0)
    whole = np.where(whole > 127, whole, 0)
    if not whole.any():
        return None
    place = (np.indices(grid.shape) * whole).sum(axis=(1, 2, 3)) / whole.sum()
    offset = grid.affine[:3, :3] @ (place - (np.array(grid.shape) - 1) / 2)
    return np.array(grid.centre + offset) if np.linalg.norm(offset) > RECENTRE else None
