"""Fit a quality score to results known to be good or bad, and say how well it separates them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64, Num, Shaped

from hypojax.volumes.score import ScoreModel, Sign
from pipelines.maintenance.score_signs import LEAST_SPREADS, SIDES, SIGN, held_out, source

FOLDS: Final = 5

FLOOR: Final = 1e-6
"""Least spread of a sign."""
NEVER: Final = 1e9
"""Spread of a sign that no usual result has: nothing departs from it."""

DIGITS: Final = 6
"""Of middles and spreads in the file; weights and constant have four."""

ROBUST: Final = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""

PENALTY: Final = 0.01
"""Of half the sum of squared weights against the mean loss: keeps a sign that few results have from weighing without end. Areas under the
curve of subjects not fitted to differ by less than 0.01 between 0.003 and 0.1; at 0.03 more bad results have a score above one half."""


def fitted(
    values: Float64[np.ndarray, "result sign"], good: Bool[np.ndarray, "result"], *, names: list[str], usual: Num[np.ndarray, "result"]
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
        How much each result counts for median and spread of what is usual: some of ordinary scans among the good ones, 0 all others.
    """
    counted = usual > 0
    unweighed = [_unweighed(column, usual[counted], name) for name, column in zip(names, values[counted].T, strict=True)]
    away = np.array([[sign.departure(value) for sign, value in zip(unweighed, row, strict=True)] for row in values])
    constant, weights = _logistic(away, good)
    signs = [replace(sign, weight=round(float(weight), 4)) for sign, weight in zip(unweighed, weights, strict=True)]
    return ScoreModel(round(constant, 4), dict(zip(names, signs, strict=True)), {})


def _unweighed(usual: Float64[np.ndarray, "result"], shares: Num[np.ndarray, "result"], name: str) -> Sign:
    """A sign with the middle and spread of usual results; where none of them has it, nothing departs.

    The spread is the largest of the robust one, the plain one, and what is published: one too small flags ordinary people.
    """
    known, side = ~np.isnan(usual), SIDES.get(name, "both")
    if not known.any():
        return Sign(0.0, NEVER, side, 0.0)
    values, share = usual[known], shares[known] / shares[known].sum()
    middle = _median(values, share)
    robust = ROBUST * _median(np.abs(values - middle), share)
    plain = float(np.sqrt(share @ (values - share @ values) ** 2 / (1 - share @ share))) if len(values) > 1 else 0.0
    return Sign(round(middle, DIGITS), round(max(robust, plain, LEAST_SPREADS.get(name, FLOOR)), DIGITS), side, 0.0)


def _median(values: Float64[np.ndarray, "n"], share: Float64[np.ndarray, "n"]) -> float:
    """The value below and above which lies half of the shares; the mean of two where one ends just there.

    >>> _median(np.array([3.0, 1.0, 2.0, 9.0]), np.full(4, 0.25)), _median(np.array([3.0, 1.0]), np.array([0.9, 0.1]))
    (2.5, 3.0)
    """
    order = np.argsort(values)
    below = np.cumsum(share[order])
    return float(values[order][[np.searchsorted(below, 0.5 - FLOOR), np.searchsorted(below, 0.5 + FLOOR)]].mean())


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


def fit_all(results: pd.DataFrame, names: Sequence[str], *, by_source: bool) -> ScoreModel:
    """The score of these results from the signs of these names; with ``by_source`` every source says as much of what is usual."""
    values = results[[SIGN + name for name in names]].to_numpy(float)
    good = results["good"].to_numpy(bool)
    usual = np.asarray(results["case"] == "none", bool)  # one row a subject: sessions of those that were spoilt would outweigh the others
    counts = (usual & good).astype(float)
    if by_source:
        counts /= np.maximum(np.asarray(pd.Series(counts).groupby(source(results)).transform("sum")), 1)
    return fitted(values, good, names=list(names), usual=counts)


def scored(results: pd.DataFrame, model: ScoreModel) -> Float64[np.ndarray, "result"]:
    """Score of every result."""
    values = results[[SIGN + name for name in model.signs]].to_numpy(float)
    return np.array([model.score(dict(zip(model.signs, row, strict=True))) for row in values])


def out_of_fold(results: pd.DataFrame, names: Sequence[str], *, by_source: bool) -> Float64[np.ndarray, "result"]:
    """Every result's score by a model that has not seen its subject; those of `HELD_OUT` sources by the one fitted to all others."""
    people = list(dict.fromkeys(results["scan"][~held_out(results)]))
    folds = results["scan"].map({name: number % FOLDS for number, name in enumerate(people)}).fillna(FOLDS).to_numpy(int)
    return apart(results, names, folds, by_source=by_source)


def apart(
    results: pd.DataFrame, names: Sequence[str], groups: Shaped[np.ndarray, "result"], *, by_source: bool
) -> Float64[np.ndarray, "result"]:
    """Every result's score by a model that has not seen its group, nor the `HELD_OUT` sources."""
    scores, fitted_to = np.empty(len(results)), ~held_out(results)
    for group in dict.fromkeys(groups.tolist()):
        own = groups == group
        scores[own] = scored(results[own], fit_all(results[fitted_to & ~own], names, by_source=by_source))
    return scores


def write_models(models: Mapping[str, ScoreModel], path: Path) -> None:
    """Write scores by structure as JSON, as `hypojax.volumes.score` reads them."""
    path.write_text(json.dumps({region: asdict(model) for region, model in models.items()}, indent=1) + "\n", encoding="utf-8")
