"""The quality score of a structure, one of the hypothalamus and one of the intracranial volume: the probability that its result is good.

It is how far signs (`hypojax.volumes.signs`) depart from those of sound results, weighed into one number. Every sign is held against its
middle among sound results, in units of their spread. Two spreads are usual and cost nothing; the score is the logistic function of a
constant less the weighed departures beyond, so that nothing unusual ever raises it.

Middles, spreads and weights of both are in ``quality_score.json`` beside this file; ``python -m pipelines.maintenance.quality_score``
fits them anew and says how well the scores separate good from bad results.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final, Literal

import numpy as np

Side = Literal["below", "above", "both"]

USUAL: Final = 2.0
"""Spreads that cost nothing: nineteen of twenty sound results lie within. Without such a margin the ordinary differences between
people add up over signs: the area under the curve of subjects not fitted to fell from 0.95 to 0.94."""

FARTHEST: Final = 8.0
"""Spreads beyond `USUAL` at which a departure is cut off: a result that is farther away is no worse."""

DIGITS: Final = 3
"""Of a score: it is rounded before it is compared, so that every processor decides alike."""


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
        """Quality of a result with these signs, 0 to 1, to `DIGITS`; signs that are not given depart not."""
        cost = sum(sign.weight * sign.departure(values.get(name, np.nan)) for name, sign in self.signs.items())
        return round(float(1 / (1 + np.exp(cost - self.constant))), DIGITS)


@cache
def released_models() -> Mapping[str, ScoreModel]:
    """The scores that ship with hypojax, by structure."""
    return parsed(resources.files("hypojax.volumes").joinpath("quality_score.json").read_text(encoding="utf-8"))


def parsed(text: str) -> dict[str, ScoreModel]:
    """Models by structure from their JSON."""
    return {
        region: ScoreModel(found["constant"], {name: Sign(**sign) for name, sign in found["signs"].items()}, found["fitted_on"])
        for region, found in json.loads(text).items()
    }


def quality_scores(signs: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The quality score of every structure (its name → its signs)."""
    return {region: released_models()[region].score(values) for region, values in signs.items()}
