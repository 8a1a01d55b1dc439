"""Images painted from head label maps in T1-weighted and other contrasts, and phantoms, which have no brain.

Real heads in other contrasts are in `contrast_scans`.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from scipy import ndimage

from hypojax.grid import Affine
from hypojax.training.head import BONE, CSF, GREY, WHITE
from pipelines.maintenance import perturb
from pipelines.maintenance.perturb import Scan
from pipelines.maintenance.tissue_points import head_maps

Levels = tuple[float, ...]


class Sample(NamedTuple):
    """A scan to look at: who it is of, where that one comes from, what was done, whether it is T1-weighted, and how it is made."""

    subject: str
    source: str
    kind: str
    t1w: bool
    make: Callable[[], Scan]


CONTRASTS: Final[dict[str, Levels]] = {
    "T2": (0.0, 1.0, 0.55, 0.35, 0.6), "T2, dark fat": (0.0, 1.0, 0.6, 0.45, 0.2), "FLAIR": (0.0, 0.15, 0.9, 0.7, 0.8),
    "PD": (0.0, 0.9, 1.0, 0.8, 0.9), "PD, dark fluid": (0.0, 0.75, 1.0, 0.85, 1.0), "DWI": (0.0, 0.1, 0.8, 0.65, 0.1),
    "STIR": (0.0, 1.0, 0.75, 0.5, 0.05), "CT": (0.0, 0.40, 0.47, 0.45, 0.44), "EPI": (0.0, 1.0, 0.75, 0.55, 0.15),
}  # fmt: skip
"""Brightness of air, fluid, grey matter, white matter and fat, white matter of a T1-weighted scan being 1 (Brown and others 2014)."""


def phantom(seed: int) -> Scan:
    """Something round or angular of one or several parts, as fruit, bottles and test objects are."""
    random = np.random.default_rng(seed)
    shape = (96, 96, 96)
    place = (np.moveaxis(np.indices(shape), 0, -1) - 47.5) * 2.0
    radii = random.uniform(40, 90, 3) if random.random() < 0.5 else np.full(3, random.uniform(45, 90))
    power = random.choice([2.0, 2.0, 2.0, 8.0])
    away = (np.abs(place / radii) ** power).sum(axis=-1) ** (1 / power)
    image = np.where(away < 1, random.uniform(0.4, 1.0), 0.0)
    image = np.where((away < 1) & (away > random.uniform(0.85, 0.97)), random.uniform(0.1, 1.2), image)  # a rind
    if random.random() < 0.5:  # segments
        angle = np.arctan2(place[..., 0], place[..., 1])
        image = image * np.where(np.abs(np.sin(angle * random.integers(3, 7))) < 0.12, random.uniform(0.3, 0.8), 1)
    if random.random() < 0.5:  # a core
        image = np.where(away < random.uniform(0.15, 0.5), random.uniform(0, 1.2), image)
    for _ in range(random.integers(0, 30)):  # seeds and rods
        ball = ((place - random.uniform(-0.6, 0.6, 3) * radii) ** 2).sum(axis=-1) < random.uniform(3, 12) ** 2
        image = np.where(ball & (away < 0.9), random.uniform(0, 1.2), image)
    wave = 1 + 0.15 * np.sin(place[..., 0] / random.uniform(5, 30)) * np.cos(place[..., 1] / random.uniform(5, 30))
    smooth = 900 * ndimage.gaussian_filter(image * wave, 0.7)
    noisy = smooth + random.normal(0, random.uniform(2, 40), shape)
    return np.abs(noisy).astype(np.float32), np.array([[2.0, 0, 0, -95], [0, 2, 0, -95], [0, 0, 2, -95], [0, 0, 0, 1]])


def painted_as(labels: np.ndarray, affine: Affine, levels: Levels, *, bone: float, seed: int) -> Scan:
    """A head label map in a contrast, every structure a little off, with noise and an uneven coil."""
    random = np.random.default_rng(seed)
    values = np.unique(labels)
    kinds = np.select(
        [values == 0, np.isin(values, CSF), np.isin(values, GREY), np.isin(values, WHITE), np.isin(values, BONE)], [0, 1, 2, 3, 5], 4
    )
    level = np.array([*levels, bone])[kinds]
    level = np.where((values == 10) | (values == 49), (levels[2] + levels[3]) / 2, level)  # the thalamus is half white matter
    level = np.where(kinds == 4, level * random.uniform(0.3, 1.0, len(values)), level)
    image = ndimage.gaussian_filter((level * random.normal(1, 0.03, len(values)))[np.searchsorted(values, labels)], 0.5)
    noisy = np.abs(1000 * image + random.normal(0, random.uniform(5, 40), labels.shape)).astype(np.float32)
    return perturb.biased(noisy, affine, share=random.uniform(0.1, 0.4), seed=seed)


def numbered(labels: np.ndarray, affine: Affine) -> Scan:
    """A label map as if its numbers were brightness, smoothed as interpolation does."""
    return ndimage.gaussian_filter(np.where(labels >= 500, 0, labels).astype(np.float32), 0.6), affine


MAP_T1W: Final[dict[str, Levels]] = {
    "MPRAGE": (0.0, 0.2, 0.62, 1.0, 1.3), "FLASH": (0.0, 0.45, 0.78, 1.0, 1.4), "spin echo": (0.0, 0.5, 0.8, 1.0, 1.6),
}  # fmt: skip


def map_samples(data: Path) -> Iterator[Sample]:
    """Every head label map in T1-weighted and in other contrasts."""
    for number, (name, labels, affine) in enumerate(head_maps(data)):
        paint = partial(painted_as, labels, affine)
        for kind, levels in list(MAP_T1W.items())[number % 3 :][:1]:
            yield Sample(name, "head maps", kind, True, partial(paint, levels, bone=0.05, seed=10 * number))
        for place, (kind, levels) in enumerate(CONTRASTS.items()):
            if (number + place) % 3 == 0:
                yield Sample(
                    name, "head maps", kind, False, partial(paint, levels, bone=1.0 if kind == "CT" else 0.05, seed=10 * number + 1)
                )
        if number % 5 == 0:
            yield Sample(name, "head maps", "label numbers", False, partial(numbered, labels, affine))
