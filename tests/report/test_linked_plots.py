"""Linked plots: the numbers of the cohort, the same bytes at each call, no script made of text, a sentence for what is not drawn."""

import gzip
import json
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import xarray as xr
from generated_cohort import generated
from report_cohorts import HOSTILE

from hypojax.pages.rendering import json_data
from hypojax.reporting.linked_plots import Plots, cohort_plots
from hypojax.reporting.plot_columns import dates_of, grouping_of, sound_limits, volume_columns
from hypojax.reporting.report_data import ReportSettings, report_data


def cohort(scans: int = 30, *, failing: float = 0.0, **columns: list[str]) -> xr.Dataset:
    made = generated(scans, seed=5, failing=failing)
    return made.assign({name: ("scan", np.array(values, object)) for name, values in columns.items()})


def plots(made: xr.Dataset, **settings: bool) -> Plots:
    return cohort_plots(report_data(made, ReportSettings(**settings)))


def parts(value: object) -> Iterator[dict[str, Any]]:
    """Every object of some JSON."""
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts(part)
    if isinstance(value, dict):
        yield value


def source(found: Plots, name: str) -> dict[str, Any]:
    """Columns of a source of the document."""
    (model,) = (part for part in parts(found.data["document"]) if part.get("attributes", {}).get("name") == name)
    return {key: array(value) for key, value in model["attributes"]["data"]["entries"]}


def array(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, dict) and value.get("type") == "ndarray":
        return np.frombuffer(gzip.decompress(b64decode(value["array"]["data"])), value["dtype"])
    return value


def test_columns_are_the_numbers_of_the_cohort() -> None:
    made = cohort(failing=0.2)
    columns = source(plots(made), "scans")
    for region, values in volume_columns(made).items():
        if region in columns:
            np.testing.assert_allclose(columns[region], values, rtol=1e-6)
        known = values[np.isfinite(values)]
        np.testing.assert_allclose(columns[f"of_{region}"], 100 * (values / np.median(known) - 1), rtol=1e-4, atol=1e-4)
    assert columns["name"] == made["scan"].values.tolist()
    np.testing.assert_allclose(columns["age"], made["age"].where((made["age"] >= 0) & (made["age"] <= 120)), rtol=1e-6)


def test_the_same_cohort_gives_the_same_bytes_and_no_code_of_text() -> None:
    made = cohort(group=["a", "b"] * 15)
    first, second = (json.dumps(plots(made).data) for _ in range(2))
    assert first == second
    assert "CustomJS" not in first
    assert len(json.dumps(plots(cohort(1200)).data)) < 600_000


def test_points_far_out_stand_as_arrows_at_the_border() -> None:
    made = cohort()
    made["volume_mm3"][7, 1] = 90_000.0
    found = plots(made)
    arrows = source(found, "beyond head")
    assert list(arrows["row"]) == [7]
    assert arrows["at_y"][0] < 2000
    assert arrows["hypothalamus"][0] == pytest.approx(90_000)
    assert "1 scan lies beyond the axes" in found.parts["head"]
    assert found.data["plots"]["head"]["ends"][3] < 3000


def test_what_cannot_be_drawn_is_said_in_its_place() -> None:
    stripped = cohort().drop_vars("age")
    stripped["volume_mm3"][:, 0] = np.nan
    found = plots(stripped)
    assert "no scan has a known intracranial volume" in found.parts["head"]
    assert "no scan has a known age" in found.parts["age"]
    assert "no scan has a known date" in found.parts["dates"]
    assert set(found.data["roots"]) == {"regions", "groups", "sides", "quality"}
    assert "Hypothalamus (no scan has an intracranial volume) against age" in plots(stripped.assign(age=cohort()["age"])).parts["age"]


def test_nothing_measured_needs_no_script() -> None:
    found = plots(cohort(4, failing=1.1))
    assert not found.scripts
    assert not found.data
    assert all("not drawn" in part for part in found.parts.values())


def test_text_of_tables_is_never_markup() -> None:
    made = cohort(6, group=[HOSTILE, "b"] * 3, sex=["F", "M"] * 3).assign_coords(scan=[f"{HOSTILE}{number}" for number in range(6)])
    found = plots(made)
    page = "".join([*found.parts.values(), found.controls, str(json_data("d", found.data))])
    assert "<script>alert" not in page
    assert "</script> " not in page
    assert "\u2028" not in page
    assert "\x1b" not in page


def test_a_report_to_be_shared_has_no_dates() -> None:
    made = cohort(8, acq_time=[f"2024-03-{day + 1:02d}" for day in range(8)])
    assert "dates" in plots(made).data["roots"]
    shared = plots(made, share=True)
    assert "holds no dates" in shared.parts["dates"]
    assert "date" not in source(shared, "scans")


def test_dates_that_were_moved_to_hide_them_are_not_drawn() -> None:
    found = dates_of(xr.Dataset({"acq_time": ("scan", np.array(["1905-01-02", "2020-01-02", ""], object))}))
    np.testing.assert_array_equal(found, [np.nan, 1577923200000.0, np.nan])


def test_limits_hold_what_is_sound() -> None:
    values = np.random.default_rng(0).normal(900, 80, 500)
    assert sound_limits(values).low < values.min()
    assert sound_limits(values).high > values.max()
    assert sound_limits(np.append(values, 1e6)).high < 1400
    assert sound_limits(np.array([np.nan])) == (0.0, 1.0)
    low, high = sound_limits(np.full(9, 5.0))
    assert low < 5 < high


def test_small_groups_share_a_colour() -> None:
    import pandas as pd

    sites = [f"site {number}" for number in range(20) for _ in range(number + 1)]
    found = grouping_of(pd.DataFrame({"site": [*sites, None]}), "site")
    assert found is not None
    assert found.labels[-2:] == ("all others", "not known")
    assert len(found.labels) == 7
    assert found.rows("site 19").size == 20
