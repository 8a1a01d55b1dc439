"""Maximum likelihood of a centile model on matrices: linear location, log-linear scale, and a shape that is normal or SHASH.

Everything is in float64. Values and columns are brought to a common scale first; gradients are analytic; the SHASH is started from several
shapes and the highest likelihood is kept. Model: location = X b, log(scale) = W c, with epsilon and delta the same for all
(Rigby and Stasinopoulos 2005; Jones and Pewsey 2009).
"""

from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import numpy as np
from jaxtyping import Float64
from scipy.optimize import minimize

from hypojax.reason import Reason, RunError
from hypojax.study.centiles.shash import Shash, log_density, log_density_slopes, score_slopes

Shape = Literal["normal", "shash"]

STARTS: Final = ((0.0, 1.0), (0.4, 1.0), (-0.4, 1.0), (0.0, 0.7), (0.0, 1.4))
"""Epsilon and delta from which the SHASH is started."""

FAR: Final = 40.0
"""Largest log scale, epsilon and log delta (in standardised units) that are tried: beyond it nothing is finite."""

STEP: Final = 1e-5
"""Step of the numerical Hessian of the analytic gradient, in standardised units."""

SCORING_STEPS: Final = 10

FIRST_STEPS: Final = 15

NEWTON_STEPS: Final = 25

Location = Float64[np.ndarray, "row location"]
Scale = Float64[np.ndarray, "row scale"]
Parameters = Float64[np.ndarray, " parameter"]
Covariance = Float64[np.ndarray, "parameter parameter"]


@dataclass(frozen=True)
class CentileFit:
    """A fitted centile model.

    Parameters
    ----------
    location
        Coefficients b of the location, in the unit of the values.
    log_scale
        Coefficients c of log(scale).
    epsilon, delta
        Shape; 0 and 1 where it is normal.
    shape
        Which of the two was fitted.
    log_likelihood
        At the maximum.
    covariance
        Of b, c and, with a SHASH, of epsilon and log(delta): the sandwich H⁻¹ J H⁻¹ · n / (n - parameters) (Huber 1967; White 1982), which
        also holds where the model is somewhat wrong.
    n
        Rows.
    """

    location: Float64[np.ndarray, " location"]
    log_scale: Float64[np.ndarray, " scale"]
    epsilon: float
    delta: float
    shape: Shape
    log_likelihood: float
    covariance: Covariance
    n: int

    @property
    def bic(self) -> float:
        """Schwarz 1978: -2 log-likelihood + parameters · log(n); the smaller one is chosen."""
        return -2 * self.log_likelihood + len(self.covariance) * float(np.log(self.n))

    def at(self, location: Location, scale: Scale) -> Shash:
        """Distribution of each row of two designs with the columns of the fit."""
        return Shash(location @ self.location, np.exp(scale @ self.log_scale), self.epsilon, self.delta)


def fit_centiles(values: Float64[np.ndarray, " row"], location: Location, scale: Scale, *, shape: Shape = "shash") -> CentileFit:
    """Fit a centile model by maximum likelihood.

    Parameters
    ----------
    values
        One a person; finite.
    location, scale
        Designs X and W, of full rank; the first column of each is the intercept.
    shape
        ``normal`` or ``shash``.

    Raises
    ------
    RunError
        ``USAGE``: the values hardly vary, or no start led to a maximum.
    """
    centre, spread = float(np.median(values)), float(np.std(values))
    if not spread > 1e-9 * max(abs(centre), np.finfo(float).tiny):
        raise RunError(Reason.USAGE, f"centiles cannot be fitted: all {len(values)} values are about {centre:.6g}; leave this region out")
    columns, rows = _scales(location), _scales(scale)
    objective = partial(_negative, (values - centre) / spread, location / columns, scale / rows)
    found = _best(objective, _start((values - centre) / spread, location / columns, scale / rows, shape))
    tall, wide = location.shape[1], scale.shape[1]
    factors = np.concatenate([spread / columns, 1 / rows, np.ones(len(found) - tall - wide)])
    parameters = found * factors
    parameters[0] += centre
    parameters[tall] += np.log(spread)
    covariance = _sandwich(objective, found, len(values)) * np.outer(factors, factors)
    epsilon, delta = (parameters[-2], np.exp(parameters[-1])) if shape == "shash" else (0.0, 1.0)
    log_likelihood = -objective(found)[0] - len(values) * np.log(spread)
    return CentileFit(
        parameters[:tall],
        parameters[tall : tall + wide],
        float(epsilon),
        float(delta),
        shape,
        float(log_likelihood),
        covariance,
        len(values),
    )


