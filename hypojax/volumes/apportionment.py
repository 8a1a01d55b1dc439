"""Voxels shared out over classes of which each must have a given number, so that what is drawn amounts to what is counted.

Of all label maps with these numbers the one is taken whose labels score most together (a transportation problem). Its solution is that
every class has an offset and every voxel the class whose score plus offset is largest: the offsets are found class by class, and what
they leave over, since voxels tie or cannot be divided, goes along cheapest paths of exchanges (Ahuja, Magnanti, Orlin 1993, chapter 9).

Scores are integers, so that every processor finds the same map.
"""

from itertools import pairwise
from typing import Final

import numpy as np
from jaxtyping import Float64, Int32, Int64

SWEEPS: Final = 3
"""How often the offset of every class is found anew. In 58 people 3 leave 1 voxel of 1 mm to be exchanged, at most 5."""

FEW: Final = 4096
"""Voxels on which offsets are first found where there are many more: they hardly depend on how fine the voxels are."""

NEVER: Final = 1 << 30
"""More than any path of moves costs: the cost of a move for which there is no voxel."""

Scores = Int32[np.ndarray, "classes voxels"]
Counts = Int64[np.ndarray, " classes"]


def largest_remainder(shares: Float64[np.ndarray, " n"], total: int) -> Int64[np.ndarray, " n"]:
    """Whole numbers that sum to ``total`` and are proportional to ``shares``, each rounded up or down (Hamilton's method).

    >>> largest_remainder(np.array([1.0, 1.4, 2.6]), 10).tolist()
    [2, 3, 5]
    """
    if not shares.sum() > 0:
        return np.zeros(len(shares), np.int64)
    shares = shares / shares.max()  # the smallest numbers have no reciprocal
    exact = np.round(shares * (total / shares.sum()), 9)
    counts = np.floor(exact).astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[: total - int(counts.sum())]] += 1
    return counts


def shared_out(scores: Scores, counts: Counts) -> Int64[np.ndarray, " voxels"]:
    """The class of every voxel: ``counts`` voxels in each class, the sum of their scores the largest there is.

    Parameters
    ----------
    scores
        What it is worth that a voxel is in a class.
    counts
        Voxels that each class shall have; they sum to the number of voxels.

    >>> shared_out(np.array([[9, 8, 7, 1], [5, 5, 6, 2]], np.int32), np.array([2, 2])).tolist()
    [0, 0, 1, 1]
    """
    kept = np.flatnonzero(counts)
    if len(kept) < 2:
        return np.full(scores.shape[1], kept[0] if len(kept) else 0, np.int64)
    scores, counts = np.ascontiguousarray(scores[kept]), counts[kept]
    offsets, step = np.zeros(len(scores), np.int32), scores.shape[1] // FEW
    if step > 1:
        some = np.ascontiguousarray(scores[:, ::step])
        _sweep(offsets, some, counts * some.shape[1] // scores.shape[1], times=SWEEPS)
    _sweep(offsets, scores, counts, times=2 if step > 1 else SWEEPS)
    labels = np.argmax(scores + offsets[:, None], axis=0)
    return kept[_exchanged(scores, labels, counts)]


def _sweep(offsets: Int32[np.ndarray, " classes"], scores: Scores, counts: Counts, *, times: int) -> None:
    """Change the offset of one class after another so that it has its number of voxels, while the others stay as they are."""
    shifted = scores + offsets[:, None]
    for index in [*range(len(scores))] * times:
        count = int(counts[index])
        if not 0 < count < scores.shape[1]:
            continue
        behind = np.maximum(*(part.max(axis=0, initial=-NEVER) for part in (shifted[:index], shifted[index + 1 :]))) - scores[index]
        last, first = np.partition(behind, (count - 1, count))[count - 1 : count + 1].tolist()
        offsets[index] = (last + first + 1) // 2
        shifted[index] = scores[index] + offsets[index]


def _exchanged(scores: Scores, labels: Int64[np.ndarray, " voxels"], counts: Counts) -> Int64[np.ndarray, " voxels"]:
    """Labels moved from classes that have too many voxels to those that have too few, with the least loss (successive shortest paths)."""
    labels = labels.copy()
    while (surplus := np.bincount(labels, minlength=len(counts)) - counts).any():
        loss = scores[labels, np.arange(len(labels))] - scores
        costs = np.array([loss[:, labels == index].min(axis=1, initial=NEVER) for index in range(len(counts))], np.int64)
        path = _cheapest_path(costs, surplus)
        moves = [np.flatnonzero((labels == one) & (loss[other] == costs[one, other])) for one, other in pairwise(path)]
        number = min(int(surplus[path[0]]), -int(surplus[path[-1]]), *map(len, moves))
        for other, voxels in zip(path[1:], moves, strict=True):
            labels[voxels[:number]] = other
    return labels


def _cheapest_path(costs: Int64[np.ndarray, "classes classes"], surplus: Int64[np.ndarray, " classes"]) -> list[int]:
    """Classes from the one with most voxels too many to one with too few, the moves between which cost least (Bellman 1958)."""
    start = int(surplus.argmax())
    distance = np.full(len(costs), 2 * NEVER)
    distance[start], before = 0, np.full(len(costs), -1)
    for _ in range(len(costs)):
        through = distance[:, None] + costs
        nearest = through.argmin(axis=0)
        shorter = through.min(axis=0) < distance
        before[shorter], distance[shorter] = nearest[shorter], through.min(axis=0)[shorter]
    path = [min(np.flatnonzero(surplus < 0).tolist(), key=lambda index: int(distance[index]))]
    while path[-1] != start:
        path.append(int(before[path[-1]]))
    return path[::-1]
