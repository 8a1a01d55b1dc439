"""Turn running states into released weights.

    python pipelines/release.py runs/head runs/box checkpoints

Writes ``head.safetensors``, ``box.safetensors`` (averaged weights), ``SHA256SUMS``, and the log of each run beside them.
"""

import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import train_box
import train_head
from jaxtyping import PyTree

from hypojax.checkpoint import SUMS, save_checkpoint
from hypojax.schema import BOX_SHAPE, BOX_SPACING, HEAD_SHAPE, HEAD_SPACING, LABELS, MODEL_AXES
from hypojax.train.box import BoxConfig
from hypojax.train.head import HeadConfig
from hypojax.train.loop import LoopConfig, load_state, starting_state


def averaged(config: LoopConfig, folder: Path) -> tuple[PyTree, int]:
    """The averaged weights of a run and how many steps it has gone."""
    state = load_state(folder / "state.safetensors", starting_state(config))
    return state.averaged, int(state.step)


def header(config: LoopConfig, example: BoxConfig | HeadConfig, *, held_out: tuple[str, ...], history: str, steps: int) -> dict[str, Any]:
    """What both headers say of training and intensities."""
    training = {"loop": asdict(config), "example": asdict(example), "held_out": held_out, "history": history, "steps_done": steps}
    return {
        "axes": MODEL_AXES,
        "normalisation": "z-score of tissue above Otsu's threshold, trimmed (hypojax.intensity)",
        "training": training,
    }


def main(head: Path, box: Path, out: Path) -> None:
    """Write both files and their sums."""
    out.mkdir(parents=True, exist_ok=True)
    weights, steps = averaged(train_head.CONFIG, head)
    about = header(train_head.CONFIG, HeadConfig(), held_out=train_head.HELD_OUT, history=train_head.HISTORY, steps=steps)
    about |= {"stage": "head", "grid": {"shape": HEAD_SHAPE, "spacing_mm": HEAD_SPACING}, "outputs": ["icv", "place of the hypothalamus"]}
    sums = {"head.safetensors": save_checkpoint(out / "head.safetensors", weights, network=train_head.CONFIG.network, header=about)}
    weights, steps = averaged(train_box.CONFIG, box)
    about = header(train_box.CONFIG, BoxConfig(), held_out=train_box.HELD_OUT, history=train_box.HISTORY, steps=steps)
    about |= {"stage": "box", "grid": {"shape": BOX_SHAPE, "spacing_mm": BOX_SPACING}, "outputs": ["background", *LABELS.values()]}
    sums["box.safetensors"] = save_checkpoint(out / "box.safetensors", weights, network=train_box.CONFIG.network, header=about)
    for stage, folder in (("head", head), ("box", box)):
        shutil.copy(folder / "log.jsonl", out / f"{stage}.log.jsonl")
    (out / SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))
    print(json.dumps(sums, indent=2))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
