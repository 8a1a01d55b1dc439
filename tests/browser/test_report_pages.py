"""Pages of a report as a browser shows them: opened from the disk, on any screen, on paper, and by people who do not see them."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from browsing import NARROW, WIDE, Look, address, barriers, overflow, picture

if TYPE_CHECKING:
    from playwright.sync_api import Page

PAGES = ("index.html", "scans/sub-01.html")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_from_the_disk_and_can_be_read_on_any_screen(page: "Page", drawn_report: Path, tmp_path: Path, name: str) -> None:
    """Without an error or a request (fixture ``page``), nothing beyond its edges, and no barrier that axe-core finds, light and dark."""
    page.goto(address(drawn_report / "report" / name))
    assert page.title()
    for width in (WIDE, NARROW):
        page.set_viewport_size({"width": width, "height": 900})
        assert overflow(page) == 0, width
    page.set_viewport_size({"width": WIDE, "height": 900})
    looks: tuple[Look, ...] = ("light", "dark")
    for look in looks:
        page.emulate_media(color_scheme=look)  # type: ignore[arg-type]
        page.wait_for_timeout(300)  # colours change slowly
        assert barriers(page) == [], look
    assert picture(page, tmp_path / "page.png", width=WIDE, look="print", whole=False).stat().st_size > 10_000


def test_links_lead_from_the_cohort_to_each_scan_and_back(page: "Page", drawn_report: Path) -> None:
    page.goto(address(drawn_report / "report" / "index.html"))
    links = set(page.eval_on_selector_all("a[href$='.html']", "links => links.map(link => link.href)"))
    for scan in ("sub-01", "sub-06"):
        assert address(drawn_report / "report" / "scans" / f"{scan}.html") in links
    assert not any("sub-90" in link or "sub-95" in link for link in links), "a scan that is not measured has no page"
    page.goto(address(drawn_report / "report" / "scans" / "sub-01.html"))
    back = page.eval_on_selector_all("a[href*='index.html']", "links => links.length")
    assert back


def test_volumes_on_the_page_of_a_scan_are_those_of_volumes_tsv(page: "Page", drawn_report: Path) -> None:
    volumes = pd.read_csv(drawn_report / "volumes.tsv", sep="\t", dtype={"scan": str}).set_index(["scan", "region"])["volume_mm3"]
    page.goto(address(drawn_report / "report" / "scans" / "sub-03.html"))
    text = page.inner_text("main").replace(",", "").replace("\u202f", "")
    for region in ("hypothalamus", "hypothalamus_left", "right_posterior"):
        assert f"{volumes['sub-03', region]:.1f}" in text, region
