"""What pages show of ratings: the data of ``static/rating.js``, and the section of the cohort's page."""

import json
import math
from collections.abc import Sequence
from typing import Final

import pandas as pd

from hypojax.cohort.rater_agreement import RaterAgreement, rater_agreement
from hypojax.cohort.ratings import LEVELS, RATING_COLUMNS, REJECT, latest_ratings, latest_rows
from hypojax.metrics.resampling import Interval
from hypojax.pages.page import Block, Paragraph, TextTable
from hypojax.reporting.report_data import ReportData
from hypojax.tables.cells import counted

DATA_SCRIPT: Final = "static/rating-data.js"
"""File of the report that ``static/rating.js`` reads: scans with a page, and their ratings."""

RATING_SCRIPT: Final = "static/rating.js"

ENOUGH: Final = 2 * len(LEVELS) ** 2
"""Scans from which on the interval of kappa, that of large samples, means something (Cicchetti 1981: two a cell)."""

VARIABLE: Final = "hypojaxRating"


def rating_script(data: ReportData) -> bytes:
    """The data of ``rating.js``: scans with a page in the order of the report, and all ratings; nothing in a report to be shared."""
    if data.settings.share:
        return b""
    scans: list[list[str | int]] = [
        [scan, data.names[scan], data.files[scan], len(data.doubts.get(scan, ()))] for scan in data.order if scan in data.files
    ]
    return rating_data(scans, data.ratings)


def rating_data(scans: Sequence[Sequence[str | int]], ratings: pd.DataFrame) -> bytes:
    """The same from scans: id, name, file of the page and number of doubts of each."""
    return f"window.{VARIABLE} = {_json({'scans': scans, 'ratings': rating_rows(ratings)})};\n".encode()


def served_script(script: bytes, ratings: pd.DataFrame, *, cohort: str, rater: str) -> bytes:
    """The same under ``--serve``: with the ratings as they are now, and who rates.

    Parameters
    ----------
    script
        As `rating_script` made it.
    ratings
        As `hypojax.cohort.ratings.read_ratings` gives them.
    cohort
        What tells cohorts apart that one browser rates.
    rater
        Who rates.
    """
    served = {"cohort": cohort, "rater": rater, "ratings": rating_rows(ratings)}
    return script + f"if (window.{VARIABLE}) window.{VARIABLE}.served = {_json(served)};\n".encode()


def rating_rows(ratings: pd.DataFrame) -> list[list[str]]:
    """Ratings as lists of text, in the order of `RATING_COLUMNS`."""
    return [[str(cell) for cell in row] for row in ratings[list(RATING_COLUMNS)].itertuples(index=False)]


def rating_blocks(data: ReportData) -> list[Block]:
    """The section on ratings: how many scans have which, by rater, how far raters agree, and which scans are rejected."""
    scans = list(data.order)
    held, _ = latest_ratings(data.ratings, scans)
    rated = int((held != "").sum())
    if not rated:
        how = "" if data.settings.share else " The pages of scans have keys for it; hypojax report OUT --serve writes ratings into qc.tsv."
        return [Paragraph(f"None of the {counted(len(scans), 'scan')} was rated by hand when this page was made.{how}")]
    counts = [int((held == level).sum()) for level in LEVELS]
    said = ", ".join(f"{count} {level}" for count, level in zip(counts, LEVELS, strict=True))
    rule = "If raters disagree, the worst of their latest ratings counts; hypojax study leaves out rejected scans"
    blocks: list[Block] = [Paragraph(f"{rated} of {counted(len(scans), 'scan')} rated by hand: {said}. {rule}.")]
    known = data.ratings[data.ratings["scan"].isin(scans)]
    blocks.append(_by_rater(known))
    if agreements := rater_agreement(known):
        blocks.append(_agreements(agreements))
    rejected = [scan for scan in scans if held[scan] == REJECT]
    return [*blocks, _rejected(data, known, rejected)] if rejected else blocks


def _by_rater(ratings: pd.DataFrame) -> TextTable:
    last = latest_rows(ratings)
    rows = [
        [
            str(rater) or "not named",
            str(len(rows)),
            *(str(int((rows["rating"] == level).sum())) for level in LEVELS),
            rows["time"].iloc[-1][:10],
        ]
        for rater, rows in last.groupby("rater", sort=False)
    ]
    return TextTable(["rater", "scans", *LEVELS, "latest"], rows, title="By rater")


def _agreements(agreements: Sequence[RaterAgreement]) -> TextTable:
    rows = [
        [
            f"{one.first or 'not named'} and {one.second or 'not named'}",
            str(one.scans),
            str(one.alike),
            _kappa(one.kappa, one.scans),
            _kappa(one.weighted, one.scans),
        ]
        for one in agreements
    ]
    return TextTable(
        ["raters", "scans both rated", "rated alike", "Cohen's kappa (95 % interval)", "linearly weighted (95 % interval)"],
        rows,
        title="Agreement of raters",
    )


def _kappa(kappa: Interval, scans: int) -> str:
    """Kappa with its interval; what is missing of it, in words."""
    if math.isnan(kappa.estimate):
        return "none: one rating for all"
    if math.isnan(kappa.low) or scans < ENOUGH:
        return f"{kappa.estimate:.2f} (no interval: {'alike on all' if math.isnan(kappa.low) else f'fewer than {ENOUGH} scans'})"
    return f"{kappa.estimate:.2f} ({kappa.low:.2f} to {kappa.high:.2f})"


def _rejected(data: ReportData, ratings: pd.DataFrame, scans: Sequence[str]) -> TextTable:
    """Scans that are rejected, with who did so and why."""
    last = latest_rows(ratings)
    said = last[(last["rating"] == REJECT) & last["scan"].isin(list(scans))]
    rows = [[data.names[scan], rater or "not named", comment, time[:10]] for scan, _, comment, rater, time in rating_rows(said)]
    return TextTable(["scan", "rater", "comment", "date"], rows, title="Rejected scans", words=True)


def _json(value: object) -> str:
    """JSON in a script, which no browser takes for markup."""
    return json.dumps(value).replace("<", "\\u003c")
