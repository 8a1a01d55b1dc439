"""The sinh-arcsinh distribution (SHASH) of Jones and Pewsey 2009: a normal distribution with skewness and tails of its own.

With z = (y - location) / scale, the value sinh(delta · asinh(z) - epsilon) is standard normal. Epsilon > 0 is skewed to the right; delta
< 1 has heavier tails than the normal distribution; epsilon 0 and delta 1 are the normal distribution. The location is the median only where
epsilon is 0: the median is location + scale · sinh(epsilon / delta). (mgcv's ``shash`` divides z by sigma · delta; gamlss has two others.)
"""

from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.special import ndtr, ndtri

Values = Float64[np.ndarray, " row"]

HALF_LOG_TAU: Final = 0.5 * float(np.log(2 * np.pi))


class Shash(NamedTuple):
    """A SHASH distribution, or one for each row.

    Parameters
    ----------
    location, scale
        In the unit of the values; scale > 0.
    epsilon, delta
        Skewness and tails; delta > 0.

    Examples
    --------
    >>> normal = Shash(np.array([10.0]), np.array([2.0]), 0.0, 1.0)
    >>> float(score(normal, np.array([14.0]))[0]), float(quantile(normal, 0.5)[0])
    (2.0, 10.0)
    """

    location: Values
    scale: Values
    epsilon: float | Values
    delta: float | Values


def score(shape: Shash, values: Values) -> Values:
    """The z-score: standard normal where the distribution is right. It does not go through the centile, so that it stays finite far out."""
    return np.sinh(shape.delta * np.arcsinh((values - shape.location) / shape.scale) - shape.epsilon)


def cdf(shape: Shash, values: Values) -> Values:
    """Share of the distribution below the values, 0 … 1."""
    return ndtr(score(shape, values))


def quantile(shape: Shash, probability: float | Values) -> Values:
    """Value below which this share of the distribution lies, in the unit of the values.

    >>> shape = Shash(np.array([900.0]), np.array([60.0]), -0.3, 0.8)
    >>> bool(np.isclose(cdf(shape, quantile(shape, 0.05)), 0.05)[0])
    True
    """
    return at_score(shape, ndtri(probability))


def at_score(shape: Shash, scores: float | Values) -> Values:
    """Value with this z-score: the inverse of `score`."""
    return shape.location + shape.scale * np.sinh((np.arcsinh(scores) + shape.epsilon) / shape.delta)


def log_density(shape: Shash, values: Values) -> Values:
    """Logarithm of the density (Jones and Pewsey 2009, equation 2), stable far out."""
    z = (values - shape.location) / shape.scale
    inner = shape.delta * np.arcsinh(z) - shape.epsilon
    log_cosh = np.logaddexp(inner, -inner) - np.log(2)
    return np.log(shape.delta / shape.scale) + log_cosh - 0.5 * np.log1p(z**2) - 0.5 * np.sinh(inner) ** 2 - HALF_LOG_TAU


def log_density_slopes(shape: Shash, values: Values) -> Float64[np.ndarray, "row 4"]:
    """Derivatives of `log_density` by location, log scale, epsilon and log delta, row by row."""
    z = (values - shape.location) / shape.scale
    arc = np.arcsinh(z)
    inner = shape.delta * arc - shape.epsilon
    by_inner = np.tanh(inner) - 0.5 * np.sinh(2 * inner)
    by_z = by_inner * shape.delta / np.hypot(1, z) - z / (1 + z**2)
    return np.stack([-by_z / shape.scale, -1 - z * by_z, -by_inner, 1 + by_inner * shape.delta * arc], axis=1)


def score_slopes(shape: Shash, values: Values) -> Float64[np.ndarray, "row 4"]:
    """Derivatives of `score` by location, log scale, epsilon and log delta, row by row."""
    z = (values - shape.location) / shape.scale
    arc = np.arcsinh(z)
    by_inner = np.cosh(shape.delta * arc - shape.epsilon)
    by_z = by_inner * shape.delta / np.hypot(1, z)
    return np.stack([-by_z / shape.scale, -z * by_z, -by_inner, by_inner * shape.delta * arc], axis=1)
