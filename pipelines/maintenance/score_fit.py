"""Fit a quality score to results known to be good or bad, and say how well it separates them."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64

from hypojax.volumes.score import ScoreModel, Side, Sign
from pipelines.maintenance.spoilt_scans import SIGN

FOLDS: Final = 5


FLOOR: Final = 1e-6
"""Least spread of a sign."""


NEVER: Final = 1e9
"""Spread of a sign that no usual result has: nothing departs from it."""


DIGITS: Final = 6
"""Of middles and spreads in the file; weights and constant have four."""


ROBUST: Final = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


SIDES: Final[dict[str, Side]] = {
    "kept": "below",
    "decided": "below",
    "quality_certainty": "below",
    "quality_location": "below",
    "views_apart": "above",
}
"""Signs of which more (or less) is never worse; the others depart both ways."""


PENALTY: Final = 0.01
"""Of half the sum of squared weights against the mean loss: keeps a sign that few results have from weighing without end.

Of 0.01, 0.02, 0.05, 0.1 and 0.2 the one with the largest area under the curve in subjects not fitted to, with the head network before the
present one (0.951; 0.947 at 0.05). Chosen anew within every four fifths of the subjects, it is always this one, with 0.951."""


def fitted(
    values: Float64[np.ndarray, "result sign"], good: Bool[np.ndarray, "result"], *, names: list[str], usual: Bool[np.ndarray, "result"]
) -> ScoreModel:
    """Fit a score to results known to be good or bad.

    Parameters
    ----------
    values
        Signs of every result; NaN where one could not be taken.
    good
        Which results are good.
    names
        Names of the signs.
    usual
        Results of ordinary scans, among the good ones: their median and spread say what is usual.
    """
    unweighed = [_unweighed(column, side=SIDES.get(name, "both")) for name, column in zip(names, values[usual].T, strict=True)]
    away = np.array([[sign.departure(value) for sign, value in zip(unweighed, row, strict=True)] for row in values])
    constant, weights = _logistic(away, good)
    signs = [replace(sign, weight=round(float(weight), 4)) for sign, weight in zip(unweighed, weights, strict=True)]
    return ScoreModel(round(constant, 4), dict(zip(names, signs, strict=True)), {})


def _unweighed(usual: Float64[np.ndarray, "result"], *, side: Side) -> Sign:
    """A sign with the middle and spread of usual results; where none of them has it, nothing departs."""
    known = usual[~np.isnan(usual)]
    if not known.size:
        return Sign(0.0, NEVER, side, 0.0)
    middle = float(np.median(known))
    spread = max(ROBUST * float(np.median(np.abs(known - middle))), FLOOR)
    return Sign(round(middle, DIGITS), round(spread, DIGITS), side, 0.0)


def _logistic(away: Float64[np.ndarray, "result sign"], good: Bool[np.ndarray, "result"]) -> tuple[float, Float64[np.ndarray, "sign"]]:
    """Constant and weights, none negative, of a logistic regression in which good and bad count alike."""
    from scipy.optimize import minimize

    toward = np.where(good, 1.0, -1.0)
    share = np.where(good, 0.5 / max(good.sum(), 1), 0.5 / max((~good).sum(), 1))

    def loss(parameters: Float64[np.ndarray, "p"]) -> tuple[float, Float64[np.ndarray, "p"]]:
        logit = parameters[0] - away @ parameters[1:]
        slope = -toward * share / (1 + np.exp(toward * logit))
        penalty = PENALTY / 2 * float(parameters[1:] @ parameters[1:])
        gradient = np.concatenate([[slope.sum()], PENALTY * parameters[1:] - away.T @ slope])
        return float(share @ np.logaddexp(0, -toward * logit)) + penalty, gradient

    bounds = [(None, None), *[(0, None)] * away.shape[1]]
    found = minimize(loss, np.full(away.shape[1] + 1, 0.1), jac=True, method="L-BFGS-B", bounds=bounds)
    return float(found.x[0]), np.asarray(found.x[1:])


def auc(scores: Float64[np.ndarray, "result"], good: Bool[np.ndarray, "result"]) -> float:
    """Area under the ROC curve: chance that a good result scores higher than a bad one, ties half (Hanley and McNeil 1982).

    >>> auc(np.array([0.9, 0.8, 0.8, 0.1]), np.array([True, True, False, False]))
    0.875
    """
    above = scores[good][:, None] - scores[~good][None, :]
    return float((above > 0).mean() + 0.5 * (above == 0).mean())


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


def write_model(model: ScoreModel, path: Path) -> None:
    """Write a score as JSON, as `hypojax.volumes.score` reads it."""
    path.write_text(json.dumps(asdict(model), indent=1) + "\n", encoding="utf-8")
