"""What people said of scans after looking at them: the table ``qc.tsv`` beside a cohort."""

from collections.abc import Sequence
from typing import Final

import pandas as pd

from hypojax.reason import RunError, visible
from hypojax.storage import Location
from hypojax.tables import read_table
from hypojax.tables.cells import MISSING, counted

RATINGS: Final = "qc.tsv"

ACCEPT, DOUBT, REJECT = "accept", "doubt", "reject"

WORDS: Final = {"accept": ACCEPT, "pass": ACCEPT, "ok": ACCEPT, "good": ACCEPT, "doubt": DOUBT, "reject": REJECT, "fail": REJECT}
"""Words of raters → what they stand for."""


def read_ratings(folder: Location | None) -> tuple[pd.DataFrame, list[str]]:
    """The table of ratings in a folder, columns ``scan``, ``rater``, ``rating``, ``time``; empty where there is none."""
    empty = pd.DataFrame(columns=["scan", "rater", "rating", "time"], dtype=object)
    if folder is None:
        return empty, []
    place = folder / RATINGS
    try:
        if not place.is_file():
            return empty, []
        table = read_table(place, all_text=True)
    except (OSError, RunError) as error:
        return empty, [f"ratings {visible(str(place))} cannot be read: {error}"]
    rows = pd.DataFrame([dict(row) for row in table.rows], columns=list(table.names), dtype=object)
    if not {"scan", "rating"} <= set(rows.columns):
        return empty, []
    return rows.reindex(columns=list(empty.columns)), [f"ratings of {visible(str(place))} were used"]


def latest_ratings(ratings: pd.DataFrame, scans: Sequence[str]) -> tuple[pd.Series, list[str]]:
    """What holds of each scan: the worst of the latest ratings of all raters; empty where nobody rated.

    Parameters
    ----------
    ratings
        Columns ``scan``, ``rater``, ``rating``, ``time``, in the order in which they were given; times in ISO 8601, or missing.
    scans
        All scans.

    Examples
    --------
    >>> said = {"scan": ["a", "a", "a"], "rater": ["x", "x", "y"], "rating": ["reject", "accept", "doubt"], "time": [None] * 3}
    >>> latest_ratings(pd.DataFrame(said), ["a", "b"])[0].tolist()
    ['doubt', '']
    """
    words = [WORDS.get(cell.casefold(), "") for cell in _texts(ratings["rating"])]
    strange = sorted({cell for cell, word in zip(_texts(ratings["rating"]), words, strict=True) if cell and not word})
    notes = (
        [f"{counted(len(strange), 'kind')} of ratings not known and not used: {', '.join(map(visible, strange[:3]))}"] if strange else []
    )
    table = pd.DataFrame(
        {"scan": _texts(ratings["scan"]), "rater": _texts(ratings["rater"]), "rating": words, "time": _texts(ratings["time"])}
    )
    unknown = len(set(table["scan"]) - set(scans))
    notes += [f"ratings: {counted(unknown, 'scan')} of them not among these"] if unknown else []
    last = table[table["rating"] != ""].sort_values("time", kind="stable").groupby(["scan", "rater"], sort=False).last()
    found = {word: set(last.index.get_level_values("scan")[last["rating"] == word]) for word in (ACCEPT, DOUBT, REJECT)}
    held = [next((word for word in (REJECT, DOUBT, ACCEPT) if scan in found[word]), "") for scan in scans]
    return pd.Series(held, index=list(scans), dtype=object), notes


def _texts(column: pd.Series) -> list[str]:
    """Cells as text without blanks at their ends; empty where they are missing."""
    texts = ["" if gone else str(cell).strip() for cell, gone in zip(column, column.isna(), strict=True)]
    return ["" if text in MISSING else text for text in texts]
