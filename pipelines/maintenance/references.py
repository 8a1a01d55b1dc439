"""What the released networks are held against besides the teacher: DLICV masks, synthetic heads, atlases, scans out of the ordinary.

Used by `accuracy.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import jax
import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Bool

from hypojax.evaluation import ScanScores, score_mask, tabulate
from hypojax.execute.measured import measure_scan
from hypojax.grid import Grid, within_field_of_view
from hypojax.metrics import dice
from hypojax.reason import HypojaxError
from hypojax.segmenter.segmenter import Segmentation, Segmenter
from hypojax.store import ScanEntry
from hypojax.training.augmentation import AppearanceConfig
from hypojax.training.examples import held_out_maps
from hypojax.training.head import HeadConfig, map_example
from hypojax.volumes.label_map import native_mask
from hypojax.volumes.structure import clean_intracranial
from pipelines.maintenance.held_out import grid_of, labels_on, load

ATLASES: Final = {
    "CIT168 (Pauli 2018), p > 0.3": "CIT168_hypothalamus.nii.gz",
    "Neudorfer 2020, hypothalamic nuclei": "Neudorfer2020_hypothalamus_0.5mm.nii.gz",
}
NUCLEI: Final = "hypoth|hypotahal|preoptic|paraventricular|mammillary bodies"
"""Names of an atlas that belong to the hypothalamus as Bocchetta 2015 draws it; the rest are its neighbours."""

PLAIN: Final = AppearanceConfig(gamma=0.1, bias=0.1, blur=0.5, thick=0.0, ghost=0.0, noise=0.03, crop=0.0)
"""An ordinary T1-weighted image: whole, of thin slices, with some noise."""

DEEPBET: Final = {
    "intracranial Dice": 0.971, "intracranial volume correlation": 0.983, "scatter of the volume error": 0.021,
}  # fmt: skip
"""What deepbet 1.0.2 (Fisch 2024) reaches on the same scans, by `compare_deepbet.py`; its volumes are 5.2 % larger than DLICV's."""

TEMPLATE: Final = "template/MNI152NLin2009cAsym_T1w.nii.gz"
CHILD: Final = "scans/fnndsc_child_T1w.nii.gz"
TUMOUR: Final = "odd/thick_slices_tumour_T1w.nii.gz"


def intracranial_on(grid: Grid, found: Segmentation, scan: Grid) -> Bool[np.ndarray, "i j k"]:
    """Our intracranial mask drawn on another grid as a run draws it on the scan's own grid, ``scan``."""
    inside = within_field_of_view(found.head_grid, scan.shape, scan.affine)
    posterior = clean_intracranial(found.intracranial, found.head_grid, inside)
    return native_mask(posterior, found.head_grid, shape=grid.shape, affine=grid.affine) > 0


def by_brain_extraction(found: Segmentation) -> Segmentation:
    """The same with the border of brain extraction for that of the intracranial volume."""
    return found if found.brain_extraction is None else replace(found, intracranial=found.brain_extraction)


def against_dlicv(segmenter: Segmenter, data: Path, *, outline: Callable[[Segmentation], Segmentation] = lambda found: found) -> xr.Dataset:
    """Scores of the intracranial volume, or of another ``outline``, against DLICV."""
    results: list[ScanScores] = []
    entries: list[ScanEntry] = []
    for path in sorted((data / "icv_reference").glob("*_T1w.nii.gz")):
        volume, affine = load(path)
        reference, there = load(Path(str(path).replace("_T1w", "_dlmuse")))
        scan, name = grid_of(volume, affine), path.name.removesuffix("_T1w.nii.gz")
        ours = intracranial_on(grid_of(reference, there), outline(segmenter.segment(volume, affine)), scan)
        scores = score_mask(ours, reference > 0, affine=there)
        results.append(ScanScores(name, {"icv": scores}))
        entries.append(ScanEntry(scan=name, path=path.name, entities={"subject": name}, columns={"dataset": "icv_reference"}))
        print(name, f"Dice {scores['dice']:.3f}, volume {scores['relative_volume_error']:+.1%}", flush=True)
    return tabulate(results, entries)


def synthetic_heads(segmenter: Segmenter, examples: Path, *, kept: Sequence[str], count: int = 20) -> pd.DataFrame:
    """Dice and relative volume error of the intracranial volume in images made from label maps that were ``kept`` from training.

    The truth of such an image is known.
    """
    maps = held_out_maps(examples, held_out=kept)
    config = HeadConfig(stripped=0.0, defaced=0.0, free=0.0, shape=(112, 112, 96), appearance=PLAIN)
    rows = []
    for seed in range(count):
        example = map_example(jax.random.key(10_000 + seed), maps, config)
        truth = np.asarray(example.intracranial) > 0.5
        image, affine = np.asarray(example.image[..., 0]), np.array([[0.0, 0, 2, 0], [2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 1]])
        found = intracranial_on(Grid((112, 112, 96), affine), segmenter.segment(image, affine), Grid((112, 112, 96), affine))
        rows.append({"dice": dice(found, truth), "relative_volume_error": float(found.sum() / truth.sum() - 1)})
    return pd.DataFrame(rows)


def atlases(segmenter: Segmenter, data: Path) -> pd.DataFrame:
    """Overlap with two atlases on the template, and how far the middles lie apart."""
    volume, affine = load(data / TEMPLATE)
    found, rows = segmenter.segment(volume, affine), []
    for name, file in ATLASES.items():
        atlas, there = load(data / "template" / file)
        ours = labels_on(grid_of(atlas, there), found, grid_of(volume, affine)) > 0
        theirs = np.isin(atlas, hypothalamic(data / "template" / file.replace("_0.5mm.nii.gz", ".csv"), atlas))
        middles = [there[:3, :3] @ np.argwhere(mask).mean(axis=0) for mask in (ours, theirs)]
        voxel = abs(float(np.linalg.det(there[:3, :3])))
        distance = float(np.linalg.norm(middles[0] - middles[1]))
        rows.append(
            {
                "atlas": name,
                "Dice": dice(ours, theirs),
                "middles apart, mm": distance,
                "atlas, mm³": theirs.sum() * voxel,
                "ours, mm³": ours.sum() * voxel,
            }
        )
    return pd.DataFrame(rows)


def hypothalamic(names: Path, atlas: np.ndarray) -> np.ndarray:
    """Values of an atlas that are hypothalamus: by their names where it has a table of them, else all."""
    if names.suffix != ".csv":
        return np.unique(atlas[atlas > 0])
    table = pd.read_csv(names, sep=";")
    return table["ROIid"][table["ROIname"].str.contains(NUCLEI)].to_numpy()


def unusual(segmenter: Segmenter, data: Path, *, child: Segmenter) -> pd.DataFrame:
    """Volumes and flags of scans out of the ordinary; the child by networks whose box network never saw it."""
    rows: list[dict[str, Any]] = []
    tried = (("a child, by the network of its fold", CHILD, child), ("6 mm slices with a tumour", TUMOUR, segmenter))
    for name, file, networks in tried:
        volume, affine = load(data / file)
        try:
            found = measure_scan(volume, affine, networks.segment(volume, affine))
            icv, whole = (found.volumes[region].volume_mm3 for region in ("icv", "hypothalamus"))
            rows.append({"scan": name, "icv, mL": icv / 1e3, "hypothalamus, mm³": whole, "flags": " ".join(found.flags) or "none"})
        except HypojaxError as error:
            rows.append({"scan": name, "icv, mL": np.nan, "hypothalamus, mm³": np.nan, "flags": f"failed: {error.reason}"})
    return pd.DataFrame(rows)
