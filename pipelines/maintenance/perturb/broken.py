"""Scans that ought not to be trusted: what goes wrong in scanners, in conversion and in headers.

Heavy noise, thick slices and cut fields of view come from the other files of this package with large arguments.
"""

import numpy as np
from jaxtyping import Bool, Num
from scipy import fft, ndimage

from hypojax.grid import Affine, to_world, voxel_sizes
from pipelines.maintenance.perturb.brightness import signal_of
from pipelines.maintenance.perturb.geometry import Scan, Triple, Volume
from pipelines.maintenance.perturb.refit import VOXEL_SPREAD


def smoothed(volume: Volume, affine: Affine, *, mm: float) -> Scan:
    """Gaussian blur of ``mm`` full width at half maximum."""
    return ndimage.gaussian_filter(volume, VOXEL_SPREAD * mm / voxel_sizes(affine), mode="nearest"), affine


def ringing(volume: Volume, affine: Affine, *, axis: int, kept: float) -> Scan:
    """Keep the lowest share of the spatial frequencies along a stored axis: blur with Gibbs ringing."""
    length = volume.shape[axis]
    spectrum = fft.rfft(volume, axis=axis)
    frequency = np.arange(spectrum.shape[axis]) / (length / 2)
    return fft.irfft(spectrum * _along(frequency <= kept, axis), n=length, axis=axis).astype(np.float32), affine


def moved_during(volume: Volume, affine: Affine, *, axis: int, mm: float, seed: int, states: int = 8) -> Scan:
    """Ghosts of a head that moved along a stored axis (phase encoding) while its lines were taken, ``states`` places in all.

    Lines of k-space are measured in order; the head stays at rest in the middle of it, where most of the energy lies, and
    jumps at random (standard deviation ``mm``) in the rest, which multiplies every line by the phase of its shift.
    """
    length, step = volume.shape[axis], float(voxel_sizes(affine)[axis])
    jumps = np.random.default_rng(seed).normal(0, mm / step, states)
    jumps[states // 2] = 0
    frequency = fft.fftfreq(length)
    state = np.clip(((frequency + 0.5) * states).astype(int), 0, states - 1)
    phase = np.exp(-2j * np.pi * frequency * jumps[state]).astype(np.complex64)
    return np.abs(fft.ifft(fft.fft(volume, axis=axis) * _along(phase, axis), axis=axis)).astype(np.float32), affine


def folded(volume: Volume, affine: Affine, *, axis: int, share: float) -> Scan:
    """Add the head to itself, shifted by ``share`` of the field of view along a stored axis: wrap-around."""
    return (volume + np.roll(volume, round(share * volume.shape[axis]), axis)) / np.float32(2), affine


def spiked(volume: Volume, affine: Affine, *, share: float, cycles: tuple[int, int, int]) -> Scan:
    """Add the stripes of one spike in k-space, ``share`` of the signal high and so many cycles along each stored axis."""
    _, signal = signal_of(volume)
    x, y, z = np.ogrid[tuple(slice(0, 1, n * 1j) for n in volume.shape)]
    wave = np.cos(2 * np.pi * (cycles[0] * x + cycles[1] * y + cycles[2] * z))
    return volume + (share * signal * wave).astype(np.float32), affine


def dropped_out(volume: Volume, affine: Affine, *, centre: Triple, mm: float, depth: float) -> Scan:
    """Signal lost round a place (world, mm) in a Gaussian of standard deviation ``mm``; ``depth`` 1 leaves nothing in its middle."""
    low = volume.min()
    distance = to_world(affine, np.moveaxis(np.indices(volume.shape), 0, -1).astype(np.float64)) - np.array(centre)
    lost = depth * np.exp(-(distance**2).sum(axis=-1) / (2 * mm**2))
    return low + (volume - low) * (1 - lost).astype(np.float32), affine


def inverted(volume: Volume, affine: Affine) -> Scan:
    """Turn bright tissue dark and dark tissue bright, as in a T2-weighted scan; air stays dark."""
    low, signal = signal_of(volume)
    head = ndimage.gaussian_filter(volume, 2) - low > 0.25 * signal
    return np.where(head, low + np.maximum(2 * signal - (volume - low), 0), volume).astype(np.float32), affine


def mirrored_slabs(volume: Volume, affine: Affine, *, axis: int, across: int, mm: float) -> Scan:
    """Mirror every second slab of ``mm`` along a stored axis in the axis ``across``: pieces of left and right mixed."""
    thick = max(1, round(mm / float(voxel_sizes(affine)[axis])))
    odd = (np.arange(volume.shape[axis]) // thick) % 2 == 1
    return np.where(_along(odd, axis), np.flip(volume, across), volume), affine


def lost_slices(volume: Volume, affine: Affine, *, axis: int, every: int) -> Scan:
    """Leave every ``every``-th slice along a stored axis empty."""
    lost = np.arange(volume.shape[axis]) % every == every - 1
    return np.where(_along(lost, axis), volume.min(), volume), affine


def rescaled_header(volume: Volume, affine: Affine, *, factors: Triple) -> Scan:
    """Say wrong voxel edges in the header, ``factors`` times the right ones along the stored axes."""
    wrong = affine.copy()
    wrong[:3, :3] *= factors
    return volume, wrong


def _along(values: Num[np.ndarray, " n"] | Bool[np.ndarray, " n"], axis: int) -> Num[np.ndarray, "_ _ _"] | Bool[np.ndarray, "_ _ _"]:
    """Values along one axis of a volume, to be broadcast."""
    return values.reshape([-1 if other == axis else 1 for other in range(3)])
