"""Linear mixed model of repeated measurements, by restricted maximum likelihood (REML).

y = X b + Z u + e: every group (subject, or site) has an intercept of its own, and a slope over time where asked for, drawn from
a normal distribution with a covariance D that is estimated; e has one variance (Laird and Ware 1982). The likelihood is
profiled over the relative covariance, factored so that it needs no bounds (Bates et al. 2015, lme4), and maximised from several
starts. Standard errors are those of (sum X'V^-1X)^-1 at the maximum; tests use t with Satterthwaite's degrees of freedom (Giesbrecht
and Burns 1985; Fai and Cornelius 1996; as lmerTest, Kuznetsova et al. 2017). Columns and times are scaled inside.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float64, Shaped

from hypojax.reason import Reason, RunError

SINGULAR: Final = 1e-4
"""Relative standard deviation of a random effect (of its least direction) below which a fit is singular, as in lme4."""

LOG_RATIOS: Final = (-6.0, 9.0)
"""Logarithms of the least and largest ratio of standard deviations between groups and of the error that are tried."""

STARTS: Final = tuple(product((0.2, 1.0), (0.0, 0.5, -0.5)))
"""Starts of the slope's relative standard deviation, and of its correlation with the intercept."""

STEP: Final = 1e-3
"""Relative step of numerical derivatives."""

Matrix = Float64[np.ndarray, "column column"]


class MixedEstimate(NamedTuple):
    """A contrast of a mixed model: estimate, standard error, and Satterthwaite degrees of freedom."""

    estimate: float
    se: float
    df: float


@dataclass(frozen=True)
class MixedFit:
    """Linear mixed model of one region.

    Parameters
    ----------
    coefficients
        Fixed effects, unit of the volume per unit of the column.
    covariance
        Theirs: (sum X'V^-1X)^-1.
    between
        Covariance of the random effects (intercept, and slope over time where asked for), in units of volume and time.
    within
        Variance of the error.
    loglik
        Restricted log-likelihood; compares models with the same fixed effects only.
    is_singular
        Whether a random effect, or a combination of the two, has no variance: the model is more than the data can tell.
    rows, groups
        Measurements and groups (subjects) behind it.
    gradients, precision
        Of the covariance by the variance parameters, and the parameters' own covariance: what degrees of freedom come from.
    """

    coefficients: Float64[np.ndarray, " column"]
    covariance: Matrix
    between: Float64[np.ndarray, "effect effect"]
    within: float
    loglik: float
    is_singular: bool
    rows: int
    groups: int
    gradients: Float64[np.ndarray, "parameter column column"]
    precision: Float64[np.ndarray, "parameter parameter"]

    def contrast(self, weights: Float64[np.ndarray, " column"]) -> MixedEstimate:
        """A weighted sum of the coefficients with its error and Satterthwaite degrees of freedom."""
        variance = float(weights @ self.covariance @ weights)
        slope = np.einsum("i,pij,j->p", weights, self.gradients, weights)
        spread = float(slope @ self.precision @ slope)
        df = 2 * variance**2 / spread if spread > 0 else float("nan")
        return MixedEstimate(float(weights @ self.coefficients), variance**0.5, df)


