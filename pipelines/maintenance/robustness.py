"""How steady volumes are when the same scan comes again: tilted, brighter, stored otherwise, or with a smaller hypothalamus.

    python -m pipelines.maintenance.robustness DATA checkpoints runs/robustness

Every scan goes down the same path as in ``hypojax run``, once as it came and once a change of `perturb.protocol`.
Writes ``robustness.tsv`` (a row a scan and change; a scan is added when all its changes are done, and a second start goes on
with the next), ``robustness.nc`` (the same as an xarray Dataset) and ``robustness.md`` (every figure beside its bar).
Exits 1 when a bar is missed. Thirteen whole heads, 52 changes each (Colin27: 91); a head of six million voxels takes 80 s of
processor time on a Xeon.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from hypojax.execute.measured import measure_scan
from hypojax.execute.readahead import overlapped
from hypojax.reason import HypojaxError
from hypojax.scans import read
from hypojax.segmenter.segmenter import Segmenter
from hypojax.volumes import Measurement
from pipelines.maintenance.perturb import Scan
from pipelines.maintenance.perturb.bars import bars, bars_table, changes_table, scans_table
from pipelines.maintenance.perturb.protocol import brightness_cases, header_cases, orientation_cases, session_cases, shrinkage_cases
from pipelines.maintenance.perturb.steadiness import per_scan
from pipelines.maintenance.perturb.undisturbed import Case, Undisturbed

EVERY_ORIENTATION: Final = ("scans_colin27",)
"""Scans stored in all 48 ways; the others in eight of them."""

LEFT_OUT: Final = ("scans_studyforrest",)
"""Large enough to take as long as five others."""


def whole_heads(data: Path) -> list[tuple[str, Path]]:
    """Name and file of every whole head to be tried."""
    found = [(f"ds000011_{path.name[:6]}", path) for path in sorted((data / "bids/ds000011").glob("*/anat/*_T1w.nii.gz"))]
    found += [(f"scans_{path.name.removesuffix('_T1w.nii.gz')}", path) for path in sorted((data / "scans").glob("*_T1w.nii.gz"))]
    return [(name, path) for name, path in [*found, ("template", data / "template/MNI152NLin2009cAsym_T1w.nii.gz")] if name not in LEFT_OUT]


def examine(segmenter: Segmenter, name: str, path: Path) -> Iterator[dict[str, Any]]:
    """A row a change of one scan, the scan as it came first."""
    image = read(name, path)
    volume, affine = image.scaled(), image.affine
    first = measure_scan(volume, affine, segmenter.segment(volume, affine))
    yield {"scan": name, "question": "none", "change": "none", **measured_row(first)}
    scan = Undisturbed(volume, affine, first.hypothalamus, first.intracranial > 0)
    questions = {
        "header": header_cases(),
        "sessions": session_cases(affine),
        "brightness": brightness_cases(scan),
        "orientations": orientation_cases(every=1 if name in EVERY_ORIENTATION else 6),
        "shrinkage": shrinkage_cases(scan),
    }
    asked = [(question, case) for question, cases in questions.items() for case in cases]
    with closing(overlapped(asked, lambda item: item[1].change(volume, affine), depth=1)) as changed:
        for (question, case), other in zip(asked, changed, strict=True):
            row = {"scan": name, "question": question, "change": case.name, "known": case.known}
            yield row | changed_row(segmenter, other, case, scan=scan, question=question)


def changed_row(segmenter: Segmenter, other: Scan, case: Case, *, scan: Undisturbed, question: str) -> dict[str, Any]:
    """What is measured in a changed scan; labels are compared where only the order of storage was changed."""
    try:
        found = measure_scan(*other, segmenter.segment(*other))
    except HypojaxError as error:
        return {"reason": str(error.reason)}
    if question != "orientations":
        return measured_row(found)
    expected, _ = case.change(scan.hypothalamus.astype(np.float32), scan.affine)
    either = (expected > 0) | (found.hypothalamus > 0)
    return measured_row(found) | {"labels_equal": float((expected == found.hypothalamus)[either].mean())}


def measured_row(found: Measurement) -> dict[str, Any]:
    """Volumes (mm³) and flags of a measurement."""
    volumes = {f"{region}_mm3": found.volumes[region].volume_mm3 for region in ("hypothalamus", "icv")}
    return {**volumes, "flags": " ".join(found.flags), "reason": str(found.volumes["hypothalamus"].missing_reason)}


def run(segmenter: Segmenter, heads: Sequence[tuple[str, Path]], table: Path) -> pd.DataFrame:
    """Examine the scans that the table does not hold yet, one line of progress each, and add them to it."""
    weights = "-".join(segmenter.weights[stage][:12] for stage in ("head", "box"))
    known = pd.read_csv(table, sep="\t", keep_default_na=False, na_values=["NaN"]) if table.exists() else pd.DataFrame()
    done = known[known["weights"] == weights] if len(known) else known
    for number, (name, path) in enumerate(heads, start=1):
        if len(done) and (done["scan"] == name).any():
            continue
        start = time.perf_counter()
        rows = pd.DataFrame(examine(segmenter, name, path)).assign(weights=weights)
        done = pd.concat([done, rows], ignore_index=True)
        done.to_csv(table.with_suffix(".part"), sep="\t", index=False, na_rep="NaN")
        table.with_suffix(".part").replace(table)
        print(f"{number}/{len(heads)} {name}: {len(rows)} changes, {time.perf_counter() - start:.0f} s", flush=True)
    return done


def main(data: Path, weights: Path, out: Path) -> None:
    """Measure what is missing, and write the table, the Dataset and the page."""
    out.mkdir(parents=True, exist_ok=True)
    table = run(Segmenter.load(weights), whole_heads(data), out / "robustness.tsv")
    per_scan(table).assign_attrs(weights=table["weights"].iloc[0]).to_netcdf(out / "robustness.nc", engine="scipy")
    page = ["# Robustness", bars_table(table), "## Every scan", scans_table(table), "## Every change", changes_table(table)]
    (out / "robustness.md").write_text("\n\n".join(page) + "\n", encoding="utf-8")
    print("", bars_table(table), scans_table(table), sep="\n\n")
    sys.exit("\n".join(f"{bar.what}: {bar.measured}, bar {bar.bar}" for bar in bars(table) if not bar.met) or None)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
