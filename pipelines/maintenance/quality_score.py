"""Fit the quality scores of both structures to deliberately broken scans, and say how well they separate good from bad results.

    python -m pipelines.maintenance.quality_score DATA checkpoints runs/quality_score

Whole heads are spoilt in a hundred ways (`perturb.spoiling`, `perturb.cranium_cases`), every third of them a head, and segmented as in
``hypojax run``; more scans are taken as they came, to learn what is usual. Colin27 has no part in it; the 2 mm scans of old people, which
nothing is fitted to, are tried. A hypothalamus is *bad* when its Dice with what was found in the same head as it came, put where the head
lies now, is below 0.75, or its volume is off by more than 15 %; an intracranial volume when it is off by more than 5 %; else they are good.
Results without a volume need no score: they say themselves why there is none. A score is fitted to all subjects but a fifth and tried on
that fifth, five times; then to all, which is what ``hypojax/volumes/quality_score.json`` holds. Writes ``quality_score.tsv`` (a row a scan
and case; a second start goes on with the next scan) and ``quality_score.md``; exits 1 where an area under the curve is below 0.95. It takes
an hour on one core of a Xeon.
"""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from jaxtyping import Float64

from hypojax.metrics import bootstrap
from hypojax.segmenter.segmenter import Segmenter
from hypojax.volumes.flags import LOWEST_SCORE
from hypojax.volumes.score import ScoreModel
from pipelines.maintenance.perturb.bars import markdown
from pipelines.maintenance.score_fit import apart, auc, fit_all, out_of_fold, write_models
from pipelines.maintenance.score_signs import BY_SOURCE, SIGNS, held_out, is_sound, source
from pipelines.maintenance.spoilt_scans import judged, run

BAR: Final = 0.95
MODEL: Final = Path(__file__).parents[2] / "hypojax" / "volumes" / "quality_score.json"

IN_WORDS: Final = {"hypothalamus": "hypothalamus", "icv": "intracranial volume"}

NETWORKS: Final = {"hypothalamus": 2, "icv": 1}
"""Structure → how many of the networks, head and box, it comes from."""

SOURCES: Final = {
    "ds000011": "ds000011", "ds002748": "ds002748", "roi": "ds002748, crops", "scans": "single scans of four centres",
    "template": "MNI152NLin2009cAsym", "nichart": "NiChart, 2 mm, old people, not fitted to",
}  # fmt: skip
"""How names of scans begin → where they are from."""


def page(results: Mapping[str, pd.DataFrame], figures: Mapping[str, Mapping[str, str]]) -> str:
    """Markdown with every figure."""
    parts = ["# Quality scores"]
    for region, part in results.items():
        title = f"quality score of the {IN_WORDS[region]}, subjects not fitted to"
        parts += [markdown([title, ""], [*map(list, figures[region].items())]), cases_table(whole_scans(part))]
    return "\n\n".join(parts) + "\n"


def whole_scans(results: pd.DataFrame) -> pd.DataFrame:
    """Results of the scans that were spoilt, as they came and otherwise."""
    return results[results.groupby("scan")["case"].transform("size") > 1]


def figures_of(results: pd.DataFrame, refused: int) -> tuple[dict[str, str], float]:
    """How well a score separates results of subjects not fitted to, in words; and the area under the curve."""
    spoilt = whole_scans(results)
    good, scores = spoilt["good"].to_numpy(bool), spoilt["score"].to_numpy(float)
    signed = np.where(good, scores + 1, -scores - 1)  # no score is zero, so that each has a sign
    found = bootstrap(signed, subjects=spoilt["scan"].to_numpy(str), statistic=lambda s: auc(np.abs(s), s > 0), resamples=500)
    off = spoilt["volume_off"].to_numpy(bool)
    figures = {
        "results with a volume": f"{len(spoilt)} of {spoilt['scan'].nunique()} subjects: {good.sum()} good, {(~good).sum()} bad",
        "no volume, with the reason why": str(refused),
        f"area under the curve (bar {BAR})": f"{found.estimate:.3f} ({found.low:.3f} to {found.high:.3f})",
        "the same, of sources not fitted to": f"{auc(spoilt['score_of_source'].to_numpy(float), good):.3f}",
        "bad results that are flagged": _below(scores[~good]),
        "volumes off by more than the limit that are flagged": _below(scores[off]),
        "good results of spoilt scans that are flagged": _below(scores[good & ~is_sound(spoilt)]),
        **_sound_figures(results),
    }
    return figures, found.estimate


def _sound_figures(results: pd.DataFrame) -> dict[str, str]:
    """How many sound scans are flagged, as they came and in new sessions, by source."""
    sound = results[is_sound(results) & results["good"]]
    by_source = sound.groupby(sound["scan"].str.split("_").str[0], sort=False)["score"]
    sources = {f"sound scans that are flagged: {SOURCES[str(source)]}": _below(scores.to_numpy()) for source, scores in by_source}
    return {**sources, "sound scans that are flagged": _below(sound["score"].to_numpy(float))}


def _below(scores: Float64[np.ndarray, "result"]) -> str:
    """How many scores raise the flag."""
    return f"{(scores < LOWEST_SCORE).sum()} of {len(scores)} ({(scores < LOWEST_SCORE).mean() if len(scores) else 0:.1%})"


def cases_table(results: pd.DataFrame) -> str:
    """Markdown: how many results of each case are good, and their scores."""
    rows = []
    for case, part in results.groupby("case", sort=False):
        low, middle, high = part["score"].quantile([0.0, 0.5, 1.0])
        rows.append([str(case), f"{part['good'].sum()} of {len(part)}", f"{low:.2f} – {middle:.2f} – {high:.2f}"])
    return markdown(["case", "good", "score: lowest – median – highest"], rows)


def fitted_to(table: pd.DataFrame, results: pd.DataFrame, region: str) -> tuple[ScoreModel, pd.DataFrame, float]:
    """The score of a structure, its results with their scores, and the area under the curve."""
    names, by_source = SIGNS[region], BY_SOURCE[region]
    scored = results.assign(score=out_of_fold(results, names, by_source=by_source))
    scored = scored.assign(score_of_source=apart(results, names, source(results), by_source=by_source))
    figures, area = figures_of(scored, len(table) - len(results))
    people = results[~held_out(results)]
    weights = "-".join(table["weights"].iloc[0].split("-")[: NETWORKS[region]])
    record = {"weights": weights, "results": len(people), "subjects": people["scan"].nunique(), "auc": round(area, 4)}
    return replace(fit_all(people, names, by_source=by_source), fitted_on=record | {"figures": figures}), scored, area


def main(data: Path, weights: Path, out: Path) -> None:
    """Measure what is missing, fit, and write the scores and the page."""
    out.mkdir(parents=True, exist_ok=True)
    table = run(Segmenter.load(weights), data, out / "quality_score.tsv")
    models, results, areas = {}, {}, {}
    for region in ("hypothalamus", "icv"):
        models[region], results[region], areas[region] = fitted_to(table, judged(table, region), region)
    write_models(models, MODEL)
    text = page(results, {region: model.fitted_on["figures"] for region, model in models.items()})
    (out / "quality_score.md").write_text(text, encoding="utf-8")
    print(text)
    poor = {region: f"{area:.3f}" for region, area in areas.items() if area < BAR}
    sys.exit(f"area under the curve {poor}, bar {BAR}" if poor else None)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