def fit_mixed(
    design: Float64[np.ndarray, "row column"],
    volume: Float64[np.ndarray, " row"],
    groups: Shaped[np.ndarray, " row"],
    *,
    time: Float64[np.ndarray, " row"] | None = None,
) -> MixedFit:
    """Fit a linear mixed model with a random intercept by group and, with ``time``, a random slope correlated with it.

    Parameters
    ----------
    design
        Fixed effects, full rank, finite.
    volume
        One region's volumes, finite.
    groups
        Subject (or site) of each row.
    time
        Time of each row for random slopes, such as years.

    Raises
    ------
    RunError
        USAGE: fewer than two groups, no group with two rows (random intercept and error cannot be told apart), a design with
        more columns than rows allow, or a time that does not vary within any group.

    Examples
    --------
    >>> volume, who = np.array([10.0, 12, 20, 22, 30, 32]), np.array(["a", "a", "b", "b", "c", "c"])
    >>> found = fit_mixed(np.ones((6, 1)), volume, who)
    >>> round(float(found.between[0, 0]), 4), round(found.within, 4), round(found.contrast(np.ones(1)).df, 3)
    (99.0, 2.0, 2.0)
    """
    _check(design, volume, groups, time)
    model = _Model.of(design, volume, groups, time)
    theta = _best(model)
    sigma2 = model.profile(theta).rss / model.free
    start = np.append(theta, sigma2**0.5)
    gradients = np.stack([model.unscaled(one) for one in _gradient(model.covariance_at, start)])
    back = model.time_units
    return MixedFit(
        coefficients=np.linalg.solve(model.r, model.profile(theta).coefficients) * model.scale,
        covariance=model.unscaled(model.covariance_at(start)),
        between=back @ _covariance(theta) @ back.T * sigma2 * model.scale**2,
        within=float(sigma2 * model.scale**2),
        loglik=model.loglik(theta),
        is_singular=bool(np.linalg.svd(_factor(theta), compute_uv=False).min() < SINGULAR),
        rows=len(volume),
        groups=model.groups,
        gradients=gradients,
        precision=_precision(_hessian(model.deviance_at, start)),
    )


class _Profile(NamedTuple):
    """The model at a relative covariance of the random effects, relative to an error variance of 1."""

    logdet: float
    information: Matrix
    coefficients: Float64[np.ndarray, " column"]
    rss: float


@dataclass(frozen=True)
class _Model:
    """Cross-products within groups, of an orthonormal design, standardised times, and a volume of residual spread about 1."""

    within: Float64[np.ndarray, "group effect effect"]
    across: Float64[np.ndarray, "group effect joint"]
    total: Float64[np.ndarray, "joint joint"]
    r: Matrix
    scale: float
    time_units: Float64[np.ndarray, "effect effect"]
    rows: int

    @classmethod
    def of(
        cls,
        design: Float64[np.ndarray, "row column"],
        volume: Float64[np.ndarray, " row"],
        groups: Shaped[np.ndarray, " row"],
        time: Float64[np.ndarray, " row"] | None,
    ) -> "_Model":
        """Scale everything and take the sums of every group."""
        q, r = np.linalg.qr(design)
        residual = volume - q @ (q.T @ volume)
        scale = float(np.sqrt(residual @ residual / (len(volume) - design.shape[1])))
        effects, back = _effects(len(volume), time)
        _, code = np.unique(groups, return_inverse=True)
        order = np.argsort(code, kind="stable")
        starts = np.flatnonzero(np.diff(code[order], prepend=-1))
        z, joint = effects[order], np.column_stack([q, volume / scale])[order]
        within = np.add.reduceat(z[:, :, None] * z[:, None, :], starts)
        across = np.add.reduceat(z[:, :, None] * joint[:, None, :], starts)
        return cls(within, across, joint.T @ joint, r, scale, back, len(volume))

    @property
    def groups(self) -> int:
        """How many."""
        return len(self.within)

    @property
    def free(self) -> int:
        """Rows less columns."""
        return self.rows - len(self.r)

    def profile(self, theta: Float64[np.ndarray, " parameter"]) -> _Profile:
        """Generalised least squares with V = I + Z D Z', group by group: V^-1 = I - Z D (I + Z'Z D)^-1 Z'."""
        relative = _covariance(theta)
        inner = np.eye(len(relative)) + self.within @ relative
        shrunk = relative @ np.linalg.inv(inner) @ self.across
        products = self.total - np.tensordot(self.across, shrunk, axes=((0, 1), (0, 1)))
        information, right = products[:-1, :-1], products[:-1, -1]
        coefficients = np.linalg.solve(information, right)
        rss = max(float(products[-1, -1] - right @ coefficients), np.finfo(np.float64).tiny)
        return _Profile(float(np.linalg.slogdet(inner)[1].sum()), information, coefficients, rss)

    def deviance(self, theta: Float64[np.ndarray, " parameter"]) -> float:
        """-2 restricted log-likelihood at the best error variance, up to a constant."""
        found = self.profile(theta)
        return float(found.logdet + np.linalg.slogdet(found.information)[1] + self.free * np.log(found.rss))

    def deviance_at(self, parameters: Float64[np.ndarray, " parameter"]) -> float:
        """The same at a standard deviation of the error, the last parameter."""
        found, sigma2 = self.profile(parameters[:-1]), parameters[-1] ** 2
        return float(found.logdet + np.linalg.slogdet(found.information)[1] + self.free * np.log(sigma2) + found.rss / sigma2)

    def covariance_at(self, parameters: Float64[np.ndarray, " parameter"]) -> Matrix:
        """Covariance of the scaled coefficients."""
        return np.asarray(parameters[-1] ** 2 * np.linalg.inv(self.profile(parameters[:-1]).information), np.float64)

    def unscaled(self, covariance: Matrix) -> Matrix:
        """A covariance of the coefficients in units of volume and columns."""
        inverse = np.linalg.inv(self.r)
        return np.asarray(self.scale**2 * inverse @ covariance @ inverse.T, np.float64)

    def loglik(self, theta: Float64[np.ndarray, " parameter"]) -> float:
        """Restricted log-likelihood in units of the volume."""
        scaling = 2 * np.linalg.slogdet(self.r)[1] + 2 * self.free * np.log(self.scale)
        return -0.5 * float(self.deviance(theta) + scaling + self.free * (1 + np.log(2 * np.pi / self.free)))


