"""Training runs to weights: a folder that `hypojax run --weights` takes."""

import shutil
from pathlib import Path
from typing import Any, Final

from hypojax.checkpoint import save_checkpoint, sha256
from hypojax.preprocessing.intensity import NORMALISATION
from hypojax.release import STAGES, SUMS, released_folder
from hypojax.schema import BOX_SHAPE, BOX_SPACING, HEAD_SHAPE, HEAD_SPACING, LABELS, MODEL_AXES
from hypojax.segmenter.forward import FIRST_OUTPUTS, HEAD_OUTPUTS
from hypojax.storage import Disk, on_disk
from hypojax.training.train_log import LOG
from hypojax.training.train_record import as_table, released_weights

DESCRIBED: Final[dict[str, dict[str, Any]]] = {
    "head": {"grid": {"shape": HEAD_SHAPE, "spacing_mm": HEAD_SPACING}},
    "box": {"grid": {"shape": BOX_SHAPE, "spacing_mm": BOX_SPACING}},
}
"""What the header of each stage says of its input."""

NAMES: Final[dict[int, tuple[str, ...]]] = {
    FIRST_OUTPUTS: ("icv", "place of the hypothalamus"),
    len(HEAD_OUTPUTS): HEAD_OUTPUTS,
    1 + len(LABELS): ("background", *LABELS.values()),
}
"""Names of the outputs of networks that have so many."""


def write_weights(out: Disk, *, box: Disk | None = None, head: Disk | None = None) -> Path:
    """Make a folder of weights for ``hypojax run --weights`` of your own training runs.

    Parameters
    ----------
    out
        The folder; made when it does not exist.
    box, head
        Folders of runs (``runs/mine/all``); the released network where left out.

    Returns
    -------
    The folder, with ``head.safetensors``, ``box.safetensors`` and ``SHA256SUMS``.

    Raises
    ------
    RunError
        ``NOTHING_FOUND``: a folder holds no run.

    Examples
    --------
    >>> write_weights("my-weights", box="runs/mine/all")  # doctest: +SKIP
    """
    folder, runs = on_disk(out), {"head": head, "box": box}
    folder.mkdir(parents=True, exist_ok=True)
    sums = {}
    for stage in STAGES:
        run = runs[stage]
        if run is None:
            shutil.copy(released_folder() / f"{stage}.safetensors", folder)
        sums[f"{stage}.safetensors"] = sha256(folder / f"{stage}.safetensors") if run is None else write_run(on_disk(run), folder, stage)
    write_sums(folder, sums)
    return folder


def write_run(run: Path, out: Path, name: str) -> str:
    """Write the weights of one run (averaged; the best ones where it could end early) and its log; give the file's SHA-256."""
    weights, record, step = released_weights(run)
    header = {
        "stage": record.stage,
        **DESCRIBED[record.stage],
        "outputs": NAMES[record.loop.network.outputs],
        "axes": MODEL_AXES,
        "normalisation": NORMALISATION[record.stage],
        "normalisation_constants": record.normalisation,
        "training": as_table(record) | {"steps_done": step},
    }
    shutil.copy(run / LOG, out / f"{name}.log.jsonl")
    return save_checkpoint(out / f"{name}.safetensors", weights, network=record.loop.network, header=header)


def write_sums(out: Path, sums: dict[str, str]) -> None:
    """Write ``SHA256SUMS``: file name → hash, as `sha256sum --check` reads it."""
    (out / SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()), encoding="utf-8")
