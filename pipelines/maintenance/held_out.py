"""Five-fold cross-validation: every scan is segmented by the box network that never saw its subject, and held against its labels.

Whole heads go down the path of `hypojax run` (Colin27, which no network saw, by that of fold 0). Scans that are only a block
round the hypothalamus have no head to find it in: there the box starts in the middle of the block and is then centred on what
was found, as in a run. Used by `accuracy.py`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float32, UInt8

from hypojax.checkpoint import load_checkpoint
from hypojax.evaluation import ScanScores, score_pair, tabulate
from hypojax.grid import Affine, Grid, to_world, within_field_of_view
from hypojax.scans import read
from hypojax.segmenter.segmenter import Segmentation, Segmenter
from hypojax.store import ScanEntry
from hypojax.volumes.label_map import native_labels
from hypojax.volumes.structure import clean_hypothalamus

NEVER_SEEN = "scans_colin27"


def load(path: Path) -> tuple[Float32[np.ndarray, "i j k"], Affine]:
    """Scaled voxels and affine of an image."""
    image = read(path.name, path)
    return image.scaled(), image.affine


def grid_of(volume: np.ndarray, affine: Affine) -> Grid:
    """A scan's own grid."""
    i, j, k = volume.shape
    return Grid((i, j, k), affine)


def labels_on(grid: Grid, found: Segmentation, scan: Grid) -> UInt8[np.ndarray, "i j k"]:
    """Our label map drawn on another grid as a run draws it on the scan's own grid, ``scan``."""
    posteriors = clean_hypothalamus(found.subunits, found.box_grid, within_field_of_view(found.box_grid, scan.shape, scan.affine))
    return native_labels(posteriors, found.box_grid, shape=grid.shape, affine=grid.affine)


def labelled_scans(data: Path) -> pd.DataFrame:
    """Every scan with teacher labels: name, files, whole head or block, dataset, age and sex where they are known."""
    rows = [*_heads(data), *_blocks(data)]
    tables = [*sorted((data / "bids").glob("*/participants.tsv")), *sorted((data / "roi").glob("*/participants.tsv"))]
    people = pd.concat([pd.read_csv(path, sep="\t").assign(dataset=path.parent.name) for path in tables])
    people["sex"] = people["sex"].fillna(people["gender"]).str.upper()
    known = people.rename(columns={"participant_id": "subject"})[["dataset", "subject", "age", "sex"]]
    return pd.DataFrame(rows).merge(known, on=["dataset", "subject"], how="left").set_index("name")


def _heads(data: Path) -> Iterator[dict[str, Any]]:
    """Whole heads."""
    for teacher in sorted((data / "labels/hypothalamus_teacher").glob("*/*_dseg.nii.gz")):
        source, subject = teacher.parent.name, teacher.name.removesuffix("_dseg.nii.gz")
        folder = data / source if source in {"scans", "template"} else data / "bids" / source / subject / "anat"
        yield {
            "name": f"{source}_{subject}", "scan": folder / f"{subject}_T1w.nii.gz", "teacher": teacher,
            "dataset": source, "subject": subject, "whole": True,
        }  # fmt: skip


def _blocks(data: Path) -> Iterator[dict[str, Any]]:
    """Blocks round the hypothalamus."""
    for path in sorted((data / "roi/ds002748").glob("*_T1w.nii.gz")):
        subject = path.name.removesuffix("_T1w.nii.gz")
        teacher = path.with_name(f"{subject}_dseg.nii.gz")
        yield {"name": f"roi_{subject}", "scan": path, "teacher": teacher, "dataset": "ds002748", "subject": subject, "whole": False}


def folds_of(weights: Path) -> dict[str, Path]:
    """Scan → the network that was trained without it."""
    found: dict[str, Path] = {}
    for path in sorted(weights.glob("box-fold*.safetensors"), reverse=True):
        found |= dict.fromkeys([*load_checkpoint(path).header["training"]["held_out"], NEVER_SEEN], path)
    return found


def cross_validate(data: Path, weights: Path) -> xr.Dataset:
    """Scores of every labelled scan by the network that never saw it, over scan and region."""
    scans, folds, head = labelled_scans(data), folds_of(weights), load_checkpoint(weights / "head.safetensors")
    results: list[ScanScores] = []
    entries: list[ScanEntry] = []
    for file in sorted(set(folds.values())):
        segmenter = Segmenter(head, [load_checkpoint(file)])
        for name, row in scans[[folds.get(name) == file for name in scans.index]].iterrows():
            scores, volumes = scored(str(name), row, segmenter)
            results.append(scores)
            entries.append(entry(str(name), row, fold=file.stem, volumes=volumes))
            print(name, file.stem, f"Dice {scores.scores['hypothalamus']['dice']:.3f}", flush=True)
    return tabulate(results, entries)


def entry(name: str, row: pd.Series, *, fold: str, volumes: dict[str, float]) -> ScanEntry:
    """What is known of a scan besides its scores."""
    dataset, view = "single scans" if row.dataset == "scans" else row.dataset, "whole head" if row.whole else "block"
    known: dict[str, str | float | None] = {"dataset": dataset, "age": _known(row.age), "sex": _known(row.sex), "view": view, "fold": fold}
    return ScanEntry(scan=name, path=str(row.scan.name), entities={"subject": name}, columns={**known, **volumes})


def scored(name: str, row: pd.Series, segmenter: Segmenter) -> tuple[ScanScores, dict[str, float]]:
    """Scores of one scan; its soft volume and the uncertainty that a run would give it."""
    volume, affine = load(row.scan)
    teacher, there = load(row.teacher)
    found = segmenter.segment(volume, affine) if row.whole else segmenter.segment_near(volume, affine, centre=middle(volume, affine))
    scan = grid_of(volume, affine)
    scores = score_pair(labels_on(grid_of(teacher, there), found, scan), np.round(teacher).astype(np.uint8), affine=there)
    return ScanScores(name, scores), soft_volume(found, scan)


def soft_volume(found: Segmentation, scan: Grid) -> dict[str, float]:
    """Soft volume of the whole (mm³) and its uncertainty, from posteriors and from what views disagree by."""
    from hypojax.volumes.measure import disagreement, soft

    inside = within_field_of_view(found.box_grid, scan.shape, scan.affine)
    volume_mm3, drawn = soft(clean_hypothalamus(found.subunits, found.box_grid, inside).sum(axis=0), found.box_grid)
    return {"soft_mm3": volume_mm3, "drawn_mm3": drawn, "views_mm3": disagreement(found.views, range(10))}


def middle(volume: np.ndarray, affine: Affine) -> np.ndarray:
    """Middle of a block, mm."""
    return np.asarray(to_world(affine, (np.array(volume.shape) - 1) / 2))


def _known(value: float | str) -> float | str | None:
    """A value, or None where it is missing."""
    return None if isinstance(value, float) and np.isnan(value) else value
