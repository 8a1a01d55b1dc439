"""T1-weighted scans of many kinds, and scans that are not: what `t1w_fit` fits the probability of a T1-weighted scan to.

Real heads as they came and changed in ways that leave them T1-weighted; the same heads with the brightness of their tissues exchanged (T2,
FLAIR, proton density, ...). Painted images are in `contrast_images`.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float32
from scipy import ndimage

from hypojax.grid import Affine, to_world
from hypojax.scans import read
from pipelines.maintenance import perturb
from pipelines.maintenance.contrast_images import CONTRASTS, Levels, Sample
from pipelines.maintenance.perturb import Scan

USUAL: Final[Levels] = (0.0, 0.3, 0.68, 1.0, 1.5)
"""The same of real T1-weighted heads, whose own levels of fluid, grey and white matter take the place of these."""


def exchanged(volume: Float32[np.ndarray, "i j k"], affine: Affine, own: Levels, other: Levels) -> Scan:
    """A T1-weighted volume whose tissues have other levels, what lies between them in proportion."""
    return (1000 * np.interp(volume, own, other)).astype(np.float32), affine


def coarser(volume: Float32[np.ndarray, "i j k"], affine: Affine, *, most: int = 2_500_000) -> Scan:
    """Every second voxel along the finest axes, averaged, until a scan has no more than so many: the head is looked at in 2 mm voxels."""
    while volume.size > most:
        axis = int(np.argmin(np.linalg.norm(affine[:3, :3], axis=0)))
        even = np.moveaxis(volume, axis, 0)[: volume.shape[axis] // 2 * 2]
        volume = np.moveaxis((even[::2] + even[1::2]) / 2, 0, axis)
        step = np.eye(4)
        step[axis, axis], step[axis, 3] = 2.0, 0.5
        affine = affine @ step
    return np.ascontiguousarray(volume, np.float32), affine


Known = Mapping[str, np.ndarray]
"""Of a head: ``levels`` (`USUAL` in its own units), its ``cranium`` and the ``centre`` of its brain (mm)."""


def still_t1w(known: Known, seed: int) -> dict[str, Callable[[np.ndarray, Affine], Scan]]:
    """What leaves a scan T1-weighted."""
    cranium, centre = known["cranium"].astype(bool), known["centre"]
    z = float(centre[2])
    white = float(known["levels"][3])
    return {
        "bias 60 %": lambda v, a: perturb.biased(v, a, share=0.6, seed=seed),
        "bias 120 %": lambda v, a: perturb.biased(v, a, share=1.2, seed=seed + 1),
        "gamma 0.6": lambda v, a: perturb.powered(v, a, gamma=0.6),
        "gamma 1.6": lambda v, a: perturb.powered(v, a, gamma=1.6),
        "noise 12 %": lambda v, a: perturb.noisy(v, a, share=0.12, seed=seed),
        "skull-stripped": lambda v, a: perturb.stripped(v, a, mask=cranium),
        "axial slices of 5 mm": lambda v, a: perturb.smoothed(v, a, mm=4.0),
        "noise in air": lambda v, a: (noise_in_air(v, cranium, seed), a),
        "face removed": lambda v, a: (np.where(beyond(v.shape, a, np.array([0.0, 0.8, -0.6]), centre, 65.0), 0, v).astype(np.float32), a),
        "contrast agent": lambda v, a: (np.where(v > 1.05 * white, v + 0.8 * (v - 1.05 * white) + 0.3 * white, v).astype(np.float32), a),
        "burning fat": lambda v, a: perturb.brightened_outside(v, a, mask=cranium, factor=2.0),
        "cut below": lambda v, a: perturb.cropped(v, a, low=(-np.inf, -np.inf, z - 35), high=(np.inf,) * 3),
        "side third blank": lambda v, a: (np.where(beyond(v.shape, a, np.array([1.0, 0, 0]), centre, 30.0), 0, v).astype(np.float32), a),
        "right half blank": lambda v, a: (np.where(beyond(v.shape, a, np.array([1.0, 0, 0]), centre, 0.0), 0, v).astype(np.float32), a),
        "top half blank": lambda v, a: (np.where(beyond(v.shape, a, np.array([0, 0, 1.0]), centre, 10.0), 0, v).astype(np.float32), a),
        "turned by 60": lambda v, a: perturb.turned(v, a, degrees=(60.0, 20.0, 30.0)),
        "turned by 130": lambda v, a: perturb.turned(v, a, degrees=(-130.0, 30.0, 0.0)),
        "header: upside down": lambda v, a: perturb.turned(v, a, degrees=(0.0, 180.0, 0.0)),
    }


def beyond(shape: tuple[int, ...], affine: Affine, normal: np.ndarray, centre: np.ndarray, mm: float) -> np.ndarray:
    """Which voxels lie more than so many mm beyond a place along a direction of the world."""
    place = to_world(affine, np.moveaxis(np.indices(shape), 0, -1).astype(np.float64)) - centre
    return place @ (normal / np.linalg.norm(normal)) > mm


def noise_in_air(volume: np.ndarray, cranium: np.ndarray, seed: int) -> Float32[np.ndarray, "i j k"]:
    """Noise of the full range wherever there is hardly any signal outside the cranium, as in MP2RAGE."""
    high = float(np.percentile(volume, 99.9))
    dark = (ndimage.uniform_filter(volume, 5) < high / 12) & ~cranium
    return np.where(dark, np.random.default_rng(seed).uniform(0, high, volume.shape), np.minimum(volume, high)).astype(np.float32)


FILES: Final = {
    "ds000011": "bids/ds000011/*/anat/*_T1w.nii.gz", "ds002748": "bids/ds002748/*/anat/*_T1w.nii.gz", "single scans": "scans/*_T1w.nii.gz",
    "template": "template/*_T1w.nii.gz", "NiChart, 2 mm": "icv_reference/*_T1w.nii.gz", "thick slices": "odd/*_T1w.nii.gz",
    "blocks of 80 mm": "roi/*/*_T1w.nii.gz",
}  # fmt: skip
NEVER: Final = ("NiChart, 2 mm", "thick slices")
"""Sources that nothing is fitted to."""


LOST: Final = ("turned by 130", "header: upside down")
"""Headers that turn a head farther than its pose is ever found: T1-weighted, and measured wrongly; nothing is fitted to these."""


def heads(data: Path) -> Iterator[tuple[str, str, Path]]:
    """Source, name and file of every real head."""
    for source, pattern in FILES.items():
        every = 3 if source.startswith("blocks") else 1
        for path in sorted(data.glob(pattern))[::every]:
            yield source, path.name.removesuffix("_T1w.nii.gz"), path


def as_read(path: Path) -> Scan:
    """A scan as it came."""
    image = read(path.name, path)
    return image.scaled(), image.affine


def real_samples(source: str, name: str, scan: Scan, known: Known, number: int) -> Iterator[Sample]:
    """A real head changed in ways that leave it T1-weighted, and in other contrasts: of either a share that goes round."""
    subject = f"{source} {name}"
    for place, (kind, change) in enumerate(still_t1w(known, number).items()):
        if (number + place) % 4 == 0:
            yield Sample(subject, source, kind, True, partial(change, *scan))
    levels = tuple(known["levels"].tolist())
    for place, (kind, other) in enumerate(CONTRASTS.items()):
        if kind != "CT" and (number + place) % 3 == 0:
            yield Sample(subject, source, kind, False, partial(exchanged, *scan, levels, other))
    if number % 4 == 0:
        yield Sample(subject, source, "inverted", False, partial(perturb.inverted, *scan))
