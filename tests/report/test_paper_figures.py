"""`hypojax.reporting.paper_figures`: two files a plane under a name that is safe, and a sentence where there is no such scan."""

from pathlib import Path

import pytest
from report_cohorts import made_cohort

from hypojax.reason import HypojaxError
from hypojax.reporting.paper_figures import write_figures
from hypojax.reporting.report_data import ReportSettings, report_data


def test_sections_of_a_scan_are_written_as_svg_and_png(tmp_path: Path) -> None:
    data = report_data(made_cohort(1), ReportSettings())
    files = write_figures(data, data.order[0], tmp_path / "figures")
    planes = ("coronal", "sagittal", "axial")
    assert [file.name for file in files] == [f"{data.order[0]}_{plane}.{kind}" for plane in planes for kind in ("svg", "png")]
    assert all(file.stat().st_size > 10_000 for file in files)
    with pytest.raises(HypojaxError, match="no such scan"):
        write_figures(data, "nobody", tmp_path)
