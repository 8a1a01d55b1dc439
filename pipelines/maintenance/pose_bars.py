"""Whether volumes stay in any pose: heads turned about any axis and shifted, each held against itself as it came.

    python -m pipelines.maintenance.pose_bars DATA checkpoints runs/poses 104 [NAME ...]

So many random poses, a third of them small (a head laid down again), dealt out to the whole heads of `robustness.py`, or to those named
(also of ``icv_reference``: at 2 mm a hypothalamus moves by up to 9 % with where the voxels fall, in any pose). The scan is put on new
voxels by cubic splines, as if the head had lain that way. Writes ``poses.tsv``, a row a pose, each as it is done (a second start goes on
with the next one; a larger number adds poses), and prints how many are off beyond the bars without a flag. Exits 1 when one is.
About 8 s a pose on one core; `model_card.py` makes a table of them.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy.spatial.transform import Rotation

from hypojax.execute.measured import measure_scan
from hypojax.grid import Affine, to_world
from hypojax.reason import HypojaxError
from hypojax.scans import read
from hypojax.segmenter.segmenter import Segmentation, Segmenter
from hypojax.volumes import Measurement
from pipelines.maintenance.perturb.random_pose import drawn, lain
from pipelines.maintenance.robustness import whole_heads

BARS: Final[Mapping[str, float]] = {"hypothalamus": 0.03, "icv": 0.01}
"""Share by which a region may be off."""


def heads_of(data: Path) -> list[tuple[str, Path]]:
    """Name and file of every head that can be tried; those of ``icv_reference`` and Colin27 no network has seen."""
    reference = sorted((data / "icv_reference").glob("*_T1w.nii.gz"))
    return [*whole_heads(data), *((f"reference_{path.name.removesuffix('_T1w.nii.gz')}", path) for path in reference)]


def measured_row(found: Measurement, segmentation: Segmentation) -> dict[str, Any]:
    """Volumes (mm³), flags and pose of one scan."""
    volumes = {f"{region}_mm3": found.volumes[region].volume_mm3 for region in BARS}
    residual = segmentation.pose.residual_mm if segmentation.pose else np.nan
    return {**volumes, "flags": " ".join(found.flags), "located": segmentation.located, "residual_mm": residual}


def turn_of(segmentation: Segmentation) -> Rotation | None:
    """The turn from the scan's world to the template."""
    pose = segmentation.pose.pose if segmentation.pose else None
    return None if pose is None else Rotation.from_matrix(pose.rigid[:3, :3])


def sides_right(found: Measurement, affine: Affine, turn: Rotation) -> bool:
    """Whether the left labels lie left of the right ones in the head as it came."""
    middles = [to_world(affine, np.argwhere((found.hypothalamus > low) & (found.hypothalamus <= low + 5)).mean(axis=0)) for low in (0, 5)]
    return bool(turn.inv().apply(middles[0] - middles[1])[0] < 0)


def examined(segmenter: Segmenter, name: str, path: Path, poses: list[tuple[int, str]]) -> Iterator[dict[str, Any]]:
    """A row a pose of one head, its volumes also over those of the head on new voxels in the pose it came in."""
    image = read(name, path)
    volume, affine = image.scaled(), image.affine
    still = lain(volume, affine, Rotation.identity(), np.zeros(3))
    plain = segmenter.segment(*still)
    first = measured_row(measure_scan(*still, plain), plain)
    yield {"scan": name, "kind": "none", **first}
    for seed, kind in poses:
        turn, shift = drawn(kind, np.random.default_rng(seed))
        known = {"scan": name, "kind": kind, "seed": seed, "degrees": np.degrees(turn.magnitude()), "mm": np.linalg.norm(shift)}
        try:
            scan = lain(volume, affine, turn, shift)
            segmentation = segmenter.segment(*scan)
            found = measure_scan(*scan, segmentation)
        except HypojaxError as error:
            yield known | {"reason": str(error.reason)}
            continue
        row = known | measured_row(found, segmentation) | {"sides": sides_right(found, scan[1], turn)}
        own, there = turn_of(plain), turn_of(segmentation)
        off = {} if own is None or there is None else {"turn_off_deg": np.degrees((there * turn * own.inv()).magnitude())}
        yield row | off | {region: row[f"{region}_mm3"] / first[f"{region}_mm3"] - 1 for region in BARS}


def summary(table: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Of each kind of pose: how far volumes are off, and how many beyond the bars, with and without a flag; of these without, the count."""
    rows, unnoticed = [], 0
    for kind, poses in table[table["kind"] != "none"].groupby("kind"):
        for region, bar in BARS.items():
            off = poses[region].abs() if region in poses else pd.Series(np.nan, index=poses.index)
            beyond = (off > bar) | (poses["sides"] == False)  # noqa: E712  (missing is neither)
            silent = beyond & (poses["flags"].fillna("") == "")
            unnoticed += int(silent.sum())
            sizes = {"mean off": off.mean(), "95 %": off.quantile(0.95), "largest": off.max()}
            counts = {"missing": int(off.isna().sum()), "beyond the bar": int(beyond.sum()), "of these without a flag": int(silent.sum())}
            rows.append({"poses": kind, "region": region, "n": len(poses), **sizes, **counts})
    return pd.DataFrame(rows), unnoticed


def stored(file: Path, weights: str) -> pd.DataFrame:
    """What was measured before with these weights."""
    if not file.exists():
        return pd.DataFrame({"scan": [], "kind": [], "seed": []})
    known = pd.read_csv(file, sep="\t", keep_default_na=False, na_values=["NaN"])
    return known[known["weights"] == weights]


def left_of(dealt: list[tuple[int, str]], done: pd.DataFrame) -> list[tuple[int, str]]:
    """The poses of one head that were not measured yet.

    >>> left_of([(0, "any"), (1, "any")], pd.DataFrame({"seed": [0.0, np.nan], "kind": ["any", "none"]}))
    [(1, 'any')]
    """
    known = set(zip(done["seed"], done["kind"], strict=True))
    return [pose for pose in dealt if pose not in known]


def main(data: Path, weights: Path, out: Path, count: int, *names: str) -> None:
    """Measure, write the table, and print what there is to say."""
    out.mkdir(parents=True, exist_ok=True)
    heads = [(name, path) for name, path in heads_of(data) if name in (names or dict(whole_heads(data)))]
    segmenter, file = Segmenter.load(weights), out / "poses.tsv"
    sums = "-".join(segmenter.weights[stage][:12] for stage in ("head", "box"))
    table = stored(file, sums)
    dealt = [(seed, "small" if seed // len(heads) % 3 == 2 else "any") for seed in range(count)]
    for number, (name, path) in enumerate(heads):
        left = left_of(dealt[number :: len(heads)], table[table["scan"] == name])
        for row in examined(segmenter, name, path, left) if left else ():
            table = pd.concat([table, pd.DataFrame([row | {"weights": sums}])], ignore_index=True)
            table.to_csv(file, sep="\t", index=False, na_rep="NaN")
        print(f"{number + 1}/{len(heads)} {name}", flush=True)
    page, unnoticed = summary(table)
    print(page.to_string(index=False, float_format="{:.4f}".format))
    sys.exit(f"{unnoticed} poses are off beyond the bars without a flag" if unnoticed else None)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:])
