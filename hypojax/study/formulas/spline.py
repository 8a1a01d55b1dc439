"""Splines: cubic B-splines that go on as straight lines, and the natural splines made of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64
from scipy.interpolate import BSpline

from hypojax.reason import Reason, RunError

CUBIC: Final = 3


def spline_knots(values: Float64[np.ndarray, "n"], inner: int) -> Float64[np.ndarray, "knot"]:
    """Ends of the values, and inner knots at their quantiles; repeated quantiles count once.

    >>> spline_knots(np.arange(5.0), 1).tolist()
    [0.0, 2.0, 4.0]
    """
    return np.unique(np.quantile(values, np.linspace(0, 1, inner + 2)))


def cubic_basis(values: Float64[np.ndarray, "n"], knots: Float64[np.ndarray, "knot"]) -> Float64[np.ndarray, "n basis"]:
    """Cubic B-splines (de Boor 1978), knots + 2 of them; beyond the outer knots each goes on as a straight line.

    Their sum is 1 everywhere, also beyond the knots. A missing value gives a row of NaN.

    Parameters
    ----------
    values
        Where to evaluate.
    knots
        Increasing; the first and last are the ends.

    Examples
    --------
    >>> cubic_basis(np.array([0.0, 1.0]), np.array([0.0, 1.0])).tolist()
    [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    """
    spline = _splines(knots)
    inside = np.clip(values, knots[0], knots[-1])
    known = np.isfinite(values)
    basis = np.full((len(values), len(knots) + 2), np.nan)
    beyond = (values - inside)[known, None]
    basis[known] = spline(inside[known]) + np.where(beyond == 0, 0.0, beyond * spline(inside[known], nu=1))
    return basis


def roughness(knots: Float64[np.ndarray, "knot"]) -> Float64[np.ndarray, "basis basis"]:
    """Penalty of a smooth curve: the integral of products of second derivatives of `cubic_basis` between the outer knots.

    A straight line has none: ``b @ roughness(knots) @ b`` is 0 for it.
    """
    # Second derivatives are straight between knots, so that two Gauss points integrate their products exactly.
    middle, half = (knots[1:] + knots[:-1]) / 2, np.diff(knots) / 2
    offset = half / np.sqrt(3)
    bent = _splines(knots)(np.concatenate([middle - offset, middle + offset]), nu=2)
    return (bent * np.concatenate([half, half])[:, None]).T @ bent


@dataclass(frozen=True)
class NaturalSpline:
    """A natural cubic spline: a straight line beyond its outer knots, without an intercept of its own.

    Its columns span what R's ``ns(x, df)`` spans: with a constant, all cubic splines with these knots whose second derivative is 0 at both
    ends (Hastie 1992).

    Parameters
    ----------
    knots
        Increasing; the first and last are the ends.
    """

    knots: tuple[float, ...]

    @classmethod
    def of(cls, values: Float64[np.ndarray, "n"], df: int, *, name: str) -> "NaturalSpline":
        """With ``df`` columns: ends at the smallest and largest value, inner knots at quantiles.

        Raises
        ------
        RunError
            ``USAGE``: there are too few different values for so many.
        """
        knots = spline_knots(values, df - 1) if len(values) else np.array([])
        if len(knots) < df + 1:
            many = len(np.unique(values))
            raise RunError(
                Reason.USAGE, f"spline({name}, {df}) needs more different values of {name} than there are ({many}); lower its df"
            )
        return cls(tuple(knots.tolist()))

    def basis(self, values: Float64[np.ndarray, "n"] | Sequence[float]) -> Float64[np.ndarray, "n df"]:
        """Its columns, one fewer than knots; a missing value gives a row of NaN.

        >>> NaturalSpline((0.0, 1.0, 2.0)).basis([0.0, 1.0]).shape
        (2, 2)
        """
        knots = np.array(self.knots)
        at = np.asarray(values, dtype=np.float64)
        ends = _splines(knots)(knots[[0, -1]], nu=2)[:, 1:]
        free = np.linalg.qr(ends.T, mode="complete")[0][:, 2:]
        return cubic_basis(at, knots)[:, 1:] @ free


def _splines(knots: Float64[np.ndarray, "knot"]) -> BSpline:
    """All B-splines of these knots at once."""
    padded = np.concatenate([np.repeat(knots[0], CUBIC), knots, np.repeat(knots[-1], CUBIC)])
    return BSpline(padded, np.eye(len(knots) + 2), CUBIC)
