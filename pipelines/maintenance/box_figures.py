"""What a box network makes of boxes that are sampled once and kept: agreement, known changes of size, brightness.

    python -m pipelines.maintenance.box_figures DATA checkpoints runs/box-views NAME=WEIGHTS [NAME=WEIGHTS ...]

WEIGHTS is a file, tried on all scans, or a folder with ``box-fold0.safetensors`` and so on, each tried on the scans that it never saw. The
head network is not run again on the changed scans, so that a network takes a minute where `robustness.py`, which decides, takes an hour.
Writes ``NAME.tsv``, a row a scan and change. The first time the boxes of ``checkpoints`` are sampled: ten minutes.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import jax
import numpy as np
import pandas as pd
from flax import nnx
from jaxtyping import Array, Float32, PyTree, UInt8

from hypojax.checkpoint import Checkpoint, load_checkpoint, sha256
from hypojax.evaluation import score_pair
from hypojax.metrics import icc31, slope
from hypojax.schema import LABELS
from hypojax.segmenter.forward import box_outputs
from hypojax.unet import blueprint
from hypojax.unet_config import UNetConfig
from hypojax.volumes.label_map import native_labels
from hypojax.volumes.structure import clean_hypothalamus
from pipelines.maintenance.box_views import GAMMAS, SIZES, Views, kept_views
from pipelines.maintenance.held_out import folds_of, grid_of, labelled_scans, load


def said(network: Checkpoint, images: Float32[np.ndarray, "n x y z"]) -> UInt8[np.ndarray, "n 10 x y z"]:
    """Posteriors × 255 of boxes, the mean over each and its mirror."""
    return np.concatenate([np.asarray(forward(network.network)(network.weights, image[None])) for image in images])


@cache
def forward(network: UNetConfig) -> Callable[[PyTree, Array], Array]:
    """From weights and boxes to posteriors × 255, compiled once."""
    graph, _ = blueprint(network)
    return jax.jit(lambda weights, images: box_outputs(nnx.merge(graph, weights), images[..., None])[0])


def examined(network: Checkpoint, name: str, row: pd.Series, seen: Views) -> Iterator[dict[str, object]]:
    """A row a change: the soft volume, and the agreement of the scan as it came."""
    teacher, there = load(row.teacher)
    shape = grid_of(teacher, there).shape
    for change, posterior in zip(seen.changes, said(network, seen.images), strict=True):
        cleaned = clean_hypothalamus(posterior, seen.grid, seen.inside)
        line: dict[str, object] = {"scan": name, "change": change, "soft_mm3": float(cleaned.sum(dtype=np.float64))}
        line["half_mm3"] = float((cleaned.sum(axis=0) > 0.5).sum())
        if change == "none":
            scores = score_pair(
                native_labels(cleaned, seen.grid, shape=shape, affine=there), np.round(teacher).astype(np.uint8), affine=there
            )
            whole = scores["hypothalamus"]
            line |= {f"dice_{side}": scores[f"hypothalamus{side}"]["dice"] for side in ("", "_left", "_right")}
            line["dice_subunits"] = float(np.mean([scores[region]["dice"] for region in LABELS.values()]))
            line |= {"hard_mm3": whole["volume_predicted_mm3"], "teacher_mm3": whole["volume_reference_mm3"]}
        yield line


def figures(table: pd.DataFrame) -> dict[str, float]:
    """One line of figures of a network."""
    came = table[table["change"] == "none"]
    error = came["hard_mm3"] - came["teacher_mm3"]
    agreement = {name: float(came[name].mean()) for name in map(str, came) if name.startswith("dice")}
    gammas = relative(table, "soft_mm3", [f"gamma {gamma}" for gamma in GAMMAS]).abs()
    return {
        "scans": len(came), **agreement, "worst Dice": float(came["dice_"].min()),
        "ICC(3,1)": icc31(came[["hard_mm3", "teacher_mm3"]].to_numpy(float)).estimate,
        "bias, %": 100 * float(error.sum() / came["teacher_mm3"].sum()), "spread, mm³": float(error.std(ddof=1)),
        "slope, shrunk": mean_slope(table, "soft_mm3", SIZES[1:4]), "slope, ± 12 %": mean_slope(table, "soft_mm3", SIZES[1:7]),
        "slope of what is beyond one half, ± 12 %": mean_slope(table, "half_mm3", SIZES[1:7]),
        "gamma, mean %": 100 * float(gammas.to_numpy().mean()), "gamma, largest %": 100 * float(gammas.to_numpy().max()),
        **{f"size {size}, %": 100 * float(relative(table, "soft_mm3", [f"size {size}"]).to_numpy().mean()) for size in SIZES},
    }  # fmt: skip


def relative(table: pd.DataFrame, volume: str, names: Sequence[str]) -> pd.DataFrame:
    """Change of a volume against the scan as it came, by scan and change."""
    wide = table.pivot_table(index="scan", columns="change", values=volume)
    return wide[list(names)].div(wide["none"], axis=0) - 1


def mean_slope(table: pd.DataFrame, volume: str, sizes: Sequence[float]) -> float:
    """Slope of the measured on the known change, the scan as it came a point of the line, mean over scans."""
    on = np.array([*sizes, 1.0]) - 1
    rows = relative(table, volume, [f"size {size}" for size in sizes]).to_numpy()
    return float(np.mean([slope(np.append(row, 0.0), on=on).estimate for row in rows]))


def main(data: Path, weights: Path, out: Path, *networks: str) -> None:
    """Try every network, write its rows, print the figures side by side."""
    out.mkdir(parents=True, exist_ok=True)
    scans, folds, table = labelled_scans(data), folds_of(weights), {}
    for name, path in (text.split("=") for text in networks):
        rows: list[dict[str, object]] = []
        for scan, row in scans.iterrows():
            file = Path(path) if Path(path).is_file() else Path(path) / folds[str(scan)].name
            if file.exists():
                rows += examined(checkpoint(file), str(scan), row, kept_views(out, str(scan), row, weights))
        pd.DataFrame(rows).to_csv(out / f"{name}.tsv", sep="\t", index=False)
        table[name] = figures(pd.DataFrame(rows))
    print(pd.DataFrame(table).round(4).to_string())


@cache
def checkpoint(file: Path) -> Checkpoint:
    """A network, whether or not its folder lists its hash."""
    return load_checkpoint(file, expected=sha256(file))


if __name__ == "__main__":
    first, second, third, *others = sys.argv[1:]
    main(Path(first), Path(second), Path(third), *others)
