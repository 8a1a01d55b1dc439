"""The page of a scan: its numbers, its links, what it says in words, and that nothing of a table or file is taken for markup."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from report_cohorts import HOSTILE, made_cohort, stored_cohort

from hypojax import open_cohort
from hypojax.reason import Reason, ScanError
from hypojax.reporting.quality_words import quality_rows
from hypojax.reporting.report_data import ReportData, ReportSettings, report_data
from hypojax.reporting.scan_images import ScanHead, ScanImages
from hypojax.reporting.scan_page import NO_CENTILES, links, scan_page, scan_values
from hypojax.reporting.scan_volumes import ORDER, rank_in_words, strip, volume_rows
from hypojax.schema import REGIONS

COHORT = made_cohort(6, columns={"age": [30, 41, 52, 63, 74, 85], "sex": list("FMFMFM")})
MOST = 600_000
"""Bytes of a page with its viewer data."""


@pytest.fixture(scope="module")
def data() -> ReportData:
    return report_data(COHORT, ReportSettings())


@pytest.fixture(scope="module")
def page(data: ReportData) -> str:
    scan = data.order[0]
    return scan_page(data, scan)[data.files[scan]].decode()


class Markup(HTMLParser):
    """Elements with their attributes, and the text that is shown."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_numbers_of_the_page_are_those_of_the_table(data: ReportData, page: str) -> None:
    shown = {float(value["value"] or "nan") for tag, value in Markup(page).elements if tag == "data"}
    assert shown == set(COHORT["volume_mm3"].sel(scan=data.order[0]).values.tolist())
    rows, _ = volume_rows(COHORT, data.order[0])
    assert [row.region for row in rows] == list(ORDER)
    assert sorted(ORDER) == sorted(REGIONS)
    head = float(COHORT["volume_mm3"].sel(scan=data.order[0], region="icv"))
    assert rows[1].share == pytest.approx(1000 * rows[1].volume / head)
    assert f"{rows[1].volume:,.1f}" in page


def test_page_and_viewer_data_are_small_and_complete(data: ReportData, page: str) -> None:
    scan = data.order[0]
    files = scan_page(data, scan)
    assert set(files) == {data.files[scan], data.files[scan].replace(".html", ".js")}
    assert sum(map(len, files.values())) < MOST
    for words in ("Coronal", "Sagittal", "Axial", "Viewer", "Volumes", "Quality", "Whole head", "age 30", "sex F"):
        assert words in page
    assert page.count('class="outline subunit-') > 20
    # Coronal sections come first.
    assert page.index("from front to back") < page.index("from left to right") < page.index("from top to bottom")


def test_links_lead_through_the_scans_and_to_the_doubtful_ones(data: ReportData) -> None:
    first, second, *_, last = data.order
    some = replace(data, doubts={**dict.fromkeys(data.order, ()), first: ("a",), last: ("b",)})
    names = {scan: data.files[scan].removeprefix("scans/") for scan in data.order}
    assert dict(links(some, second)) == {"previous": names[first], "next": names[data.order[2]], "doubtful": names[last], "place": "2 of 6"}
    assert links(some, last)["doubtful"] == names[first]
    assert links(some, last)["next"] == links(some, first)["previous"] == ""
    assert links(replace(some, doubts=dict.fromkeys(data.order, ())), first)["doubtful"] == ""


def test_nothing_of_a_table_or_message_becomes_markup(tmp_path: Path, page: str) -> None:
    cohort = open_cohort(stored_cohort(tmp_path, 1, columns={"sub-01": {"age": 33, "sex": "F", "group": HOSTILE, "site": HOSTILE}}))
    texts = {name: ("scan", np.array([HOSTILE], object)) for name in ("message", "notes", "path")}
    missing = (("scan", "region"), np.full((1, len(REGIONS)), HOSTILE, object))
    cohort = cohort.assign({**texts, "missing_reason": missing, "volume_mm3": cohort["volume_mm3"] * np.nan})
    cohort = cohort.assign_coords(dataset=("scan", np.array([HOSTILE], object)))
    data = report_data(cohort, ReportSettings())
    people = data.people.assign(**{HOSTILE: HOSTILE})
    data = replace(data, names={"sub-01": HOSTILE}, doubts={"sub-01": (HOSTILE,)}, people=people)
    plain, page = Markup(page), scan_page(data, "sub-01")[data.files["sub-01"]].decode()
    markup = Markup(page)
    assert "\x1b" not in page
    assert "\u2028" not in page
    assert 'alert("x")' not in re.sub(r"&#34;|&quot;", "", page)
    assert [tag for tag, _ in markup.elements].count("script") == [tag for tag, _ in plain.elements].count("script")
    assert not [name for _, names in markup.elements for name in names if name.startswith("on")]
    assert not [value for _, names in markup.elements for value in names.values() if value and value.startswith("javascript:")]
    assert markup.text.count('<script>alert("x")') >= 6  # shown as it is


