"""The boxes of `prepare_training` once more, along the axes along which a run samples them: those of the template in each head's pose.

    python -m pipelines.maintenance.box_poses DATA runs/masks checkpoints runs/examples

Needs a head network that knows the template, in ``checkpoints``, and so comes after its training. Writes ``boxes_posed.npz``, which
`box_swell.toml` learns from. A head whose pose is not found, and a block cut out of a head, keep the axes of the scan, as in a run.
"""

import sys
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from hypojax.grid import Affine, directions
from hypojax.segmenter.segmenter import Segmenter
from pipelines.maintenance.head_label_maps import load
from pipelines.maintenance.prepare_training import boxes, labelled_heads

POSED = "boxes_posed.npz"


def run_axes(segmenter: Segmenter, volume: np.ndarray, affine: Affine) -> Float64[np.ndarray, "3 3"]:
    """Anterior, superior and right (columns) of the box that a run would sample from a scan, in its world."""
    return directions(segmenter.segment(np.nan_to_num(volume.astype(np.float32)), affine).box_grid.affine)


def main(data: Path, masks: Path, weights: Path, out: Path) -> None:
    """Write the boxes."""
    segmenter = Segmenter.load(weights)
    axes = {}
    for name, scan, _ in labelled_heads(data):
        axes[name] = run_axes(segmenter, *load(scan))
        print(name, "along", axes[name].round(2).tolist(), flush=True)
    np.savez(out / POSED, allow_pickle=False, **boxes(data, masks, axes))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:5]))
