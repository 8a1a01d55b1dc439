"""Places in the template where nearly everybody has one tissue: what `hypojax.volumes.contrast` looks at.

    python -m pipelines.maintenance.tissue_points DATA checkpoints runs/t1w

Paints the 20 head label maps like T1-weighted images, lets the head network say how each lies in the template (MNI152NLin2009cAsym), and
counts how often each place of a 3 mm grid of the template lies in a tissue. The surest places of each, well apart, go into
``points.json``: numbers, no image.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float64, Int
from scipy import ndimage

from hypojax.grid import Affine, to_voxel, to_world
from hypojax.segmenter.segmenter import Segmenter
from hypojax.training.head import tissue_prior
from pipelines.maintenance.head_label_maps import load
from pipelines.maintenance.head_only import seen_head

TISSUES: Final[dict[str, tuple[int, ...]]] = {
    "fluid": (4, 5, 43, 44, 24),
    "grey": (11, 12, 50, 51, 8, 47),
    "cortex": (3, 42),
    "white": (2, 41, 7, 46),
    "bone": (515, 516),
}
"""FreeSurfer numbers: ventricles and outer fluid, caudate, putamen and cerebellar cortex, cerebral cortex, white matter, skull."""

COUNT: Final = 48
"""Places of each tissue, half left and half right of the middle."""

APART: Final = 6.0
"""Least distance of two places, mm."""

STEP: Final = 3.0
LOW: Final = np.array([-78.0, -111.0, -72.0])
SHAPE: Final = (53, 65, 54)


def painted(labels: Int[np.ndarray, "i j k"]) -> np.ndarray:
    """A label map like a T1-weighted image, 0 to 1000, with a little blur and noise."""
    values = np.unique(labels)
    image = 1000 * tissue_prior(values)[np.searchsorted(values, labels)]
    return (ndimage.gaussian_filter(image, 0.6) + np.random.default_rng(0).normal(0, 15, labels.shape)).astype(np.float32)


def head_maps(data: Path) -> Iterator[tuple[str, Int[np.ndarray, "i j k"], Affine]]:
    """Name, labels in 2 mm voxels and affine of every head label map."""
    for path in sorted((data / "labels/head_maps").glob("*_dseg.nii.gz")):
        labels, affine = load(path)
        coarse = np.ascontiguousarray(labels[::2, ::2, ::2].astype(np.int32))
        yield path.name.split("_dseg")[0], coarse, affine @ np.diag([2.0, 2.0, 2.0, 1.0])


def places() -> Float64[np.ndarray, "p 3"]:
    """The grid of the template that is looked at, mm, RAS+."""
    return LOW + STEP * np.indices(SHAPE).reshape(3, -1).T


def shares(data: Path, segmenter: Segmenter) -> dict[str, Float64[np.ndarray, "p"]]:
    """How often each place lies in each tissue."""
    counted = {name: np.zeros(len(places())) for name in TISSUES}
    heads = 0
    for name, labels, affine in head_maps(data):
        found = seen_head(segmenter, painted(labels), affine).look
        if found.pose is None:
            print(name, "pose not found: left out", flush=True)
            continue
        heads += 1
        index = np.round(to_voxel(affine, to_world(np.linalg.inv(found.pose.to_template), places()))).astype(int)
        inside = ((index >= 0) & (index < labels.shape)).all(axis=1)
        here = labels[tuple(np.clip(index, 0, np.array(labels.shape) - 1).T)]
        for tissue, numbers in TISSUES.items():
            counted[tissue] += inside & np.isin(here, numbers)
        print(name, f"residual {found.residual_mm:.2f} mm", flush=True)
    return {tissue: ndimage.uniform_filter(count.reshape(SHAPE) / heads, 3).ravel() for tissue, count in counted.items()}


def surest(share: Float64[np.ndarray, "p"]) -> list[list[int]]:
    """The places where a tissue is likeliest, well apart, as many on the left as on the right."""
    chosen: list[np.ndarray] = []
    for side in (-1, 1):
        taken = len(chosen)
        for place in places()[np.argsort(-share, kind="stable")]:
            if side * place[0] > 0 and all(np.linalg.norm(place - other) >= APART for other in chosen):
                chosen.append(place)
            if len(chosen) == taken + COUNT // 2:
                break
    return [[int(value) for value in place] for place in chosen]


def main(data: Path, weights: Path, out: Path) -> None:
    """Write the places and say how sure they are."""
    out.mkdir(parents=True, exist_ok=True)
    found = shares(data, Segmenter.load(weights))
    points = {tissue: surest(share) for tissue, share in found.items()}
    for tissue, chosen in points.items():
        known = [found[tissue][np.ravel_multi_index(tuple(((np.array(p) - LOW) / STEP).round().astype(int)), SHAPE)] for p in chosen]
        print(tissue, f"share: least {min(known):.2f}, median {np.median(known):.2f}", flush=True)
    (out / "points.json").write_text(json.dumps(points) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