def test_missing_volumes_are_said_and_not_shown_as_numbers(data: ReportData) -> None:
    scan = data.order[0]
    volumes, reasons = COHORT["volume_mm3"].copy(), COHORT["missing_reason"].copy()
    volumes.loc[{"scan": scan, "region": "icv"}] = np.nan
    reasons.loc[{"scan": scan, "region": "icv"}] = "skull_stripped"
    row = volume_rows(COHORT.assign(volume_mm3=volumes, missing_reason=reasons), scan)[0][0]
    assert row.missing == "the skull was removed before"
    assert row.rank == ""
    assert "mark" not in row.strip


def test_a_scan_without_pictures_has_a_page_that_says_why() -> None:
    cohort = COHORT.assign(posterior=COHORT["posterior"] * 0)
    data = report_data(cohort, ReportSettings())
    files = scan_page(data, data.order[0])
    page = files[data.files[data.order[0]]].decode()
    assert set(files) == {data.files[data.order[0]]}
    assert "no hypothalamus is stored of this scan" in page
    assert "viewer.js" not in page


def test_a_volume_beyond_its_strip_is_an_arrow_at_its_end() -> None:
    others = np.linspace(90, 110, 40)
    assert 'cx="130"' in strip(others, 100.0, 2.0)
    assert "M259," in strip(others, 400.0, 2.0)
    assert "M1," in strip(others, 4.0, 2.0)
    assert strip(np.array([]), 1.0, 1.0) == ""
    assert rank_in_words(np.arange(400.0), 299.5) == "larger than 75 % of 400"


def test_quality_in_words_says_what_to_do_only_where_something_is_wrong() -> None:
    scan = str(COHORT["scan"].values[2])
    noise = COHORT["quality_noise"].copy()
    noise.loc[{"scan": scan}] = 0.95
    good, bad = ({row.name: row for row in quality_rows(cohort, scan)} for cohort in (COHORT, COHORT.assign(quality_noise=noise)))
    assert good["Noise"].step == ""
    assert bad["Noise"].value == "0.95"
    assert "motion" in bad["Noise"].step
    assert good["Contrast"].others


def test_a_damaged_head_costs_its_pictures_and_no_page(data: ReportData) -> None:
    class Damaged(ScanImages):
        @property
        def head(self) -> ScanHead | None:
            raise ScanError(Reason.CORRUPTED, "sub-01", "its chunk is damaged")

    values = scan_values(data, Damaged(data.cohort, data.order[0]))
    assert values["heads"] == []
    assert "cannot be read" in values["no_heads"]
    assert values["strips"]


def test_only_the_largest_scan_is_larger_than_all_others() -> None:
    others = np.arange(1000.0)
    assert [rank_in_words(others, volume) for volume in (998.5, 0.5, 499.5)] == [f"larger than {n} % of 1,000" for n in (99, 1, 50)]
    assert rank_in_words(others, 1e4) == "largest of 1,001"


def test_a_page_to_be_shared_does_not_say_where_norms_lie(data: ReportData, tmp_path: Path) -> None:
    norms = tmp_path / "secret" / "norms.nc"
    said = [
        str(scan_values(replace(data, settings=ReportSettings(norms=norms, share=share)), ScanImages(data.cohort, data.order[0]))["norms"])
        for share in (False, True)
    ]
    assert "secret" in said[0]
    assert said[1] == NO_CENTILES


def test_norms_that_do_not_fit_cost_the_centiles_and_no_page(tmp_path: Path) -> None:
    (tmp_path / "norms.nc").write_bytes(b"no norms")
    rows, said = volume_rows(COHORT, str(COHORT["scan"].values[0]), norms=tmp_path / "norms.nc")
    assert said.startswith("No centiles of the norms: ")
    assert {row.centile for row in rows} == {""}


def test_a_page_to_be_shared_names_nobody() -> None:
    data = report_data(COHORT, ReportSettings(share=True))
    files = scan_page(data, data.order[0])
    for name in COHORT["scan"].values.tolist():
        assert all(name.encode() not in content for content in files.values())
    assert all(b"rating.js" not in content for content in files.values())
