"""How well hypothalami lie over each other, in boxes along the axes of the scanner and in boxes in the pose of each head.

    python -m pipelines.maintenance.group_means DATA checkpoints runs/group_means

Every whole head, with and without skull, is segmented as by `hypojax run`. Image and posterior are then put on two grids round the middle
of the hypothalamus: along the axes of the scan, as all boxes lay before poses were known, and along those of the template. Writes
``group_means.tsv``, a row a frame, and ``group_means.png``: mean images, and mean posteriors. A minute on one core for 34 heads.
"""

import sys
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from jaxtyping import Float, Float32

from hypojax.grid import resample, within_field_of_view
from hypojax.metrics import dice
from hypojax.segmenter.segmenter import Segmenter, box_grid, moved
from hypojax.volumes.structure import clean_hypothalamus
from pipelines.maintenance.held_out import load
from pipelines.maintenance.pose_bars import heads_of

Boxes = Float32[np.ndarray, "scan x y z"]

FRAMES: Final = ("along the axes of the scan", "in the pose of the head")


def boxes_of(segmenter: Segmenter, path: Path) -> tuple[list[np.ndarray], list[np.ndarray]] | None:
    """Image (in standard deviations of the box's tissue) and posterior of one hypothalamus in both frames; None where no pose is found."""
    volume, affine = load(path)
    found = segmenter.segment(volume, affine)
    if found.pose is None or found.pose.pose is None:
        return None
    inside = within_field_of_view(found.box_grid, volume.shape, affine)
    whole = clean_hypothalamus(found.subunits, found.box_grid, inside).sum(axis=0)
    middle = found.box_grid.affine[:3, :3] @ [float((axis * whole).sum() / whole.sum()) for axis in np.indices(whole.shape)]
    centre = middle + found.box_grid.affine[:3, 3]
    grids = [box_grid(affine, centre), moved(found.box_grid, centre)]
    images = [resample(volume, affine, grid) for grid in grids]
    tissue = images[1][_central(whole)]
    return [(image - tissue.mean()) / tissue.std() for image in images], [resample(whole, found.box_grid.affine, grid) for grid in grids]


def _central(box: np.ndarray) -> tuple[slice, ...]:
    """The middle of a box, where the hypothalamus and what lies round it are."""
    return tuple(slice(side // 4, side - side // 4) for side in box.shape)


def steepness(image: Float[np.ndarray, "x y z"]) -> float:
    """Mean length of the gradient in the middle of a box, per mm."""
    return float(np.linalg.norm(np.gradient(image), axis=0)[_central(image)].mean())


def figures(images: Boxes, posteriors: Boxes) -> dict[str, float]:
    """How sharp the means are: 1 where all people are the same."""
    mean = posteriors.mean(axis=0)
    pairs = [dice(one > 0.5, other > 0.5) for one, other in combinations(posteriors, 2)]
    return {
        "gradient of the mean image, of that of single ones": steepness(images.mean(axis=0)) / float(np.mean([*map(steepness, images)])),
        "mean posterior where it lies": float((mean**2).sum() / mean.sum()),
        "Dice of two people, mean over pairs": float(np.mean(pairs)),
        "Dice of two people, lowest": float(np.min(pairs)),
    }


def draw(images: list[Boxes], posteriors: list[Boxes], file: Path) -> None:
    """Mean images and posteriors, coronal and sagittal, a row a frame."""
    from matplotlib.figure import Figure

    page = Figure(figsize=(10, 5.4), layout="constrained")
    axes = page.subplots(2, 4)
    for row, frame, *means in zip(axes, FRAMES, *[[each.mean(axis=0) for each in kind] for kind in (images, posteriors)], strict=True):
        for column, (mean, limits) in enumerate(zip(means, ((-2.5, 2), (0, 1)), strict=True)):
            middle = mean.shape[0] // 2
            for place, section in ((column, mean[middle]), (column + 2, mean[:, :, middle].T)):
                row[place].imshow(section, cmap="gray", vmin=limits[0], vmax=limits[1], origin="lower")
                row[place].set(xticks=[], yticks=[], title=frame if not place else "")
    page.savefig(file, dpi=120)


def main(data: Path, weights: Path, out: Path) -> None:
    """Segment, measure, write and print."""
    out.mkdir(parents=True, exist_ok=True)
    segmenter = Segmenter.load(weights)
    stripped = sorted((data / "bids/ds002748").glob("*/anat/*_T1w.nii.gz"))
    found = [boxes for path in [*(path for _, path in heads_of(data)), *stripped] if (boxes := boxes_of(segmenter, path)) is not None]
    images, posteriors = ([np.stack(frame) for frame in zip(*kind, strict=True)] for kind in zip(*found, strict=True))
    table = pd.DataFrame([figures(*both) for both in zip(images, posteriors, strict=True)], index=pd.Index(FRAMES, name="boxes"))
    table.assign(heads=len(found)).to_csv(out / "group_means.tsv", sep="\t")
    draw(images, posteriors, out / "group_means.png")
    print(f"{len(found)} heads", table.T.round(3).to_string(), sep="\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
