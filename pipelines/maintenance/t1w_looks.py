"""Looks of the head network at every scan that the probability of a T1-weighted scan is fitted to, and the signs read off them.

Looks are kept, a file a scan, so that a second start goes on with the next one and other signs can be tried without the network.
"""

import time
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from hypojax.grid import Grid, to_world
from hypojax.reason import HypojaxError
from hypojax.segmenter.segmenter import Segmenter
from hypojax.volumes.contrast import layered_signs, network_signs, placed_signs, seen_at
from hypojax.volumes.label_map import native_mask
from pipelines.maintenance.contrast_images import Sample, map_samples, phantom
from pipelines.maintenance.contrast_scans import NEVER, Known, as_read, coarser, heads, real_samples
from pipelines.maintenance.head_only import SeenHead, seen_head
from pipelines.maintenance.perturb import Scan

Places = dict[str, np.ndarray]

PHANTOMS: Final = 40

PLACED: Final = tuple(f"placed_{name}" for name in (
    "white_grey", "white_cortex", "grey_fluid", "cortex_fluid", "order", "bone", "air", "spread_white", "spread_grey", "sides",
))  # fmt: skip
LAYERED: Final = (
    "deep_rim", "middle_rim", "deep_middle", "skew", "shell", "air", "rough", "size", "flat", "long", "solid", "undecided", "located",
    "unsure", "residual_mm",
)  # fmt: skip
"""Signs that the two regressions take: of scans whose pose was found, and of all of them."""


def looked(segmenter: Segmenter, sample: Sample, folder: Path) -> Path:
    """Look at a scan, unless it was looked at before; the file that holds what was seen."""
    path = folder / ("_".join([sample.subject, sample.kind, "t1w" if sample.t1w else "other"]).replace(" ", "-").replace("/", "-") + ".npz")
    if not path.exists():
        start = time.perf_counter()
        try:
            found = seen_head(segmenter, *sample.make())
        except HypojaxError as error:
            print(sample.subject, sample.kind, "refused:", error, flush=True)
            return path
        keep(found, path, sample)
        fits = found.look.pose is not None
        print(
            sample.subject,
            sample.kind,
            f"posed {fits}, residual {found.look.residual_mm:.2f}, {time.perf_counter() - start:.1f} s",
            flush=True,
        )
    return path


def keep(found: SeenHead, path: Path, sample: Sample) -> None:
    """Write a prepared scan and the look at it."""
    scan, look = found
    part = path.with_suffix(".part.npz")
    low, high = float(scan.volume.min()), float(scan.volume.max())
    np.savez_compressed(
        part,
        voxels=np.round((scan.volume - low) / max(high - low, 1e-12) * 60000).astype(np.uint16),
        affine=scan.affine,
        grid=look.grid.affine,
        intracranial=look.intracranial,
        located=look.located,
        residual=look.residual_mm,
        to_template=np.full((4, 4), np.nan) if look.pose is None else look.pose.to_template,
        subject=sample.subject,
        source=sample.source,
        kind=sample.kind,
        t1w=sample.t1w,
    )
    part.replace(path)


def known_of(path: Path, scan: Scan, points: Places) -> Known | None:
    """Levels, cranium and centre of a T1-weighted head that was looked at; None where its pose was not found."""
    seen = np.load(path)
    if np.isnan(seen["to_template"]).any():
        return None
    grid = Grid(seen["intracranial"].shape, seen["grid"])
    cranium = native_mask(seen["intracranial"].astype(np.float32) / 255, grid, shape=scan[0].shape, affine=scan[1]) > 0
    centre = to_world(scan[1], np.argwhere(cranium)).mean(axis=0)
    back = np.linalg.inv(seen["to_template"])
    fluid, grey, white = (float(np.nanmedian(seen_at(*scan, to_world(back, points[name])))) for name in ("fluid", "grey", "white"))
    air = float(np.percentile(scan[0], 1))
    return {"levels": np.array([air, max(fluid, air + 1e-3), grey, white, 1.5 * white - 0.5 * air]), "cranium": cranium, "centre": centre}


def look_at_all(data: Path, segmenter: Segmenter, out: Path, places: Places) -> None:
    """Look at every scan: heads as they came, painted ones and phantoms first, then heads in other contrasts and changed ones."""
    folder = out / "looks"
    folder.mkdir(exist_ok=True)
    for source, name, path in heads(data):
        looked(segmenter, as_it_came(source, name, path), folder)
    for sample in map_samples(data):
        looked(segmenter, sample, folder)
    for seed in range(PHANTOMS):
        looked(segmenter, Sample(f"phantom {seed}", "phantoms", "phantom", False, partial(phantom, seed)), folder)
    for number, (source, name, path) in enumerate(heads(data)):
        scan = coarser(*as_read(path))
        known = known_of(looked(segmenter, as_it_came(source, name, path), folder), scan, places)
        if known is not None and (source not in NEVER or number % 4 == 0):
            for sample in real_samples(source, name, scan, known, number):
                looked(segmenter, sample, folder)


def as_it_came(source: str, name: str, path: Path) -> Sample:
    """A real head."""
    return Sample(f"{source} {name}", source, "as it came", True, lambda: coarser(*as_read(path)))


def signs_of(path: Path, places: Places) -> dict[str, Any]:
    """A row: what a scan is, and its signs, those of the place in the template with ``placed_`` before."""
    seen = np.load(path)
    volume, affine, to_template = seen["voxels"].astype(np.float32), seen["affine"], seen["to_template"]
    row = {name: seen[name].item() for name in ("subject", "source", "kind", "t1w")}
    row |= network_signs(seen["intracranial"], located=seen["located"].item(), residual_mm=seen["residual"].item())
    row |= layered_signs(volume, affine, grid=Grid(seen["intracranial"].shape, seen["grid"]), intracranial=seen["intracranial"])
    posed = bool(np.isfinite(to_template).all())
    placed = placed_signs(volume, affine, to_template=to_template, places=places) if posed else {}
    return {**row, "posed": posed, **{f"placed_{name}": value for name, value in placed.items()}}


def signs_table(folder: Path, places: Places) -> pd.DataFrame:
    """The signs of every scan that was looked at."""
    paths = sorted(path for path in folder.glob("*.npz") if not path.name.endswith(".part.npz"))
    return pd.DataFrame([signs_of(path, places) for path in paths])
