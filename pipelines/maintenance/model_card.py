"""Write the model cards and the accuracy page from what was measured; no figure in them is typed.

    python -m pipelines.maintenance.model_card checkpoints runs docs

Reads the headers of the weights, what `accuracy.py`, `robustness.py`, `pose_bars.py`, `group_means.py` and `teacher_slope.py` wrote into
folders of their names (``runs/poses``, ``runs/teacher``), and what `quality_score.py` and `t1w_fit.py` wrote into the files of models;
fills the templates beside this file into ``checkpoints/head.md``, ``checkpoints/box.md`` and ``docs/accuracy.md``.
"""

import json
import platform
import sys
from pathlib import Path
from string import Template
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from hypojax.checkpoint import Checkpoint, load_checkpoint
from hypojax.evaluation import summarise
from hypojax.training.train_record import lineage
from pipelines.maintenance.accuracy import STRATA
from pipelines.maintenance.card_tables import bars_of, by_region, by_stratum, contrast, icv_scans, markdown, quality
from pipelines.maintenance.effects import by_hand, calibration, farthest, tilted, visible_effects
from pipelines.maintenance.perturb.bars import bars_table, changes_table, scans_table
from pipelines.maintenance.pose_bars import summary

HERE: Final = Path(__file__).parent


def training_of(checkpoint: Checkpoint) -> str:
    """A network's training record as JSON; of the digests of whom it learnt from, how many there are, where it has them."""
    training = dict(checkpoint.header["training"])
    if "learnt" in training:
        training["learnt"] = f"{len(training['learnt'])} digests of names"
    return json.dumps(training, indent=1)


def history_of(checkpoint: Checkpoint) -> str:
    """The runs behind a network, the first one first, and what else is to be said of them."""
    training = checkpoint.header["training"]
    runs = "; then ".join(lineage(training, training["steps_done"]))
    return f"{runs}. {training.get('history', '')}".strip()


def fill(template: Path, out: Path, values: dict[str, str]) -> None:
    """Write a page from its template."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(Template(template.read_text()).substitute(values))
    print(out)


def tables(accuracy: Path, robustness: Path) -> dict[str, str]:
    """All tables by the name they have in the templates."""
    five_fold, icv = (xr.load_dataset(accuracy / name / "evaluation.nc", engine="scipy") for name in ("five_fold", "icv"))
    summarised = summarise(five_fold, by=STRATA)
    steady = pd.read_csv(robustness / "robustness.tsv", sep="\t")
    slopes = pd.read_csv(accuracy / "slopes.tsv", sep="\t")
    return {
        "hypothalamus_bars": bars_of(accuracy, about="teacher"),
        "icv_bars": bars_of(accuracy, about="DLICV|head maps"),
        "regions": by_region(summarised),
        "strata": by_stratum(summarised),
        "calibration": calibration(five_fold),
        **men_and_women(five_fold),
        "icv_scans": icv_scans(icv),
        "steady_bars": bars_table(steady),
        "steady_changes": changes_table(steady),
        "steady_scans": scans_table(steady),
        "effects": visible_effects(five_fold, steady),
        "ours_mm3": by_hand(five_fold),
        "farthest": farthest(five_fold),
        "tilted": tilted(steady),
        "heads": ", ".join(dict.fromkeys(steady["scan"])),
        "slopes": markdown(slopes),
        "atlases": markdown(pd.read_csv(accuracy / "atlases.tsv", sep="\t")),
        "never_seen": markdown(pd.read_csv(accuracy / "never_seen.tsv", sep="\t")),
        "unusual": markdown(pd.read_csv(accuracy / "unusual.tsv", sep="\t")),
        "quality": quality(),
        "contrast": contrast(),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
    }


def poses_table(poses: Path) -> dict[str, str]:
    """How far volumes are off in random poses, and in whose heads."""
    table = pd.read_csv(poses / "poses.tsv", sep="\t")
    rows = summary(table)[0]
    for column in ("mean off", "95 %", "largest"):
        rows[column] = rows[column].map("{:.2%}".format)
    return {"poses": markdown(rows), "pose_heads": ", ".join(dict.fromkeys(table["scan"]))}


def means_table(means: Path) -> dict[str, str]:
    """How sharp group means are in boxes along the axes of scans and in the pose of heads."""
    table = pd.read_csv(means / "group_means.tsv", sep="\t")
    return {"means": markdown(table.drop(columns="heads")), "means_heads": str(table["heads"].iloc[0])}


def teacher_slopes(teacher: Path) -> dict[str, str]:
    """How much of a known change of size the teacher finds, by its labels and by its posteriors."""
    table = pd.read_csv(teacher / "teacher_slope.tsv", sep="\t")
    said = {f"teacher_{name}": f"{table[name].mean():.2f} ± {table[name].std():.2f}" for name in ("labels", "posteriors")}
    return {**said, "teacher_scans": str(len(table))}


def men_and_women(five_fold: xr.Dataset) -> dict[str, str]:
    """By how much hypothalami of men are larger than those of women, by labels and by volumes."""
    whole = five_fold.sel(region="hypothalamus")
    men, women = (whole.isel(scan=np.flatnonzero(whole["sex"].values == sex)) for sex in ("M", "F"))
    sources = {"teacher": "volume_reference_mm3", "ours": "volume_predicted_mm3"}
    return {f"men_{source}": f"{float(men[name].mean() / women[name].mean()) - 1:.1%}" for source, name in sources.items()}


def main(weights: Path, runs: Path, docs: Path) -> None:
    """Fill the three pages."""
    values = tables(runs / "accuracy", runs / "robustness") | poses_table(runs / "poses") | means_table(runs / "group_means")
    values |= teacher_slopes(runs / "teacher")
    head, box = (load_checkpoint(weights / f"{stage}.safetensors") for stage in ("head", "box"))
    folds = [load_checkpoint(path) for path in sorted(weights.glob("box-fold*.safetensors"))]
    listed = "\n".join(
        f"| {n} | `{fold.sha256[:16]}…` | {', '.join(fold.header['training']['held_out'])} |" for n, fold in enumerate(folds)
    )
    values |= {
        "head_sha": head.sha256, "box_sha": box.sha256, "head_network": str(head.network), "box_network": str(box.network),
        "head_training": training_of(head), "box_training": training_of(box), "fold_training": training_of(folds[-1]), "folds": listed,
        "head_history": history_of(head), "box_history": history_of(box),
    }  # fmt: skip
    kept = load_checkpoint(weights / "head-held-out.safetensors")
    names = ", ".join(kept.header["training"]["held_out"])
    values |= {"kept_sha": kept.sha256, "kept_names": names, "kept_history": history_of(kept)}
    values["histories"] = "\n".join(f"- {number}: {history_of(fold)}" for number, fold in enumerate(folds))
    fill(HERE / "card_head.md", weights / "head.md", values)
    fill(HERE / "card_box.md", weights / "box.md", values)
    fill(HERE / "card_accuracy.md", docs / "accuracy.md", values)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
