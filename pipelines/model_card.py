"""Write the model cards and the accuracy page from what was measured; no figure in them is typed.

    python pipelines/model_card.py checkpoints runs/accuracy runs/robustness docs

Reads the headers of the weights and what `accuracy.py`, `robustness.py` and `quality_score.py` wrote; fills the templates
beside this file into ``checkpoints/head.md``, ``checkpoints/box.md`` and ``docs/accuracy.md``.
"""

import json
import platform
import sys
from pathlib import Path
from string import Template

import numpy as np
import pandas as pd
import xarray as xr

from hypojax.checkpoint import Checkpoint, load_checkpoint
from hypojax.evaluate import summarise
from hypojax.perturb.steadiness import bars_table, changes_table
from hypojax.schema import PARTS
from hypojax.volumes.score import released_model

HERE = Path(__file__).parent


def markdown(table: pd.DataFrame) -> str:
    """A table; numbers to three digits."""
    cells = [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [list(table.columns), ["---"] * len(table.columns), *cells])


def _cell(value: object) -> str:
    """One cell."""
    if isinstance(value, float):
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 3
        return "–" if np.isnan(value) else f"{value:.{digits}f}"
    return str(value)


def bars_of(accuracy: Path, *, about: str) -> str:
    """Lines of the accuracy table whose reference has a word in it."""
    table = pd.read_csv(accuracy / "bars.tsv", sep="\t")
    chosen = table[table["against"].str.contains(about)]
    limits = chosen[["found", "low", "high"]].to_numpy(float)
    interval = [f"{found:.3f}" + ("" if np.isnan(low) else f" ({low:.3f} to {high:.3f})") for found, low, high in limits]
    rows = {"what": chosen["what"], "against": chosen["against"], "at least": chosen["bar"], "found (95 % interval)": interval}
    return markdown(pd.DataFrame(rows | {"": ["met" if met else "**missed**" for met in chosen["met"]]}))


def by_region(summary: xr.Dataset, stratum: str = "all") -> str:
    """Every region over one stratum."""
    chosen, rows = summary.sel(stratum=stratum), []
    for region in PARTS:
        one = chosen.sel(region=region)
        metric = {
            name: float(one["mean"].sel(metric=name))
            for name in ("dice", "nsd_0_5mm", "nsd_1mm", "hd95_mm", "assd_mm", "volume_similarity")
        }
        worst = float(one["worst"].sel(metric="dice"))
        limits = f"{float(one['limit_lower_mm3']):.0f} to {float(one['limit_upper_mm3']):.0f}"
        rows.append({
            "region": region, "Dice": metric["dice"], "worst": worst, "NSD 0.5 mm": metric["nsd_0_5mm"], "NSD 1 mm": metric["nsd_1mm"],
            "HD95, mm": metric["hd95_mm"], "ASSD, mm": metric["assd_mm"], "volume similarity": metric["volume_similarity"],
            "bias, mm³": float(one["bias_mm3"]), "limits of agreement, mm³": limits, "ICC(3,1)": float(one["icc31"]),
            "ICC(2,1)": float(one["icc21"]),
        })  # fmt: skip
    return markdown(pd.DataFrame(rows))


def by_stratum(summary: xr.Dataset) -> str:
    """The whole hypothalamus over every stratum."""
    rows = []
    for stratum in summary["stratum"].values:
        one = summary.sel(stratum=stratum, region="hypothalamus")
        dice = one.sel(metric="dice")
        interval = f"{float(dice['mean_low']):.3f} to {float(dice['mean_high']):.3f}"
        rows.append({"scans": stratum, "n": int(one["scored"]), "failed": int(one["failed"]), "Dice": float(dice["mean"]), "95 %": interval,
                     "worst": float(dice["worst"]), "bias, mm³": float(one["bias_mm3"]), "ICC(3,1)": float(one["icc31"])})  # fmt: skip
    return markdown(pd.DataFrame(rows))


