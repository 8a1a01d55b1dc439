"""Fit the probability that a scan is T1-weighted, and say how well it tells T1-weighted scans from others.

    python -m pipelines.maintenance.t1w_fit DATA checkpoints runs/t1w

Needs ``points.json`` of `tissue_points` in OUT. Looks at every scan of `contrast_scans` and `contrast_images` with the head network
(`t1w_looks`), takes its signs, and fits a logistic regression to them (standardised, L2), T1-weighted scans and others of equal weight in
sum: one to scans whose pose was found, one to all of them from the border of the cranium inwards. Each is tried on people that it was not
fitted to, and on sources that it was not fitted to; 2 mm scans of old people and thick slices are never fitted to. Writes
``hypojax/volumes/t1w_model.json``, and ``t1w.tsv`` and ``t1w.md`` to OUT.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64
from scipy.optimize import minimize

from hypojax.segmenter.segmenter import Segmenter
from hypojax.volumes.contrast import Logistic, WeighedSign
from hypojax.volumes.flags import LEAST_T1W, LOWEST_T1W
from pipelines.maintenance.contrast_scans import LOST, NEVER
from pipelines.maintenance.perturb.bars import markdown
from pipelines.maintenance.score_fit import auc
from pipelines.maintenance.t1w_looks import LAYERED, PLACED, look_at_all, signs_table

PENALTY: Final = 0.001
"""Of half the sum of squared weights against the mean loss."""
FOLDS: Final = 10

GROUPS: Final = {"by_subject": "people not fitted to", "by_source": "sources not fitted to", "unposed": "as if no pose had been found"}
"""Column of probabilities → what they are of."""

MODEL: Final = Path(__file__).parents[2] / "hypojax" / "volumes" / "t1w_model.json"


def fitted(rows: pd.DataFrame, signs: tuple[str, ...]) -> Logistic:
    """A logistic regression of so many signs."""
    values, t1w = rows[list(signs)].to_numpy(float), rows["t1w"].to_numpy(bool)
    middle, spread = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    terms = [WeighedSign(round(float(m), 4), round(float(s), 4), 1.0) for m, s in zip(middle, spread, strict=True)]
    away = np.array([[term.of(value) for term, value in zip(terms, row, strict=True)] for row in values])
    constant, weights = logistic(away, t1w)
    named = {
        name.removeprefix("placed_"): WeighedSign(term.middle, term.spread, round(float(w), 4))
        for name, term, w in zip(signs, terms, weights, strict=True)
    }
    return Logistic(round(constant, 4), named)


def logistic(away: Float64[np.ndarray, "scan sign"], t1w: Bool[np.ndarray, "scan"]) -> tuple[float, Float64[np.ndarray, "sign"]]:
    """Constant and weights; both kinds of scan weigh alike in sum."""
    toward, share = np.where(t1w, 1.0, -1.0), np.where(t1w, 0.5 / max(t1w.sum(), 1), 0.5 / max((~t1w).sum(), 1))

    def loss(parameters: Float64[np.ndarray, "p"]) -> tuple[float, Float64[np.ndarray, "p"]]:
        logit = parameters[0] + away @ parameters[1:]
        slope = -toward * share / (1 + np.exp(toward * logit))
        gradient = np.concatenate([[slope.sum()], PENALTY * parameters[1:] + away.T @ slope])
        return float(share @ np.logaddexp(0, -toward * logit) + PENALTY / 2 * (parameters[1:] ** 2).sum()), gradient

    found = minimize(loss, np.zeros(away.shape[1] + 1), jac=True, method="L-BFGS-B")
    return float(found.x[0]), np.asarray(found.x[1:])


def pair(rows: pd.DataFrame) -> tuple[Logistic, Logistic]:
    """Both regressions: of scans whose pose was found, and of all."""
    return fitted(rows[rows["posed"]], PLACED), fitted(rows, LAYERED)


def said(rows: pd.DataFrame, models: tuple[Logistic, Logistic], *, layered: bool = False) -> Float64[np.ndarray, "scan"]:
    """Probability of every scan, as a run has it, or as if no pose had been found."""
    found = []
    for row in rows.to_dict("records"):
        posed = row["posed"] and not layered
        signs = {name.removeprefix("placed_"): row[name] for name in (PLACED if posed else LAYERED)}
        found.append(models[not posed].probability(signs))
    return np.array(found)


def out_of(rows: pd.DataFrame, group: Callable[[pd.DataFrame], pd.Series], *, layered: bool = False) -> Float64[np.ndarray, "scan"]:
    """Every scan's probability by regressions that have not seen its group; sources that are never fitted to are seen by none."""
    groups, never = group(rows), rows["source"].isin(NEVER)
    found = np.empty(len(rows))
    for one in groups.unique():
        held = (groups == one).to_numpy()
        found[held] = said(rows[held], pair(rows[~held & ~never]), layered=layered)
    return found


