"""Plots and table of a cohort in a browser: one choice of scans in both, sorted and filtered, each scan a click away, exact numbers."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from browsing import WIDE, Watch, address, barriers, overflow
from generated_cohort import generated
from report_cohorts import HOSTILE

from hypojax import cohort
from hypojax.pages.rendering import render_page
from hypojax.reason import visible
from hypojax.reporting.linked_plots import cohort_plots
from hypojax.reporting.report_data import ReportData, ReportSettings, report_data
from hypojax.reporting.scan_table import scan_rows
from hypojax.schema import WORLD_AXES
from hypojax.tables.cells import decoded

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PAGE = """{% extends "base.html" %}{% block title %}Cohort{% endblock %}
{% block head %}{{ inline_style(plots.style) }}{{ inline_style(table.style) }}{% endblock %}
{% block content %}<h2>Plots</h2>{{ plots.controls }}
<div class="plots-grid">{% for part in plots.parts.values() %}{{ part }}{% endfor %}</div>
{{ table.frame }}{% endblock %}
{% block scripts %}{{ json_data("scans-data", table.data) }}{{ inline_script(table.script) }}
{{ json_data("plots-data", plots.data) }}{% for script in plots.scripts %}{{ inline_script(script) }}{% endfor %}{% endblock %}"""

PATIENCE = 60_000
"""Milliseconds that anything may take on a machine that does other work."""

SCANS = 40
FAR, NOISY = 5, 8
"""Scans whose hypothalamus, and whose noise, lie beyond the axes."""

ROWS = "#scans-table tbody tr[data-row]"


@pytest.fixture(scope="module")
def data() -> ReportData:
    random = np.random.default_rng(1)
    made = generated(SCANS, seed=1, failing=0.1)
    groups = np.array([("control", "patient", HOSTILE)[number] for number in random.integers(0, 3, SCANS)], object)
    names = [f"sub-{number}" for number in range(SCANS)]
    names[3] = HOSTILE
    made["status"][[FAR, NOISY]] = "done"
    made["volume_mm3"][FAR, 1:] = made["volume_mm3"].median("scan")[1:] * 9
    made["volume_mm3"][NOISY, 1] = 1.25e-7  # an exponent in a file
    made["quality_noise"][NOISY] = 99.0
    sites = np.array(["Bonn", "Graz"] * (SCANS // 2), object)
    return report_data(
        made.assign(group=("scan", groups), site=("scan", sites)).assign_coords(scan=np.array(names, object)), ReportSettings()
    )


@pytest.fixture(scope="module")
def opened(browser: "Browser", data: ReportData, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Page]":
    """The page, drawn once; no test may leave an error or a request behind."""
    folder, watch = tmp_path_factory.mktemp("report"), Watch()
    (folder / "template.html").write_text(PAGE)
    html = render_page("template.html", {"plots": cohort_plots(data), "table": scan_rows(data)}, folders=[folder])
    (folder / "index.html").write_text(html, encoding="utf-8")
    (folder / "scans").mkdir()
    for file in data.files.values():
        (folder / file).write_text("<!doctype html><title>a scan</title><link rel=icon href=data:,>")
    page = browser.new_page(viewport={"width": WIDE, "height": 1000})
    page.set_default_timeout(PATIENCE)
    watch.attach(page)
    page.goto(address(folder / "index.html"))
    wait_for_plots(page)
    yield page
    page.close()
    assert not watch.faults, "\n".join(watch.faults)


@pytest.fixture
def page(opened: "Page") -> "Page":
    """The page with nothing chosen, and nothing filtered or sorted."""
    opened.evaluate("document.getElementById('scans-all').click()")
    while opened.locator("th[aria-sort]").count():
        opened.click("th[aria-sort] button")
    return opened


def wait_for_plots(page: "Page") -> None:
    page.wait_for_selector("html[data-plots=drawn]", state="attached")
    page.wait_for_function("[...Bokeh.index].every((view) => view.is_idle ?? true)")


def rows(page: "Page") -> list[int]:
    """Rows of the cohort that the table draws, from the top."""
    return list(page.eval_on_selector_all(ROWS, "lines => lines.map((line) => Number(line.dataset.row))"))


def column(page: "Page", source: str, name: str) -> list[Any]:
    """A column of a source of the plots; ``selected``: which scans are chosen."""
    script = """([source, name]) => {
      const models = [...[...Bokeh.index][0].model.document._all_models.values()];
      const found = models.find((one) => one.name === source && one.type === "ColumnDataSource");
      return [...(name === "selected" ? found.selected.indices : found.data[name])];
    }"""
    return list(page.evaluate(script, [source, name]))


def at(page: "Page", plot: str, row: int) -> tuple[float, float]:
    """Where the point of a scan stands in the window, pixels."""
    script = """([name, row]) => {
      const view = [...Bokeh.index].find((one) => one.model.name === name);
      const {glyph, data_source} = view.model.renderers.find((one) => one.name === "points");
      const box = view.canvas_view.el.getBoundingClientRect();
      return [box.left + view.frame.x_scale.compute(data_source.data[glyph.x.field][row]),
              box.top + view.frame.y_scale.compute(data_source.data[glyph.y.field][row])];
    }"""
    page.locator(f"#plot-{plot}-canvas").scroll_into_view_if_needed()
    left, top = page.evaluate(script, [plot, row])
    return left, top


def volumes(data: ReportData, region: str) -> np.ndarray:
    return data.cohort["volume_mm3"].sel(region=region).values


def largest_head(data: ReportData) -> int:
    return int(np.nanargmax(np.where(np.isin(np.arange(SCANS), [FAR, NOISY]), np.nan, volumes(data, "icv"))))


def test_a_box_chooses_scans_in_plots_and_table_however_slowly_it_is_drawn(page: "Page", data: ReportData) -> None:
    row = largest_head(data)
    left, top = at(page, "head", row)
    page.mouse.move(left - 8, top - 8)
    page.mouse.down()
    page.wait_for_timeout(400)  # longer than a click: bokeh takes it for a press
    page.mouse.move(left, top, steps=2)
    page.mouse.move(left + 8, top + 8, steps=2)
    page.mouse.up()
    page.wait_for_selector("#scans-chosen:not([hidden])")
    assert row in rows(page)
    assert len(rows(page)) < 9
    assert sorted(column(page, "scans", "selected")) == sorted(rows(page))
    page.click("#plots-clear")
    assert column(page, "scans", "selected") == []
    assert len(rows(page)) > 9


def test_a_group_of_the_legend_is_chosen_and_let_go_in_both(page: "Page", data: ReportData) -> None:
    page.locator("#plots-legend button", has_text="control").click()
    controls = np.flatnonzero(data.people["group"].to_numpy() == "control").tolist()
    assert column(page, "scans", "selected") == controls
    assert sorted(rows(page)) == controls
    page.click("#scans-chosen")
    assert column(page, "scans", "selected") == []
    page.select_option("#plots-colour", "site")
    assert page.locator("#plots-legend button").all_inner_texts() == ["Bonn", "Graz"]
    assert len(set(column(page, "scans", "colour")[::2])) == 1


def test_a_scan_that_is_pointed_at_is_lit_in_all_plots(page: "Page", data: ReportData) -> None:
    plots = {"groups", "head", "sides", "age", "quality"}
    page.locator(f"{ROWS}[data-row='{FAR}']").hover()
    assert set(column(page, "lit", "plot")) == plots
    assert page.inner_text("#plots-status").startswith(f"sub-{FAR}: hypothalamus")
    row = largest_head(data)
    page.mouse.move(*at(page, "head", row), steps=2)
    page.wait_for_function("(name) => document.getElementById('plots-status').textContent.startsWith(name)", arg=f"sub-{row}")
    assert set(column(page, "lit", "plot")) == plots
    assert len(column(page, "profile", "x")) == data.cohort.sizes["region"]


def test_another_region_and_another_measure_have_their_own_points_arrows_and_words(page: "Page", data: ReportData) -> None:
    assert column(page, "beyond groups", "row") == [FAR, NOISY]
    page.select_option("#plots-region", "icv")
    page.select_option("#plots-grouping", "site")
    np.testing.assert_allclose(np.array(column(page, "scans", "chosen"), float), volumes(data, "icv") / 1000, rtol=1e-5)
    assert column(page, "beyond groups", "row") == []
    assert page.inner_text("#plot-groups-title") == "Intracranial volume by site"
    before = page.inner_text("#plot-quality-words")
    assert column(page, "beyond quality", "row") == [FAR, NOISY]
    page.select_option("#plots-measure", "quality_noise")
    assert np.array(column(page, "beyond quality", "quality_noise"), float)[1] == 99
    np.testing.assert_allclose(column(page, "beyond quality", "angle"), [0, -3 * np.pi / 4])  # up; to the right and down
    assert page.inner_text("#plot-quality-words") not in ("", before)


def test_rows_are_sorted_by_numbers_and_filtered_by_words(page: "Page", data: ReportData) -> None:
    place = {scan: row for row, scan in enumerate(data.cohort["scan"].values.tolist())}
    first = rows(page)
    assert first == [place[scan] for scan in data.order][: len(first)]
    heads = volumes(data, "icv")
    known = [row for row in np.argsort(heads, kind="stable").tolist() if np.isfinite(heads[row])]
    button = page.locator("#scans-table thead button", has_text="Intracranial").first
    for expected in (known, known[::-1]):
        button.click()
        drawn = rows(page)[: len(known)]
        assert drawn == expected[: len(drawn)]
    page.locator(f"{ROWS} th a").first.focus()
    page.keyboard.press("End")
    assert np.isnan(heads[int(page.evaluate("document.activeElement.closest('tr').dataset.row"))]), "missing ones are last either way"
    page.fill("#scans-search", "sub-1 DONE")
    asked = {row for scan, row in place.items() if "sub-1" in scan and data.cohort["status"].values[row] == "done"}
    page.get_by_text(f"{len(asked)} of {SCANS} scans").wait_for()
    assert set(rows(page)) == asked
    page.click("#scans-all")
    page.select_option("select[data-filter='1']", "failed")
    assert set(rows(page)) == set(np.flatnonzero(data.cohort["status"].values == "failed").tolist())


def test_what_is_saved_has_exactly_the_cells_of_volumes_tsv(page: "Page", data: ReportData, tmp_path: Path) -> None:
    with page.expect_download() as waiting:
        page.click("#scans-save")
    waiting.value.save_as(tmp_path / "scans.tsv")
    cohort.export_table(data.cohort.assign_coords(direction=list(WORLD_AXES)), tmp_path)
    saved, volumes = (pd.read_csv(tmp_path / name, sep="\t", dtype=str, keep_default_na=False) for name in ("scans.tsv", "volumes.tsv"))
    for table in (saved, volumes):
        table["scan"] = table["scan"].map(lambda cell: visible(decoded(cell)))
        table["group"] = table["group"].map(lambda cell: visible(decoded(cell).strip()))  # as groups are compared
    assert saved["scan"].tolist() == [visible(data.names[scan]) for scan in data.order]
    saved = saved.set_index("scan")
    for region in ("icv", "hypothalamus", "hypothalamus_left"):
        cells = volumes[volumes["region"] == region].set_index("scan")
        assert saved[f"{region}_mm3"].to_dict() == cells["volume_mm3"].to_dict()
        assert saved["group"].to_dict() == cells["group"].to_dict()
    assert "1.25e-07" in saved["hypothalamus_mm3"].tolist()


def test_no_barrier_and_nothing_wider_than_a_narrow_screen(page: "Page") -> None:
    assert barriers(page) == []
    page.set_viewport_size({"width": 400, "height": 900})
    assert overflow(page) == 0
    page.set_viewport_size({"width": WIDE, "height": 1000})


def test_a_row_by_click_or_key_and_a_point_lead_to_the_page_of_their_scan(page: "Page", data: ReportData) -> None:
    """The last one, as it leaves the page; a point beside which no other stands."""
    index, row = page.url, largest_head(data)
    page.reload()  # so that plots that were narrow a moment ago have their width again
    wait_for_plots(page)
    page.mouse.click(*at(page, "head", row))
    page.wait_for_url(f"**/{data.files[f'sub-{row}']}")
    for leave in ("click", "Enter"):
        page.goto(index, wait_until="commit")
        link = page.locator(f"{ROWS} a").nth(2)
        scan = link.inner_text()
        link.click() if leave == "click" else link.press("Enter")
        page.wait_for_url(f"**/{data.files[scan]}")
