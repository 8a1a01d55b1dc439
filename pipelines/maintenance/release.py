"""Turn training runs into released weights.

    python -m pipelines.maintenance.release runs/head/all runs/box/all checkpoints runs/head-held-out/all runs/box/fold*

Writes ``head.safetensors``, ``box.safetensors``, and of the runs that follow, which serve to test, ``head-held-out.safetensors`` of
one that label maps were kept from and ``box-fold0.safetensors`` … of those of a fold (averaged weights),
``SHA256SUMS``, and the log of each run beside them. What a header says of the training is the run's own ``record.json``.
Refuses more than 30 MB in all.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any, Final

from hypojax.checkpoint import save_checkpoint
from hypojax.preprocessing.intensity import NORMALISATION
from hypojax.release import SUMS
from hypojax.schema import BOX_SHAPE, BOX_SPACING, HEAD_SHAPE, HEAD_SPACING, LABELS, MODEL_AXES
from hypojax.training.train_log import LOG
from hypojax.training.train_record import RECORD, as_table, read_record, released_weights

STAGES: Final[dict[str, dict[str, Any]]] = {
    "head": {"grid": {"shape": HEAD_SHAPE, "spacing_mm": HEAD_SPACING}, "outputs": ["icv", "place of the hypothalamus"]},
    "box": {"grid": {"shape": BOX_SHAPE, "spacing_mm": BOX_SPACING}, "outputs": ["background", *LABELS.values()]},
}

LARGEST: Final = 30e6
"""Bytes of all weights together, which every wheel carries."""


def release(run: Path, out: Path, name: str) -> str:
    """Write the weights of one run and its log; give the file's hash."""
    weights, record, step = released_weights(run)
    header = {
        "stage": record.stage,
        **STAGES[record.stage],
        "axes": MODEL_AXES,
        "normalisation": NORMALISATION[record.stage],
        "normalisation_constants": record.normalisation,
        "training": as_table(record) | {"steps_done": step},
    }
    shutil.copy(run / LOG, out / f"{name}.log.jsonl")
    return save_checkpoint(out / f"{name}.safetensors", weights, network=record.loop.network, header=header)


def name_of(run: Path) -> str:
    """The name of weights that serve to test, by what their run held out."""
    record = read_record(run)
    if record is None or not record.held_out:
        sys.exit(f"{run} held nothing out: its {RECORD} names nothing")
    return f"{record.stage}-held-out" if record.fold is None else f"{record.stage}-fold{record.fold}"


def main(head: Path, box: Path, out: Path, *held_out: Path) -> None:
    """Write all files and their sums."""
    out.mkdir(parents=True, exist_ok=True)
    runs = {"head": head, "box": box} | {name_of(run): run for run in held_out}
    sums = {f"{name}.safetensors": release(run, out, name) for name, run in runs.items()}
    (out / SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))
    print(json.dumps(sums, indent=2))
    if (size := sum((out / name).stat().st_size for name in sums)) > LARGEST:
        sys.exit(f"{out}: {size / 1e6:.1f} MB of weights, more than the {LARGEST / 1e6:.0f} MB that may be released")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