def calibration(five_fold: xr.Dataset) -> str:
    """How the uncertainty of soft volumes compares with their distance from the teacher's volume."""
    whole = five_fold.sel(region="hypothalamus")
    soft, drawn, views = (whole[name].values.astype(float) for name in ("soft_mm3", "drawn_mm3", "views_mm3"))
    error, said = soft - whole["volume_reference_mm3"].values, np.hypot(drawn, views)
    ratio = (error - error.mean()) / said
    rows = {
        "scans": [len(error)],
        "mean of soft − teacher, mm³": [float(error.mean())],
        "its standard deviation, mm³": [float(error.std(ddof=1))],
        "uncertainty said, median, mm³": [float(np.median(said))],
        "of which views, median, mm³": [float(np.median(views))],
        "standard deviation of error ÷ uncertainty (1 is calibrated)": [float(ratio.std(ddof=1))],
        "within 1.96 uncertainties": [f"{float((np.abs(ratio) < 1.96).mean()):.0%}"],
    }
    return markdown(pd.DataFrame(rows))


def icv_scans(evaluation: xr.Dataset) -> str:
    """Every DLICV scan."""
    one = evaluation.sel(region="icv")
    rows = {
        "scan": one["scan"].values, "Dice": one["dice"].values, "NSD 1 mm": one["nsd_1mm"].values, "HD95, mm": one["hd95_mm"].values,
        "ours, mL": one["volume_predicted_mm3"].values / 1e3, "DLICV, mL": one["volume_reference_mm3"].values / 1e3,
    }  # fmt: skip
    return markdown(pd.DataFrame(rows))


def quality() -> str:
    """How well the quality score separates, as `quality_score.py` wrote it into the score's own file."""
    fitted_on = released_model().fitted_on
    return markdown(
        pd.DataFrame({"quality score": fitted_on["figures"].keys(), f"weights {fitted_on['weights']}": fitted_on["figures"].values()})
    )


def training_of(checkpoint: Checkpoint) -> str:
    """A network's training record as JSON."""
    return json.dumps(checkpoint.header["training"], indent=1)


def history_of(checkpoint: Checkpoint) -> str:
    """What a network went through that its configuration does not repeat."""
    training = checkpoint.header["training"]
    return str(training.get("history") or training.get("config", {}).get("history") or "")


def fill(template: Path, out: Path, values: dict[str, str]) -> None:
    """Write a page from its template."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(Template(template.read_text()).substitute(values))
    print(out)


def tables(accuracy: Path, robustness: Path) -> dict[str, str]:
    """All tables by the name they have in the templates."""
    five_fold, icv = (xr.load_dataset(accuracy / name / "evaluation.nc", engine="scipy") for name in ("five_fold", "icv"))
    summary = summarise(five_fold, by=["dataset", "sex", "whole_head"])
    steady = pd.read_csv(robustness / "robustness.tsv", sep="\t")
    slopes = pd.read_csv(accuracy / "slopes.tsv", sep="\t")
    return {
        "hypothalamus_bars": bars_of(accuracy, about="teacher"),
        "icv_bars": bars_of(accuracy, about="DLICV|head maps"),
        "regions": by_region(summary),
        "strata": by_stratum(summary),
        "calibration": calibration(five_fold),
        "icv_scans": icv_scans(icv),
        "steady_bars": bars_table(steady),
        "steady_changes": changes_table(steady),
        "heads": ", ".join(dict.fromkeys(steady["scan"])),
        "slopes": markdown(slopes),
        "atlases": markdown(pd.read_csv(accuracy / "atlases.tsv", sep="\t")),
        "never_seen": markdown(pd.read_csv(accuracy / "never_seen.tsv", sep="\t")),
        "unusual": markdown(pd.read_csv(accuracy / "unusual.tsv", sep="\t")),
        "quality": quality(),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
    }


def main(weights: Path, accuracy: Path, robustness: Path, docs: Path) -> None:
    """Fill the three pages."""
    values = tables(accuracy, robustness)
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
    values["histories"] = "\n".join(f"- {number}: {history_of(fold) or 'as its record says.'}" for number, fold in enumerate(folds))
    fill(HERE / "card_head.md", weights / "head.md", values)
    fill(HERE / "card_box.md", weights / "box.md", values)
    fill(HERE / "card_accuracy.md", docs / "accuracy.md", values)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:5]))
