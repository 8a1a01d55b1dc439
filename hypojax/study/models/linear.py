"""Linear models of all regions at once: least squares by QR, covariances that allow for unequal variances and repeated scans, contrasts.

Everything is float64 and works on plain matrices: a design (row x column) of full rank and volumes (row x region) without gaps;
`complete_patterns` sorts regions by the rows that they have.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int
from scipy import linalg, stats

from hypojax.reason import Reason, RunError

Kind = Literal["classical", "HC0", "HC1", "HC2", "HC3", "CR0", "CR1", "CR1S", "CR3"]

COLLINEAR: Final = 1e-10
"""Share of a column's length that must be left once the columns before it are taken out."""

FULL_LEVERAGE: Final = 1e-9
"""A row whose leverage is closer to 1 than this is fitted exactly, whatever its volume."""

ROUNDING: Final = 1e-12
"""Share of the length of the volumes below which residuals are rounding."""

ROWS: Final = 20_000
"""Rows worked on at once where every row makes a matrix."""


@dataclass(frozen=True)
class LinearFit:
    """Least squares of each region on one design.

    Parameters
    ----------
    coefficients
        In units of the volumes per unit of the column.
    residuals, fitted
        In units of the volumes, not weighted.
    sigma
        Residual standard deviation on ``df`` degrees of freedom; with weights that of a row of weight 1.
    df
        Rows less columns.
    leverage
        Diagonal of the hat matrix (of the weighted model).
    design, weights
        What was fitted; weights are 1 where none were given.
    inverse
        (X'WX)^-1.
    """

    coefficients: Float64[np.ndarray, "column region"]
    residuals: Float64[np.ndarray, "row region"]
    fitted: Float64[np.ndarray, "row region"]
    sigma: Float64[np.ndarray, " region"]
    df: int
    leverage: Float64[np.ndarray, " row"]
    design: Float64[np.ndarray, "row column"]
    weights: Float64[np.ndarray, " row"]
    inverse: Float64[np.ndarray, "column column"]

    @property
    def r_squared(self) -> Float64[np.ndarray, " region"]:
        """Share of the variance about the (weighted) mean that the model explains."""
        volumes = self.fitted + self.residuals
        off = volumes - np.average(volumes, axis=0, weights=self.weights)
        return 1 - self.weights @ self.residuals**2 / (self.weights @ off**2)


class Estimates(NamedTuple):
    """One contrast in every region: estimate, error, test (t) and interval, in units of the volumes per unit of the contrast."""

    estimate: Float64[np.ndarray, " region"]
    se: Float64[np.ndarray, " region"]
    statistic: Float64[np.ndarray, " region"]
    df: float
    p: Float64[np.ndarray, " region"]
    low: Float64[np.ndarray, " region"]
    high: Float64[np.ndarray, " region"]


def fit(
    design: Float64[np.ndarray, "row column"],
    volumes: Float64[np.ndarray, "row region"],
    *,
    weights: Float64[np.ndarray, " row"] | None = None,
    columns: Sequence[str] | None = None,
) -> LinearFit:
    """(Weighted) least squares of every region on the same rows.

    Parameters
    ----------
    design
        Design matrix of full rank.
    volumes
        Volume of each scan and region; all finite.
    weights
        Positive weight of each row, known up to a constant, such as 1 / uncertainty².
    columns
        Names of the columns, for the sentence of an error.

    Raises
    ------
    RunError
        No more rows than columns, collinear columns, or values that are no numbers.

    Examples
    --------
    >>> found = fit(np.array([[1.0, 0], [1, 0], [1, 1], [1, 1]]), np.array([[1.0], [3], [5], [7]]))
    >>> found.coefficients.ravel().round(9).tolist(), found.df, found.leverage.round(9).tolist()
    ([2.0, 4.0], 2, [0.5, 0.5, 0.5, 0.5])
    """
    rows, count = design.shape
    weights = np.ones(rows) if weights is None else weights
    _check(design, volumes, weights)
    root = np.sqrt(weights)[:, None]
    q, r = np.linalg.qr(design * root)
    _check_rank(r, np.linalg.norm(design * root, axis=0), columns)
    inverse_r = linalg.solve_triangular(r, np.eye(count))
    coefficients = inverse_r @ (q.T @ (volumes * root))
    fitted = design @ coefficients
    residuals = _rounded(volumes - fitted, volumes)
    sigma = np.sqrt(weights @ residuals**2 / (rows - count))
    leverage = np.einsum("rc,rc->r", q, q)
    return LinearFit(coefficients, residuals, fitted, sigma, rows - count, leverage, design, weights, inverse_r @ inverse_r.T)


