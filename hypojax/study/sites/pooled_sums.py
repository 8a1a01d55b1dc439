"""A linear model of several sites from their sums (`hypojax.study.sites.site_sums`), equal to that of all their people together.

The model has an intercept of its own for every site, so only products within sites count (Frisch and Waugh 1933): these add up over
sites, and give estimates and classical errors exactly. What sums cannot give, and what is therefore not made: robust errors (HC3
needs each person's residual, which depends on the joint estimate), permutations, influence of single people, and a test
of equal variances. Where variances differ between groups, classical errors are wrong: compare the residual variances of sites.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64

from hypojax.reason import Reason, RunError, visible
from hypojax.study.models.effect import Effect, effect_rows
from hypojax.study.models.linear import student
from hypojax.study.sites.site_sums import Levels, SiteSums

METHOD: Final = "linear model from sums of sites, classical, t"

COLLINEAR: Final = 1e-10
"""Share of a column's squares within sites that must be left once the other columns are taken out."""

UNLIKE: Final = 3.0
"""How many times larger a site's mean may be than the median of sites before other units are suspected."""

Square = Float64[np.ndarray, "column column"]


@dataclass(frozen=True)
class PooledFit:
    """Linear model of several sites.

    Parameters
    ----------
    columns
        Names as R gives them: ``(Intercept)`` of the first site, ``grouppatient`` …, ``siteB`` against the first site.
    terms
        Term of each column.
    contrasts
        What each column compares: ``patient - control``; empty for numbers.
    regions, unit
        Of the volumes.
    coefficients
        In units of the volumes per unit of the column.
    inverse
        (X'X)^-1.
    sigma
        Residual standard deviation.
    df
        People less columns.
    people
        Of each site.
    notes
        What is worth knowing, one sentence each.
    """

    columns: tuple[str, ...]
    terms: tuple[str, ...]
    contrasts: tuple[str, ...]
    regions: tuple[str, ...]
    unit: str
    coefficients: Float64[np.ndarray, "column region"]
    inverse: Square
    sigma: Float64[np.ndarray, " region"]
    df: int
    people: Mapping[str, int]
    notes: tuple[str, ...]

    @property
    def errors(self) -> Float64[np.ndarray, "column region"]:
        """Classical standard errors."""
        return np.asarray(np.sqrt(np.diag(self.inverse))[:, None] * self.sigma, np.float64)


def pool_sums(sites: Sequence[SiteSums], *, references: Mapping[str, str]) -> PooledFit:
    """The model of all sites' people from their sums.

    Parameters
    ----------
    sites
        At least one; the same formula, unit and regions.
    references
        Column of the formula → the category that others are compared with; by default the first in the alphabet.

    Raises
    ------
    RunError
        USAGE: sites do not fit together, or what is asked is the same as the site.
    """
    _check_alike(sites)
    levels = _levels(sites, references)
    kept = _kept_columns(sites, levels)
    _check_levels(sites, levels)
    parts = [_placed(one, kept) for one in sites]
    within, across = sum(part[1] for part in parts), sum(part[2] for part in parts)
    squares = sum(one.volume_squares for one in sites)
    inverse = _inverse(np.asarray(within), kept)
    slopes = inverse @ across
    df = sum(one.people for one in sites) - len(sites) - len(kept)
    if df < 1:
        raise RunError(Reason.USAGE, "there are no more people than coefficients: take terms out of the formula")
    sigma = np.sqrt(np.maximum(squares - (slopes * across).sum(axis=0), 0.0) / df)
    intercepts = np.stack([one.volume_means - part[0] @ slopes for one, part in zip(sites, parts, strict=True)])
    coefficients, covariance = _with_sites(
        intercepts, slopes, inverse, means=[part[0] for part in parts], people=[one.people for one in sites]
    )
    first, *others = [one.site for one in sites]
    return PooledFit(
        columns=("(Intercept)", *map(_name, kept), *(f"site{site}" for site in others)),
        terms=("(Intercept)", *(":".join(name for name, _ in one) for one in kept), *("site" for _ in others)),
        contrasts=("", *(_contrast(one, levels) for one in kept), *(f"{site} - {first}" for site in others)),
        regions=sites[0].regions,
        unit=sites[0].unit,
        coefficients=coefficients,
        inverse=covariance,
        sigma=sigma,
        df=df,
        people={one.site: one.people for one in sites},
        notes=tuple(_unlike(sites)),
    )