def _effects(rows: int, time: Float64[np.ndarray, " row"] | None) -> tuple[Float64[np.ndarray, "row effect"], Matrix]:
    """Columns of the random effects, times centred and scaled, and what takes their covariance back."""
    if time is None:
        return np.ones((rows, 1)), np.ones((1, 1))
    centre, spread = float(time.mean()), float(time.std())
    return np.column_stack([np.ones(rows), (time - centre) / spread]), np.array([[1.0, -centre / spread], [0.0, 1 / spread]])


def _factor(theta: Float64[np.ndarray, " parameter"]) -> Float64[np.ndarray, "effect effect"]:
    """Lower triangle from one or three parameters."""
    return theta.reshape(1, 1) if len(theta) == 1 else np.array([[theta[0], 0.0], [theta[1], theta[2]]])


def _covariance(theta: Float64[np.ndarray, " parameter"]) -> Float64[np.ndarray, "effect effect"]:
    factor = _factor(theta)
    return np.asarray(factor @ factor.T, np.float64)


def _best(model: _Model) -> Float64[np.ndarray, " parameter"]:
    """Relative factor of the covariance at the maximum of the likelihood, from several starts."""
    intercept = _best_intercept(model)
    if model.within.shape[1] == 1:
        return np.array([intercept])
    from scipy.optimize import minimize

    found = []
    for spread, correlation in STARTS:
        start = np.array([max(intercept, 0.1), spread * correlation, spread * (1 - correlation**2) ** 0.5])
        rough = minimize(model.deviance, start, method="BFGS", options={"gtol": 1e-3})
        found.append((float(rough.fun), rough.x))
    best = min(found, key=lambda one: one[0])[1]
    exact = minimize(model.deviance, best, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-10, "maxiter": 2000})
    return np.asarray(exact.x, np.float64)


def _best_intercept(model: _Model) -> float:
    """Ratio of standard deviations between and within groups (of random slopes: without them); 0 where nothing is between groups."""
    from scipy.optimize import minimize_scalar

    def deviance(log_ratio: float) -> float:
        return model.deviance(_intercept_only(np.exp(log_ratio), model))

    grid = np.linspace(*LOG_RATIOS, 31)
    lowest = int(np.argmin([deviance(one) for one in grid.tolist()]))
    bounds = (float(grid[max(lowest - 1, 0)]), float(grid[min(lowest + 1, len(grid) - 1)]))
    found = minimize_scalar(deviance, bounds=bounds, method="bounded", options={"xatol": 1e-9})
    none = model.deviance(_intercept_only(0.0, model))
    return float(np.exp(found.x)) if float(found.fun) < none - 1e-9 else 0.0


