"""Tables of the model cards and of the accuracy page in Markdown, from what was measured."""

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from hypojax.schema import PARTS
from hypojax.volumes.contrast import released_t1w_model
from hypojax.volumes.score import released_models


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


def icv_scans(evaluation: xr.Dataset) -> str:
    """Every DLICV scan."""
    one = evaluation.sel(region="icv")
    rows = {
        "scan": one["scan"].values, "Dice": one["dice"].values, "NSD 1 mm": one["nsd_1mm"].values, "HD95, mm": one["hd95_mm"].values,
        "ours, mL": one["volume_predicted_mm3"].values / 1e3, "DLICV, mL": one["volume_reference_mm3"].values / 1e3,
    }  # fmt: skip
    return markdown(pd.DataFrame(rows))


def contrast() -> str:
    """How well T1-weighted scans are told from others, as `t1w_fit.py` wrote it into the model's own file."""
    fitted_on = released_t1w_model().fitted_on
    return markdown(
        pd.DataFrame({"probability": fitted_on["figures"].keys(), f"weights {fitted_on['weights']}": fitted_on["figures"].values()})
    )


def quality() -> str:
    """How well the quality scores separate, as `quality_score.py` wrote it into their own file."""
    told = {region: released_models()[region].fitted_on for region in ("hypothalamus", "icv")}
    tables = (
        pd.DataFrame({f"quality score, {region}": one["figures"].keys(), f"weights {one['weights']}": one["figures"].values()})
        for region, one in told.items()
    )
    return "\n\n".join(markdown(table) for table in tables)
