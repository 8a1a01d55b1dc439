"""Ratings of scans on the page: written into the cohort's ``qc.tsv`` at once, as ``hypojax report --serve`` does."""

from typing import Final

import pandas as pd

from hypojax.app.cohort_view import CohortView, inside
from hypojax.cohort.ratings import LEVELS, LONGEST, RATINGS, Rating, add_rating
from hypojax.reason import Reason, RunError, visible
from hypojax.reporting.rating_server import login_name

COLUMNS: Final = ("rater", "rating", "comment", "time")


def rate_scan(view: CohortView, scan: object, rating: object, comment: object, *, rater: str = "") -> None:
    """Write what somebody says of a scan; what others say meanwhile stays.

    Parameters
    ----------
    view
        The cohort.
    scan, rating, comment
        As a page sent them.
    rater
        Who says so. Default: the login name of whoever runs the server.

    Raises
    ------
    RunError
        ``NOTHING_FOUND``: the cohort has no such scan; ``USAGE``: no rating, or too long a comment; ``NOT_WRITABLE``, ``DISK_FULL``.
    """
    if not isinstance(scan, str) or scan not in view.scans.index:
        raise RunError(Reason.NOTHING_FOUND, f"there is no scan {visible(str(scan)[:80])!r} in this cohort; choose one of the list")
    if not isinstance(rating, str) or rating not in LEVELS:
        raise RunError(Reason.USAGE, f"choose a rating: {', '.join(LEVELS)}")
    said = "" if comment is None else comment
    if not isinstance(said, str) or len(said) > LONGEST:
        raise RunError(Reason.USAGE, f"write at most {LONGEST} characters as a comment")
    if not inside(view.folder / RATINGS, view.folder):
        raise RunError(Reason.NOT_WRITABLE, f"{RATINGS} of this cohort is a link to another folder; replace it by a file")
    add_rating(view.folder, Rating(scan, rating, comment=said, rater=rater or login_name()))


def ratings_of(view: CohortView, scan: str) -> pd.DataFrame:
    """What people said of a scan, the latest first: columns `COLUMNS`."""
    said = view.ratings()
    return said.loc[said["scan"] == scan, list(COLUMNS)].iloc[::-1].reset_index(drop=True)