def folds(rows: pd.DataFrame) -> pd.Series:
    """Which fold a subject is in."""
    return rows["subject"].map({name: number % FOLDS for number, name in enumerate(sorted(rows["subject"].unique()))})


def counts(rows: pd.DataFrame, by: str) -> str:
    """Markdown: how many scans of each group are flagged and refused, by people and by sources not fitted to, and without a pose."""
    lines = []
    for name, part in rows.groupby(by, sort=False):
        cells = [f"{(part[c] < LOWEST_T1W).sum()}, {(part[c] < LEAST_T1W).sum()}" for c in GROUPS]
        lines.append([str(name), str(len(part)), *cells, f"{part['by_source'].min():.2f} – {part['by_source'].max():.2f}"])
    return markdown([f"{by}: flagged, refused", "n", *GROUPS.values(), "lowest – highest, sources not fitted to"], lines)


def figures_of(rows: pd.DataFrame) -> dict[str, str]:
    """How well T1-weighted scans are told from others, in words."""
    t1w, kind = rows["t1w"].to_numpy(bool), rows["kind"].to_numpy(str)
    came, ball = kind == "as it came", kind == "phantom"
    figures = {"scans": f"{len(rows)} of {rows['subject'].nunique()} people and phantoms: {t1w.sum()} T1-weighted"}
    for column, words in GROUPS.items():
        p = rows[column].to_numpy(float)
        figures[f"area under the curve, {words}"] = f"{auc(p, t1w):.3f} (Brier score {((p - t1w) ** 2).mean():.3f})"
    kinds = {"T1-weighted, as they came": came, "T1-weighted, changed": t1w & ~came, "other contrasts": ~t1w & ~ball, "phantoms": ball}
    for words, chosen in kinds.items():
        for column in ("by_subject", "by_source"):
            p = rows[column].to_numpy(float)[chosen]
            figures[f"{words}, {GROUPS[column]}"] = (
                f"{(p < LOWEST_T1W).sum()} flagged, {(p < LEAST_T1W).sum()} of these refused, of {len(p)}"
            )
    return figures


def main(data: Path, weights: Path, out: Path) -> None:
    """Look, fit, try and write."""
    points = json.loads((out / "points.json").read_text(encoding="utf-8"))
    places = {name: np.array(those, float) for name, those in points.items()}
    segmenter = Segmenter.load(weights)
    look_at_all(data, segmenter, out, places)
    table = signs_table(out / "looks", places)
    rows = table[~table["kind"].isin(LOST)].reset_index(drop=True)
    rows["by_subject"], rows["by_source"] = out_of(rows, folds), out_of(rows, lambda r: r["source"])
    rows["unposed"] = out_of(rows, folds, layered=True)
    rows.to_csv(out / "t1w.tsv", sep="\t", index=False)
    figures, t1w = figures_of(rows), rows["t1w"].to_numpy(bool)
    tables = [counts(rows[t1w], "source"), counts(rows[t1w], "kind"), counts(rows[~t1w], "kind")]
    text = "\n\n".join(["# Probability of a T1-weighted scan", markdown(["what", ""], [*map(list, figures.items())]), *tables]) + "\n"
    (out / "t1w.md").write_text(text, encoding="utf-8")
    posed, unposed = pair(rows[~rows["source"].isin(NEVER)])
    made = {"weights": segmenter.weights["head"][:12], "figures": figures}
    model = {"places": points, "posed": asdict(posed), "unposed": asdict(unposed), "fitted_on": made}
    MODEL.write_text(json.dumps(model) + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
