"""What pages show of ratings: the section of the cohort's page, and the data of the script that rates."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr
from report_cohorts import HOSTILE

from hypojax.cohort.ratings import RATING_COLUMNS
from hypojax.pages.page import Paragraph, TextTable
from hypojax.reporting.rating_section import rating_blocks, rating_script, served_script
from hypojax.reporting.report_data import ReportData
from hypojax.reporting.report_settings import ReportSettings

WHEN = "2026-01-02T10:00:00+01:00"


def data_with(*said: tuple[str, str, str, str], share: bool = False) -> ReportData:
    scans = ("sub-01", "sub-02", "sub-03", "sub-04")
    rows = [(scans[int(scan)] if scan.isdecimal() else scan, *rest, WHEN) for scan, *rest in said]
    return ReportData(
        cohort=xr.Dataset(coords={"scan": list(scans)}),
        names={scan: f"name of {scan}" for scan in scans},
        files={scan: f"scans/{scan}.html" for scan in scans[:3]},
        order=scans[::-1],
        doubts={scans[0]: ("a doubt", "another")},
        ratings=pd.DataFrame(rows, columns=list(RATING_COLUMNS), dtype=object),
        people=pd.DataFrame(index=pd.Index(scans, name="scan")),
        settings=ReportSettings(share=share),
        records={},
    )


def test_the_section_counts_ratings_by_rater_and_names_rejected_scans() -> None:
    data = data_with(
        ("0", "accept", "", "anna"), ("0", "accept", "", "bo"), ("1", "accept", "", "anna"), ("1", "reject", "", "anna"),
        ("1", "doubt", "", "bo"), ("1", "reject", "moved", "bo"), ("2", "doubt", "", "anna"), ("2", "accept", "", "bo"),
        ("gone", "reject", "", "cy"),
    )  # fmt: skip
    said, by_rater, agreement, rejected = rating_blocks(data)
    assert isinstance(said, Paragraph)
    assert said.text.startswith("3 of 4 scans rated by hand: 1 accept, 1 doubt, 1 reject.")
    assert isinstance(by_rater, TextTable)
    assert [list(row) for row in by_rater.rows] == [["anna", "3", "1", "1", "1", "2026-01-02"], ["bo", "3", "2", "0", "1", "2026-01-02"]]
    assert isinstance(agreement, TextTable)
    (pair,) = agreement.rows
    assert list(pair[:3]) == ["anna and bo", "3", "2"]
    chance, agreed = (1 * 2 + 1 * 0 + 1 * 1) / 9, 2 / 3
    assert pair[3] == f"{(agreed - chance) / (1 - chance):.2f} (no interval: fewer than 18 scans)"
    assert isinstance(rejected, TextTable)
    name = data.names[data.order[2]]
    assert [list(row) for row in rejected.rows] == [[name, "anna", "", "2026-01-02"], [name, "bo", "moved", "2026-01-02"]]


def test_without_ratings_it_says_how_to_rate_and_without_a_pair_it_has_no_kappa() -> None:
    (said,) = rating_blocks(data_with())
    assert isinstance(said, Paragraph)
    assert "None of the 4 scans was rated by hand when this page was made." in said.text
    assert "hypojax report OUT --serve" in said.text
    assert len(rating_blocks(data_with(("0", "accept", "", "anna"), ("1", "accept", "", "bo")))) == 2
    table = rating_blocks(data_with(("0", "accept", "", "anna"), ("0", "accept", "", "bo")))[2]
    assert isinstance(table, TextTable)
    assert table.rows[0][3] == "none: one rating for all"


def test_the_data_of_the_script_hold_nothing_that_ends_it() -> None:
    data = data_with(("0", "doubt", HOSTILE, HOSTILE))
    script = served_script(rating_script(data), data.ratings, cohort="c", rater=HOSTILE).decode("ascii")
    assert "<" not in script
    first = json.loads(script.splitlines()[0].removeprefix("window.hypojaxRating = ").removesuffix(";"))
    assert first["scans"][-1] == [data.order[-1], data.names[data.order[-1]], data.files[data.order[-1]], 2]
    assert len(first["scans"]) == 3, "only scans that have a page"
    assert first["ratings"] == [[data.order[-1], "doubt", HOSTILE, HOSTILE, WHEN]]
    assert rating_script(replace(data, settings=ReportSettings(share=True))) == b""
    assert np.all([len(row) == len(RATING_COLUMNS) for row in first["ratings"]])
