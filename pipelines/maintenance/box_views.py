"""Boxes of every labelled scan as the box network sees them, and of the same scan changed in known ways; sampled once and kept.

They lie where the released network of the scan's fold looks. Used by `box_figures.py`.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32

from hypojax.checkpoint import load_checkpoint
from hypojax.demonstration.radial_map import RadialMap, deformed
from hypojax.grid import Affine, Grid, to_world, within_field_of_view
from hypojax.segmenter.segmenter import Segmenter, Surroundings, box_input
from pipelines.maintenance.held_out import folds_of, grid_of, load, middle
from pipelines.maintenance.perturb.brightness import powered
from pipelines.maintenance.perturb.undisturbed import CORE_MARGIN, RIM_WIDTH

SIZES: Final = (0.8, 0.88, 0.94, 0.97, 1.03, 1.06, 1.12, 1.2)
"""Volume after over volume before."""

GAMMAS: Final = (0.8, 0.9, 1.1, 1.25)


class Views(NamedTuple):
    """Boxes of one scan: the one as it came, and the changed ones."""

    changes: list[str]
    images: Float32[np.ndarray, "change x y z"]
    grid: Grid
    inside: Bool[np.ndarray, "x y z"]


def views(segmenter: Segmenter, row: pd.Series) -> Views:
    """The box of a scan where a run looks, and there again after every change of the scan."""
    volume, affine = load(row.scan)
    found = segmenter.segment(volume, affine) if row.whole else segmenter.segment_near(volume, affine, centre=middle(volume, affine))
    background = found.statistics.background
    around = Surroundings(background, found.head_grid, found.intracranial) if row.whole else Surroundings(background)
    boxes = {name: box_input(*scan, found.box_grid, around=around) for name, scan in changed(volume, affine, row.teacher)}
    inside = within_field_of_view(found.box_grid, grid_of(volume, affine).shape, affine)
    return Views(list(boxes), np.stack(list(boxes.values())), found.box_grid, inside)


def changed(volume: np.ndarray, affine: Affine, teacher: Path) -> Iterator[tuple[str, tuple[np.ndarray, Affine]]]:
    """The scan, then with its hypothalamus (where its label lies) of other sizes, then in other grey values."""
    yield "none", (volume, affine)
    labels, there = load(teacher)
    world = to_world(there, np.argwhere(labels > 0))
    x, y, z = world.mean(axis=0).tolist()
    core = float(np.linalg.norm(world - world.mean(axis=0), axis=-1).max()) + CORE_MARGIN
    for size in SIZES:
        yield f"size {size}", deformed(volume, affine, by=RadialMap((x, y, z), core, core + RIM_WIDTH, size))
    for gamma in GAMMAS:
        yield f"gamma {gamma}", powered(volume, affine, gamma=gamma)


@cache
def segmenter_of(weights: Path, network: Path) -> Segmenter:
    """The head network and the box network of a fold."""
    return Segmenter(load_checkpoint(weights / "head.safetensors"), [load_checkpoint(network)])


def kept_views(folder: Path, name: str, row: pd.Series, weights: Path) -> Views:
    """The views of a scan, made once."""
    path = folder / f"{name}.npz"
    if not path.exists():
        made = views(segmenter_of(weights, folds_of(weights)[name]), row)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, changes=np.array(made.changes), images=made.images, affine=made.grid.affine, inside=made.inside)
        part.replace(path)
        print(name, len(made.changes), "boxes", flush=True)
    with np.load(path, allow_pickle=False) as stored:
        images = stored["images"]
        x, y, z = images.shape[1:]
        return Views(stored["changes"].tolist(), images, Grid((x, y, z), stored["affine"]), stored["inside"])
