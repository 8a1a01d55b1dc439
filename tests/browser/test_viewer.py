"""The page of a scan in a browser: its viewer shows what it says, from a folder, without a network; keys; no WebGL2."""

import shutil
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from browsing import NARROW, Watch, address, barriers, overflow

import hypojax.reporting
from hypojax.phantom import HYPOTHALAMUS_CENTRE
from hypojax.plot.sections import FINE, read_box
from hypojax.reporting.report_data import ReportSettings, report_data
from hypojax.reporting.scan_page import scan_page
from tests.report.report_cohorts import made_cohort

if TYPE_CHECKING:
    from playwright.sync_api import Page

PATIENCE = 180_000
"""Milliseconds: without a graphics card, beside other tests, the first picture takes a minute."""

CONTEXTS = """
window.contexts = 0;
const getContext = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
  if (kind.startsWith("webgl")) window.contexts += 1;
  return getContext.call(this, kind, ...more);
};"""
"""Counts how often a page asks for a context of WebGL."""

NO_WEBGL = """
const getContext = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
  return kind.startsWith("webgl") ? null : getContext.call(this, kind, ...more);
};"""

LOOK = """place => {
  const viewer = hypojaxViewerState.viewer;
  viewer.scene.crosshairPos = viewer.mm2frac(place);
  viewer.createOnLocationChange();
  viewer.drawScene();
}"""

COHORT = made_cohort(3)
SCANS = [str(scan) for scan in COHORT["scan"].values]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of two scans, with what they need beside them."""
    folder, data = tmp_path_factory.mktemp("report"), report_data(COHORT, ReportSettings())
    shutil.copytree(Path(hypojax.reporting.__file__).parent / "static", folder / "static")
    (folder / "static" / "rating-data.js").write_text("")
    (folder / "scans").mkdir()
    for scan in data.order[:2]:
        for file, content in scan_page(data, scan).items():
            (folder / file).write_bytes(content)
    return folder


def pixels(page: "Page") -> np.ndarray:
    """The picture of the viewer as it is on the screen."""
    from PIL import Image

    page.wait_for_timeout(500)
    return np.asarray(Image.open(BytesIO(page.locator("#viewer").screenshot(timeout=PATIENCE))).convert("RGB")).astype(int)


def coloured(image: np.ndarray) -> int:
    """Pixels that are not grey: those of labels."""
    return int((np.ptp(image, axis=-1) > 30).sum())


def coronal(image: np.ndarray) -> np.ndarray:
    """The large section, without its rim and the letters there."""
    return image[40:-40, : round(image.shape[1] * 2 / 3)][:, 40:-40]


def look_at(page: "Page", place: list[float]) -> str:
    """Move the crosshair to a place (mm) and read the name of what is there."""
    page.evaluate(LOOK, place)
    return page.locator("#here strong").inner_text()


def test_the_viewer_shows_the_scan_and_says_what_is_under_the_crosshair(page: "Page", report: Path) -> None:
    page.set_default_timeout(PATIENCE)
    page.add_init_script(CONTEXTS)
    page.goto(address(next((report / "scans").glob("*.html"))))
    page.locator("#viewer").scroll_into_view_if_needed()
    page.wait_for_selector("#viewer[data-ready=true]")
    first = pixels(page)
    assert (first.max(axis=-1) > 40).mean() > 0.3
    assert coloured(first) > 2000

    # Names under the crosshair are those of the labels, at the places of the labels in the world of the scan.
    box = read_box(COHORT, SCANS[0])
    assert box is not None
    affine = COHORT["box_affine"].values[0]
    index = np.argwhere(box.labels == 8)[100]
    place = (affine @ [*(index / FINE), 1.0])[:3]
    assert look_at(page, place.tolist()) == "right posterior"
    assert page.locator("#here").get_attribute("data-label") == "8"
    assert f"x {place[0]:.1f}".replace("-", "−") in page.locator("#here").inner_text()
    assert look_at(page, [0.0, HYPOTHALAMUS_CENTRE[1] + 18, HYPOTHALAMUS_CENTRE[2]]) == "outside the hypothalamus"
    page.click("#centre")
    assert page.locator("#here strong").inner_text().startswith("left ")

    # The keys of the viewer move the crosshair, and not to another page.
    page.locator("#canvas").focus()
    before = page.locator("#here").inner_text()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("PageUp")
    assert page.locator("#here").inner_text() != before
    page.click("#centre")

    # Left and right are swapped, and that is said.
    straight = coronal(pixels(page))
    page.click("#mirror")
    swapped = coronal(pixels(page))
    assert "radiological" in page.locator("#convention").inner_text()
    grey = [image.mean(axis=-1) for image in (straight, swapped)]
    assert np.abs(grey[0][:, ::-1] - grey[1]).mean() < 0.5 * np.abs(grey[0] - grey[1]).mean()
    page.click("#mirror")

    # The space key takes the labels away, from viewer and pictures, and brings them back.
    page.locator("h1").click()
    page.keyboard.press(" ")
    assert page.locator("#labels").get_attribute("aria-pressed") == page.locator("#outlines").get_attribute("aria-pressed") == "false"
    assert coloured(pixels(page)) < 0.02 * coloured(first)
    assert page.locator(".outline").first.is_hidden()
    page.keyboard.press(" ")
    assert coloured(pixels(page)) > 0.9 * coloured(first)
    assert page.evaluate("window.contexts") == 1


def test_without_webgl_the_pictures_stay_and_a_sentence_says_so(page: "Page", report: Path, watch: Watch) -> None:
    page.set_default_timeout(PATIENCE)
    page.add_init_script(NO_WEBGL)
    page.goto(address(next((report / "scans").glob("*.html"))))
    page.locator("#viewer").scroll_into_view_if_needed()
    page.wait_for_selector("#viewer[data-ready=failed]")
    assert "WebGL2" in page.locator("#viewer-start").inner_text()
    assert page.locator("#viewer-tools").is_hidden()
    assert page.locator(".sections.coronal img").first.is_visible()


def test_keys_lead_to_other_scans_and_the_page_can_be_used_by_all(page: "Page", report: Path) -> None:
    page.set_default_timeout(PATIENCE)
    data = report_data(COHORT, ReportSettings())
    first, second = (data.files[scan].split("/")[1] for scan in data.order[:2])
    page.goto(address(report / "scans" / first))
    page.keyboard.press("ArrowRight")
    page.wait_for_url(f"**/{second}")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(f"**/{first}")
    assert barriers(page) == []
    page.set_viewport_size({"width": NARROW, "height": 800})
    assert overflow(page) == 0
