"""Norms at a new site: the shift and scale of its z-scores, from a few of its controls."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy import stats

from hypojax.reason import Reason, RunError, visible

LEAST_CONTROLS: Final = 10
"""Controls of a site below which there is no transfer: with ten the shift is known to 0.32 SD and the scale to 24 % (standard errors)."""

ONE_SITE: Final = "this site"
"""Name of the site where no column of sites is known."""

Scores = Float64[np.ndarray, "scan region"]


class Transfer(NamedTuple):
    """What the z-scores of a site's controls say of it, by region.

    Parameters
    ----------
    shift, shift_se
        Mean of z and its standard error, SD / √n.
    scale, scale_se
        SD of z and its standard error, SD / √(2 (n - 1)).
    n
        Controls with this region.
    """

    shift: Float64[np.ndarray, " region"]
    shift_se: Float64[np.ndarray, " region"]
    scale: Float64[np.ndarray, " region"]
    scale_se: Float64[np.ndarray, " region"]
    n: Float64[np.ndarray, " region"]


def site_names(people: pd.DataFrame) -> Sequence[str]:
    """Site of each scan."""
    return [str(site) for site in people["site"]] if "site" in people else [ONE_SITE] * len(people)


def site_transfers(scores: Scores, people: pd.DataFrame, controls: Sequence[str]) -> dict[str, Transfer]:
    """The transfer of each site that has controls; each person counts once.

    Raises
    ------
    RunError
        ``USAGE``: a scan that is not there, or too few controls of a site.
    """
    if unknown := [one for one in controls if one not in people.index]:
        raise RunError(
            Reason.USAGE, f"transfer: no scan {visible(str(unknown[0]))!r} in this table; name scans of controls as they are there"
        )
    chosen = np.asarray(people.index.isin(list(controls)))
    if "subject" in people:
        chosen &= ~(people["subject"].where(chosen).duplicated() & people["subject"].notna() & chosen).to_numpy()
    sites = np.array(site_names(people), object)
    return {str(site): _transfer(scores[chosen & (sites == site)], str(site)) for site in sorted(set(sites[chosen]))}


def moved_scores(
    scores: Scores, errors: Scores, people: pd.DataFrame, transfers: Mapping[str, Transfer], *, confidence: float
) -> tuple[Scores, Scores, Scores]:
    """Scores of the sites after the transfer, their standard errors, and the quantile of t of their intervals (NaN without a transfer).

    z' = (z - shift) / scale, with variance se² / scale² + 1 / n + z'² / (2 (n - 1)).
    """
    scores, errors, factor = scores.copy(), errors.copy(), np.full(scores.shape, np.nan)
    sites = np.array(site_names(people), object)
    for site, one in transfers.items():
        rows = sites == site
        moved = (scores[rows] - one.shift) / one.scale
        errors[rows] = np.sqrt((errors[rows] / one.scale) ** 2 + 1 / one.n + moved**2 / (2 * (one.n - 1)))
        scores[rows] = moved
        factor[rows] = stats.t.ppf((1 + confidence) / 2, one.n - 1)
    return scores, errors, factor


def _transfer(scores: Scores, site: str) -> Transfer:
    """Mean and SD of the controls of a site."""
    n = np.isfinite(scores).sum(axis=0).astype(float)
    if n.size and n.max() < LEAST_CONTROLS:
        raise RunError(
            Reason.USAGE,
            f"transfer: site {visible(site)!r} has {int(n.max())} controls with scores, and a transfer needs {LEAST_CONTROLS} or more; "
            "take more controls, or harmonise the sites together before norms are fitted",
        )
    enough = n >= LEAST_CONTROLS
    shift, scale = (np.full(len(n), np.nan) for _ in range(2))
    shift[enough], scale[enough] = np.nanmean(scores[:, enough], axis=0), np.nanstd(scores[:, enough], axis=0, ddof=1)
    n[~enough] = np.nan
    return Transfer(shift, scale / np.sqrt(n), scale, scale / np.sqrt(2 * (n - 1)), n)