def _rounded(residuals: Float64[np.ndarray, "row region"], volumes: Float64[np.ndarray, "row region"]) -> Float64[np.ndarray, "row region"]:
    """Residuals, exactly 0 in regions where they are rounding alone: a model that fits exactly has no error to test with."""
    return np.where(np.linalg.norm(residuals, axis=0) > ROUNDING * np.linalg.norm(volumes, axis=0), residuals, 0.0)


def _check(
    design: Float64[np.ndarray, "row column"], volumes: Float64[np.ndarray, "row region"], weights: Float64[np.ndarray, "row"]
) -> None:
    rows, count = design.shape
    if rows <= count:
        raise RunError(
            Reason.USAGE, f"the model has {count} columns and {rows} scans: it needs more scans than columns; take terms out of the formula"
        )
    for what, values in (("design", design), ("volumes", volumes), ("weights", weights)):
        if not np.isfinite(values).all():
            wrong = int((~np.isfinite(values)).sum())
            raise RunError(Reason.USAGE, f"{wrong} values of the {what} are missing or infinite; leave those scans out before the model")
    if (weights <= 0).any():
        raise RunError(Reason.USAGE, f"{int((weights <= 0).sum())} weights are zero or negative; leave those scans out before the model")


def _check_rank(r: Float64[np.ndarray, "column column"], lengths: Float64[np.ndarray, " column"], columns: Sequence[str] | None) -> None:
    """Refuse a column that is a sum of those before it."""
    poor = np.flatnonzero(np.abs(np.diag(r)) <= COLLINEAR * lengths)
    if poor.size:
        names = ", ".join(columns[i] if columns else f"number {i + 1}" for i in poor.tolist())
        raise RunError(
            Reason.USAGE,
            f"the model cannot tell its columns apart: {names} follows from the columns before it; take that term out of the formula",
        )


def complete_patterns(
    volumes: Float64[np.ndarray, "row region"],
) -> Iterator[tuple[Int[np.ndarray, " some"], Bool[np.ndarray, " row"]]]:
    """Regions that have volumes in the same rows, with these rows; regions without any volume are in none.

    >>> [(regions.tolist(), rows.tolist()) for regions, rows in complete_patterns(np.array([[1.0, 2, np.nan], [1, 2, 3]]))]
    [([0, 1], [True, True]), ([2], [False, True])]
    """
    there = np.isfinite(volumes)
    patterns: dict[bytes, list[int]] = {}
    for region in range(there.shape[1]):
        patterns.setdefault(there[:, region].tobytes(), []).append(region)
    for regions in patterns.values():
        if there[:, regions[0]].any():
            yield np.array(regions), there[:, regions[0]]


def covariance(
    found: LinearFit,
    kind: Kind = "HC3",
    *,
    clusters: Int[np.ndarray, " row"] | None = None,
    names: Sequence[str] | None = None,
) -> Float64[np.ndarray, "region column column"]:
    """Covariance of the coefficients of every region.

    Parameters
    ----------
    found
        A fit.
    kind
        ``classical`` (one variance for all); ``HC0`` (White 1980), ``HC1``, ``HC2``, ``HC3`` (MacKinnon and White 1985: residuals over
        1 - leverage, for variances that differ between people); clustered for repeated scans: ``CR0``, ``CR1`` with G / (G - 1),
        ``CR1S`` with G / (G - 1) (N - 1) / (N - p), ``CR3`` with residuals over I - H within clusters (Bell and McCaffrey 2002).
    clusters
        Number of the cluster of each row, of the kinds CR.
    names
        Names of the rows, for the sentence of an error.

    Raises
    ------
    RunError
        A row or cluster has leverage 1, so that HC2, HC3 and CR3 would divide 0 by 0; no clusters for a kind CR.
    """
    if kind == "classical":
        return found.sigma[:, None, None] ** 2 * found.inverse
    root = np.sqrt(found.weights)[:, None]
    x, e = found.design * root, found.residuals * root
    if kind.startswith("HC"):
        meat = _crossed(x, (e * _hc_factor(found, kind, names)[:, None]) ** 2)
    else:
        if clusters is None:
            raise RunError(Reason.USAGE, f"errors of kind {kind} need the clusters, such as the subject of each scan")
        meat = _clustered(x, e, found.inverse, clusters, kind)
    return np.einsum("ij,rjk,kl->ril", found.inverse, meat, found.inverse)


