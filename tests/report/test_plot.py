"""`hypojax.plot`: what is drawn lies where it should in the axes given, n is that of the points, and files are the same each time."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.image import imread
from report_cohorts import made_cohort

import hypojax
from hypojax.pages.figures import blank_figure
from hypojax.pages.palette import GROUP_COLOURS, SUBUNIT_COLOURS
from hypojax.plot import group_maps, outlines, save, volumes
from hypojax.plot.sections import read_box
from hypojax.reason import HypojaxError

GROUPS = ["patient", "control", "patient", "patient", "control", ""]


@pytest.fixture(scope="module")
def cohort() -> xr.Dataset:
    made = made_cohort(6, columns={"group": GROUPS}).load()
    made["status"][:] = "done"
    return made


@pytest.fixture
def ax() -> Axes:
    return blank_figure(6.0, 4.0).subplots()


def test_outlines_of_all_subunits_are_drawn_in_their_colours_left_on_the_left(cohort: xr.Dataset, ax: Axes) -> None:
    scan = cohort["scan"].values[0]
    assert outlines(cohort, scan, ax=ax) is ax
    box = read_box(cohort, scan)
    assert box is not None
    assert len(ax.images) == len(box.sections("coronal"))
    lines = [line for line in ax.lines if to_hex(line.get_color()) in SUBUNIT_COLOURS]
    assert {to_hex(line.get_color()) for line in lines} == set(SUBUNIT_COLOURS)
    assert len(lines) == sum(len(list(section.outlines)) for section in box.sections("coronal"))
    assert {"L", "R", "10 mm", "0 mm", "+6 mm"} <= {text.get_text() for text in ax.texts}
    places = {text.get_text(): text.get_position()[0] for text in ax.texts}
    assert places["L"] < places["R"]


def test_one_side_is_drawn_on_its_side(cohort: xr.Dataset, ax: Axes) -> None:
    left = cohort.copy()
    left["posterior"] = left["posterior"].where(~left["region"].str.startswith("right_"), 0.0)
    outlines(left, cohort["scan"].values[0], ax=ax)
    widths = [image.get_extent() for image in ax.images]
    for line in (line for line in ax.lines if to_hex(line.get_color()) in SUBUNIT_COLOURS):
        x = np.asarray(line.get_xdata()).mean()
        start, stop = next((extent[0], extent[1]) for extent in widths if extent[0] <= x <= extent[1])
        assert x < (start + stop) / 2


def test_volumes_are_points_a_group_with_their_n_and_mean(cohort: xr.Dataset, ax: Axes) -> None:
    made = cohort.copy(deep=True)
    made["volume_mm3"].loc[{"region": "hypothalamus"}] = [900.0, 800, 1000, np.nan, 810, 5]
    volumes(made, by="group", ax=ax)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["control\nn = 2", "patient\nn = 2"]
    clouds = [points for points in ax.collections if isinstance(points, PathCollection)]
    drawn = [np.asarray(points.get_offsets())[:, 1].tolist() for points in clouds]
    assert drawn == [[800, 810], [900, 1000]]
    assert ax.get_ylabel() == "hypothalamus (mm³)"
    assert {to_hex(points.get_facecolor()[0]) for points in clouds} == set(GROUP_COLOURS[:2])


def test_large_volumes_are_in_millilitres_and_many_points_are_an_image_in_an_svg(ax: Axes) -> None:
    many = made_cohort(600)
    volumes(many, None, region="icv", ax=ax)
    assert ax.get_ylabel() == "intracranial volume (mL)"
    assert ax.collections[0].get_rasterized()


def test_group_maps_have_a_row_a_group(cohort: xr.Dataset, ax: Axes) -> None:
    group_maps(cohort, by="group", ax=ax)
    assert len(ax.images) == 14
    assert {"control\nn = 2", "patient\nn = 3"} <= {text.get_text() for text in ax.texts}


def test_files_are_the_same_each_time(cohort: xr.Dataset, tmp_path: Path) -> None:
    files = [save(volumes(cohort, by="group", ax=blank_figure(3.0, 2.0).subplots()), tmp_path / name / "v.svg") for name in ("a", "b")]
    assert [path.name for path in files[0]] == ["v.svg", "v.png"]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]
    assert imread(files[0][1]).shape[1] > 600


def test_a_new_figure_is_made_where_no_axes_are_given(cohort: xr.Dataset) -> None:
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    mpl.use("agg")
    drawn = hypojax.plot.volumes(cohort)
    assert drawn.figure.get_size_inches().tolist() == [3.5, 2.6]
    plt.close("all")


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda cohort: outlines(cohort, "nobody"), "no scan 'nobody'"),
        (lambda cohort: outlines(cohort, cohort["scan"].values[0], plane="oblique"), "coronal, sagittal, axial"),
        (lambda cohort: volumes(cohort, region="amygdala"), "no region 'amygdala'"),
        (lambda cohort: volumes(cohort, by="grp"), "no column 'grp'"),
        (lambda cohort: group_maps(cohort.isel(scan=[5])), "a value of 'group'"),
    ],
)
def test_what_cannot_be_drawn_is_said(cohort: xr.Dataset, draw: Callable[[xr.Dataset], Axes], words: str) -> None:
    with pytest.raises(HypojaxError, match=words):
        draw(cohort)
