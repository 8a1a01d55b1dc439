"""Write the model cards and the accuracy page from what was measured; no figure in them is typed.

    python -m pipelines.maintenance.model_card checkpoints runs/accuracy runs/robustness docs

Reads the headers of the weights and what `accuracy.py`, `robustness.py` and `quality_score.py` wrote; fills the templates
beside this file into ``checkpoints/head.md``, ``checkpoints/box.md`` and ``docs/accuracy.md``.
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
from hypojax.metrics import icc31
from hypojax.perturb.protocol import OBLIQUE
from hypojax.perturb.steadiness import HYPOTHALAMUS, ICV, bars_table, changes_table, scans_table, variation
from hypojax.schema import PARTS
from hypojax.training.record import lineage
from hypojax.volumes.score import released_model
from pipelines.maintenance.accuracy import STRATA

HERE: Final = Path(__file__).parent

COHORT: Final = "ds002748"
"""The largest dataset at hand."""

FAR: Final = 0.05
"""Change of a volume from which on it is called off."""

POWER: Final = 0.8416
"""Normal quantile of a power of 80 %."""


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
    rows = [
        {
            "what": line["what"], "against": line["against"], "bar": line["bar"],
            "found (95 % interval)": figure(line["found"], line["bar"]) + between(line["low"], line["high"]),
            "": "met" if line["met"] else "**missed**",
            "deepbet": "–" if np.isnan(line["deepbet"]) else figure(line["deepbet"], line["bar"]),
        }
        for line in chosen.to_dict("records")
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    return markdown(table if chosen["deepbet"].notna().any() else table.drop(columns="deepbet"))


def figure(value: float, bar: str) -> str:
    """A figure in the unit of its bar.

    >>> figure(0.0213, "<= 1.5 %"), figure(0.0213, ">= 0.88")
    ('2.1 %', '0.021')
    """
    return f"{100 * value:.1f} %" if "%" in bar else f"{value:.3f}"


def between(low: float, high: float) -> str:
    """An interval after a figure; nothing where there is none."""
    return "" if np.isnan(low) else f" ({low:.3f} to {high:.3f})"


def by_region(summary: xr.Dataset, stratum: str = "all") -> str:
    """Every region over one stratum."""
    chosen, rows = summary.sel(stratum=stratum), []
    for region in PARTS:
        one = chosen.sel(region=region)
        names = ("dice", "nsd_0_5mm", "nsd_1mm", "hd95_mm", "assd_mm", "volume_similarity", "absolute_volume_error_mm3")
        metric = {name: float(one["mean"].sel(metric=name)) for name in names}
        interval = between(*(float(one[end].sel(metric="dice")) for end in ("mean_low", "mean_high")))
        worst = float(one["worst"].sel(metric="dice"))
        limits = f"{float(one['limit_lower_mm3']):.0f} to {float(one['limit_upper_mm3']):.0f}"
        rows.append({
            "region": region, "Dice (95 %)": f"{metric['dice']:.3f}{interval}", "worst": worst,
            "NSD 0.5 mm": metric["nsd_0_5mm"], "NSD 1 mm": metric["nsd_1mm"],
            "HD95, mm": metric["hd95_mm"], "ASSD, mm": metric["assd_mm"], "volume similarity": metric["volume_similarity"],
            "absolute error, mm³": metric["absolute_volume_error_mm3"], "bias, mm³": float(one["bias_mm3"]),
            "limits of agreement, mm³": limits, "ICC(3,1)": float(one["icc31"]),
            "ICC(2,1)": float(one["icc21"]),
        })  # fmt: skip
    return markdown(pd.DataFrame(rows))


def by_stratum(summary: xr.Dataset) -> str:
    """The whole hypothalamus over every stratum."""
    rows = []
    for stratum in summary["stratum"].values:
        one = summary.sel(stratum=stratum, region="hypothalamus")
        dice = one.sel(metric="dice")
        interval = between(float(dice["mean_low"]), float(dice["mean_high"]))
        rows.append({
            "scans": stratum, "n": int(one["scored"]), "failed": int(one["failed"]), "Dice (95 %)": f"{float(dice['mean']):.3f}{interval}",
            "worst": float(dice["worst"]), "bias, mm³": float(one["bias_mm3"]), "ICC(3,1)": float(one["icc31"]),
        })  # fmt: skip
    return markdown(pd.DataFrame(rows))


def calibration(five_fold: xr.Dataset) -> str:
    """How the uncertainty of soft volumes compares with their distance from the teacher's volume."""
    whole = five_fold.sel(region="hypothalamus")
    soft, drawn, views = (whole[name].values.astype(float) for name in ("soft_mm3", "drawn_mm3", "views_mm3"))
    error, said = soft - whole["volume_reference_mm3"].values, np.hypot(drawn, views)
    rows = []
    for name, left in (("as it is", error), ("less its mean", error - error.mean())):
        ratio = left / said
        rows.append({
            "error: soft − teacher": name,
            "mean, mm³": float(left.mean()),
            "standard deviation, mm³": float(left.std(ddof=1)),
            "root mean square of error ÷ uncertainty (1 is calibrated)": float(np.sqrt((ratio**2).mean())),
            "within 1.96 uncertainties": f"{float((np.abs(ratio) < 1.96).mean()):.0%}",
            "rank correlation of its size with the uncertainty": rank_correlation(np.abs(left), said),
        })  # fmt: skip
    said_mm3 = f"{len(error)} scans; uncertainty said, median: {np.median(said):.0f} mm³, of which views {np.median(views):.0f} mm³."
    return f"{said_mm3}\n\n{markdown(pd.DataFrame(rows))}"


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's correlation."""
    return float(pd.Series(one).corr(pd.Series(other), method="spearman"))


