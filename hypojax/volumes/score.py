"""The quality score of a hypothalamus: how far its signs depart from those of sound results, weighed into one number.

Signs are read off the posteriors alone: size, shape, parts and decision that sound results share. All are plain numbers; lengths are
logarithms of mm, shares logarithms of shares, so that twice and half depart as far.

Every sign is held against its middle among sound results, in units of their spread. Two spreads are usual and cost nothing;
the score is the logistic function of a constant less the weighed departures beyond, so that nothing unusual ever raises it.
Middles, spreads and weights are in ``quality_score.json`` beside this file; ``python -m pipelines.maintenance.quality_score`` fits them
anew and says how well the score separates good from bad results.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final, Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, UInt8

from hypojax.grid import Grid, voxel_sizes, voxel_volume
from hypojax.schema import SUBUNITS

Side = Literal["below", "above", "both"]

USUAL: Final = 2.0
"""Spreads that cost nothing: nineteen of twenty sound results lie within. Without such a margin the ordinary differences between
people add up over signs: the area under the curve of subjects not fitted to fell from 0.95 to 0.94."""

FARTHEST: Final = 8.0
"""Spreads beyond `USUAL` at which a departure is cut off: a result that is farther away is no worse."""


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


@cache
def released_model() -> ScoreModel:
    """The score that ships with hypojax."""
    return parsed(resources.files("hypojax.volumes").joinpath("quality_score.json").read_text(encoding="utf-8"))


def parsed(text: str) -> ScoreModel:
    """A model from its JSON."""
    found = json.loads(text)
    return ScoreModel(found["constant"], {name: Sign(**sign) for name, sign in found["signs"].items()}, found["fitted_on"])


FRONT, BACK = SUBUNITS.index("anterior_inferior"), SUBUNITS.index("posterior")

SMALLEST: Final = 1e-3
"""Shares and lengths (mm) below this are taken for this, so that their logarithms are finite."""


def hypothalamus_signs(
    posterior: Float32[np.ndarray, "10 x y z"], *, subunits: UInt8[np.ndarray, "10 u v w"], grid: Grid
) -> dict[str, float]:
    """Signs of the hypothalamus.

    What cleaning kept of the posteriors; how decided they are between subunits; volume; length, height and width as
    standard deviations of a side; distance of the sides, and of the hindmost from the foremost subunit (mm); shares of subunits.

    Parameters
    ----------
    posterior
        Cleaned posteriors of the ten subunits (see `hypojax.volumes.structure`), not all zero.
    subunits
        The whole box before cleaning, × 255.
    grid
        That of the cleaned ones, axes anterior, superior, right.
    """
    total = float(posterior.sum(dtype=np.float64))
    sides = [moments(posterior[first : first + 5].sum(axis=0), voxel_sizes(grid.affine)) for first in (0, 5)]
    spread = np.sqrt(np.mean([variance for _, variance in sides], axis=0))
    apart = float(np.linalg.norm(sides[1][0] - sides[0][0]))
    parts = posterior.sum(axis=(1, 2, 3), dtype=np.float64)
    front, back = (moments(posterior[[n, n + 5]].sum(axis=0), voxel_sizes(grid.affine))[0][0] for n in (FRONT, BACK))
    return {
        "kept": 255 * total / max(float(subunits.sum(dtype=np.float64)), SMALLEST),
        "decided": float(posterior.max(axis=0).sum(dtype=np.float64)) / total,
        "volume": logarithm(total * voxel_volume(grid.affine)),
        "length": logarithm(spread[0]),
        "height": logarithm(spread[1]),
        "width": logarithm(spread[2]),
        "height_over_length": logarithm(spread[1]) - logarithm(spread[0]),
        "width_over_length": logarithm(spread[2]) - logarithm(spread[0]),
        "sides_apart": logarithm(apart),
        "front_to_back": float(front - back),
        **{f"share_{name}": logarithm((parts[n] + parts[n + 5]) / total) for n, name in enumerate(SUBUNITS)},
    }


def head_signs(intracranial: Bool[np.ndarray, "a s r"], grid: Grid) -> dict[str, float]:
    """Signs of the head: height and width of the intracranial volume over its length; wrong voxel edges show here.

    >>> ball = np.linalg.norm(np.indices((9, 9, 9)) - 4, axis=0) <= 4
    >>> head_signs(ball, Grid((9, 9, 9), np.diag([1.0, 1.2, 1.0, 1.0])))["head_height"].__round__(3)
    0.182
    """
    _, variance = moments(intracranial.astype(np.float32), voxel_sizes(grid.affine))
    length, height, width = np.sqrt(variance)
    return {"head_height": logarithm(height) - logarithm(length), "head_width": logarithm(width) - logarithm(length)}


def views_apart(views: Float32[np.ndarray, "view 10"] | None) -> float:
    """How much several views of one scan disagree on the volumes of its subunits: standard deviations over the sum of the means.

    >>> round(views_apart(np.array([[30.0] * 10, [32.0] * 10], np.float32)), 4)
    0.0456
    """
    if views is None or len(views) < 2:
        return float("nan")
    return float(views.std(axis=0, ddof=1).sum() / max(float(views.mean(axis=0).sum()), SMALLEST))


def moments(
    weights: Float[np.ndarray, "x y z"], sizes: Float64[np.ndarray, "3"]
) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3"]]:
    """Centre of mass (mm from the first voxel) and variance (mm²) along each axis; zero where there is no mass."""
    total = max(float(weights.sum(dtype=np.float64)), SMALLEST)
    centre, variance = np.zeros(3), np.zeros(3)
    for axis in range(3):
        along = weights.sum(axis=tuple(other for other in range(3) if other != axis), dtype=np.float64) / total
        place = np.arange(len(along)) * sizes[axis]
        centre[axis] = along @ place
        variance[axis] = along @ (place - centre[axis]) ** 2
    return centre, variance


def logarithm(value: float | np.floating) -> float:
    """Natural logarithm of a length or share, see `SMALLEST`.

    >>> logarithm(0.0) == logarithm(1e-9)
    True
    """
    return float(np.log(max(float(value), SMALLEST)))
