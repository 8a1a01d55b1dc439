"""Fixtures of browser tests (`conftest.py` takes them): one browser a module, and a page that lets no error and no request pass."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import WIDE, Watch, chromium, missing

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


FOLDER = Path(__file__).parent / "browser"

PATIENCE = 120_000
"""Milliseconds that a page has to open: a second, but on a machine that does much else."""


def mark_browser_tests(items: list[pytest.Item]) -> None:
    """All tests of `FOLDER` have the marker ``browser``; without a browser they are skipped."""
    why = missing()
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if why:
                item.add_marker(pytest.mark.skip(reason=f"no browser: {why}"))


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Headless Chromium; closed after the module, because its event loop would be in the way of other tests."""
    with chromium() as found:
        yield found


@pytest.fixture
def watch() -> Watch:
    """What went wrong on the page so far; a test that expects a fault takes it out."""
    return Watch()


@pytest.fixture
def page(browser: "Browser", watch: Watch) -> "Iterator[Page]":
    """A blank page; the test fails if anything on it is an error, or asks for something that is not on this machine."""
    context = browser.new_context(viewport={"width": WIDE, "height": 1000})
    context.set_default_timeout(PATIENCE)
    found = context.new_page()
    watch.attach(found)
    context.on("page", watch.attach)
    yield found
    context.close()
    assert not watch.faults, "\n".join(watch.faults)


@pytest.fixture(scope="session")
def drawn_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of a few scans, some of which failed, with its ``report``: drawn once for all processes, not to be changed."""
    from report_cohorts import stored_cohort

    from hypojax.reason import Reason
    from hypojax.reporting.report_data import ReportSettings
    from hypojax.reporting.report_run import report

    shared = tmp_path_factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else tmp_path_factory.getbasetemp()
    out = shared / "drawn"
    with (shared / "drawn.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not (out / "report" / "index.html").is_file():
            stored_cohort(out, 6, failures={"sub-90": Reason.TRUNCATED, "sub-91": Reason.NO_HYPOTHALAMUS}, pending=["sub-95"])
            assert report(out, settings=ReportSettings(jobs=1)).failed == ()
    return out