def score_error(fit: CentileFit, location: Location, scale: Scale, values: Float64[np.ndarray, " row"]) -> Float64[np.ndarray, " row"]:
    """Standard error of the z-score of each row that comes from estimating the model (delta method); it falls with the root of n."""
    slopes = score_slopes(fit.at(location, scale), values)
    parts = [slopes[:, :1] * location, slopes[:, 1:2] * scale, slopes[:, 2:] if fit.shape == "shash" else slopes[:, :0]]
    gradient = np.hstack(parts)
    return np.sqrt(np.einsum("ij,jk,ik->i", gradient, fit.covariance, gradient))


def _scales(design: Float64[np.ndarray, "row column"]) -> Float64[np.ndarray, " column"]:
    """Root mean square of each column; 1 for an intercept."""
    return np.sqrt((design**2).mean(axis=0))


def _start(values: np.ndarray, location: Location, scale: Scale, shape: Shape) -> list[Parameters]:
    """The normal model by Fisher scoring (Aitkin 1987), with each of the shapes."""
    log_scale = np.full(len(values), np.log(np.std(values)))
    for _ in range(SCORING_STEPS):
        weight = np.exp(-log_scale)
        coefficients = np.linalg.lstsq(location * weight[:, None], values * weight)[0]
        excess = np.clip(((values - location @ coefficients) * weight) ** 2, 0, 50) - 1
        spread = np.linalg.lstsq(scale, log_scale + excess / 2)[0]
        log_scale = np.clip(scale @ spread, -FAR, FAR)
    beginning = np.concatenate([coefficients, spread])
    if shape == "normal":
        return [beginning]
    return [np.concatenate([beginning, [epsilon, np.log(delta)]]) for epsilon, delta in STARTS]


def _slopes(
    values: np.ndarray, location: Location, scale: Scale, parameters: Parameters
) -> tuple[float, Float64[np.ndarray, "row parameter"]]:
    """Log-likelihood, and its derivatives row by row."""
    tall, wide = location.shape[1], scale.shape[1]
    log_scale, rest = scale @ parameters[tall : tall + wide], parameters[tall + wide :]
    if max(np.abs(log_scale).max(), np.abs(rest).max(initial=0)) > FAR:
        return -np.inf, np.zeros((len(values), len(parameters)))
    epsilon, delta = (rest[0], np.exp(rest[1])) if rest.size else (0.0, 1.0)
    distribution = Shash(location @ parameters[:tall], np.exp(log_scale), epsilon, delta)
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(log_density(distribution, values).sum())
        by_row = log_density_slopes(distribution, values)
    by_parameter = np.hstack([by_row[:, :1] * location, by_row[:, 1:2] * scale, by_row[:, 2 : 2 + rest.size]])
    return total, by_parameter


def _negative(values: np.ndarray, location: Location, scale: Scale, parameters: Parameters) -> tuple[float, Parameters, np.ndarray]:
    """Negative log-likelihood, its gradient, and the gradient row by row; huge where it is not finite."""
    total, by_row = _slopes(values, location, scale, parameters)
    if not np.isfinite(total) or not np.isfinite(by_row).all():
        return 1e12, np.zeros(len(parameters)), by_row
    return -total, -by_row.sum(axis=0), by_row


Objective = partial[tuple[float, Parameters, np.ndarray]]


def _best(objective: Objective, starts: list[Parameters]) -> Parameters:
    """The highest maximum over the starts: a few steps from each, to the end from the best, polished by Newton steps."""
    mean = partial(_mean, objective)
    begun = [minimize(mean, start, jac=True, method="BFGS", options={"maxiter": FIRST_STEPS}) for start in starts]
    at = np.asarray(minimize(mean, min(begun, key=lambda one: one.fun).x, jac=True, method="BFGS").x)
    for _ in range(NEWTON_STEPS):
        value, gradient, _rows = objective(at)
        step = np.linalg.lstsq(_hessian(objective, at), gradient)[0]
        if not objective(at - step)[0] < value:
            break
        at = at - step
    if not np.isfinite(objective(at)[0]) or np.abs(objective(at)[1]).max() > 1e-3 * len(objective(at)[2]):
        raise RunError(Reason.USAGE, "the centile model has no maximum that could be found; use the normal shape, or fewer knots")
    return at


def _mean(objective: Objective, at: Parameters) -> tuple[float, Parameters]:
    """Value and gradient for each row."""
    value, gradient, by_row = objective(at)
    return value / len(by_row), gradient / len(by_row)


def _hessian(objective: Objective, at: Parameters) -> Covariance:
    """Second derivatives of the negative log-likelihood by central differences of its analytic gradient."""
    steps = STEP * np.eye(len(at))
    found = np.stack([(objective(at + step)[1] - objective(at - step)[1]) / (2 * STEP) for step in steps])
    return (found + found.T) / 2


def _sandwich(objective: Objective, at: Parameters, n: int) -> Covariance:
    """H⁻¹ J H⁻¹ · n / (n - p)."""
    by_row = objective(at)[2]
    bread = np.linalg.pinv(_hessian(objective, at), hermitian=True)
    return bread @ (by_row.T @ by_row) @ bread * (n / (n - len(at)))
