"""The table of all scans: the numbers of volumes.tsv to the last digit, and text that neither a page nor a spreadsheet obeys."""

import json
from base64 import b64decode
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from generated_cohort import generated
from report_cohorts import HOSTILE

from hypojax.pages.rendering import json_data
from hypojax.reporting.report_data import ReportSettings, report_data
from hypojax.reporting.scan_table import ScanTable, scan_rows
from hypojax.tables.cells import decoded


def cohort(scans: int = 12, **columns: list[Any]) -> xr.Dataset:
    made = generated(scans, seed=2, failing=0.2)
    return made.assign({name: ("scan", pd.Series(values).to_numpy()) for name, values in columns.items()})


def table(made: xr.Dataset, ratings: pd.DataFrame | None = None, **settings: tuple[str, ...]) -> ScanTable:
    return scan_rows(report_data(made, ReportSettings(**settings), ratings=ratings))


def column(found: ScanTable, name: str) -> Any:  # noqa: ANN401 - numbers, text or lists of it
    (told,) = (one for one in found.data["columns"] if one["name"] == name)
    if "numbers" in told:
        return np.frombuffer(b64decode(told["numbers"]), "<f8")
    if "sentences" in told:
        return [told["sentences"].get(row, []) for row in range(len(found.data["order"]))]
    return told.get("texts") or [told["unique"][code] for code in told["codes"]]


def test_numbers_are_those_of_the_cohort_bit_for_bit() -> None:
    made = cohort()
    found = table(made)
    for region in ("icv", "hypothalamus", "hypothalamus_left", "hypothalamus_right"):
        np.testing.assert_array_equal(column(found, f"{region}_mm3"), made["volume_mm3"].sel(region=region))
    np.testing.assert_array_equal(column(found, "quality_score_icv"), made["quality_score"].sel(region="icv"))
    assert column(found, "scan") == made["scan"].values.tolist()
    assert column(found, "status") == made["status"].values.tolist()


def test_every_scan_has_a_row_and_the_doubtful_come_first() -> None:
    made = cohort()
    found = table(made)
    assert sorted(found.data["order"]) == list(range(12))
    failed = (made["status"].values == "failed").sum()
    assert all(column(found, "status")[row] == "failed" for row in found.data["order"][:failed])
    assert all(column(found, "doubts")[row] for row in found.data["order"][:failed])


def test_measures_that_no_scan_has_are_left_out() -> None:
    made = cohort()
    made["volume_mm3"][:, 0] = np.nan
    names = [one.name for one in table(made).columns]
    assert "icv_mm3" not in names
    assert "brain_mask_mm3" not in names
    assert "hypothalamus_mm3" in names


def test_cells_of_a_file_are_nothing_that_a_spreadsheet_obeys() -> None:
    made = cohort(group=["=cmd|' /C calc'!A0", "+1", "-x", "@a", "a\tb", "ok"] * 2)
    spelled = table(made).data["spelled"]
    assert spelled["=cmd|' /C calc'!A0"] == "'=cmd|' /C calc'!A0"
    assert {"-x", "@a"} <= set(spelled)
    assert not {"ok", "+1"} & set(spelled)
    assert all(decoded(cell) == text for text, cell in spelled.items())


def test_ratings_are_the_latest_and_people_those_asked_for() -> None:
    said = pd.DataFrame({"scan": ["sub-0000"] * 2, "rating": ["reject", "accept"], "comment": "", "rater": "x", "time": ""})
    found = table(cohort(iq=list(range(12)), group=["a", "b"] * 6), said, columns=("iq",))
    assert column(found, "rating")[0] == "accept"
    assert set(column(found, "rating")[1:]) == {""}
    assert column(found, "iq").tolist() == list(range(12))
    assert 'data-filter="' in found.frame
    assert '<option value="b">b</option>' in found.frame


def test_text_of_tables_is_never_markup() -> None:
    made = cohort(6, group=[HOSTILE, "b"] * 3).assign_coords(scan=[f"{HOSTILE}{number}" for number in range(6)])
    made["notes"][0] = HOSTILE
    found = table(made)
    page = found.frame + str(json_data("d", found.data))
    assert "<script>alert" not in page
    assert "</script> " not in page
    assert "\u2028" not in page
    assert "\x1b" not in page


def test_size_of_many_scans() -> None:
    assert len(json.dumps(table(cohort(2000)).data)) < 265_000
