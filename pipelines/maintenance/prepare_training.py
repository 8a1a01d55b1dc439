"""Make the training arrays from real scans and label maps.

    python -m pipelines.maintenance.prepare_training DATA runs/masks runs/examples

DATA holds ``bids/``, ``scans/``, ``roi/``, ``template/`` and ``labels/`` (see its MANIFEST). Four files come out:
``maps.npz`` (20 head label maps, 1 mm, coronal first), ``heads.npz`` (whole heads on the 2 mm head grid, z-scored, with
the place of the hypothalamus), ``boxes.npz`` (72 mm boxes at 1 mm with subunit posteriors and intracranial masks) and
``folds.tsv`` (the fold of every box). Neither Colin27 nor
``icv_reference`` is ever read here. ``runs/masks`` comes from ``label_heads.py``. Takes about two minutes on two cores and 1.5 GB.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float32, Float64, UInt8
from scipy import ndimage

from hypojax.grid import Grid, centred_grid, model_directions, resample, to_voxel, to_world
from hypojax.matching import folds
from hypojax.preprocessing.foreground import conform, find_head
from hypojax.training.examples import BOX_SIDE
from pipelines.maintenance.head_label_maps import load, maps
from pipelines.maintenance.teacher_volume import settled_volume

NEVER = "colin27"

BLANK = 0.3
"""Standard deviations of tissue above the darkest voxel from which on a voxel of a skull-stripped head is brain."""


def heads(data: Path, masks: Path) -> dict[str, np.ndarray]:
    """Whole heads on the head grid, z-scored as at inference, with their intracranial mask, or all that is left of them."""
    rows = []
    for name, scan, teacher in labelled_heads(data):
        volume, affine = load(scan)
        head = find_head(np.nan_to_num(volume.astype(np.float32)), affine)
        image = conform(volume, affine, grid=head.grid, statistics=head.statistics)
        labels, label_affine = load(teacher)
        centre = to_voxel(head.grid.affine, to_world(label_affine, np.argwhere(labels > 0).mean(axis=0)))
        source = _mask_file(name, data, masks)
        mask = _mask_on(head.grid, source) if source.exists() else _stripped_brain(image)
        rows.append((name, image.astype(np.float16), centre, mask, source.exists()))
        print(name, "hypothalamus at", centre.round(1), flush=True)
    names, images, centres, intracranial, known = zip(*rows, strict=True)
    return {
        "names": np.array(names), "images": np.stack(images), "centres": np.stack(centres),
        "intracranial": np.stack(intracranial), "intracranial_known": np.array(known),
    }  # fmt: skip


def boxes(data: Path, masks: Path, axes: Mapping[str, Float64[np.ndarray, "3 3"]] | None = None) -> dict[str, np.ndarray]:
    """Boxes of 72 mm at 1 mm round the hypothalamus in stored units, with the teacher's posteriors and the intracranial mask (uint8).

    They lie along ``axes`` (name → anterior, superior and right, columns, in the scan's world), or along the scan's own where it has none
    there. The posteriors are those of the teacher, `settled_volume`.
    """
    rows = []
    rois = [(f"roi_{p.name[:6]}", p, Path(str(p).replace("_T1w", "_dseg"))) for p in sorted((data / "roi/ds002748").glob("*_T1w.nii.gz"))]
    for name, scan, teacher in [*labelled_heads(data), *rois]:
        volume, affine = load(scan)
        labels, label_affine = load(teacher)
        posteriors, _ = load(Path(str(teacher).replace("_dseg", "_probseg")))
        centre = to_world(label_affine, np.argwhere(labels > 0).mean(axis=0))
        along = (axes or {}).get(name, model_directions(affine))
        grid = centred_grid(along, shape=(BOX_SIDE,) * 3, spacing=1.0, centre=centre)
        posteriors = settled_volume(posteriors, voxels=int((labels > 0).sum()))
        image = resample(np.nan_to_num(volume.astype(np.float32)), affine, grid)
        soft = np.stack([resample(posteriors[..., k], label_affine, grid) for k in range(10)], axis=-1)
        source = _mask_file(name, data, masks)
        cranium = _mask_on(grid, source) if source.exists() else np.full(grid.shape, 255, np.uint8)
        rows.append((name, image, np.clip(np.round(soft), 0, 255).astype(np.uint8), cranium))
    names, images, targets, cranium = zip(*rows, strict=True)
    print(len(names), "boxes", flush=True)
    return {"names": np.array(names), "images": np.stack(images), "posteriors": np.stack(targets), "intracranial": np.stack(cranium)}


def subjects(data: Path, names: Sequence[str]) -> pd.DataFrame:
    """Fold of every box: by subject, alike in dataset, age and sex where they are known."""
    tables = [*sorted((data / "bids").glob("*/participants.tsv")), *sorted((data / "roi").glob("*/participants.tsv"))]
    people = pd.concat([pd.read_csv(path, sep="\t").assign(dataset=path.parent.name) for path in tables])
    people["sex"] = people["sex"].fillna(people["gender"])
    known = {f"{row.dataset}_{row.participant_id}": row for row in people.itertuples()}
    found = [known.get(name.replace("roi_", "ds002748_")) for name in names]
    table = pd.DataFrame({
        "name": names,
        "dataset": ["ds002748" if "roi" in name else name.split("_")[0] for name in names],
        "age": [getattr(row, "age", np.nan) for row in found],
        "sex": [text.upper() if isinstance(text := getattr(row, "sex", None), str) else None for row in found],
    })  # fmt: skip
    return table[["name"]].assign(fold=folds(table, subject="name", stratify=["dataset", "age", "sex"]))


def _mask_file(name: str, data: Path, masks: Path) -> Path:
    """Where the intracranial mask of a head is, if there is one."""
    return data / "template/SPM_mask_ICV.nii.gz" if "MNI152" in name else masks / f"{name}.nii.gz"


def labelled_heads(data: Path) -> list[tuple[str, Path, Path]]:
    """(name, scan, teacher label map) of every whole head with a teacher label, Colin27 left out."""
    found = []
    for teacher in sorted((data / "labels/hypothalamus_teacher").glob("*/*_dseg.nii.gz")):
        source, subject = teacher.parent.name, teacher.name.removesuffix("_dseg.nii.gz")
        folder = {"scans": data / "scans", "template": data / "template"}.get(source, data / "bids" / source / subject / "anat")
        if NEVER not in subject:
            found.append((f"{source}_{subject}", folder / f"{subject}_T1w.nii.gz", teacher))
    return found


def _mask_on(grid: Grid, source: Path) -> UInt8[np.ndarray, "a s r"]:
    """Share of every voxel of a grid that a stored mask covers, times 255."""
    mask, affine = load(source)
    return np.clip(np.round(255 * resample((mask > 0).astype(np.float32), affine, grid)), 0, 255).astype(np.uint8)


def _stripped_brain(image: Float32[np.ndarray, "a s r"]) -> UInt8[np.ndarray, "a s r"]:
    """What is left of a skull-stripped head, times 255: it says where the brain lies, not how large the cranium is."""
    return 255 * ndimage.binary_fill_holes(ndimage.binary_opening(image > image.min() + BLANK)).astype(np.uint8)


def main(data: Path, masks: Path, out: Path) -> None:
    """Write the three files."""
    out.mkdir(parents=True, exist_ok=True)
    found = boxes(data, masks)
    np.savez(out / "boxes.npz", allow_pickle=False, **found)
    subjects(data, found["names"].tolist()).to_csv(out / "folds.tsv", sep="\t", index=False)
    np.savez(out / "heads.npz", allow_pickle=False, **heads(data, masks))
    np.savez(out / "maps.npz", allow_pickle=False, **maps(data))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
