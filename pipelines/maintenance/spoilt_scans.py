"""Whole heads spoilt in a hundred ways and segmented: the signs that quality scores are fitted to, and whether each result is good."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32

from hypojax.execute.measured import measure_scan
from hypojax.execute.readahead import overlapped
from hypojax.grid import Grid, resample, within_field_of_view
from hypojax.metrics import dice
from hypojax.reason import HypojaxError
from hypojax.scans import read
from hypojax.schema import SCORED
from hypojax.segmenter.segmenter import Segmentation, Segmenter
from hypojax.volumes import Measurement
from hypojax.volumes.label_map import native_mask
from hypojax.volumes.structure import clean_hypothalamus, clean_intracranial
from pipelines.maintenance.perturb import Scan
from pipelines.maintenance.perturb.cranium_cases import cranium_cases, sound_cases
from pipelines.maintenance.perturb.spoiling import SESSIONS, spoilt_cases
from pipelines.maintenance.perturb.undisturbed import Case, Undisturbed
from pipelines.maintenance.score_heads import CROPS, others, subjects
from pipelines.maintenance.score_signs import SIGN

LOWEST_DICE: Final = {"hypothalamus": 0.75, "icv": 0.0}
"""Structure → Dice with the result of the scan as it came, below which a result is bad."""

LARGEST_ERROR: Final = {"hypothalamus": 0.15, "icv": 0.05}
"""Structure → error of the volume, either way, beyond which a result is bad."""

EVERY: Final = 3
"""Of the cases that spoil a scan only every third is made, other ones of each scan."""

RowsOf = Callable[[Segmenter, str, Path], Iterator[dict[str, Any]]]
"""The rows of one scan (name, file), segmented by these networks."""

AS_IT_CAME: Final = {"case": "none", "hypothalamus_dice": 1.0, "icv_dice": 1.0, "hypothalamus_ratio": 1.0, "icv_ratio": 1.0}


def as_it_came(segmenter: Segmenter, name: str, path: Path) -> Iterator[dict[str, Any]]:
    """One row: a scan and nothing done to it. Where the head network sees a crop, how sure it is of the place says nothing."""
    image = read(name, path)
    scan = (image.scaled(), image.affine)
    row = {"scan": name, **AS_IT_CAME, **row_of(measure_scan(*scan, segmenter.segment(*scan)))}
    yield row | ({f"hypothalamus_{SIGN}quality_location": np.nan, "icv_reason": "crop"} if CROPS in path.parts else {})


def cases_of(scan: Undisturbed, name: str) -> list[Case]:
    """The cases of one scan: the sound ones, and every third that spoils it."""
    spoilt = {case.name: case for case in (*spoilt_cases(scan)[SESSIONS:], *cranium_cases(scan))}
    return [*sound_cases(), *list(spoilt.values())[crc32(name.encode()) % EVERY :: EVERY]]


def spoil(segmenter: Segmenter, name: str, path: Path) -> Iterator[dict[str, Any]]:
    """A row a case of one scan, the scan as it came first."""
    image = read(name, path)
    scan = (image.scaled(), image.affine)
    segmentation = segmenter.segment(*scan)
    first = measure_scan(*scan, segmentation)
    yield {"scan": name, **AS_IT_CAME, **row_of(first)}
    cases = cases_of(Undisturbed(*scan, first.hypothalamus, cranium(segmentation, scan)), name)
    with closing(overlapped(cases, lambda case: case.change(*scan), depth=1)) as spoilt:
        for case, after in zip(cases, spoilt, strict=True):
            row = {"scan": name, "case": case.name}
            try:
                found = segmenter.segment(*after)
                measured = measure_scan(*after, found)
            except HypojaxError as error:
                yield row | {f"{region}_reason": str(error.reason) for region in SCORED}
                continue
            reference = moved_reference(segmentation, scan, case=case, after=after)
            ratios = {f"{region}_ratio": measured.volumes[region].volume_mm3 / first.volumes[region].volume_mm3 for region in SCORED}
            yield row | {"hypothalamus_dice": overlap(reference, found, after), "icv_dice": 1.0, **ratios, **row_of(measured)}


def cranium(found: Segmentation, scan: Scan) -> Bool[np.ndarray, "i j k"]:
    """Voxels of the scan inside the cranium, also of a skull-stripped one, whose mask a run leaves empty."""
    i, j, k = scan[0].shape
    posterior = clean_intracranial(found.intracranial, found.head_grid, within_field_of_view(found.head_grid, (i, j, k), scan[1]))
    return native_mask(posterior, found.head_grid, shape=(i, j, k), affine=scan[1]) > 0


def row_of(found: Measurement) -> dict[str, Any]:
    """Signs, flags and the reasons for missing volumes."""
    reasons = {f"{region}_reason": str(found.volumes[region].missing_reason) for region in SCORED}
    signs = {f"{region}_{SIGN}{name}": value for region, values in found.signs.items() for name, value in values.items()}
    return {**reasons, "flags": " ".join(found.flags), **signs}


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
    scans: list[tuple[str, Path, RowsOf]] = [*((*scan, as_it_came) for scan in others(data)), *((*scan, spoil) for scan in subjects(data))]
    weights = "-".join(segmenter.weights[stage][:12] for stage in ("head", "box"))
    known = pd.read_csv(table, sep="\t", keep_default_na=False, na_values=["NaN"]) if table.exists() else pd.DataFrame({"weights": []})
    done = known[known["weights"] == weights]
    for number, (name, path, rows_of) in enumerate(scans, start=1):
        if len(done) and (done["scan"] == name).any():
            continue
        start = time.perf_counter()
        rows = pd.DataFrame(rows_of(segmenter, name, path)).assign(weights=weights)
        texts = ["hypothalamus_reason", "icv_reason", "flags"]
        rows[texts] = rows.reindex(columns=texts).fillna("").to_numpy()
        done = pd.concat([done, rows], ignore_index=True)
        done.to_csv(table.with_suffix(".part"), sep="\t", index=False, na_rep="NaN")
        table.with_suffix(".part").replace(table)
        print(f"{number}/{len(scans)} {name}: {len(rows)} cases, {time.perf_counter() - start:.0f} s", flush=True)
    return done


def judged(table: pd.DataFrame, region: str) -> pd.DataFrame:
    """The rows that have a volume of a structure, with whether they are good and whether it is off; signs are those of the structure."""
    own = table[(table[f"{region}_reason"] == "") & table[f"{region}_ratio"].notna()].reset_index(drop=True)
    own = own[["scan", "case", "flags", *(column for column in own if str(column).startswith(f"{region}_"))]]
    own = own.rename(columns=lambda column: str(column).removeprefix(f"{region}_"))
    off = (own["ratio"] - 1).abs() > LARGEST_ERROR[region]
    return own.assign(good=(own["dice"] >= LOWEST_DICE[region]) & ~off, volume_off=off)