def exact_rows(found: LinearFit, clusters: Int[np.ndarray, " row"] | None = None) -> Int[np.ndarray, " some"]:
    """Rows that the model fits exactly whatever their volume: the only person of a site, say, whose leverage is 1.

    With clusters, the rows of subjects that alone carry a column of the model.
    """
    if clusters is None:
        return np.flatnonzero(found.leverage > 1 - FULL_LEVERAGE)
    x = found.design * np.sqrt(found.weights)[:, None]
    order, starts, sizes = _sorted_clusters(clusters)
    found_rows = [rows[_left(x[rows], found.inverse)[1]].ravel() for rows in _same_size(order, starts, sizes)]
    return np.sort(np.concatenate(found_rows))


def _hc_factor(found: LinearFit, kind: Kind, names: Sequence[str] | None) -> Float64[np.ndarray, " row"]:
    """What residuals are multiplied by."""
    rows, count = found.design.shape
    if kind in ("HC0", "HC1"):
        return np.full(rows, 1.0 if kind == "HC0" else np.sqrt(rows / (rows - count)))
    exact = exact_rows(found)
    if exact.size:
        who = ", ".join(names[i] if names is not None else f"row {i + 1}" for i in exact.tolist())
        raise RunError(
            Reason.USAGE,
            f"{who}: leverage 1 (the only one of a site or group?), so {kind} errors divide 0 by 0; leave that scan out or merge its level",
        )
    return (1 - found.leverage) ** (-0.5 if kind == "HC2" else -1.0)


def _crossed(
    x: Float64[np.ndarray, "row column"], factors: Float64[np.ndarray, "row region"]
) -> Float64[np.ndarray, "region column column"]:
    """Sum over rows of factor * x x', for every region."""
    count = x.shape[1]
    first, second = np.triu_indices(count)
    upper = np.zeros((factors.shape[1], first.size))
    for start in range(0, len(x), ROWS):
        part = x[start : start + ROWS]
        upper += factors[start : start + ROWS].T @ (part[:, first] * part[:, second])
    whole = np.zeros((factors.shape[1], count, count))
    whole[:, first, second] = whole[:, second, first] = upper
    return whole


def _clustered(
    x: Float64[np.ndarray, "row column"],
    e: Float64[np.ndarray, "row region"],
    inverse: Float64[np.ndarray, "column column"],
    clusters: Int[np.ndarray, " row"],
    kind: Kind,
) -> Float64[np.ndarray, "region column column"]:
    """Sum over clusters of s s', s = X_g' (adjusted) residuals of the cluster."""
    order, starts, sizes = _sorted_clusters(clusters)
    groups, (rows, count) = len(sizes), x.shape
    if groups < 2:
        raise RunError(Reason.USAGE, "all scans are of one subject, so errors cannot be clustered by subject; add subjects")
    if kind == "CR3":
        e = _over_hat(x, e, inverse, list(_same_size(order, starts, sizes)))
    x, e = x[order], e[order]
    meat = np.zeros((e.shape[1], count, count))
    for region in range(e.shape[1]):
        score = np.add.reduceat(x * e[:, [region]], starts, axis=0)
        meat[region] = score.T @ score
    factor = {"CR1": groups / (groups - 1), "CR1S": groups / (groups - 1) * (rows - 1) / (rows - count)}
    return meat * factor.get(kind, 1.0)


def _sorted_clusters(
    clusters: Int[np.ndarray, " row"],
) -> tuple[Int[np.ndarray, " row"], Int[np.ndarray, " cluster"], Int[np.ndarray, " cluster"]]:
    """Rows in the order of clusters; where each cluster starts, and its size."""
    _, code, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    return np.argsort(code.ravel(), kind="stable"), np.cumsum(sizes) - sizes, sizes


def _same_size(
    order: Int[np.ndarray, " row"], starts: Int[np.ndarray, " cluster"], sizes: Int[np.ndarray, " cluster"]
) -> Iterator[Int[np.ndarray, "_ _"]]:
    """Rows of the clusters of each size: cluster x row."""
    for size in np.unique(sizes):
        yield order[starts[sizes == size][:, None] + np.arange(size)]