def pooled_effects(found: PooledFit, *, confidence: float = 0.95) -> list[Effect]:
    """Effects of a pooled model, as `hypojax study` writes them; intercepts are left out."""
    effects = list[Effect]()
    n = sum(found.people.values())
    for column, term in enumerate(found.terms):
        if term == "(Intercept)":
            continue
        made = student(found.coefficients[column], found.errors[column], float(found.df), confidence=confidence)
        contrast = found.contrasts[column]
        quantity = "interaction" if ":" in term else "difference" if contrast else "slope"
        effects += effect_rows(made, found.regions, n=n, term=term, contrast=contrast, quantity=quantity, method=METHOD, unit=found.unit)
    return effects


def _check_alike(sites: Sequence[SiteSums]) -> None:
    """Refuse sites that do not fit together."""
    if not sites:
        raise RunError(Reason.USAGE, "no file of sums was given: write one at each site with hypojax study --summaries")
    names = [one.site for one in sites]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise RunError(Reason.USAGE, f"two files are of site {visible(twice[0])}: give one file a site, or the sites different names")
    first = sites[0]
    for one in sites[1:]:
        for what in ("formula", "unit", "regions"):
            mine, other = getattr(first, what), getattr(one, what)
            if mine != other:
                raise RunError(
                    Reason.USAGE,
                    f"sites {visible(first.site)} and {visible(one.site)} have another {what}: {_shown(mine)} and "
                    f"{_shown(other)}; agree on one and write the sums again",
                )


def _shown(value: object) -> str:
    return visible(", ".join(value) if isinstance(value, tuple) else repr(value))


