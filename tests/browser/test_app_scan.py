"""One scan and many scans on the real page of the real server with the released weights, in a browser."""

import gzip
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from app_servers import AppServer, running_app
from browsing import barriers, overflow
from sample_scans import nifti_bytes, put, put_dicom
from scipy import ndimage

import hypojax
from hypojax.demonstration import sample_scan
from hypojax.scans import read

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

WEIGHTS = Path(__file__).parents[2] / "checkpoints"
PATIENCE = 300_000
"""Milliseconds that a scan may take: twenty seconds on a quiet machine."""

DARK = 8
"""Grey value below which a pixel of the viewer is black."""


MOST_STOPS = 150
"""Times that Tab is pressed for one thing: a page has some sixty places to stop at."""

FOCUS = """(wanted) => {
    let found = document.activeElement;
    while (found?.tagName === "IFRAME") found = found.contentDocument?.activeElement;
    const page = found?.ownerDocument.body;
    if (!found || found === page) return {what: "nothing", wanted: false, seen: true};
    const paper = getComputedStyle(page).backgroundColor;
    const edges = [found, found.closest("label")].filter(Boolean).map(getComputedStyle);
    const seen = edges.some(edge => edge.outlineStyle === "solid" && parseFloat(edge.outlineWidth) >= 2 && edge.outlineColor !== paper);
    return {what: found.outerHTML.slice(0, 100), wanted: found.matches(wanted), seen};
}"""
"""What has the keyboard, in frames too: whether it is what is wanted, and whether an edge shows it."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    with running_app(tmp_path_factory.mktemp("app"), weights=WEIGHTS) as found:
        yield found


def test_a_scan_is_measured_shown_and_given_back_as_the_command_line_does(
    page: "Page", browser: "Browser", server: AppServer, tmp_path: Path
) -> None:
    page.set_default_timeout(PATIENCE)
    page.goto(server.url)
    assert "not a medical device" in page.locator(".first-line").inner_text()
    assert barriers(page) == []
    scan = tmp_path / "head <i> & co.nii.gz"
    scan.write_bytes(sample_scan().read_bytes())
    page.set_input_files("#one-drop [data-files]", scan)
    page.wait_for_selector("[data-state=measuring], [data-state=drawing]")
    assert "181 × 217 × 181" in page.locator("#one-status .read").inner_text()
    page.reload()  # in the middle of the run
    page.wait_for_selector("[data-result]")
    job = page.locator("[data-result]").get_attribute("data-result")

    slider, places = page.locator(".coronal [data-slider]"), page.locator(".coronal .picture:visible")
    assert slider.get_attribute("aria-valuetext") == "through the middle of the hypothalamus"
    slider.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "1 mm in front of the middle"
    assert [places.count(), places.get_attribute("data-mm")] == [1, "1"]

    frame = page.frame_locator("iframe.viewer")
    page.locator("iframe.viewer").scroll_into_view_if_needed()
    frame.locator("#viewer[data-ready=true]").wait_for()
    assert bright_share(frame.locator("canvas").screenshot()) > 0.2

    with page.expect_download() as download:
        page.click(f'a[href="/mine/{job}/labels.nii.gz"]')
    hypojax.run([scan], tmp_path / "out")
    (own,) = (tmp_path / "out" / "derivatives").rglob("*dseg.nii.gz")
    assert gzip.decompress(Path(download.value.path()).read_bytes()) == gzip.decompress(own.read_bytes())
    cohort = hypojax.open_cohort(tmp_path / "out")
    shown = float(page.locator("data[data-region=hypothalamus]").get_attribute("value") or "nan")
    assert shown == float(cohort["volume_mm3"].sel(region="hypothalamus").item())

    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert barriers(page) == []
    page.set_viewport_size({"width": 400, "height": 900})
    assert overflow(page) == 0
    other = browser.new_context().new_page()  # somebody else
    other.goto(server.url)
    other.wait_for_selector("#one-drop .target")
    assert other.locator("[data-state]").count() == 0
    files = [f"{job}/{name}" for name in ("labels.nii.gz", "intracranial.nii.gz", "volumes.tsv", "page.html", "page.js", "scan.zip")]
    assert {page.request.get(f"{server.url}/mine/{name}").status for name in (*files, "all/all.zip", "all/volumes.tsv")} == {200}
    assert {other.request.get(f"{server.url}/mine/{name}").status for name in (*files, "all/all.zip", "all/volumes.tsv")} == {404}
    other.context.close()


def test_files_that_are_no_scan_get_a_sentence_and_the_page_speaks_german(page: "Page", server: AppServer, tmp_path: Path) -> None:
    page.set_default_timeout(PATIENCE)
    page.goto(server.url)
    page.click("[data-language=de]")
    page.click("text=Viele Aufnahmen")
    (tmp_path / "letter.txt").write_text("Dear colleague,")
    (tmp_path / "broken.nii.gz").write_bytes(sample_scan().read_bytes()[:200_000])
    page.set_input_files("#many-drop [data-files]", [tmp_path / "letter.txt", tmp_path / "broken.nii.gz"])
    page.wait_for_selector("#many-table tr[data-state=failed] >> nth=1")
    said = page.locator("#many-table .queue").inner_text()
    assert "letter.txt" in said
    assert "die Datei ist kein Bild" in said
    assert "die Datei endet zu früh" in said or "die Datei ist beschädigt" in said
    assert page.evaluate("document.documentElement.lang") == "de"
    assert barriers(page) == []
    page.set_viewport_size({"width": 400, "height": 900})
    page.click("#tab-about-button")
    page.wait_for_selector("#about h3")
    for closed in page.locator("#tab-about summary, #tab-about button.label-wrap").all():
        closed.click()
    page.wait_for_selector("#tab-about .prose table[tabindex] >> nth=1")
    assert overflow(page) == 0
    assert barriers(page) == []


def test_of_twenty_files_at_once_none_is_lost_and_a_series_gives_the_numbers_of_a_run(
    page: "Page", server: AppServer, tmp_path: Path
) -> None:
    """Sixteen of them are no scan, one is a ball, two are one head of coarse voxels, and one is that head as a zip of DICOM."""
    pytest.importorskip("dcm2niix", reason="the extra 'dicom' is not installed")
    page.set_default_timeout(PATIENCE)
    head = read("sample", sample_scan()).scaled()
    put_dicom(tmp_path / "series", ndimage.zoom(head[::-1, ::-1], (1, 1 / 1.25, 1 / 1.5), order=1).astype(np.uint16))  # left, posterior, up
    with zipfile.ZipFile(tmp_path / "series.zip", "w") as archive:
        for slice_file in (tmp_path / "series").iterdir():
            archive.write(slice_file, f"DOE^JANE/{slice_file.name}")
    ball = (np.linalg.norm(np.indices((60, 60, 60)) - 30, axis=0) < 25) * 500 + np.random.default_rng(0).integers(0, 40, (60, 60, 60))
    coarse = nifti_bytes(head[::2, ::2, ::2].astype("i2"), affine=np.diag([2.0, 2.0, 2.0, 1.0]))
    (tmp_path / "b").mkdir()
    files = [put(tmp_path, coarse, name="one.nii"), put(tmp_path / "b", coarse, name="one.nii"), tmp_path / "series.zip"]
    files.append(put(tmp_path, nifti_bytes(ball.astype("i2"), affine=np.diag([3.0, 3.0, 3.0, 1.0])), name="ball.nii"))
    files += [put(tmp_path, b"Dear colleague,", name=f"letter-{number}.nii.gz") for number in range(16)]

    page.goto(server.url)
    page.click("text=Many scans")
    page.set_input_files("#many-drop [data-files]", files)
    page.wait_for_selector("#many-table tr[data-state] >> nth=19", state="attached")
    page.wait_for_selector(
        "#many-table .queue:not(:has(tr[data-state=waiting], tr[data-state=reading], tr[data-state=measuring], tr[data-state=drawing]))"
    )
    states = {row.split("\t")[0]: row.split("\t")[1] for row in page.locator("#many-table .queue tbody tr").all_inner_texts()}
    assert [name for name, state in states.items() if state == "measured"] == ["one.nii", "one.nii (2)", "DICOM series 1"]
    assert states["ball.nii"].startswith(("failed: no hypothalamus was found", "failed: it is no T1-weighted scan of a head"))
    assert [state.startswith("failed: the file is not an image") for state in states.values()].count(True) == 16
    look_by_order(page)
    with page.expect_download() as download:
        page.click('a[href="/mine/all/all.zip"]')
    with zipfile.ZipFile(download.value.path()) as found:
        table = pd.read_csv(io.BytesIO(found.read("volumes.tsv")), sep="\t")
        content = b"".join(found.read(name) for name in found.namelist())
    assert b"JANE" not in content
    own = hypojax.open_cohort(run_into(tmp_path / "out", tmp_path / "series"))
    whole = table[table["region"] == "hypothalamus"].set_index("scan")["volume_mm3"]
    assert float(own["volume_mm3"].sel(region="hypothalamus").item()) in whole.tolist()
    page.click("[data-cohort]")
    page.locator("#cohort-shown").get_by_text(f"of {len(whole)}").first.wait_for()


def look_by_order(page: "Page") -> None:
    """Sort the table of volumes, look at its first scan, and find the table in the same order again."""
    heading = page.locator("#many-table table.sorted thead th:nth-child(3)")
    for said, sign in (("ascending", 1), ("descending", -1)):
        heading.locator("button").click()
        assert heading.get_attribute("aria-sort") == said
        shown = volumes_shown(page)
        assert shown == sorted(shown, key=lambda volume, sign=sign: sign * volume)
    first = page.locator("#many-table table.sorted tbody tr").first
    name = first.locator("th").inner_text()
    first.locator("[data-look]").click()
    page.locator("#one-status strong").get_by_text(f"{name}: measured", exact=False).wait_for()
    page.get_by_role("tab", name="Many scans").click()
    page.wait_for_selector("#many-table th[aria-sort=descending]")
    assert volumes_shown(page) == shown


def volumes_shown(page: "Page") -> list[float]:
    """Volumes of the hypothalamus in the order of the table."""
    cells = page.locator("#many-table table.sorted tbody td:nth-child(3) data").all()
    return [float(cell.get_attribute("value") or "nan") for cell in cells]


def test_all_can_be_done_by_the_keyboard_alone_and_it_is_always_seen_where_it_is(page: "Page", server: AppServer) -> None:
    page.set_default_timeout(PATIENCE)
    page.goto(server.url)
    page.wait_for_selector("#one-drop .target")
    tab_to(page, "[data-act=sample]")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-result]")
    page.wait_for_selector("iframe.viewer.ready")
    tab_to(page, ".coronal [data-slider]")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector('.coronal [data-slider][aria-valuetext="1 mm in front of the middle"]')
    tab_to(page, 'a[href$="volumes.tsv"]')
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert "hypothalamus" in Path(download.value.path()).read_text()
    frame = page.frame_locator("iframe.viewer")
    tab_to(page, "#canvas")
    frame.locator("#viewer[data-ready=true]").wait_for()  # it is in sight
    here = frame.locator("#here").inner_text()
    page.keyboard.press("ArrowLeft")
    frame.locator("#here").get_by_text(here.split("\n")[-1], exact=True).wait_for(state="hidden")

    tab_to(page, "#tab-cohort-button")
    page.keyboard.press("Enter")
    page.wait_for_selector("#cohort-numbers")  # that of the visit, the only one
    tab_to(page, "#cohort-pick input")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector("#cohort-page iframe")
    tab_to(page, "#cohort-rating input")
    page.keyboard.press("Space")
    tab_to(page, "#cohort-save")
    page.keyboard.press("Enter")
    page.locator("#cohort-said").get_by_text("saved").wait_for()
    (ratings,) = server.folder.rglob("qc.tsv")
    assert "accept" in ratings.read_text()


def tab_to(page: "Page", wanted: str) -> None:
    """Press Tab until something has the keyboard; whatever has it on the way can be seen to have it."""
    seen = []
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        found = page.evaluate(FOCUS, wanted)
        assert found["seen"], found
        if found["wanted"]:
            return
        seen.append(found["what"])
    raise AssertionError(f"{wanted} is not among {seen}")


def run_into(out: Path, scan: Path) -> Path:
    """The cohort of one scan."""
    hypojax.run(scan, out)
    return out


def bright_share(png: bytes) -> float:
    """Share of the pixels of a picture that are not black."""
    from io import BytesIO

    from PIL import Image

    return float((np.asarray(Image.open(BytesIO(png)).convert("L")) > DARK).mean())
