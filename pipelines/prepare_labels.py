"""Make the training examples of the hypothalamus from your own scans and label maps.

    python pipelines/prepare_labels.py TABLE runs/examples

TABLE (tsv) has a row a scan: ``name`` (of the subject: a subject is never in two folds), ``image`` and ``labels`` (files; paths
beside the table, or whole ones), and where they are known ``mask`` (of the intracranial volume), ``age``, ``sex`` and ``dataset``.
Labels are 1–5 left and 6–10 right, as in ``hypojax.schema``. Two files come out, ``boxes.npz`` and ``folds.tsv``: five folds by
subject, alike in what the table knows. One second a scan.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float32, UInt8

from hypojax.grid import Grid, centred_grid, model_directions, resample, to_world
from hypojax.matching import folds
from hypojax.reason import HypojaxError
from hypojax.scans import Image, read
from hypojax.schema import LABELS
from hypojax.training.examples import BOX_SIDE

KNOWN = ("dataset", "age", "sex")
"""What folds are alike in, where the table has it."""


Box = tuple[Float32[np.ndarray, "i j k"], UInt8[np.ndarray, "i j k 10"], UInt8[np.ndarray, "i j k"]]


def one_box(name: str, image: Image, labels: Image, mask: Image | None) -> Box:
    """The image, the share of every voxel that each subunit has × 255, and that of the intracranial volume, round the hypothalamus."""
    found = np.round(labels.scaled()).astype(int)
    if not np.isin(found, list(LABELS)).any() or found.max() > max(LABELS):
        raise SystemExit(f"{name}: labels are {np.unique(found)[:20].tolist()}; they must be among 1-10, and some of them there")
    centre = to_world(labels.affine, np.argwhere(found > 0).mean(axis=0))
    grid = centred_grid(model_directions(image.affine), shape=(BOX_SIDE,) * 3, spacing=1.0, centre=centre)
    posteriors = np.stack([share(found == label, labels, grid) for label in LABELS], axis=-1)
    cranium = np.full(grid.shape, 255, np.uint8) if mask is None else share(mask.scaled() > 0, mask, grid)
    return resample(np.nan_to_num(image.scaled()), image.affine, grid), posteriors, cranium


def share(structure: np.ndarray, source: Image, grid: Grid) -> UInt8[np.ndarray, "i j k"]:
    """Share of every voxel of a grid that a structure has, times 255."""
    return np.clip(np.round(255 * resample(structure.astype(np.float32), source.affine, grid)), 0, 255).astype(np.uint8)


def main(table: Path, out: Path) -> None:
    """Write both files."""
    out.mkdir(parents=True, exist_ok=True)
    rows = pd.read_csv(table, sep="\t", dtype={"name": str})
    boxes = []
    for row in rows.to_dict("records"):
        image, labels = (read(row["name"], table.parent / row[column]) for column in ("image", "labels"))
        mask = read(row["name"], table.parent / row["mask"]) if isinstance(row.get("mask"), str) else None
        boxes.append(one_box(row["name"], image, labels, mask))
        print(row["name"], f"{boxes[-1][1].sum() / 255:.0f} mm3", flush=True)
    images, posteriors, cranium = (np.stack(column) for column in zip(*boxes, strict=True))
    np.savez(out / "boxes.npz", names=rows["name"].to_numpy(str), images=images, posteriors=posteriors, intracranial=cranium)
    fold = folds(rows, subject="name", stratify=[column for column in KNOWN if column in rows])
    rows[["name"]].assign(fold=fold).to_csv(out / "folds.tsv", sep="\t", index=False)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except HypojaxError as error:
        sys.exit(str(error))