def _levels(sites: Sequence[SiteSums], references: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Factor → its categories over all sites, the reference first; none for numbers."""
    found: dict[str, set[str]] = {}
    for one in sites:
        for name, level in (part for column in one.columns for part in column):
            found.setdefault(name, set()).add(level)
    ordered = {}
    for name, levels in found.items():
        reference = references.get(name)
        if reference is not None and reference not in levels:
            raise RunError(
                Reason.USAGE,
                f"no site has {visible(name)} {visible(reference)}: the categories are {', '.join(map(visible, sorted(levels)))}",
            )
        ordered[name] = tuple(sorted(levels, key=lambda level: (level != reference, level)))
    return ordered


def _kept_columns(sites: Sequence[SiteSums], levels: Mapping[str, tuple[str, ...]]) -> tuple[Levels, ...]:
    """Columns without those of references: treatment coding; in the order of the formula, then of the categories."""
    names = list(dict.fromkeys(tuple(name for name, _ in column) for one in sites for column in one.columns))
    every = {column for one in sites for column in one.columns}
    place = {(name, level): number for name, known in levels.items() for number, level in enumerate(known)}
    kept = [column for column in every if all(not level or place[name, level] > 0 for name, level in column)]
    return tuple(sorted(kept, key=lambda column: (names.index(tuple(name for name, _ in column)), [place[part] for part in column])))


def _check_levels(sites: Sequence[SiteSums], levels: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse a factor that is a number at one site and has categories at another, and one that does not vary."""
    for name, known in levels.items():
        if "" in known and len(known) > 1:
            raise RunError(
                Reason.USAGE, f"{visible(name)} is a number at one site and has categories at another: write C({visible(name)}) everywhere"
            )
        if known != ("",) and len(known) == 1:
            raise RunError(
                Reason.USAGE, f"everybody at all {len(sites)} sites has {visible(name)} {visible(known[0])}: take it out of the formula"
            )


def _placed(one: SiteSums, kept: Sequence[Levels]) -> tuple[Float64[np.ndarray, " column"], Square, Float64[np.ndarray, "column region"]]:
    """A site's means and products in the columns of the model; 0 where it has nobody."""
    number = {column: place for place, column in enumerate(one.columns)}
    here = np.array([column in number for column in kept], dtype=bool)
    there = np.array([number[column] for column in kept if column in number], dtype=np.int64)
    means, products, across = np.zeros(len(kept)), np.zeros((len(kept), len(kept))), np.zeros((len(kept), len(one.regions)))
    means[here], products[np.ix_(here, here)], across[here] = (
        one.means[there],
        one.products[np.ix_(there, there)],
        one.volume_products[there],
    )
    return means, products, across


def _inverse(within: Square, kept: Sequence[Levels]) -> Square:
    """Inverse of the products within sites, scaled to unit columns before.

    Raises
    ------
    RunError
        A column does not vary within sites, or follows from others.
    """
    scale = np.sqrt(np.diag(within))
    if not (flat := scale > 0).all():
        raise RunError(Reason.USAGE, _same_as_site(kept, ~flat))
    scaled = within / np.outer(scale, scale)
    values, vectors = np.linalg.eigh(scaled)
    if len(values) and values[0] < COLLINEAR:
        raise RunError(Reason.USAGE, _same_as_site(kept, np.abs(vectors[:, 0]) > 0.1))
    return np.asarray(np.linalg.inv(scaled) / np.outer(scale, scale), np.float64)


def _same_as_site(kept: Sequence[Levels], which: Bool[np.ndarray, " column"]) -> str:
    named = ", ".join(visible(_name(column)) for column, is_one in zip(kept, which.tolist(), strict=True) if is_one)
    return (
        f"within sites, {named} cannot be told apart from the site or from each other: take a term out of the formula, or add sites "
        "that have both"
    )


def _with_sites(
    intercepts: Float64[np.ndarray, "site region"],
    slopes: Float64[np.ndarray, "column region"],
    inverse: Square,
    *,
    means: Sequence[Float64[np.ndarray, " column"]],
    people: Sequence[int],
) -> tuple[Float64[np.ndarray, "all region"], Float64[np.ndarray, "all all"]]:
    """Coefficients and (X'X)^-1 of intercept, columns, and sites against the first."""
    m = np.stack(means)
    every = np.block([[np.diag(1 / np.array(people, np.float64)) + m @ inverse @ m.T, -m @ inverse], [-inverse @ m.T, inverse]])
    count, columns = len(people), len(inverse)
    turn = np.zeros((count + columns, count + columns))
    turn[0, 0] = 1
    turn[1 : 1 + columns, count:] = np.eye(columns)
    turn[1 + columns :, 1:count] = np.eye(count - 1)
    turn[1 + columns :, 0] = -1
    return turn @ np.concatenate([intercepts, slopes]), turn @ every @ turn.T


def _name(column: Levels) -> str:
    return ":".join(f"{name}{level}" for name, level in column)


def _contrast(column: Levels, levels: Mapping[str, tuple[str, ...]]) -> str:
    """What a column compares; of an interaction, each of its categories."""
    return ", ".join(f"{level} - {levels[name][0]}" for name, level in column if level)


def _unlike(sites: Sequence[SiteSums]) -> list[str]:
    """A sentence for every number or volume whose mean at a site is far from that of others, as in other units."""
    found = []
    for name in dict.fromkeys(_name(column) for one in sites for column in one.columns if len(column) == 1 and not column[0][1]):
        found += _far(name, {one.site: float(one.means[[_name(column) for column in one.columns].index(name)]) for one in sites})
    for number, region in enumerate(sites[0].regions):
        found += _far(region, {one.site: float(one.volume_means[number]) for one in sites})
    return found


def _far(name: str, means: Mapping[str, float]) -> list[str]:
    middle = float(np.median(list(means.values())))
    return [
        f"{visible(name)}: the mean at site {visible(site)} is {mean:.4g}, and {middle:.4g} is usual at the sites: is it in another unit?"
        for site, mean in means.items()
        if middle > 0 and not middle / UNLIKE <= mean <= middle * UNLIKE
    ]