def _intercept_only(ratio: float, model: _Model) -> Float64[np.ndarray, " parameter"]:
    return np.array([ratio] if model.within.shape[1] == 1 else [ratio, 0.0, 0.0], np.float64)


def _steps(at: Float64[np.ndarray, " parameter"]) -> Float64[np.ndarray, "parameter parameter"]:
    return np.diag(STEP * np.maximum(np.abs(at), 0.1))


def _gradient(function: Callable[[Float64[np.ndarray, " parameter"]], Matrix], at: Float64[np.ndarray, " parameter"]) -> list[Matrix]:
    """Central differences, extrapolated from two steps (Richardson)."""

    def difference(step: Float64[np.ndarray, " parameter"]) -> Matrix:
        return (function(at + step) - function(at - step)) / (2 * step.sum())

    return [(4 * difference(step / 2) - difference(step)) / 3 for step in _steps(at)]


def _hessian(function: Callable[[Float64[np.ndarray, " parameter"]], float], at: Float64[np.ndarray, " parameter"]) -> Matrix:
    """Second derivatives by central differences."""
    steps = _steps(at)
    found = np.zeros((len(at), len(at)))
    for (i, first), (j, second) in product(enumerate(steps), repeat=2):
        corners = [sign * other * function(at + sign * first + other * second) for sign in (1, -1) for other in (1, -1)]
        found[i, j] = sum(corners) / (4 * first.sum() * second.sum())
    return found


def _precision(hessian: Matrix) -> Matrix:
    """Covariance of the variance parameters, 2 H^-1; directions without curvature, as in singular fits, are left out (as lmerTest)."""
    values, vectors = np.linalg.eigh(hessian)
    kept = values > 1e-8 * max(float(values.max()), 0.0)
    return np.asarray(2 * (vectors[:, kept] / values[kept]) @ vectors[:, kept].T, np.float64)


def _check(
    design: Float64[np.ndarray, "row column"],
    volume: Float64[np.ndarray, " row"],
    groups: Shaped[np.ndarray, " row"],
    time: Float64[np.ndarray, " row"] | None,
) -> None:
    """Refuse what cannot be told apart."""
    _, code, counts = np.unique(groups, return_inverse=True, return_counts=True)
    if len(counts) < 2 or counts.max() < 2:
        why = f"{len(counts)} groups with up to {counts.max(initial=0)} scans each"
        raise RunError(Reason.USAGE, f"a mixed model needs repeated scans, and here are {why}: use the linear model")
    if len(volume) <= design.shape[1] + 1:
        raise RunError(Reason.USAGE, f"{len(volume)} scans are too few for {design.shape[1]} columns: leave terms out of the formula")
    if not (np.isfinite(design).all() and np.isfinite(volume).all()):
        raise RunError(Reason.USAGE, "a volume or covariate is missing or infinite: leave those scans out of the mixed model")
    first = volume[np.unique(code, return_index=True)[1]][code]
    if np.allclose(volume, first, rtol=1e-12, atol=0):
        raise RunError(Reason.USAGE, "the volume is the same at all scans of each subject, so that there is no error to test with")
    if np.linalg.matrix_rank(design / np.maximum(np.abs(design).max(axis=0), 1e-300)) < design.shape[1]:
        raise RunError(Reason.USAGE, "a column of the mixed model is a sum of others: leave a term out of the formula")
    if time is not None and not any(np.ptp(time[code == one]) > 0 for one in np.flatnonzero(counts > 1).tolist()):
        raise RunError(Reason.USAGE, "time does not vary within any subject: a random slope needs scans at different times")
