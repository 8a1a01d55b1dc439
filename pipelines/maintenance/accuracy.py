"""Hold weights against everything there is to hold them against, and say which bars they meet.

    python -m pipelines.maintenance.accuracy DATA checkpoints runs/examples runs/accuracy

DATA is as in `prepare_training.py`. Writes ``five_fold/`` and ``icv/`` (evaluations as `hypojax evaluate` writes them),
``synthetic.tsv``, ``atlases.tsv``, ``unusual.tsv``, ``slopes.tsv``, ``never_seen.tsv`` and
``bars.tsv``; `model_card.py` makes the cards from them.
Exits 1 when a bar is missed. Three minutes on two cores of a Xeon.
"""

import sys
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from hypojax.checkpoint import load_checkpoint
from hypojax.evaluation import summarise, write_evaluation
from hypojax.metrics import slope
from hypojax.schema import LABELS
from hypojax.segmenter.segmenter import Segmenter
from pipelines.maintenance.accuracy_bars import EXTRACTION, RELEASED, SYNTHETIC, hypothalamus_bars, intracranial_bars, synthetic_bars
from pipelines.maintenance.held_out import NEVER_SEEN, cross_validate, folds_of, labelled_scans, load, scored
from pipelines.maintenance.references import against_dlicv, atlases, by_brain_extraction, synthetic_heads, unusual

CHILD: Final = "scans_fnndsc_child"
STRATA: Final = ("dataset", "view", "sex", "age")


def slopes(evaluation: xr.Dataset, head_sizes: pd.Series) -> pd.DataFrame:
    """Relative volume error of the whole hypothalamus regressed on head size, age and sex, with intervals."""
    whole = evaluation.sel(region="hypothalamus")
    error = whole["relative_volume_error"].values
    sex = pd.Series(whole["sex"].values).map({"F": 0.0, "M": 1.0}).to_numpy(float)
    size = head_sizes.reindex(whole["scan"].values).to_numpy(float) / 1e5
    age = pd.to_numeric(pd.Series(whole["age"].values), errors="coerce").to_numpy(float) / 10
    rows = []
    for name, values in {"head size, per 100 mL": size, "age, per 10 years": age, "men less women": sex}.items():
        kept = np.isfinite(values) & np.isfinite(error)
        found = slope(error[kept], on=values[kept])
        beyond = "yes" if found.low > 0 or found.high < 0 else "no"
        row = {"on": name, "n": int(kept.sum()), "slope": found.estimate, "low": found.low, "high": found.high}
        rows.append(row | {"beyond its interval of zero": beyond})
    return pd.DataFrame(rows)


def never_seen(segmenters: dict[str, Segmenter], data: Path) -> pd.DataFrame:
    """Scores of Colin27, which no network saw: by the default network, and by the ensemble."""
    _, row = next(labelled_scans(data).loc[[NEVER_SEEN]].iterrows())
    rows = []
    for name, segmenter in segmenters.items():
        scores, volumes = scored(NEVER_SEEN, row, segmenter)
        dice = {region: scores.scores[region]["dice"] for region in ("hypothalamus", "hypothalamus_left", "hypothalamus_right")}
        subunits = float(np.mean([scores.scores[region]["dice"] for region in LABELS.values()]))
        teacher = scores.scores["hypothalamus"]["volume_reference_mm3"]
        rows.append({"network": name, **dice, "ten subunits": subunits, "soft volume, mm³": volumes["soft_mm3"], "teacher, mm³": teacher})
    return pd.DataFrame(rows)


def head_sizes(segmenter: Segmenter, data: Path) -> pd.Series:
    """Intracranial volume (mm³) of the labelled whole heads that have a skull."""
    from hypojax.execute.measured import measure_scan

    scans = labelled_scans(data)
    found = {}
    for name, row in scans[scans["whole"] & (scans["dataset"] != "ds002748")].iterrows():
        volume, affine = load(row.scan)
        found[str(name)] = measure_scan(volume, affine, segmenter.segment(volume, affine)).volumes["icv"].volume_mm3
    return pd.Series(found)


def main(data: Path, weights: Path, examples: Path, out: Path) -> None:
    """Evaluate, write everything, print the bars."""
    out.mkdir(parents=True, exist_ok=True)
    segmenter = Segmenter.load(weights)
    icv = against_dlicv(segmenter, data)
    icv_summary = summarise(icv)
    write_evaluation(icv, icv_summary, out / "icv")
    extraction = against_dlicv(segmenter, data, outline=by_brain_extraction)
    five_fold = cross_validate(data, weights)
    summary = summarise(five_fold, by=STRATA)
    write_evaluation(five_fold, summary, out / "five_fold")
    tested = load_checkpoint(weights / "head-held-out.safetensors")
    kept = Segmenter(tested, [load_checkpoint(weights / "box.safetensors")])
    maps = tested.header["training"]["held_out"]
    synthetic = {name: synthetic_heads(one, examples, kept=maps) for name, one in {SYNTHETIC: kept, RELEASED: segmenter}.items()}
    apart = Segmenter(load_checkpoint(weights / "head.safetensors"), [load_checkpoint(folds_of(weights)[CHILD])])
    lines = [*hypothalamus_bars(five_fold, summary), *intracranial_bars(icv, icv_summary)]
    lines += intracranial_bars(extraction, summarise(extraction), EXTRACTION)
    lines += [line for name, table in synthetic.items() for line in synthetic_bars(table, name)]
    tables = {
        "bars": pd.DataFrame(lines), "synthetic": pd.concat(synthetic, names=["images"]).reset_index("images"),
        "atlases": atlases(segmenter, data),
        "unusual": unusual(segmenter, data, child=apart),
        "slopes": slopes(five_fold, head_sizes(segmenter, data)),
        "never_seen": never_seen({"default": segmenter, "ensemble": Segmenter.load(weights, ensemble=True)}, data),
    }  # fmt: skip
    for name, table in tables.items():
        table.to_csv(out / f"{name}.tsv", sep="\t", index=False)
        print(table.round(4).to_string(index=False), flush=True)
    sys.exit(
        "\n".join(f"{line['what']} ({line['against']}): {line['found']:.3f}, bar {line['bar']}" for line in lines if not line["met"])
        or None
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:5]))
