"""Two raters side by side: what each said of the scans that both rated, and how far they agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import pandas as pd

from hypojax.cohort.ratings import LEVELS, latest_rows
from hypojax.metrics.agreement import cohen_kappa
from hypojax.metrics.resampling import Interval

MOST_RATERS: Final = 8
"""Raters who are compared with each other: those of most scans."""


@dataclass(frozen=True)
class RaterAgreement:
    """How far two raters agree, by the latest rating of each.

    Parameters
    ----------
    first, second
        Who.
    counts
        Scans by rating of the first (rows) and of the second, both in the order of `LEVELS`.
    kappa
        Cohen's kappa, any two ratings being equally far apart.
    weighted
        The same with linear weights: accept and reject are twice as far apart as either from doubt.
    """

    first: str
    second: str
    counts: tuple[tuple[int, ...], ...]
    kappa: Interval
    weighted: Interval

    @property
    def scans(self) -> int:
        """How many scans both rated."""
        return sum(map(sum, self.counts))

    @property
    def alike(self) -> int:
        """How many of them they gave the same rating."""
        return sum(row[number] for number, row in enumerate(self.counts))


def side_by_side(ratings: pd.DataFrame) -> pd.DataFrame:
    """The latest rating of each rater, a row a scan and a column a rater, in the order in which they occur; empty where not rated.

    >>> said = {"scan": ["a", "a", "b"], "rater": ["x", "y", "y"], "rating": ["accept", "reject", "doubt"], "time": [""] * 3}
    >>> side_by_side(pd.DataFrame(said)).loc["b"].to_dict()
    {'x': '', 'y': 'doubt'}
    """
    last = latest_rows(ratings)
    table = last.set_index(["scan", "rater"])["rating"].unstack(fill_value="")
    scans, raters = (list(dict.fromkeys(ratings[name])) for name in ("scan", "rater"))
    return table.reindex(index=scans, columns=raters)


def rater_agreement(ratings: pd.DataFrame) -> list[RaterAgreement]:
    """Agreement of every two raters who rated some of the same scans.

    Parameters
    ----------
    ratings
        As `hypojax.cohort.ratings.read_ratings` gives them.
    """
    table = side_by_side(ratings)
    rated = {rater: np.count_nonzero(table[rater] != "") for rater in table}
    raters = sorted(rated, key=lambda rater: -rated[rater])[:MOST_RATERS]
    pairs = (pair for pair in combinations(table.columns, 2) if set(pair) <= set(raters))
    found = ((first, second, table[(table[first] != "") & (table[second] != "")]) for first, second in pairs)
    return [_agreement(both[first], both[second]) for first, second, both in found if len(both)]


def _agreement(first: pd.Series, second: pd.Series) -> RaterAgreement:
    said = (first.to_numpy(dtype=object), second.to_numpy(dtype=object))
    counts = tuple(tuple(int(np.sum((said[0] == row) & (said[1] == column))) for column in LEVELS) for row in LEVELS)
    kappas: Sequence[Interval] = [cohen_kappa(*said, levels=LEVELS, weights=weights) for weights in ("none", "linear")]
    return RaterAgreement(str(first.name), str(second.name), counts, *kappas)
