"""The quality score of a hypothalamus: how far its signs depart from those of sound results, weighed into one number.

Every sign is held against its middle among sound results, in units of their spread. Two spreads are usual and cost nothing;
the score is the logistic function of a constant less the weighed departures beyond, so that nothing unusual ever raises it.
Middles, spreads and weights stand in ``quality_score.json`` beside this file; ``python -m pipelines.maintenance.quality_score`` fits them
anew and says how well the score separates good from bad results.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from jaxtyping import Bool, Float64

Side = Literal["below", "above", "both"]

USUAL: Final = 2.0
"""Spreads that cost nothing: nineteen of twenty sound results lie within. Without such a margin the ordinary differences between
people add up over signs: the area under the curve of subjects not fitted to fell from 0.95 to 0.94."""

FARTHEST: Final = 8.0
"""Spreads beyond `USUAL` at which a departure is cut off: a result that is farther away is no worse."""

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


@dataclass(frozen=True)
class Sign:
    """How one sign counts.

    Parameters
    ----------
    middle, spread
        Median of sound results, and their robust standard deviation.
    side
        Which way it departs.
    weight
        What one spread beyond `USUAL` costs, in units of the logit; never negative.
    """

    middle: float
    spread: float
    side: Side
    weight: float

    def departure(self, value: float) -> float:
        """Spreads from the middle beyond `USUAL`, the harmless way counted as none; a missing value departs not.

        >>> Sign(middle=0.9, spread=0.02, side="below", weight=1.0).departure(0.8).__round__(3)
        3.0
        """
        away = (value - self.middle) / self.spread
        if np.isnan(away):
            return 0.0
        bounded = {"below": max(-away, 0.0), "above": max(away, 0.0), "both": abs(away)}[self.side]
        return float(min(max(bounded - USUAL, 0.0), FARTHEST))


@dataclass(frozen=True)
class ScoreModel:
    """A fitted score.

    Parameters
    ----------
    constant
        Logit of a result that departs in nothing.
    signs
        How each sign counts.
    fitted_on
        What it was fitted on and how well it did, for whoever reads the file.
    """

    constant: float
    signs: Mapping[str, Sign]
    fitted_on: Mapping[str, Any]

    def score(self, values: Mapping[str, float]) -> float:
        """Quality of a result with these signs, 0 to 1; signs that are not given depart not."""
        cost = sum(sign.weight * sign.departure(values.get(name, np.nan)) for name, sign in self.signs.items())
        return float(1 / (1 + np.exp(cost - self.constant)))

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


@cache
def released_model() -> ScoreModel:
    """The score that ships with hypojax."""
    return parsed(resources.files("hypojax.volumes").joinpath("quality_score.json").read_text(encoding="utf-8"))


def parsed(text: str) -> ScoreModel:
    """A model from its JSON."""
    found = json.loads(text)
    return ScoreModel(found["constant"], {name: Sign(**sign) for name, sign in found["signs"].items()}, found["fitted_on"])


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


PENALTY: Final = 0.01
"""Of half the sum of squared weights against the mean loss: keeps a sign that few results have from weighing without end.

Of 0.01, 0.02, 0.05, 0.1 and 0.2 the one with the largest area under the curve in subjects not fitted to (0.951; 0.947 at 0.05). Chosen
anew within every four fifths of the subjects, it is always this one, and 0.951 in the fifth left out."""


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
