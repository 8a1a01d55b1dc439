"""`hypojax.reporting.paper_figures`: two files a plane under a name that is safe, and a sentence where there is no such scan."""

from pathlib import Path

import pytest
from report_cohorts import made_cohort, stored_cohort

from hypojax.cli import main
from hypojax.reason import HypojaxError
from hypojax.reporting.paper_figures import write_figures
from hypojax.reporting.report_data import ReportSettings, report_data
from hypojax.reporting.report_run import MARK, SHARED


def test_sections_of_a_scan_are_written_as_svg_and_png(tmp_path: Path) -> None:
    data = report_data(made_cohort(1), ReportSettings())
    files = write_figures(data, data.order[0], tmp_path / "figures")
    planes = ("coronal", "sagittal", "axial")
    assert [file.name for file in files] == [f"{data.order[0]}_{plane}.{kind}" for plane in planes for kind in ("svg", "png")]
    assert all(file.stat().st_size > 10_000 for file in files)
    with pytest.raises(HypojaxError, match="no such scan"):
        write_figures(data, "nobody", tmp_path)


def test_figures_to_pass_on_are_asked_for_by_the_scans_own_name_and_do_not_have_it(tmp_path: Path) -> None:
    stored_cohort(tmp_path, 2)
    assert main(["report", str(tmp_path), "--share", "--figure", "sub-02"]) == 0
    folder = tmp_path / SHARED
    figures = sorted(folder.glob("figures/*"))
    assert len(figures) == 6
    for file in figures:
        assert file.name.startswith("scan-0002_")
        assert b"sub-02" not in file.read_bytes()
    assert (folder / MARK).is_file(), "the folder is one to pass on"
