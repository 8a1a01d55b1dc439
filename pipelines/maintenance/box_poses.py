"""The boxes of `prepare_training` once more, along the axes along which a run samples them: those of the template in each head's pose.

    python -m pipelines.maintenance.box_poses DATA runs/masks checkpoints runs/examples

Needs a head network that knows the template, in ``checkpoints``, and so comes after its training. Writes ``boxes_posed.npz``, which
`box_swell.toml` learns from, and ``folds.tsv`` once more: every subject in the fold that the networks in ``checkpoints`` held it out of,
since networks that go on from them must hold out the same people, and `prepare_training` may deal them out otherwise today. A head whose
pose is not found, and a block cut out of a head, keep the axes of the scan, as in a run.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from hypojax.grid import Affine, directions
from hypojax.segmenter.segmenter import Segmenter
from hypojax.training.examples import FOLDS
from pipelines.maintenance.head_label_maps import load
from pipelines.maintenance.held_out import folds_of
from pipelines.maintenance.prepare_training import boxes, labelled_heads

POSED = "boxes_posed.npz"


def run_axes(segmenter: Segmenter, volume: np.ndarray, affine: Affine) -> Float64[np.ndarray, "3 3"]:
    """Anterior, superior and right (columns) of the box that a run would sample from a scan, in its world."""
    return directions(segmenter.segment(np.nan_to_num(volume.astype(np.float32)), affine).box_grid.affine)


def write_folds(weights: Path, names: Sequence[str], file: Path) -> None:
    """The folds that the headers of networks name, as `hypojax train` reads them."""
    known = folds_of(weights)
    rows = (f"{name}\t{known[name].stem.removeprefix('box-fold')}\n" for name in names)
    file.write_text("name\tfold\n" + "".join(rows), encoding="utf-8")


def main(data: Path, masks: Path, weights: Path, out: Path) -> None:
    """Write the boxes."""
    segmenter = Segmenter.load(weights)
    axes = {}
    for name, scan, _ in labelled_heads(data):
        axes[name] = run_axes(segmenter, *load(scan))
        print(name, "along", axes[name].round(2).tolist(), flush=True)
    posed = boxes(data, masks, axes)
    np.savez(out / POSED, allow_pickle=False, **posed)
    write_folds(weights, posed["names"].tolist(), out / FOLDS)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:5]))
