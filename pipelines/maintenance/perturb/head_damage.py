"""Scans whose intracranial volume comes out wrong: parts of the head without signal, folded, left out or of another size."""

import numpy as np
from jaxtyping import Float64
from scipy import ndimage

from hypojax.grid import Affine, to_world, voxel_sizes
from pipelines.maintenance.perturb.brightness import noisy
from pipelines.maintenance.perturb.geometry import Scan, Triple, Volume


def dimmed(volume: Volume, affine: Affine, *, place: Triple, toward: Triple, mm: float, left: float) -> Scan:
    """A coil element that fails: beyond a plane the signal falls to a share within ``mm``.

    Parameters
    ----------
    volume, affine
        The scan.
    place, toward
        A point of the plane (world, mm), and the direction in which the signal falls.
    mm
        Width of the fall, from nine tenths to a tenth of it; 0: at once.
    left
        Share of the signal that is left far beyond.
    """
    beyond = (_world(volume, affine) - np.array(place)) @ (np.array(toward) / np.linalg.norm(toward))
    share = 1 / (1 + np.exp(np.clip(-4.4 * beyond / mm, -50, 50))) if mm else (beyond > 0).astype(np.float64)
    low = volume.min()
    return low + (volume - low) * (1 - (1 - left) * share).astype(np.float32), affine


def wrapped(volume: Volume, affine: Affine, *, axis: int, mm: float) -> Scan:
    """A field of view ``mm`` too short along a stored axis: what lies beyond its end is added at its beginning."""
    cut = min(round(mm / float(voxel_sizes(affine)[axis])), volume.shape[axis] // 2)
    kept = np.moveaxis(volume, axis, 0)[:-cut].copy()
    kept[:cut] += np.moveaxis(volume, axis, 0)[-cut:] - volume.min()
    return np.ascontiguousarray(np.moveaxis(kept, 0, axis)), affine


def ghosted(volume: Volume, affine: Affine, *, axis: int, share: float, depth: float) -> Scan:
    """A second head of ``depth`` times the signal, shifted by a share of the field of view along a stored axis."""
    low = volume.min()
    return volume + np.float32(depth) * (np.roll(volume, round(share * volume.shape[axis]), axis) - low), affine


def repeated_slices(volume: Volume, affine: Affine, *, axis: int, every: int) -> Scan:
    """Every so many slices along a stored axis stand there twice: the head is longer."""
    count = volume.shape[axis]
    return np.repeat(volume, np.where(np.arange(count) % every == 0, 2, 1), axis=axis), affine


def left_out_slices(volume: Volume, affine: Affine, *, axis: int, every: int) -> Scan:
    """Every so many slices along a stored axis are not there, and the others stand together: the head is shorter."""
    return np.compress(np.arange(volume.shape[axis]) % every != 0, volume, axis=axis), affine


def coarse(volume: Volume, affine: Affine, *, mm: float, share: float) -> Scan:
    """Taken in voxels of ``mm``, interpolated to the old ones, with noise (a share of the signal) that was there before."""
    factors = np.minimum(voxel_sizes(affine) / mm, 1.0)
    small = ndimage.zoom(volume, factors, order=1)
    noise, _ = noisy(small, affine, share=share, seed=3)
    return ndimage.zoom(noise, np.array(volume.shape) / noise.shape, order=1).astype(np.float32), affine


def stated_edges(volume: Volume, affine: Affine, *, edges: Triple) -> Scan:
    """A header that states other voxel edges (mm)."""
    wrong = affine.copy()
    wrong[:3, :3] *= np.array(edges) / voxel_sizes(affine)
    return volume, wrong


def _world(volume: Volume, affine: Affine) -> Float64[np.ndarray, "i j k 3"]:
    """Where the voxels lie, mm."""
    return to_world(affine, np.moveaxis(np.indices(volume.shape), 0, -1).astype(np.float64))
