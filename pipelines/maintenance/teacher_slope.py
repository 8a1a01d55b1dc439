"""How much of a known change of size the teacher finds: what labels made by it can say of our volumes.

    python -m pip install torch h5py
    python -m pipelines.maintenance.teacher_slope DATA runs/teacher

The scans of `box_views.py`, whose hypothalamus is made smaller and larger by known factors, go through the teacher (Billot 2020) as its
labels were made: 1 mm, brightness by the tissue of the scan, mean over the scan and its mirror. Writes ``teacher_slope.tsv``, a row a scan:
slope of the sum of its posteriors, and of its labelled voxels, on the known size. Of the crops every third; 30 s a scan on one core.
"""

import sys
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32

from benchmarks.billot import WHITE_MATTER, Billot
from hypojax.grid import resample
from hypojax.metrics import slope
from pipelines.maintenance.box_views import changed
from pipelines.maintenance.held_out import grid_of, labelled_scans, load

KNOWN: Final = {"size 0.88": 0.88, "size 0.94": 0.94, "none": 1.0, "size 1.06": 1.06, "size 1.12": 1.12}


def brightness(volume: Float32[np.ndarray, "i j k"]) -> tuple[float, float]:
    """The intensity that counts as nothing, and that of bright tissue."""
    return float(np.percentile(volume, 0.5)), float(np.percentile(volume[volume > volume.mean()], 90))


def background(network: Billot, image: Float32[np.ndarray, "x y z"]) -> Float32[np.ndarray, "x y z"]:
    """Posterior of all that is no hypothalamus, the mean over the image and its mirror."""
    views = [network(torch.from_numpy(view.copy())[None, None])[0, 0].numpy() for view in (image, image[::-1])]
    return np.asarray((views[0] + views[1][::-1]) / 2)


def slopes(network: Billot, row: pd.Series) -> dict[str, float]:
    """Slopes of one scan, its volumes in those of the scan as it came."""
    (volume, affine), (teacher, there) = load(row.scan), load(row.teacher)
    low, high = brightness(volume)
    sums, voxels = [], []
    for change, scan in changed(volume, affine, row.teacher):
        if change in KNOWN:
            image = (resample(*scan, grid_of(teacher, there)) - low) / (high - low) * WHITE_MATTER
            outside = background(network, np.clip(image, 0, 1).astype(np.float32))
            sums.append(float((1 - outside).sum()))
            voxels.append(float((outside < 0.5).sum()))
    on = np.array([1.0, *(size for size in KNOWN.values() if size != 1)]) - 1  # the scan as it came is the first of all
    return {name: slope(np.array(found) / found[0] - 1, on=on).estimate for name, found in (("posteriors", sums), ("labels", voxels))}


def main(data: Path, out: Path) -> None:
    """Write the table and print the means."""
    out.mkdir(parents=True, exist_ok=True)
    scans = labelled_scans(data)
    scans = scans[scans["dataset"].isin(["ds000011", "ds002748"])]
    scans = pd.concat([scans[scans["whole"]], scans[~scans["whole"]].iloc[::3]])
    rows: list[dict[str, Any]] = []
    with h5py.File(data / "teacher/hypothalamus_seg_model.h5") as weights, torch.inference_mode():
        network = Billot(weights).eval()
        for name, row in scans.iterrows():
            rows.append({"scan": name, **slopes(network, row)})
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    table.to_csv(out / "teacher_slope.tsv", sep="\t", index=False)
    print(table.describe().round(3).to_string())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
