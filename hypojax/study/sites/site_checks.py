"""When differences between sites cannot be removed: too few scans, one site, or a site that is one with a group."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from jaxtyping import Float64

from hypojax.reason import Reason, RunError, visible
from hypojax.study.formulas.design import check_rank

LEAST_AT_SITE: Final = 5
"""Scans of a site below which it is refused. The variance of a site is estimated on n - 1 degrees of freedom: with five scans its 95 %
interval goes from 0.36 to 8.3 times the estimate, with four from 0.32 to 13.9 times; shrinkage over a dozen features cannot mend that."""

GOOD_AT_SITE: Final = 20
"""Scans of a site below which a note is given: 20 to 30 are advised (Orlhac 2022)."""


def check_sites(counts: pd.Series, reference: str | None) -> list[str]:
    """Notes on small sites.

    Parameters
    ----------
    counts
        Site → scans that take part.
    reference
        Site that stays as it is.

    Raises
    ------
    RunError
        ``USAGE``: there is one site, a site is tiny, or there is no such reference.

    Examples
    --------
    >>> check_sites(pd.Series({"A": 40, "B": 12}), None)
    ['site B has 12 scans; with fewer than 20 its variance is known roughly only']
    """
    named = ", ".join(f"{visible(str(site))} ({count})" for site, count in counts.items())
    if len(counts) < 2:
        raise RunError(
            Reason.USAGE, f"harmonisation needs two sites or more, and all scans are of {named or 'none'}; name the column of sites"
        )
    if reference is not None and reference not in counts.index:
        raise RunError(Reason.USAGE, f"reference site {visible(reference)!r}: no scan that takes part is of it; sites: {named}")
    if tiny := [(site, count) for site, count in counts.items() if count < LEAST_AT_SITE]:
        site, count = tiny[0]
        raise RunError(
            Reason.USAGE,
            f"site {visible(str(site))!r} has {count} scans with all covariates, and harmonisation needs {LEAST_AT_SITE} or more "
            "of each site: its variance cannot be estimated; leave these scans out, or join the site with one that has the same scanner",
        )
    small = [(site, count) for site, count in counts.items() if count < GOOD_AT_SITE]
    return [
        f"site {visible(str(site))} has {count} scans; with fewer than {GOOD_AT_SITE} its variance is known roughly only"
        for site, count in small
    ]


def check_confounding(
    site: Sequence[str], sites: Sequence[str], covariates: Float64[np.ndarray, "row covariate"], names: Sequence[str]
) -> None:
    """Refuse sites that are one with a covariate.

    Parameters
    ----------
    site
        Site of each row.
    sites
        All sites.
    covariates, names
        What is kept, without an intercept.

    Raises
    ------
    RunError
        ``USAGE``: a covariate is a sum of sites and other covariates.

    Examples
    --------
    >>> check_confounding(["A", "A", "B"], ["A", "B"], np.array([[1.0], [1.0], [0.0]]), ["grouppatient"])
    Traceback (most recent call last):
    hypojax.reason.RunError: sites and grouppatient are one: ...
    """
    indicator = (np.array(site)[:, None] == np.array(sites)).astype(float)
    found = check_rank(np.hstack([indicator, covariates]), [*(f"site {one}" for one in sites), *names])
    if found is None:
        return
    column, others = found
    of_sites = [visible(one.removeprefix("site ")) for one in others if one.startswith("site ")]
    raise RunError(
        Reason.USAGE,
        f"sites and {visible(column)} are one: {visible(column)} follows from the site ({', '.join(of_sites) or 'with other covariates'}), "
        "so that removing the sites would remove it too, and no method can tell them apart; take sites that have people of each kind, "
        "leave this term out of the formula, or analyse each site by itself",
    )
