"""Permutation tests of one contrast in all regions at once, by Freedman and Lane (1983), with family-wise p by the largest |t|.

Their procedure: take the nuisance terms out of the volumes, permute what is left between people, add it back, fit the whole model again
and take t. Here nothing is added back or fitted again: with Q an orthonormal basis of the design whose last column is the part of the
contrast's regressor that no nuisance term explains, and e the residuals of the nuisance model, t* follows from Q' P e and |e|² alone; and
Q' P e = (P' Q)' e, so the rows of Q are permuted instead of the residuals of every region (Winkler and others 2014).
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy import linalg

from hypojax.reason import Reason, RunError
from hypojax.study.models.exchange import ALWAYS_ALL, Exchange
from hypojax.study.models.linear import COLLINEAR, FULL_LEVERAGE, complete_patterns

TIE: Final = 1e-9
"""|t*| that is smaller than |t| by this counts as equal: it differs in the last bits only."""

BATCH: Final = 1_000_000
"""Numbers of permuted designs held at once."""

BLOCK: Final = 4096
"""Rows that are permuted and multiplied at once."""

THREADS: Final = 4


class Permuted(NamedTuple):
    """A contrast tested by permutation.

    Parameters
    ----------
    statistic
        t of the data as they are.
    p
        Two-sided: the share of permutations with |t*| >= |t|, the data as they are among them.
    p_fwer
        The same of the largest |t*| over regions: corrected for the number of regions (family-wise error).
    as_large, of
        How many of how many; ``p`` is their ratio.
    exact
        Whether these were all permutations there are, once each.
    """

    statistic: Float64[np.ndarray, " region"]
    p: Float64[np.ndarray, " region"]
    p_fwer: Float64[np.ndarray, " region"]
    as_large: Int64[np.ndarray, " region"]
    of: int
    exact: bool


def freedman_lane(
    design: Float64[np.ndarray, "row column"],
    volumes: Float64[np.ndarray, "row region"],
    contrast: Float64[np.ndarray, " column"],
    *,
    permutations: int = 10_000,
    seed: int = 0,
    exchange: Exchange | None = None,
    weights: Float64[np.ndarray, "row region"] | None = None,
) -> Permuted:
    """Test a contrast by permutation.

    Parameters
    ----------
    design
        Design matrix of full rank; all columns but the contrast's regressor are nuisance terms.
    volumes
        Volumes; NaN where a scan has none. Such a region is permuted among the scans that have it, in the order of the same permutation.
    contrast
        Weight of each coefficient.
    permutations
        How many to draw. Where there are no more than this (or than ``ALWAYS_ALL``) all are used, and p is exact.
    seed
        Of the random permutations.
    exchange
        Who may change places with whom; all with all by default.
    weights
        Positive weight of each volume: the weighted volumes are permuted.

    Raises
    ------
    RunError
        Nothing can be exchanged, or fewer than one permutation was asked for.

    Examples
    --------
    >>> found = freedman_lane(np.array([[1.0, 0], [1, 0], [1, 1], [1, 1]]), np.array([[1.0], [2], [5], [9]]), np.array([0.0, 1]))
    >>> int(found.as_large[0]), found.of, found.exact
    (8, 24, True)
    """
    models = []
    for regions, rows in complete_patterns(volumes):
        for some in [regions] if weights is None else [regions[[i]] for i in range(len(regions))]:
            own = None if weights is None else weights[rows, some[0]]
            models.append((some, PermutedModel(design[rows], volumes[np.ix_(rows, some)], contrast, rows, own)))
    found = permute([model for _, model in models], permutations=permutations, seed=seed, exchange=exchange or Exchange.of(len(design)))
    place = np.concatenate([some for some, _ in models])
    numbers = [np.full(volumes.shape[1], np.nan) for _ in range(3)]
    for values, ours in zip(numbers, (found.statistic, found.p, found.p_fwer), strict=True):
        values[place] = ours
    as_large = np.zeros(volumes.shape[1], np.int64)
    as_large[place] = found.as_large
    return Permuted(numbers[0], numbers[1], numbers[2], as_large, found.of, found.exact)


@dataclass(frozen=True)
class PermutedModel:
    """Regions that are fitted by one design, and the contrast that is tested in it.

    Parameters
    ----------
    design, volumes
        Of the rows that have all volumes.
    contrast
        Weight of each coefficient.
    rows
        Which rows of all these are.
    weights
        Positive weight of each row; none: 1.
    robust
        Whether t has HC3 errors: permuting it holds its level also where the variances of groups differ (Janssen 1997, DiCiccio and Romano
        2017), which the classical t does not: with 20 cases, 80 controls and three times the deviation in cases it raises 26 % false
        alarms at .05, the robust one 6 %.
    """

    design: Float64[np.ndarray, "row column"]
    volumes: Float64[np.ndarray, "row region"]
    contrast: Float64[np.ndarray, " column"]
    rows: Bool[np.ndarray, " all"]
    weights: Float64[np.ndarray, " row"] | None = None
    robust: bool = False


def permute(
    models: Sequence[PermutedModel],
    *,
    permutations: int,
    seed: int,
    exchange: Exchange,
    families: Int64[np.ndarray, " region"] | None = None,
) -> Permuted:
    """Test one contrast in the regions of several models by the same permutations.

    Parameters
    ----------
    models
        They may differ in their columns, and in the rows that they have.
    permutations, seed, exchange
        As in `freedman_lane`; ``exchange`` is of all rows.
    families
        Number of the family of each region, in the order of the models: the largest |t| is taken within it. One family by default.

    Returns
    -------
    Results of all regions, in the order of the models.
    """
    if permutations < 1:
        raise RunError(Reason.USAGE, f"{permutations} permutations were asked for; ask for at least 1, better 10000")
    regions = sum(model.volumes.shape[1] for model in models)
    families = np.zeros(regions, np.int64) if families is None else families
    test = _Test(tuple(_parts(models, exchange)), exchange, families)
    observed = test.observed()
    exact = test.is_in_step and exchange.count() <= max(permutations, ALWAYS_ALL)
    batch = max(1, BATCH // max(model.design.size for model in models))
    if exact:
        counts = [test.counted(orders, observed, (seed, 0)) for orders in exchange.all(batch)]
    else:
        counts = _random_counts(test, observed, permutations, batch=batch, seed=seed)
    # The data as they are is one of all permutations, but hardly ever met by random ones.
    observed_too = int(not exact)
    count = np.sum([one.each for one in counts], axis=0) + observed_too
    largest = np.sum([one.largest for one in counts], axis=0) + observed_too
    of = sum(one.of for one in counts) + observed_too
    there = np.isfinite(observed)
    return Permuted(observed, np.where(there, count / of, np.nan), np.where(there, largest / of, np.nan), count, of, exact)


class _Counts(NamedTuple):
    """How many permutations gave as much as was observed: in this region, and in any."""

    each: Int64[np.ndarray, " region"]
    largest: Int64[np.ndarray, " region"]
    of: int


@dataclass(frozen=True)
class _Part:
    """Regions that share the rows (and weights) of one design.

    Parameters
    ----------
    regions, rows
        Which.
    basis
        Orthonormal columns of the design; the last one is what the contrast's estimate is made of.
    residuals
        Of the nuisance model.
    squares
        Their sums of squares.
    exchange
        Own rules, where blocks have lost rows; None: those of the whole.
    loads
        For HC3 errors: what squared residuals count in the variance of the estimate; None for the classical t.
    """

    regions: Int64[np.ndarray, " region"]
    rows: Bool[np.ndarray, " all"]
    basis: Float64[np.ndarray, "row column"]
    residuals: Float64[np.ndarray, "row region"]
    squares: Float64[np.ndarray, " region"]
    exchange: Exchange | None
    loads: Float64[np.ndarray, " row"] | None

    @cached_property
    def columns(self) -> Float64[np.ndarray, "row column"]:
        """Columns that are multiplied with the residuals: the basis, and for HC3 errors the basis times the loads."""
        return self.basis if self.loads is None else np.column_stack([self.basis, self.basis * self.loads[:, None]])

    @cached_property
    def squared(self) -> Float64[np.ndarray, "row region"]:
        """Squared residuals."""
        return self.residuals**2

    @cached_property
    def crossed(self) -> Float64[np.ndarray, "column column"]:
        """The basis times the loads times the basis."""
        return self.basis.T @ self.columns[:, self.basis.shape[1] :]

    def statistics(self, orders: Int64[np.ndarray, "order row"]) -> Float64[np.ndarray, "order region"]:
        """Statistics t with the rows of the design permuted by ``orders``, which permutes the residuals by their inverse."""
        rows, count = self.basis.shape
        found, loaded = self._products(orders)
        if self.loads is None:
            variance = (self.squares - (found**2).sum(axis=1)) / (rows - count)
        else:  # the sum of loads times (e - Q u)², multiplied out
            estimate, weighted = found[:, :count], found[:, count:]
            within = np.einsum("bir,ij,bjr->br", estimate, self.crossed, estimate)
            variance = loaded - 2 * (estimate * weighted).sum(axis=1) + within
        with np.errstate(divide="ignore", invalid="ignore"):
            return found[:, count - 1] / np.sqrt(np.maximum(variance, 0.0))

    def _products(
        self, orders: Int64[np.ndarray, "order row"]
    ) -> tuple[Float64[np.ndarray, "order column region"], Float64[np.ndarray, "order region"]]:
        """Permuted columns times residuals, and permuted loads times squared residuals (0 without loads).

        A block of rows at a time, which fits the cache.
        """
        moved = self.columns if self.loads is None else np.column_stack([self.columns, self.loads])
        count = self.columns.shape[1]
        found = np.zeros((len(orders), count, self.residuals.shape[1]))
        loaded = np.zeros((len(orders), self.residuals.shape[1]))
        for start in range(0, orders.shape[1], BLOCK):
            rows = slice(start, start + BLOCK)
            some = orders[:, rows]
            permuted = moved.take(some.ravel(), axis=0).reshape(*some.shape, -1).transpose(0, 2, 1)
            found += np.matmul(permuted[:, :count], self.residuals[rows])
            if self.loads is not None:
                loaded += np.matmul(permuted[:, -1], self.squared[rows])
        return found, loaded


@dataclass(frozen=True)
class _Test:
    """All regions with their designs, and the rules of exchange."""

    parts: tuple[_Part, ...]
    exchange: Exchange
    families: Int64[np.ndarray, " region"]

    @property
    def is_in_step(self) -> bool:
        """Whether all regions follow the same permutations."""
        return all(part.exchange is None for part in self.parts)

    def observed(self) -> Float64[np.ndarray, " region"]:
        """Statistics t of the data as they are."""
        found = np.full(self.families.size, np.nan)
        for part in self.parts:
            found[part.regions] = part.statistics(np.arange(len(part.basis))[None])[0]
        return found

    def counted(self, orders: Int64[np.ndarray, "order row"], observed: Float64[np.ndarray, " region"], seed: tuple[int, int]) -> _Counts:
        """Permutations with as large a |t| as observed."""
        found = np.full((len(orders), self.families.size), np.nan)
        for part in self.parts:
            found[:, part.regions] = np.abs(part.statistics(self._own(part, orders, seed)))
        least = np.abs(observed) - TIE
        known, largest = np.where(np.isnan(found), -np.inf, found), np.empty_like(found)
        for one in np.unique(self.families):
            own = self.families == one
            largest[:, own] = known[:, own].max(axis=1, keepdims=True)
        return _Counts((found >= least).sum(axis=0), (largest >= least).sum(axis=0), len(orders))

    def _own(self, part: _Part, orders: Int64[np.ndarray, "order row"], seed: tuple[int, int]) -> Int64[np.ndarray, "order some"]:
        if part.exchange is not None:
            return part.exchange.draw(len(orders), seed=seed)
        return orders if part.rows.all() else self.exchange.restricted(orders, part.rows)


def _random_counts(test: _Test, observed: Float64[np.ndarray, " region"], permutations: int, *, batch: int, seed: int) -> list[_Counts]:
    """Counts of random permutations, in threads; each batch has a seed of its own, so that their number changes nothing."""

    def one(start: int) -> _Counts:
        own = (seed, start)
        return test.counted(test.exchange.draw(min(batch, permutations - start), seed=own), observed, own)

    pool = ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1))
    try:
        return list(pool.map(one, range(0, permutations, batch)))
    finally:  # Ctrl-C ends it after the batches that are being counted
        pool.shutdown(cancel_futures=True)


def _parts(models: Sequence[PermutedModel], exchange: Exchange) -> Iterator[_Part]:
    """What permutations need of each model."""
    first = 0
    for model in models:
        root = np.ones((len(model.design), 1)) if model.weights is None else np.sqrt(model.weights)[:, None]
        basis = contrast_basis(model.design * root, model.contrast)
        nuisance, volumes = basis[:, :-1], model.volumes * root
        residuals = volumes - nuisance @ (nuisance.T @ volumes)
        regions = np.arange(first, first + model.volumes.shape[1])
        own = None if model.rows.all() or exchange.is_single else exchange.among(model.rows)
        yield _Part(regions, model.rows, basis, residuals, (residuals**2).sum(axis=0), own, _loads(basis) if model.robust else None)
        first += model.volumes.shape[1]


def _loads(basis: Float64[np.ndarray, "row column"]) -> Float64[np.ndarray, " row"]:
    """Squared weight of each row in the estimate over (1 - leverage)²; 0 for a row that is fitted exactly."""
    free = 1 - (basis**2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(free > FULL_LEVERAGE, (basis[:, -1] / free) ** 2, 0.0)


def contrast_basis(
    design: Float64[np.ndarray, "row column"], contrast: Float64[np.ndarray, " column"]
) -> Float64[np.ndarray, "row column"]:
    """Orthonormal basis of a design: first the nuisance space (fits in which the contrast is 0), last what its estimate is made of.

    The estimate of c'b is a'y with a = X (X'X)^-1 c, and the fits with c'b = 0 are those orthogonal to a (after Beckmann and others 2003).

    Raises
    ------
    RunError
        Fewer rows than columns and one, or collinear columns.
    """
    rows, count = design.shape
    q, r = np.linalg.qr(design)
    if rows <= count or (np.abs(np.diag(r)) <= COLLINEAR * np.linalg.norm(design, axis=0)).any():
        raise RunError(
            Reason.USAGE, f"{rows} scans are too few for a model of {count} columns, or columns follow from others; take terms out"
        )
    direction = linalg.solve_triangular(r, contrast, trans="T")
    full, sign = np.linalg.qr(direction[:, None], mode="complete")
    return q @ np.column_stack([full[:, 1:], full[:, 0] * np.sign(sign[0, 0])])
