"""Turn training runs into released weights.

    python pipelines/release.py runs/head runs/box checkpoints runs/box-fold*

Writes ``head.safetensors``, ``box.safetensors``, and ``box-fold0.safetensors`` … of the runs that follow (averaged weights),
``SHA256SUMS``, and the log of each run beside them. What a header says of the training is the run's own ``record.json``.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from hypojax.checkpoint import SUMS, save_checkpoint
from hypojax.schema import BOX_SHAPE, BOX_SPACING, HEAD_SHAPE, HEAD_SPACING, LABELS, MODEL_AXES
from hypojax.train.loop import LoopConfig, load_state, starting_state
from hypojax.unet import UNetConfig

STAGES: dict[str, dict[str, Any]] = {
    "head": {"grid": {"shape": HEAD_SHAPE, "spacing_mm": HEAD_SPACING}, "outputs": ["icv", "place of the hypothalamus"]},
    "box": {"grid": {"shape": BOX_SHAPE, "spacing_mm": BOX_SPACING}, "outputs": ["background", *LABELS.values()]},
}


def network_of(record: dict[str, Any]) -> UNetConfig:
    """The network of a run."""
    made = record["loop"]["network"]
    return UNetConfig(outputs=made["outputs"], widths=tuple(made["widths"]), stem=made["stem"])


def release(run: Path, out: Path, name: str) -> str:
    """Write the averaged weights of one run and its log; give the file's hash."""
    record = json.loads((run / "record.json").read_text())
    state = load_state(run / "state.safetensors", starting_state(LoopConfig(network=network_of(record))))
    header = {
        "stage": record["stage"],
        **STAGES[record["stage"]],
        "axes": MODEL_AXES,
        "normalisation": "z-score of tissue above Otsu's threshold, trimmed (hypojax.intensity)",
        "training": record | {"steps_done": int(state.step)},
    }
    shutil.copy(run / "log.jsonl", out / f"{name}.log.jsonl")
    return save_checkpoint(out / f"{name}.safetensors", state.averaged, network=network_of(record), header=header)


def main(head: Path, box: Path, out: Path, *folds: Path) -> None:
    """Write all files and their sums."""
    out.mkdir(parents=True, exist_ok=True)
    runs = {"head": head, "box": box} | {f"box-fold{number}": run for number, run in enumerate(folds)}
    sums = {f"{name}.safetensors": release(run, out, name) for name, run in runs.items()}
    (out / SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))
    print(json.dumps(sums, indent=2))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
