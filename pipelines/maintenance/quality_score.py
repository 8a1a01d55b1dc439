"""Fit the quality score of the hypothalamus to deliberately broken scans, and say how well it separates good from bad results.

    python -m pipelines.maintenance.quality_score DATA checkpoints runs/quality_score

Sixteen whole heads are spoilt in 63 ways (`perturb.spoiling`) and segmented as in ``hypojax run``; forty more scans are taken
as they came, to learn what is usual. Colin27 and ``icv_reference``, which nothing here learns from, have no part in it. A result is
*bad* when its Dice with what was found in the same head as it came, put where the head lies now, is below 0.75, or its volume is off
by more than 15 %; else it is good. Results without a volume need no score: they say themselves why there is none. The score is fitted
to all subjects but a fifth and tried on that fifth, five times; then to all, which is what ``hypojax/volumes/quality_score.json``
holds. Writes ``quality_score.tsv`` (a row a scan and case; a second start goes on with the next scan) and ``quality_score.md``;
exits 1 below an area under the curve of 0.95. A head of six million voxels takes 90 s of processor time on a Xeon.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from jaxtyping import Float64

from hypojax.metrics import bootstrap
from hypojax.segmenter.segmenter import Segmenter
from hypojax.volumes.flags import LOWEST_SCORE
from pipelines.maintenance.perturb.bars import markdown
from pipelines.maintenance.score_fit import auc, fit_all, out_of_fold, write_model
from pipelines.maintenance.spoilt_scans import judged, run

BAR: Final = 0.95
MODEL: Final = Path(__file__).parents[2] / "hypojax" / "volumes" / "quality_score.json"


def page(results: pd.DataFrame, figures: dict[str, str]) -> str:
    """Markdown with every figure."""
    tables = markdown(["quality score, subjects not fitted to", ""], [*map(list, figures.items())]), cases_table(whole_scans(results))
    return "\n\n".join(["# Quality score", *tables]) + "\n"


def whole_scans(results: pd.DataFrame) -> pd.DataFrame:
    """Results of the scans that were spoilt, as they came and otherwise."""
    return results[results.groupby("scan")["case"].transform("size") > 1]


def figures_of(results: pd.DataFrame, refused: int) -> tuple[dict[str, str], float]:
    """How well the score separates spoilt scans of subjects not fitted to, in words; and the area under the curve."""
    came = results["case"] == "none"
    spoilt = whole_scans(results)
    good, scores = spoilt["good"].to_numpy(bool), spoilt["score"].to_numpy(float)
    signed = np.where(good, scores, -scores)
    found = bootstrap(signed, subjects=spoilt["scan"].to_numpy(str), statistic=lambda s: auc(np.abs(s), s > 0), resamples=500)
    sessions = spoilt.loc[spoilt["case"].str.startswith("session") & spoilt["good"], "score"]
    figures = {
        "results with a volume": f"{len(spoilt)} of {spoilt['scan'].nunique()} subjects: {good.sum()} good, {(~good).sum()} bad",
        "no volume, with the reason why": str(refused),
        f"area under the curve (bar {BAR})": f"{found.estimate:.3f} ({found.low:.3f} to {found.high:.3f})",
        "bad results that are flagged": _below(scores[~good]),
        "good results that are flagged": _below(scores[good]),
        "new sessions that are flagged": _below(sessions.to_numpy()),
        "scans as they came that are flagged": _below(results.loc[came, "score"].to_numpy()),
    }
    return figures, found.estimate


def _below(scores: Float64[np.ndarray, "result"]) -> str:
    """How many scores raise the flag."""
    return f"{(scores < LOWEST_SCORE).sum()} of {len(scores)} ({(scores < LOWEST_SCORE).mean():.1%})"


def cases_table(results: pd.DataFrame) -> str:
    """Markdown: how many results of each case are good, and their scores."""
    rows = []
    for case, part in results.groupby("case", sort=False):
        low, middle, high = part["score"].quantile([0.0, 0.5, 1.0])
        rows.append([str(case), f"{part['good'].sum()} of {len(part)}", f"{low:.2f} – {middle:.2f} – {high:.2f}"])
    return markdown(["case", "good", "score: lowest – median – highest"], rows)


def main(data: Path, weights: Path, out: Path) -> None:
    """Measure what is missing, fit, and write the score and the page."""
    out.mkdir(parents=True, exist_ok=True)
    table = run(Segmenter.load(weights), data, out / "quality_score.tsv")
    results = judged(table)
    results = results.assign(score=out_of_fold(results))
    figures, area = figures_of(results, len(table) - len(results))
    record = {"weights": table["weights"].iloc[0], "results": len(results), "subjects": results["scan"].nunique(), "auc": round(area, 4)}
    write_model(replace(fit_all(results), fitted_on=record | {"figures": figures}), MODEL)
    text = page(results, figures)
    (out / "quality_score.md").write_text(text, encoding="utf-8")
    print("", text.partition("| case |")[0], sep="\n")
    sys.exit(f"area under the curve {area:.3f}, bar {BAR}" if area < BAR else None)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
