"""What a run must give whatever befell it: inputs that all differ, and everything it writes, byte for byte, but the times it took."""

import csv
import json
from pathlib import Path
from typing import Any

from standin import AFFINE, POISON, StandIn, phantom_voxels

from hypojax import execute
from hypojax.scans import write_nifti
from hypojax.schema import REGIONS
from hypojax.store.sealed import SEAL

MEASURED = "seconds"
"""The one column that differs from run to run: a measured time."""


def write_scans(folder: Path, *, scans: int, poisoned: int | None = None) -> Path:
    """Phantoms that differ in their voxels, so that no scan can stand for another."""
    for number in range(scans):
        voxels = phantom_voxels() + number
        if number == poisoned:
            voxels[0, 0, 0] = int(POISON)
        write_nifti(folder / f"sub-{number:02d}_T1w.nii.gz", voxels, AFFINE)
    return folder


def undisturbed(scans: Path, out: Path) -> dict[str, Any]:
    """What a run gives that nothing befell."""
    execute.run([scans], out=out, segmenter=StandIn())
    return written(out)


def written(out: Path) -> dict[str, Any]:
    """Everything in an output folder, without the times that scans took; the store is held against its own checksums first."""
    assert execute.verify(out) == ()
    store = out / "cohort.zarr"
    found: dict[str, Any] = {}
    for part in ("cohort.zarr", "derivatives"):
        for path in sorted((out / part).rglob("*")):
            key = path.relative_to(out).as_posix()
            if path.is_file() and MEASURED not in path.relative_to(out).parts:
                found[key] = _record(path) if path.is_relative_to(store / "ledger") else path.read_bytes()
    del found["cohort.zarr/zarr.json"]  # holds digests of times too; `verify` has held it against what it describes
    with (out / "volumes.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    found["volumes.tsv"] = [{name: value for name, value in row.items() if name != MEASURED} for row in rows]
    told = [(row["scan"], row["region"]) for row in rows]
    assert len(set(told)) == len(told) == len(REGIONS) * len({row["scan"] for row in rows})
    assert not any(key.endswith(".partial") or (isinstance(data, dict) and "marker" in data) for key, data in found.items()), sorted(found)
    return found


def _record(path: Path) -> dict[str, Any]:
    """A record of the ledger, or its index, without times, provenance and the seal over them."""
    attributes = json.loads(path.read_bytes())["attributes"]
    own = {key: value for key, value in attributes.items() if key not in (SEAL, "provenance")}
    if "origin" in own:
        own["origin"] = {key: value for key, value in own["origin"].items() if key != "provenance"}
    return {**own, "row": {key: value for key, value in own.get("row", {}).items() if key != MEASURED}}
