"""The same head in other grey values: gain, gamma, saturation, noise, an uneven coil.

What is said as a share refers to the *signal* of a scan: mean tissue over background, see `hypojax.preprocessing.intensity`.
"""

import itertools
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64

from hypojax.grid import Affine
from hypojax.preprocessing.intensity import tissue_statistics
from pipelines.maintenance.perturb.geometry import Scan, Volume

BIAS_ORDER: Final = 3
"""Highest total degree of the polynomial of a coil's field (Van Leemput 1999 takes four for the whole head)."""


def gained(volume: Volume, affine: Affine, *, gain: float, offset: float) -> Scan:
    """Stored values × ``gain`` + ``offset``.

    >>> gained(np.ones((1, 1, 1), np.float32), np.eye(4), gain=3.0, offset=-1.0)[0].item()
    2.0
    """
    return volume * np.float32(gain) + np.float32(offset), affine


def powered(volume: Volume, affine: Affine, *, gamma: float) -> Scan:
    """Bend the grey scale: signal over background to the power of ``gamma``; background and mean tissue keep their values.

    >>> scan = np.array([0, 0, 10, 10, 10, 20], np.float32).reshape(6, 1, 1)
    >>> powered(scan, np.eye(4), gamma=2.0)[0].round(1).ravel().tolist()
    [0.0, 0.0, 10.0, 10.0, 10.0, 40.0]
    """
    low, signal = signal_of(volume)
    unit = np.maximum(volume - low, 0) / signal
    return (low + signal * unit ** np.float32(gamma)).astype(np.float32), affine


def saturated(volume: Volume, affine: Affine, *, level: float) -> Scan:
    """Cut off what is brighter than ``level`` (stored units): fat and vessels, as scanners with too high a gain do."""
    return np.minimum(volume, np.float32(level)), affine


def brightened_outside(volume: Volume, affine: Affine, *, mask: Bool[np.ndarray, "i j k"], factor: float) -> Scan:
    """Multiply the signal outside a mask (the head's interior): scalp and neck with other fat suppression."""
    low = volume.min()
    return np.where(mask, volume, low + (volume - low) * np.float32(factor)), affine


def noisy(volume: Volume, affine: Affine, *, share: float, seed: int) -> Scan:
    """Rician noise (Gudbjartsson 1995): the magnitude of a signal with normal noise in two channels.

    ``share`` is the standard deviation of a channel over the signal: 0.03 a good scan, 0.09 a poor one (as in BrainWeb,
    Cocosco 1997).
    """
    low, signal = signal_of(volume)
    random = np.random.default_rng(seed)
    real, imaginary = (random.standard_normal(volume.shape, np.float32) * np.float32(share * signal) for _ in range(2))
    return low + np.hypot(volume - low + real, imaginary), affine


def biased(volume: Volume, affine: Affine, *, share: float, seed: int) -> Scan:
    """Multiply the signal by a smooth random field that runs from 1 - share / 2 to 1 + share / 2 over the field of view.

    A polynomial with random coefficients in the voxel indices; ``share`` is what BrainWeb calls 20 % or 40 %.
    """
    low = volume.min()
    field = polynomial_field(volume.shape, seed=seed)
    return low + (volume - low) * (1 + share * (field - 0.5)).astype(np.float32), affine


def polynomial_field(shape: tuple[int, ...], *, seed: int) -> Float64[np.ndarray, "i j k"]:
    """A random polynomial of total degree up to `BIAS_ORDER`, stretched to 0–1 over the box.

    >>> field = polynomial_field((5, 6, 7), seed=0)
    >>> float(field.min()), float(field.max())
    (0.0, 1.0)
    """
    random = np.random.default_rng(seed)
    x, y, z = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in shape)]
    powers = [p for p in itertools.product(range(BIAS_ORDER + 1), repeat=3) if 0 < sum(p) <= BIAS_ORDER]
    field = sum((random.normal() * x**a * y**b * z**c for a, b, c in powers), start=np.zeros(shape))
    return np.asarray((field - field.min()) / max(np.ptp(field), 1e-12))


def signal_of(volume: Volume) -> tuple[np.float32, np.float32]:
    """Darkest value of a scan and mean tissue above it, stored units; every fourth voxel is looked at."""
    low = volume.min()
    step = tuple(slice(None, None, 4 if n > 40 else 1) for n in volume.shape)
    return low, np.float32(max(tissue_statistics(volume[step]).mean - low, 1e-6))
