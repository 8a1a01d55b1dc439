"""The tab of a cohort answers a stranger as it answers its own page: what is sent is checked, shown as text, and stays in its folder."""

import os
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pandas as pd
import pytest
from light_cohorts import light_cohort, some_people
from report_cohorts import HOSTILE, stored_cohort

from hypojax.app.cohort_choice import OWN, CohortChoice
from hypojax.app.cohort_desk import COMPARISONS, RATINGS, CohortDesk
from hypojax.app.cohort_files import CohortFiles
from hypojax.app.monitoring_tab import monitoring_html
from hypojax.app.words import Words
from hypojax.cohort.ratings import read_ratings

EVIL = "<script>alert(1)</script>"


class Visitor(SimpleNamespace):
    """A request of a visitor with a folder of her own."""

    headers: ClassVar[dict[str, str]] = {}
    cookies: ClassVar[dict[str, str]] = {}


def desk_of(folder: Path) -> CohortDesk:
    """The desk of a server with these cohorts; a visitor has what her request says."""
    sessions = SimpleNamespace(of=lambda request: SimpleNamespace(id="visit", cohort=request.own, user=(request.user, "")))
    context: Any = SimpleNamespace(words=Words(), cohorts=CohortChoice(folder), sessions=sessions)
    return CohortDesk(context)


def visitor(own: Path, user: str = "") -> Any:  # noqa: ANN401 - it stands for a request of Gradio
    """A request."""
    return Visitor(own=own, user=user)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("desk")
    people = some_people(6)
    people["sub-01"]["group"] = EVIL
    people["sub-02"]["site"] = HOSTILE
    light_cohort(found / "a & b", people, failed=["sub-03"])
    return found


@pytest.mark.parametrize("name", [None, 3, "", "../a & b", EVIL, ["a & b"], OWN])
def test_no_name_opens_what_is_no_cohort(folder: Path, name: object) -> None:
    desk, asked = desk_of(folder), visitor(folder / "nothing")
    for answer in (
        desk.summary(name, asked),
        desk.shown(name, {}, ("hypothalamus", "group"), asked).numbers,
        desk.scan(name, "sub-01", asked),
    ):
        assert 'role="alert"' in answer
        assert EVIL not in answer
    assert desk.shown_scans(name, {}, asked) == [] == desk.groups(name, "group", asked)[0]


def test_numbers_and_plots_follow_the_filter_and_texts_stay_texts(folder: Path) -> None:
    desk, asked = desk_of(folder), visitor(folder / "nothing")
    all_of_them = desk.shown("a & b", {}, ("hypothalamus", "group"), asked)
    some = desk.shown("a & b", {"group": ["control", "patient"], "text": "sub"}, ("hypothalamus", "group"), asked)
    assert "Shown: 6 of 6 scans" in all_of_them.numbers
    assert "Shown: 5 of 6 scans" in some.numbers
    assert all_of_them.numbers.count("<img ") == 3
    assert "<script" not in (all_of_them.numbers + all_of_them.doubtful + desk.summary("a & b", asked)).lower()
    assert "/cohort-files/a%20%26%20b/shown.tsv?filter=" in some.numbers
    for given, plots in (({"group": EVIL}, ("icv", "group")), ({}, ("brain", "group")), ({}, (None, None)), ({"x": 1}, ("icv", "sex"))):
        answer = desk.shown("a & b", given, plots, asked)  # type: ignore[arg-type]  # as a stranger sends it
        assert 'role="alert"' in answer.numbers
        assert answer.scans == []
    for question in ({"covariates": "age"}, {"group": ["a"]}, {"covariates": [1]}, {}):
        assert 'role="alert"' in desk.compared("a & b", {}, question, asked)


def test_a_rating_is_written_for_who_logged_in_and_refused_otherwise(folder: Path) -> None:
    desk, asked = desk_of(folder), visitor(folder / "nothing", "anna")
    assert "saved" in desk.rate("a & b", "sub-04", "reject", f"blurred {EVIL}", asked)
    said, _ = read_ratings(folder / "a & b")
    assert said[["scan", "rating", "comment", "rater"]].to_numpy().tolist() == [["sub-04", "reject", f"blurred {EVIL}", "anna"]]
    assert EVIL not in desk.scan("a & b", "sub-04", asked)
    assert "1 rejected" in desk.shown("a & b", {}, ("hypothalamus", "group"), asked).numbers
    for scan, rating, comment in (("sub-99", "reject", ""), ("sub-04", "good?", ""), (None, "reject", ""), ("sub-04", ["reject"], "")):
        assert 'role="alert"' in desk.rate("a & b", scan, rating, comment, asked)
    assert 'role="alert"' in desk.rate("a & b", "sub-04", "reject", "x" * 2001, asked)
    assert len(read_ratings(folder / "a & b")[0]) == 1


