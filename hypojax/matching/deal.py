"""Dealing subjects into sets that are alike.

Of the ways to do it this one is taken: **stratified draws, of which the most balanced is kept** (rerandomisation, Morgan
and Rubin 2012). Each draw goes through the subjects sorted by strata and gives every set its share of each stretch
(systematic sampling, Madow 1949), so that each stratum is split in proportion, also where strata are smaller than sets.
Of many draws the one whose worst standardized mean difference is smallest is kept; of those that tie, the one whose
differences together are smallest, then the first. Against the others:

- one random draw is balanced on average only; at 40 subjects half of all draws differ by 0.2 SD in age or more;
- minimisation (Pocock and Simon 1975) goes subject by subject and sees marginal counts only; it is for trials that do not
  know who comes next;
- matching each test subject to a training subject (Mahalanobis distance) fixes who is in the test set, so that nothing
  random is left, and there are two lists to match only where there are two groups: see `hypojax.matching.pairing`.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64

from hypojax.matching.design import design, strata
from hypojax.ties import comparable

DRAWS: Final = 300
"""Draws that are compared; the best of 300 is beaten by one further draw in 300."""


def deal(subjects: pd.DataFrame, *, sizes: Sequence[int], seed: int, draws: int = DRAWS) -> Int64[np.ndarray, "subject"]:
    """Set of each subject, 0 the first: sets of the sizes asked for, as alike in all columns as draws can make them.

    Parameters
    ----------
    subjects
        One row a subject, ordered by id; columns are what the sets shall be alike in.
    sizes
        Subjects of each set; their sum is all subjects.
    seed
        Same seed and same table, same sets.
    draws
        Stratified draws of which the best is kept.

    Examples
    --------
    >>> people = pd.DataFrame({"sex": list("FFFFMMMM")}, index=list("abcdefgh"))
    >>> deal(people, sizes=[6, 2], seed=0).reshape(2, 4).sum(axis=1)  # of the set of two, one is a woman and one a man
    array([1, 1])
    """
    random = np.random.default_rng(seed)
    features = design(subjects)
    order = _sort_keys(strata(subjects))
    dealt = [_draw(order, sizes, random) for _ in range(draws)]
    return min(dealt, key=lambda sets: imbalance(features, sets, count=len(sizes)))


def imbalance(features: Float64[np.ndarray, "subject feature"], sets: Int64[np.ndarray, "subject"], *, count: int) -> tuple[float, float]:
    """How unlike sets are: the largest difference of means between one set and all others together, and the sum of all squares.

    Both are in standard deviations of all subjects, and rounded: which of two draws is better does not depend on the processor.

    >>> imbalance(np.array([[1.0], [-1.0], [1.0], [-1.0]]), np.array([0, 1, 0, 1]), count=2)
    (2.0, 8.0)
    """
    size = np.bincount(sets, minlength=count)[:, None]
    inside = np.array([features[sets == number].sum(axis=0) for number in range(count)])
    outside = (features.sum(axis=0) - inside) / np.maximum(1, len(sets) - size)
    differences = np.abs(inside / np.maximum(1, size) - outside)
    worst, squares = comparable(np.array([differences.max(initial=0.0), (differences**2).sum()])).tolist()
    return worst, squares


def _sort_keys(sorted_by: pd.DataFrame) -> list[Int64[np.ndarray, "subject"]]:
    """Ranks of the strata's columns, the least telling first, as `numpy.lexsort` takes them."""
    return [np.unique(sorted_by[name].to_numpy(), return_inverse=True)[1].astype(np.int64) for name in reversed(list(sorted_by))]


def _draw(keys: Sequence[Int64[np.ndarray, "subject"]], sizes: Sequence[int], random: np.random.Generator) -> Int64[np.ndarray, "subject"]:
    """One stratified draw: a set of n holds n tickets, one somewhere in each n-th of the way through the sorted subjects."""
    tickets = np.concatenate([(np.arange(size) + random.random(size)) / max(1, size) for size in sizes])
    owners = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort([random.random(len(tickets)), *keys])
    sets = np.empty(len(tickets), np.int64)
    sets[order] = owners[np.argsort(tickets)]
    return sets
