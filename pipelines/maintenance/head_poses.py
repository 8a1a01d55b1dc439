"""Affine of every training head to the template MNI152NLin2009cAsym: the targets of the head network's template coordinates.

    python -m pip install SimpleITK && python -m pipelines.maintenance.head_poses DATA runs/examples

Reads ``heads.npz`` and ``maps.npz`` (of ``prepare_training.py``) and writes ``poses.npz`` beside them: ``names`` and ``to_template``, a 3×4
matrix from positions on the grid of an example (mm from its middle; anterior, superior, right) to the template (mm, RAS+). Brain against
brain, by mutual information (Mattes 2001) with SimpleITK: rigid, then with one scale, then with twelve parameters. Label maps are painted
like a T1-weighted image before. A head whose brain does not cover the template's is left out. About 30 s a head on one core.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Bool, Float32, Float64
from scipy import ndimage

from hypojax.grid import Grid, resample
from hypojax.schema import HEAD_SPACING
from hypojax.training.head import tissue_prior
from pipelines.maintenance.head_label_maps import HYPOTHALAMUS_MNI, load
from pipelines.maintenance.registration import Picture, counted, picture, registered

LEAST_DICE: Final = 0.93
"""A brain that overlaps with the template's less than this was not registered."""

FARTHEST: Final = 4.0
"""Nor was a head whose hypothalamus comes to lie further than this from the template's, mm."""

MARGIN: Final = {True: 3, False: -2}
"""Voxels by which the template's brain is widened (or narrowed) for the region that counts, where the cranium is known (or not). The
outline of a skull-stripped brain is not that of the template, and would pull the rest along."""

TO_RAS: Final = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
"""Anterior, superior, right to right, anterior, superior."""

Pose = Float64[np.ndarray, "3 4"]


def template(data: Path) -> tuple[Picture, Bool[np.ndarray, "x y z"]]:
    """The template's brain at 2 mm, its world that of MNI (mm, RAS+), and its mask."""
    volume, affine = load(data / "template/MNI152NLin2009cAsym_T1w.nii.gz")
    mask, mask_affine = load(data / "template/MNI152NLin2009cSym_brainmask.nii.gz")
    grid = Grid((96, 114, 96), np.array([[2.0, 0, 0, -95], [0, 2, 0, -131], [0, 0, 2, -77], [0, 0, 0, 1]]))
    brain = resample((mask > 0.5).astype(np.float32), mask_affine, grid) > 0.5
    return picture(resample(volume.astype(np.float32), affine, grid) / 2000 * brain, grid.affine), brain


def example_picture(brain: Float32[np.ndarray, "a s r"]) -> Picture:
    """A brain on an example's 2 mm grid; physical space is mm from the middle of the grid, right, anterior, superior."""
    turned = brain.transpose(2, 0, 1)
    affine = np.diag([HEAD_SPACING] * 3 + [1.0])
    affine[:3, 3] = -HEAD_SPACING * (np.array(turned.shape) - 1) / 2
    return picture(turned, affine)


def overlap(pose: Pose, brain: Bool[np.ndarray, "a s r"], target: Bool[np.ndarray, "x y z"]) -> float:
    """Dice of a brain carried to the template with the template's own (2 mm)."""
    index = np.indices(target.shape).reshape(3, -1).T * 2.0 + np.array([-95.0, -131.0, -77.0])
    back = np.linalg.inv(np.vstack([pose, [0, 0, 0, 1]]))
    there = (index @ back[:3, :3].T + back[:3, 3]) / HEAD_SPACING + (np.array(brain.shape) - 1) / 2
    carried = ndimage.map_coordinates(brain.astype(np.float32), there.T, order=1).reshape(target.shape) > 0.5
    return float(2 * (carried & target).sum() / (carried.sum() + target.sum()))


def painted(labels: np.ndarray, stored: dict[str, np.ndarray]) -> tuple[Float32[np.ndarray, "a s r"], Bool[np.ndarray, "a s r"]]:
    """A 1 mm label map as a T1-weighted brain at 2 mm, and its intracranial mask."""
    halves = [n // 2 for n in labels.shape]
    split = (halves[0], 2, halves[1], 2, halves[2], 2)
    prior = np.where(stored["intracranial"], tissue_prior(stored["values"]), 0).astype(np.float32)
    image = prior[labels].reshape(split).mean(axis=(1, 3, 5))
    return image, stored["intracranial"][labels].reshape(split).mean(axis=(1, 3, 5)) > 0.5


def brain_of(image: Float32[np.ndarray, "a s r"], mask: np.ndarray) -> tuple[Float32[np.ndarray, "a s r"], Bool[np.ndarray, "a s r"]]:
    """The brain of a real head (z-scored), its darkest voxel zero, and its mask."""
    inside = mask > 127
    low = np.percentile(image[inside], 0.5)
    return np.clip(image - low, 0, None) * inside, inside


def main(data: Path, examples: Path) -> None:
    """Register all heads and label maps; print how well each fits."""
    fixed, target = template(data)
    regions = {known: counted(fixed, target, margin) for known, margin in MARGIN.items()}
    names, poses, places = [], [], []
    for name, image, brain, centre, known in heads(examples):
        matrix = np.linalg.inv(registered(fixed, example_picture(image), regions[known]))
        pose = np.column_stack([matrix[:3, :3] @ TO_RAS, matrix[:3, 3]])
        away = pose @ np.append(centre, 1.0) - HYPOTHALAMUS_MNI
        dice, scale = overlap(pose, brain, target), np.cbrt(np.linalg.det(pose[:, :3]))
        good = dice >= LEAST_DICE and bool(np.linalg.norm(away) <= FARTHEST)
        print(name, f"Dice {dice:.3f}, scale {scale:.3f}, hypothalamus off by", away.round(1), "" if good else "left out", flush=True)
        if good:
            names.append(name)
            poses.append(pose)
            places.append(away)
    print(len(names), "kept; hypothalamus, SD mm:", np.std(places, axis=0).round(2), "mean:", np.mean(places, axis=0).round(2))
    np.savez(examples / "poses.npz", names=np.array(names), to_template=np.stack(poses))


def heads(examples: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray, bool]]:
    """Of every label map and head: name, brain, mask (both 2 mm), hypothalamus (mm from the middle), whether the cranium is known."""
    maps, real = dict(np.load(examples / "maps.npz")), dict(np.load(examples / "heads.npz"))
    for name, labels, centre in zip(maps["names"], maps["labels"], maps["centres"], strict=True):
        yield str(name), *painted(labels, maps), centre - (np.array(labels.shape) - 1) / 2, True
    rows = zip(*(real[part] for part in ("names", "images", "intracranial", "centres", "intracranial_known")), strict=True)
    for name, image, mask, centre, known in rows:
        middle = (np.array(image.shape) - 1) / 2
        yield str(name), *brain_of(image.astype(np.float32), mask), HEAD_SPACING * (centre - middle), bool(known)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
