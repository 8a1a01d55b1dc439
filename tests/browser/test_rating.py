"""Rating in the browser: by keys, written by the server or saved as a file, and nothing lost where the server is away."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import Watch, address, barriers, overflow

from hypojax.cohort.ratings import Rating, add_rating, read_ratings
from hypojax.pages.rendering import render_page
from hypojax.reporting.rating_section import DATA_SCRIPT, rating_data, rating_rows
from hypojax.reporting.rating_server import Desk, RatingServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

STATIC = Path(__file__).resolve().parents[2] / "hypojax" / "reporting" / "static"
SCANS = ("sub-01", "sub-02", '<b>"3"', "sub-04")
TEMPLATE = """{% extends "base.html" %}{% block title %}{{ scan }}{% endblock %}
{% block content %}<section id="rating" data-scan="{{ scan }}"><h2>Rating</h2></section>{% endblock %}
{% block scripts %}{{ local_script("../static/rating.js") }}{% endblock %}"""


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A run's folder with a report of pages that have nothing but the rating."""
    report, templates = tmp_path / "out" / "report", tmp_path / "templates"
    for folder in (report / "scans", report / "static", templates):
        folder.mkdir(parents=True)
    (templates / "only.html").write_text(TEMPLATE)
    for number, scan in enumerate(SCANS):
        page = render_page("only.html", {"scan": scan}, folders=[templates])
        (report / "scans" / f"{number}.html").write_text(page, encoding="utf-8")
    (report / "index.html").write_text("<!doctype html><link rel=icon href=data:,><title>index</title><p>index")
    (report / "static" / "rating.js").write_bytes((STATIC / "rating.js").read_bytes())
    add_rating(report.parent, Rating("sub-02", "doubt", "=sum <i>", "bo", "2026-01-02T10:00:00+01:00"))
    scans = [[scan, scan, f"scans/{number}.html", int(number == 2)] for number, scan in enumerate(SCANS)]
    (report / DATA_SCRIPT).write_bytes(rating_data(scans, read_ratings(report.parent)[0]))
    return tmp_path / "out"


