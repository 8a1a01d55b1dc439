"""A straight line through a few measurements: a fixed part and a part that grows, neither of them negative."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls


@dataclass(frozen=True)
class Straight:
    """A cost as a function of size.

    Parameters
    ----------
    fixed
        What anything costs.
    rate
        What a unit of size costs besides.

    Examples
    --------
    >>> Straight(fixed=0.5, rate=0.1).at(10.0)
    1.5
    """

    fixed: float
    rate: float

    def at(self, size: float) -> float:
        """The cost of something of this size."""
        return self.fixed + self.rate * size


def through(sizes: Sequence[float], costs: Sequence[float]) -> Straight:
    """The line nearest to the measurements (least squares, Lawson and Hanson 1974), of those without a negative part.

    >>> line = through([1.0, 2.0, 4.0], [3.0, 5.0, 9.0])
    >>> round(line.fixed, 6), round(line.rate, 6)
    (1.0, 2.0)
    """
    scale = max(sizes)
    rows = np.stack([np.ones(len(sizes)), np.asarray(sizes, np.float64) / scale], axis=1)
    (fixed, rate), _ = nnls(rows, np.asarray(costs, np.float64))
    return Straight(float(fixed), float(rate / scale))


def above(sizes: Sequence[float], costs: Sequence[float]) -> Straight:
    """The line of `through`, lifted so that no measurement lies above it.

    >>> line = above([1.0, 2.0, 3.0], [1.0, 2.6, 3.0])
    >>> all(line.at(size) >= cost - 1e-9 for size, cost in zip([1.0, 2.0, 3.0], [1.0, 2.6, 3.0]))
    True
    """
    line = through(sizes, costs)
    lift = max(cost - line.at(size) for size, cost in zip(sizes, costs, strict=True))
    return Straight(line.fixed + max(0.0, lift), line.rate)