def test_whoever_rates_or_compares_without_a_pause_waits_and_others_do_not(folder: Path) -> None:
    desk, anna, ben = desk_of(folder), visitor(folder, "anna"), visitor(folder, "ben")
    for ask, most in (
        (lambda who: desk.compared("none", {}, {}, who), COMPARISONS),
        (lambda who: desk.rate("none", "a", "b", "", who), RATINGS),
    ):
        assert not any("a minute" in ask(anna) for _ in range(most))
        assert "a minute are possible; wait" in ask(anna)
        assert "a minute" not in ask(ben)


def test_ratings_never_go_through_a_link_that_leads_elsewhere(tmp_path: Path) -> None:
    out = light_cohort(tmp_path / "top" / "a", some_people(2))
    (tmp_path / "elsewhere.tsv").write_text("scan\trating\nsub-01\treject\n")
    (out / "qc.tsv").symlink_to(tmp_path / "elsewhere.tsv")
    desk, asked = desk_of(tmp_path / "top"), visitor(tmp_path)
    assert "was not saved" in desk.rate("a", "sub-01", "doubt", "", asked)
    assert "Nobody rated" in desk.scan("a", "sub-01", asked)
    assert (tmp_path / "elsewhere.tsv").read_text().count("\n") == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_not_writable_is_said(tmp_path: Path) -> None:
    out = light_cohort(tmp_path / "top" / "a", some_people(2))
    out.chmod(0o500)
    try:
        assert "was not saved" in desk_of(tmp_path / "top").rate("a", "sub-01", "doubt", "", visitor(tmp_path))
    finally:
        out.chmod(0o700)


def test_files_of_a_cohort_are_the_table_that_is_shown_and_pages_of_its_scans(tmp_path: Path) -> None:
    stored_cohort(tmp_path / "top" / "a", 2)
    (tmp_path / "secret.html").write_text("secret")
    (tmp_path / "top" / "a" / "report").mkdir()
    (tmp_path / "top" / "a" / "report" / "index.html").symlink_to(tmp_path / "secret.html")
    files = CohortFiles(CohortChoice(tmp_path / "top"))
    page = files.find("a", "scans/sub-01.html", {})
    assert page is not None
    assert b"sub-01" in page.content
    assert b"rating.js" not in page.content
    assert files.find("a", "scans/sub-01.js", {}) is not None
    assert files.find("a", "static/viewer.js", {}) is not None
    shown = files.find("a", "shown.tsv", {"filter": '{"sex":["F"]}'})
    assert shown is not None
    table = pd.read_csv(BytesIO(shown.content), sep="\t")
    assert table["sex"].tolist() == ["F"]
    assert {"scan", "status", "hypothalamus_mm3", "rating", "flags"} <= set(table)
    hostile = (
        "../../secret.html",
        "index.html",
        "static/../secret.html",
        "static/rating.js",
        "scans/../../a",
        "scans/sub-99.html",
        "",
        "cohort.zarr/zarr.json",
    )
    assert [files.find("a", path, {}) for path in hostile] == [None] * len(hostile)
    assert files.find("a", "shown.tsv", {"filter": '{"path":["x"]}'}) is None
    assert files.find("a", "shown.tsv", {"filter": "[" * 9000}) is None
    assert files.find("b", "shown.tsv", {}) is None
    assert files.find(OWN, "shown.tsv", {}) is None


def test_monitoring_tells_what_to_run_and_what_drift_found(tmp_path: Path) -> None:
    out = light_cohort(tmp_path / "top" / "a", some_people(2))
    desk, asked = desk_of(tmp_path / "top"), visitor(tmp_path)
    nothing = monitoring_html(desk, "a", asked)
    assert "hypojax evaluate OUT LABELS --record OUT" in nothing
    assert "hypojax drift OUT NEW" in nothing
    (out / "drift").mkdir()
    rows = "measure\treference\tnew\tverdict\nvolume_mm3 icv\t1500000\t1400000\tmoved\nquality_noise\t0.1\t0.1\twithin limits\n"
    (out / "drift" / "drift.tsv").write_text(rows)
    found = monitoring_html(desk, "a", asked)
    assert "volume_mm3 icv" in found
    assert "quality_noise" not in found
    assert 'role="alert"' in monitoring_html(desk, EVIL, asked)