@contextmanager
def serving(out: Path, *, desk: Desk | None = None, port: int = 18642) -> Iterator[RatingServer]:
    desk = desk or Desk(out / "report", out, "anna", lambda: frozenset(SCANS))
    with RatingServer(desk, port=port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def rate_by_keys(page: "Page") -> None:
    """The first scan accepted, the second doubted and then rejected with a comment, the third doubted."""
    page.keyboard.press("a")
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/scans/1.html")
    page.keyboard.press("d")
    page.get_by_label("Comment").fill("a dar\tk=\"1\" 'x'")
    page.get_by_label("Comment").press("Enter")
    page.keyboard.press("r")
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/scans/2.html")
    page.get_by_label("Comment").fill("'tis @home; a, d and r are only letters here")
    page.get_by_label("Comment").press("Escape")
    page.keyboard.press("d")
    page.get_by_text("3 of 4 rated by anna").wait_for()


EXPECTED = [
    ("sub-02", "doubt", "=sum <i>", "bo"),
    ("sub-01", "accept", "", "anna"),
    ("sub-02", "doubt", "", "anna"),
    ("sub-02", "doubt", "a dar k=\"1\" 'x'", "anna"),
    ("sub-02", "reject", "a dar k=\"1\" 'x'", "anna"),
    ('<b>"3"', "doubt", "'tis @home; a, d and r are only letters here", "anna"),
]


def table(folder: Path) -> list[tuple[str, ...]]:
    return [tuple(row[:4]) for row in rating_rows(read_ratings(folder)[0])]


def test_keys_write_the_table_under_serve(page: "Page", out: Path) -> None:
    with serving(out) as server:
        page.goto(server.address)
        page.wait_for_url("**/index.html")
        page.goto(f"http://127.0.0.1:{server.port}/scans/0.html")
        rate_by_keys(page)
        page.get_by_text("Written into qc.tsv.").wait_for()
        assert table(out) == EXPECTED
        kept = page.evaluate("Object.entries(localStorage).filter(([key]) => key.startsWith('hypojax-ratings')).map(([, value]) => value)")
        assert set(kept) <= {"[]", "{}"}
        page.keyboard.press("ArrowLeft")
        page.wait_for_url("**/scans/1.html")
        cells = page.locator("#rating table tbody tr").all_inner_texts()
        assert [row.split("\t")[:3] for row in cells] == [["anna", "Reject", "a dar k=\"1\" 'x'"], ["bo", "Doubt", "=sum <i>"]]
        assert barriers(page) == []
        page.set_viewport_size({"width": 400, "height": 800})
        assert overflow(page) == 0


def test_pages_from_a_folder_save_the_same_table(page: "Page", out: Path, tmp_path: Path) -> None:
    page.goto(address(out / "report" / "scans" / "0.html"))
    page.keyboard.press("a")
    assert page.get_by_text("Write your name first").is_visible()
    page.get_by_label("Your name").fill("anna")
    page.get_by_label("Your name").blur()
    rate_by_keys(page)
    assert page.get_by_text("5 of your ratings are in this browser only").is_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save ratings as qc.tsv").click()
    assert download.value.suggested_filename == "qc.tsv"
    download.value.save_as(tmp_path / "saved" / "qc.tsv")
    assert table(tmp_path / "saved") == EXPECTED
    with_python = tmp_path / "python"
    for row in rating_rows(read_ratings(tmp_path / "saved")[0]):
        add_rating(with_python, Rating(*row))
    assert (tmp_path / "saved" / "qc.tsv").read_bytes() == (with_python / "qc.tsv").read_bytes()
    assert table(out) == EXPECTED[:1], "a page from a folder writes nothing"
    page.get_by_text("Your ratings were saved as a file").wait_for()


def test_a_browser_that_stored_nothing_yet_loses_no_rating_on_the_way_to_the_next_page(page: "Page", out: Path) -> None:
    page.goto(address(out / "report" / "scans" / "0.html"))
    page.get_by_label("Your name").fill("anna")
    page.get_by_label("Your name").blur()
    page.keyboard.press("a")
    page.evaluate("localStorage.clear()")  # so does Chromium where a new process shows the next page before the old one's values came
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/scans/1.html")
    assert page.get_by_text("1 of 4 rated by anna").is_visible()
    assert page.evaluate("localStorage.getItem('hypojax-ratings ' + new URL('..', location.href).href)").count("sub-01") == 1


def test_what_others_said_is_shown_after_the_own_rating_and_the_filter_leads_on(page: "Page", out: Path) -> None:
    page.goto(address(out / "report" / "scans" / "1.html"))
    page.get_by_label("Your name").fill("anna")
    page.get_by_label("Your name").blur()
    assert page.get_by_text("Another person has rated this scan").is_visible()
    assert not page.get_by_text("=sum <i>").is_visible()
    page.get_by_label("show ratings of others").check()
    assert page.get_by_text("=sum <i>").is_visible()
    page.get_by_label("Go through").select_option("unrated")
    page.get_by_label("go on after a rating").check()
    page.keyboard.press("r")
    page.wait_for_url("**/scans/2.html")
    page.get_by_label("Go through").select_option("doubted")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**/scans/1.html")
    assert page.get_by_role("button", name="Next").is_disabled()
    page.get_by_label("keys a, d, r").uncheck()
    page.get_by_label("keys a, d, r").blur()
    page.keyboard.press("a")
    assert page.get_by_role("button", name="Reject").get_attribute("aria-pressed") == "true"


def test_ratings_wait_in_the_browser_while_the_server_is_away(page: "Page", watch: Watch, out: Path) -> None:
    with serving(out) as server:
        desk, port = server.desk, server.port
        page.goto(server.address)
        page.wait_for_url("**/index.html")
        page.goto(f"http://127.0.0.1:{port}/scans/0.html")
    page.keyboard.press("r")
    page.get_by_text("Not written yet: 1 rating").wait_for()
    page.get_by_text("The connection is lost").wait_for()
    assert page.get_by_role("button", name="Save ratings as qc.tsv").is_visible()
    assert table(out) == EXPECTED[:1]
    with serving(out, desk=replace(desk), port=port):
        page.get_by_text("Written into qc.tsv.").wait_for()
    assert table(out) == [*EXPECTED[:1], ("sub-01", "reject", "", "anna")]
    assert all("ERR_CONNECTION_REFUSED" in fault for fault in watch.faults)
    watch.faults.clear()