def _left(
    own: Float64[np.ndarray, "cluster row column"], inverse: Float64[np.ndarray, "column column"]
) -> tuple[Float64[np.ndarray, "cluster row row"], Bool[np.ndarray, " cluster"]]:
    """I - H within clusters, and whether something of a cluster is fitted exactly."""
    left = np.eye(own.shape[1]) - own @ inverse @ own.transpose(0, 2, 1)
    return left, np.linalg.eigvalsh(left)[:, 0] < FULL_LEVERAGE


def _over_hat(
    x: Float64[np.ndarray, "row column"],
    e: Float64[np.ndarray, "row region"],
    inverse: Float64[np.ndarray, "column column"],
    sets: Sequence[Int[np.ndarray, "_ _"]],
) -> Float64[np.ndarray, "row region"]:
    """(I - H_gg)^-1 residuals, for all clusters of one size at once."""
    adjusted = np.empty_like(e)
    for rows in sets:
        left, exact = _left(x[rows], inverse)
        if exact.any():
            raise RunError(
                Reason.USAGE,
                "one subject alone carries a column of the model (the only one of a site or group?), so errors clustered by subject divide "
                "0 by 0; leave that subject out or merge its level",
            )
        adjusted[rows] = np.linalg.solve(left, e[rows])
    return adjusted


def satterthwaite_df(found: LinearFit, clusters: Int[np.ndarray, " row"], contrast: Float64[np.ndarray, " column"]) -> float:
    """Degrees of freedom of a contrast with errors ``CR3``, by Satterthwaite's approximation (Bell and McCaffrey 2002).

    Where few subjects carry a contrast (eight cases among thirty-two subjects) they are far fewer than subjects less one, and a test that
    took those would raise false alarms.
    """
    x = found.design * np.sqrt(found.weights)[:, None]
    direction, spread, crossed, own = found.inverse @ contrast, [], np.zeros((x.shape[1],) * 2), []
    for rows in _same_size(*_sorted_clusters(clusters)):
        pulls = np.linalg.solve(_left(x[rows], found.inverse)[0], (x[rows] @ direction)[:, :, None])[:, :, 0]
        scores = np.einsum("grc,gr->gc", x[rows], pulls)
        own.append(np.einsum("gc,cd,gd->g", scores, found.inverse, scores))
        spread.append((pulls**2).sum(axis=1) - own[-1])
        crossed += scores.T @ scores
    spreads, owns, product = np.concatenate(spread), np.concatenate(own), found.inverse @ crossed
    return float(spreads.sum() ** 2 / ((spreads**2).sum() + np.trace(product @ product) - (owns**2).sum()))


def contrast_effects(
    found: LinearFit,
    covariances: Float64[np.ndarray, "region column column"],
    contrast: Float64[np.ndarray, " column"],
    *,
    df: float | None = None,
    confidence: float = 0.95,
) -> Estimates:
    """A weighted sum of the coefficients in every region, tested against 0 with t.

    Parameters
    ----------
    found, covariances
        The fit, and `covariance` of it.
    contrast
        Weight of each column: one 1 among zeros for one coefficient.
    df
        Degrees of freedom; rows less columns by default; clusters less one for clustered errors.
    confidence
        Coverage of the interval.
    """
    estimate = contrast @ found.coefficients
    se = np.sqrt(np.einsum("i,rij,j->r", contrast, covariances, contrast))
    return student(estimate, se, float(found.df if df is None else df), confidence=confidence)


def student(
    estimate: Float64[np.ndarray, " region"], se: Float64[np.ndarray, " region"], df: float, *, confidence: float = 0.95
) -> Estimates:
    """Estimates with standard errors, tested against 0 with t on ``df`` degrees of freedom; an error of 0 is none, and nothing is tested.

    >>> found = student(np.array([2.0]), np.array([1.0]), 10.0)
    >>> round(float(found.p[0]), 4), round(float(found.low[0]), 4)
    (0.0734, -0.2281)
    """
    se = np.where(se > 0, se, np.nan)
    statistic = estimate / se
    half = stats.t.ppf((1 + confidence) / 2, df) * se
    return Estimates(estimate, se, statistic, df, 2 * stats.t.sf(np.abs(statistic), df), estimate - half, estimate + half)
