"""Turn training runs into released weights.

    python -m pipelines.maintenance.release runs/head/all runs/box/all checkpoints runs/head-held-out/all runs/box/fold*

Writes ``head.safetensors``, ``box.safetensors``, and of the runs that follow, which serve to test, ``head-held-out.safetensors`` of
one that label maps were kept from and ``box-fold0.safetensors`` … of those of a fold (averaged weights),
``SHA256SUMS``, and the log of each run beside them. What a header says of the training is the run's own ``record.json``. A file of
released weights instead of the folder of a run is released again as it is, with its log.
Refuses more than 30 MB in all.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Final

from hypojax.checkpoint import sha256
from hypojax.training.train_record import RECORD, read_record
from hypojax.training.weights import write_run, write_sums

LARGEST: Final = 30e6
"""Bytes of all weights together, which every wheel carries."""


def name_of(run: Path) -> str:
    """The name of weights that serve to test, by what their run held out, or their own where they are released already."""
    if run.is_file():
        return run.stem
    record = read_record(run)
    if record is None or not record.held_out:
        sys.exit(f"{run} held nothing out: its {RECORD} names nothing")
    return f"{record.stage}-held-out" if record.fold is None else f"{record.stage}-fold{record.fold}"


def released(run: Path, out: Path, name: str) -> str:
    """Write the weights of a run, or those of a file again, with their log; give the SHA-256."""
    if not run.is_file():
        return write_run(run, out, name)
    for suffix in (".safetensors", ".log.jsonl"):
        if (made := run.with_suffix(suffix)) != out / f"{name}{suffix}":
            shutil.copy(made, out / f"{name}{suffix}")
    return sha256(out / f"{name}.safetensors")


def main(head: Path, box: Path, out: Path, *held_out: Path) -> None:
    """Write all files and their sums."""
    out.mkdir(parents=True, exist_ok=True)
    runs = {"head": head, "box": box} | {name_of(run): run for run in held_out}
    sums = {f"{name}.safetensors": released(run, out, name) for name, run in runs.items()}
    write_sums(out, sums)
    print(json.dumps(sums, indent=2))
    if (size := sum((out / name).stat().st_size for name in sums)) > LARGEST:
        sys.exit(f"{out}: {size / 1e6:.1f} MB of weights, more than the {LARGEST / 1e6:.0f} MB that may be released")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
