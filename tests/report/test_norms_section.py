"""`hypojax.reporting.norms_section`: people on the curves of norms, at the scores that `apply_norms` gives them."""

from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from generated_cohort import generated
from report_cohorts import made_cohort

from hypojax.cohort.ratings import RATING_COLUMNS
from hypojax.reporting.cohort_page import cohort_page
from hypojax.reporting.norms_section import norms_shown
from hypojax.reporting.report_data import ReportData, ReportSettings, report_data
from hypojax.reporting.scan_volumes import volume_rows
from hypojax.study import apply_norms, fit_norms


@cache
def norms_bytes() -> bytes:
    """A norms file of some hundred people."""
    return bytes(fit_norms(generated(240, seed=5, failing=0.0), df=2).to_netcdf(engine="h5netcdf"))


@pytest.fixture
def data(tmp_path: Path) -> ReportData:
    (tmp_path / "norms.nc").write_bytes(norms_bytes())
    return report_data(made_cohort(12, seed=7), ReportSettings(norms=tmp_path / "norms.nc"))


def test_the_cohort_page_shows_people_on_the_norms(data: ReportData) -> None:
    shown = norms_shown(data)
    assert shown is not None
    assert shown.figure.startswith("data:image/svg+xml;base64,")
    table = data.cohort.drop_dims(["anterior", "head_anterior"])
    z = apply_norms(xr.load_dataset(BytesIO(norms_bytes()), engine="h5netcdf"), table)["z"].sel(region="hypothalamus")
    said = shown.sentences[0]
    assert f"{int((z < -1.96).sum())} of {int(np.isfinite(z).sum())} below" in said
    assert f"{shown.figure}".encode() in cohort_page(data)


def test_rejected_scans_are_not_among_the_people(data: ReportData) -> None:
    scan = str(data.cohort["scan"].values[0])
    row = dict(zip(RATING_COLUMNS, (scan, "reject", "", "a", "2026-05-04T00:00:00Z"), strict=True))
    shown = norms_shown(replace(data, ratings=pd.DataFrame([row])))
    assert shown is not None
    assert "of 11 below" in shown.sentences[0]
    assert "1 scan rated as reject left out." in shown.sentences


def test_norms_that_cannot_be_used_cost_the_drawing_and_no_page(data: ReportData, tmp_path: Path) -> None:
    assert norms_shown(replace(data, settings=ReportSettings())) is None
    (tmp_path / "other.nc").write_bytes(b"no norms")
    for other in (
        replace(data, settings=ReportSettings(norms=tmp_path / "other.nc")),
        report_data(data.cohort, replace(data.settings, share=True)),
    ):
        shown = norms_shown(other)
        assert shown is not None
        assert not shown.figure
        assert shown.sentences[0].startswith("No norms are shown: ")


def test_the_page_of_a_scan_has_its_centiles(data: ReportData) -> None:
    scan = str(data.cohort["scan"].values[3])
    rows, said = volume_rows(data.cohort, scan, norms=data.settings.norms)
    assert said.startswith("Centiles are those of the norms")
    found = next(row.centile for row in rows if row.region == "hypothalamus")
    table = data.cohort.drop_dims(["anterior", "head_anterior"]).sel(scan=[scan])
    norms = xr.load_dataset(BytesIO(norms_bytes()), engine="h5netcdf")
    assert found.split(" ")[0] == f"{float(apply_norms(norms, table)['centile'].sel(region='hypothalamus').item()):.0f}"
