"""Training examples of the hypothalamus from anybody's own scans and label maps, whatever way they are stored."""

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from jaxtyping import Float32, UInt8

from hypojax.grid import Grid, centred_grid, model_directions, resample, to_world
from hypojax.matching import folds
from hypojax.reason import Reason, RunError
from hypojax.scans import Image, read
from hypojax.schema import LABELS
from hypojax.storage import Disk, on_disk
from hypojax.tables.cells import counted
from hypojax.training.examples import BOX_SIDE, BOXES, FOLDS

FOLD_COUNT: Final = 5
"""Folds of the examples, as the configuration of the released box network has them."""

KNOWN: Final = ("dataset", "age", "sex")
"""What folds are alike in, where the table has it."""

Box = tuple[Float32[np.ndarray, "i j k"], UInt8[np.ndarray, "i j k 10"], UInt8[np.ndarray, "i j k"]]


def write_examples(table: Disk, out: Disk) -> tuple[Path, Path]:
    """Make the examples that ``hypojax train box`` learns from: a box round every hypothalamus, and five folds by subject.

    Parameters
    ----------
    table
        A ``.tsv`` file with a row a scan, of five subjects or more: ``name`` (of the subject, who is never in two folds), ``image`` and
        ``labels`` (files; paths beside the table, or whole ones), and where they are known ``mask`` (of the intracranial volume),
        ``age``, ``sex`` and ``dataset``. Labels are 1–5 left and 6–10 right, as in `hypojax.schema.LABELS`.
    out
        Folder of ``boxes.npz`` and ``folds.tsv``; made when it does not exist. About one second a scan.

    Returns
    -------
    The two files.

    Raises
    ------
    RunError
        ``USAGE``: the table cannot be read, lacks a column or has fewer than five subjects, or a label map has other labels or none.
    ScanError
        An image or a label map cannot be read.
    """
    table, out = on_disk(table), on_disk(out)
    try:
        rows = pd.read_csv(table, sep="\t", dtype={"name": str})
        files = rows[["name", "image", "labels"]]
    except (OSError, KeyError, ValueError) as error:
        raise RunError(Reason.USAGE, f"{table} is no tab-separated table with the columns name, image and labels ({error})") from error
    if (subjects := rows["name"].nunique()) < FOLD_COUNT:
        raise RunError(
            Reason.USAGE, f"{table} has scans of {counted(subjects, 'subject')}: training needs {FOLD_COUNT} or more, one a fold"
        )
    masks = rows["mask"] if "mask" in rows else pd.Series(None, rows.index, dtype=object)
    boxes = []
    for (name, *paths), mask in zip(files.itertuples(index=False), masks, strict=True):
        image, labels = (read(name, table.parent / path) for path in paths)
        boxes.append(_box(name, image, labels, read(name, table.parent / mask) if isinstance(mask, str) else None))
    out.mkdir(parents=True, exist_ok=True)
    images, posteriors, cranium = (np.stack(column) for column in zip(*boxes, strict=True))
    np.savez(out / BOXES, names=rows["name"].to_numpy(str), images=images, posteriors=posteriors, intracranial=cranium)
    fold = folds(rows, subject="name", stratify=[column for column in KNOWN if column in rows], count=FOLD_COUNT)
    rows[["name"]].assign(fold=fold).to_csv(out / FOLDS, sep="\t", index=False)
    return out / BOXES, out / FOLDS


def _box(name: str, image: Image, labels: Image, mask: Image | None) -> Box:
    """The image, the share of every voxel that each subunit has × 255, and that of the intracranial volume, round the hypothalamus."""
    found = np.round(labels.scaled()).astype(int)
    if not np.isin(found, list(LABELS)).any() or found.max() > max(LABELS):
        values = np.unique(found)[:20].tolist()
        raise RunError(Reason.USAGE, f"{name}: labels are {values}; they must be among 1-10, and some of them there")
    centre = to_world(labels.affine, np.argwhere(found > 0).mean(axis=0))
    grid = centred_grid(model_directions(image.affine), shape=(BOX_SIDE,) * 3, spacing=1.0, centre=centre)
    posteriors = np.stack([_share(found == label, labels, grid) for label in LABELS], axis=-1)
    cranium = np.full(grid.shape, 255, np.uint8) if mask is None else _share(mask.scaled() > 0, mask, grid)
    return resample(np.nan_to_num(image.scaled()), image.affine, grid), posteriors, cranium


def _share(structure: np.ndarray, source: Image, grid: Grid) -> UInt8[np.ndarray, "i j k"]:
    """Share of every voxel of a grid that a structure has, times 255."""
    return np.clip(np.round(255 * resample(structure.astype(np.float32), source.affine, grid)), 0, 255).astype(np.uint8)
