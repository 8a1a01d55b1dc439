"""The tab of a cohort in the browser, behind a login: filter, comparison, a scan with its page, and a rating that arrives in the cohort."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from app_servers import running_app
from browsing import Watch, barriers
from light_cohorts import some_people
from report_cohorts import stored_cohort

from hypojax.app.accounts import add_user
from hypojax.cohort.ratings import read_ratings
from hypojax.study import analyse

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow


PASSWORD = "correct horse battery"  # noqa: S105 - of a user of this test


def log_in(page: "Page", password: str) -> None:
    page.get_by_label("User").fill("anna")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_who_logs_in_filters_compares_and_rates_a_cohort(page: "Page", watch: Watch, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    out = stored_cohort(tmp_path / "cohorts" / "study-a", 12, columns=some_people(12, seed=2))
    add_user(tmp_path / "users", "anna", PASSWORD)
    with running_app(tmp_path, cohorts=tmp_path / "cohorts", auth_file=tmp_path / "users") as server:
        page.set_viewport_size({"width": 1024, "height": 1000})
        page.goto(server.url)
        log_in(page, "another password")
        page.get_by_role("alert").get_by_text("is wrong").wait_for()
        assert barriers(page) == []
        log_in(page, PASSWORD)
        page.get_by_role("tab", name="Cohort").click()
        numbers, plot = page.locator("#cohort-shown"), page.locator("#plot-groups img")
        numbers.get_by_text("12 of 12").wait_for()  # the only cohort is chosen
        before = plot.get_attribute("src")
        page.locator("#cohort-group input").click()
        page.get_by_role("option", name="patient").click()
        page.keyboard.press("Escape")
        numbers.get_by_text("12 of 12").wait_for(state="hidden")
        expect(plot).not_to_have_attribute("src", before, timeout=120_000)
        page.click("#cohort-clear")
        numbers.get_by_text("12 of 12").wait_for()
        page.click("#cohort-compare")
        page.wait_for_selector("#cohort-answer")
        assert page.locator("#cohort-answer p").all_inner_texts() == list(analyse(out).answers)
        page.locator("#cohort-pick input").click()
        page.get_by_role("option", name="sub-03").click()
        page.frame_locator("#cohort-page iframe").locator("h1").get_by_text("sub-03").wait_for()
        page.get_by_label("reject", exact=True).check()
        page.locator("#cohort-comment").locator("input, textarea").fill("blurred")
        page.click("#cohort-save")
        page.locator("#cohort-said").get_by_text("saved").wait_for()
        said = read_ratings(out)[0]
        assert said[["scan", "rating", "comment", "rater"]].to_numpy().tolist() == [["sub-03", "reject", "blurred", "anna"]]
        for look, width in (("light", 1024), ("dark", 400)):
            page.emulate_media(color_scheme=look)  # type: ignore[arg-type]  # one of the words it takes
            page.set_viewport_size({"width": width, "height": 900})
            assert barriers(page) == []
    watch.faults[:] = [fault for fault in watch.faults if "401" not in fault]  # the wrong password