def visible_effects(five_fold: xr.Dataset, steady: pd.DataFrame) -> str:
    """The least change in one person, and the least differences between two groups, that are more than error and chance."""
    whole = five_fold.sel(region="hypothalamus")
    found = whole["soft_mm3"].values[whole["dataset"].values == COHORT].astype(float)
    people, repeats = float(found.std(ddof=1) / found.mean()), variation(steady, "sessions")[0]
    rows = [["one person, scanned twice", f"{1.96 * np.sqrt(2) * repeats:.1%}"]]
    rows += [[f"two groups of {n}", f"{(1.96 + POWER) * people * np.sqrt(2 / n):.1%}"] for n in (50, 100, 500)]
    table = markdown(pd.DataFrame(rows, columns=["who", "least difference of the hypothalamus that can be told"]))
    source = f"Coefficients of variation: {repeats:.1%} within a scan made anew, {people:.1%} between the {len(found)} people of {COHORT}"
    return f"{table}\n\n{source}; 95 % confidence, and 80 % power between groups."


def farthest(five_fold: xr.Dataset) -> str:
    """The scan whose volume lies farthest from the teacher's, and what the agreement is without it."""
    whole = five_fold.sel(region="hypothalamus")
    pairs = np.stack([whole["volume_predicted_mm3"].values, whole["volume_reference_mm3"].values], axis=1)
    worst = int(np.abs(pairs[:, 0] - pairs[:, 1]).argmax())
    left = icc31(np.delete(pairs, worst, axis=0))
    ours, theirs = pairs[worst]
    return (
        f"Farthest from its label lies {whole['scan'].values[worst]}: {ours:.0f} mm³, the teacher {theirs:.0f}; "
        f"without it the mean Dice is {np.delete(whole['dice'].values, worst).mean():.3f} and ICC(3,1) {left.estimate:.3f}"
        f"{between(left.low, left.high)}."
    )


def tilted(steady: pd.DataFrame) -> str:
    """How many results of heads tilted too far are off, and how many of these say so."""
    came, turned = (steady[steady["change"] == name].set_index("scan") for name in ("none", f"header turned +{OBLIQUE:.0f} about R"))
    off = (turned[[HYPOTHALAMUS, ICV]] / came[[HYPOTHALAMUS, ICV]] - 1).abs().max(axis=1) > FAR
    flagged = turned["flags"].notna() & off
    return f"Of {len(turned)} such heads {off.sum()} were off by more than {FAR:.0%}; {flagged.sum()} of these carried a flag."


def by_hand(five_fold: xr.Dataset) -> str:
    """Mean and standard deviation of our soft volumes of the largest dataset."""
    whole = five_fold.sel(region="hypothalamus")
    found = whole["soft_mm3"].values[whole["dataset"].values == COHORT].astype(float)
    return f"{found.mean():.0f} ± {found.std(ddof=1):.0f} mm³ in the {len(found)} people of {COHORT}"


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
    summary = summarise(five_fold, by=STRATA)
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
    kept = load_checkpoint(weights / "head-held-out.safetensors")
    names = ", ".join(kept.header["training"]["held_out"])
    values |= {"kept_sha": kept.sha256, "kept_names": names, "kept_history": history_of(kept)}
    values["histories"] = "\n".join(f"- {number}: {history_of(fold)}" for number, fold in enumerate(folds))
    fill(HERE / "card_head.md", weights / "head.md", values)
    fill(HERE / "card_box.md", weights / "box.md", values)
    fill(HERE / "card_accuracy.md", docs / "accuracy.md", values)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:5]))
