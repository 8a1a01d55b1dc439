"""`hypojax.reporting.section_pictures`: outlines lie where the label map lies, amount to the volumes of the table, and left is left."""

import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from PIL import Image
from report_cohorts import BOX_GRID, made_cohort, stored_cohort

from hypojax.cohort import open_cohort
from hypojax.grid import to_voxel, to_world
from hypojax.phantom import Phantom, subunit_coverage
from hypojax.plot.sections import FINE, PLANES, Section, box_labels, contours, enclosed_area, read_box
from hypojax.reason import Reason
from hypojax.reporting.scan_images import ScanImages
from hypojax.reporting.section_pictures import SCALE, SectionPicture, scan_sections
from hypojax.schema import LABELS, PARTS, REGIONS

SCAN = str(made_cohort(1)["scan"].values[0])

AREA = 0.01
"""Relative difference of the area that smooth outlines enclose from that of the labels of 0.5 mm."""


def with_phantom(phantom: Phantom) -> xr.Dataset:
    """A cohort of one scan whose posterior is that of a phantom."""
    cohort = made_cohort(1)
    share = subunit_coverage(phantom, shape=BOX_GRID.shape, affine=BOX_GRID.affine)
    wholes = [share[[value - 1 for value in PARTS[region]]].sum(axis=0) if region in PARTS else share[0] * np.nan for region in REGIONS]
    return cohort.assign(posterior=(cohort["posterior"].dims, np.stack(wholes)[None]))


def paths(picture: SectionPicture) -> dict[int, list[np.ndarray]]:
    """Label → its closed lines, pixels, as a browser reads them."""
    found = {}
    for label, data in re.findall(r'<path class="outline subunit-(\d+)" d="([^"]*)"/>', picture.outlines):
        lines = [np.array(re.findall(r"-?[\d.]+", line), float).reshape(-1, 2) for line in data.split("z") if line]
        found[int(label)] = [np.cumsum(line, axis=0) for line in lines]
    return found


def test_a_section_a_millimetre_through_the_hypothalamus_in_every_plane_with_a_picture_of_its_size() -> None:
    pictures = scan_sections(ScanImages(made_cohort(1), SCAN))
    assert list(pictures) == ["coronal", "sagittal", "axial"]
    assert [p.title for p in pictures["coronal"]] == [f"+{n} mm" for n in range(6, 0, -1)] + ["0 mm"] + [f"−{n} mm" for n in range(1, 8)]
    assert [p.title for p in pictures["sagittal"]] == [f"−{n} mm" for n in range(9, 3, -1)] + [f"+{n} mm" for n in range(3, 9)]
    for picture in (picture for found in pictures.values() for picture in found):
        image = Image.open(BytesIO(picture.image))
        assert (image.format, image.size) == ("WEBP", (picture.width, picture.height))
        assert picture.outlines
    assert "in front of the middle of the hypothalamus" in pictures["coronal"][0].alt
    assert len({p.alt for found in pictures.values() for p in found}) == sum(map(len, pictures.values()))


def test_outlines_enclose_the_volume_of_every_subunit_and_touch_each_other() -> None:
    cohort = with_phantom(Phantom(left=1.1))
    box = read_box(cohort, SCAN)
    assert box is not None
    exact = Phantom(left=1.1).volumes
    for label, region in LABELS.items():
        assert np.count_nonzero(box.labels == label) / FINE**3 == pytest.approx(exact[region], rel=0.03)
    for plane in PLANES:
        drawn = sum(enclosed_area(line.points) for section in box.sections(plane) for line in section.outlines)
        counted = sum(np.count_nonzero(section.labels) for section in box.sections(plane)) / FINE**2
        assert drawn == pytest.approx(counted, rel=AREA)


@pytest.mark.parametrize(("left", "right"), [(1.2, 0.8), (0.8, 1.2)])
def test_left_is_on_the_left_and_front_and_top_are_where_the_letters_say(left: float, right: float) -> None:
    pictures = scan_sections(ScanImages(with_phantom(Phantom(left=left, right=right)), SCAN))
    for plane in ("coronal", "axial"):
        size = {"L": 0.0, "R": 0.0}
        for picture in pictures[plane]:
            for label, lines in paths(picture).items():
                across = np.concatenate(lines)[:, 0]
                on_left = across.mean() < picture.width / 2
                assert on_left == (label <= 5)
                size[picture.sides[0] if on_left else picture.sides[1]] += sum(map(enclosed_area, lines))
        assert (size["L"] > size["R"]) == (left > right)
    for picture in pictures["coronal"]:
        heights = {label: np.concatenate(lines)[:, 1].mean() for label, lines in paths(picture).items()}
        assert all(heights[upper] <= heights[upper - 1] for upper in (2, 5, 7, 10) if {upper, upper - 1} <= set(heights))
    for picture in pictures["sagittal"]:
        found = paths(picture)
        assert picture.sides == ("P", "A")
        assert all(label <= 5 for label in found) or picture.title.startswith("+")
        fronts = {label: np.concatenate(lines)[:, 0].mean() for label, lines in found.items()}
        assert all(fronts[back] < fronts[front] for back, front in ((3, 1), (8, 6)) if {back, front} <= set(fronts))


def test_axial_sections_have_the_front_on_top() -> None:
    for picture in scan_sections(ScanImages(made_cohort(1), SCAN))["axial"]:
        heights = {label: np.concatenate(lines)[:, 1].mean() for label, lines in paths(picture).items()}
        assert all(heights[front] < heights[back] for back, front in ((3, 1), (8, 6)) if {back, front} <= set(heights))


def test_a_voxel_of_the_image_and_its_label_lie_on_the_same_pixels() -> None:
    cohort = made_cohort(1)
    box = read_box(cohort, SCAN)
    assert box is not None
    image = np.where(box.labels[::FINE, ::FINE, ::FINE] > 0, np.float32(3), np.float32(-3))
    for plane, pictures in scan_sections(ScanImages(cohort.assign(image=(cohort["image"].dims, image[None])), SCAN)).items():
        for picture in pictures:
            bright = np.asarray(Image.open(BytesIO(picture.image)).convert("L")) > 127
            places = np.concatenate([np.concatenate(lines) for lines in paths(picture).values()])
            if len(places) > 60:
                middle = (places.min(axis=0) + places.max(axis=0)) / 2
                rows, columns = np.nonzero(bright)
                found = np.array([columns.min() + columns.max() + 1, rows.min() + rows.max() + 1]) / 2
                assert np.abs(middle - found).max() < 0.6 * SCALE, (plane, picture.title)


def test_labels_of_the_box_lie_where_those_on_the_scans_own_voxels_lie() -> None:
    from hypojax.volumes.label_map import native_labels
    from hypojax.volumes.structure import clean_hypothalamus

    subunits = np.rint(subunit_coverage(Phantom(left=1.1), shape=BOX_GRID.shape, affine=BOX_GRID.affine) * 255).astype(np.uint8)
    native = np.diag([-0.8, 0.9, 1.1, 1.0])
    native[:3, 3] = [25, -20, -45]
    posteriors = clean_hypothalamus(subunits, BOX_GRID, np.ones(BOX_GRID.shape, bool))
    drawn = native_labels(posteriors, BOX_GRID, shape=(60, 60, 50), affine=native)
    fine = box_labels(subunits, BOX_GRID)
    places = np.round(to_voxel(BOX_GRID.affine, to_world(native, np.argwhere(drawn > 0))) * FINE).astype(int)
    assert np.mean(fine[tuple(places.T)] == drawn[drawn > 0]) > 0.8
    for label in LABELS:
        middles = [
            to_world(native, np.argwhere(drawn == label)).mean(axis=0),
            to_world(BOX_GRID.affine, np.argwhere(fine == label) / FINE).mean(axis=0),
        ]
        assert np.abs(np.subtract(*middles)).max() < 0.3


def test_small_labels_keep_an_outline_and_holes_have_one_of_their_own() -> None:
    mask = np.zeros((9, 9), bool)
    mask[4, 4] = True
    assert len(contours(mask, (slice(4, 5), slice(4, 5)))) == 1
    ring = np.ones((20, 20), bool)
    ring[5:15, 5:15] = False
    areas = sorted(enclosed_area(line) for line in contours(ring, (slice(0, 20), slice(0, 20))))
    assert areas == pytest.approx([-100, 400], rel=0.03)
    empty = Section("coronal", 0, np.zeros((3, 3), np.float32), np.zeros((5, 5), np.uint8))
    assert list(empty.outlines) == []


def test_a_scan_without_posterior_has_no_picture_but_a_sentence(tmp_path: Path) -> None:
    stored = stored_cohort(tmp_path, 1, failures={"sub-99": Reason.TRUNCATED}, pending=["sub-98"])
    cohort = open_cohort(stored)
    assert len(scan_sections(ScanImages(cohort, "sub-01"))) == 3
    assert ScanImages(cohort, "sub-01").missing == ""
    for scan, words in {"sub-99": "could not be measured (truncated)", "sub-98": "has not been measured"}.items():
        assert scan_sections(ScanImages(cohort, scan)) == {}
        assert words in ScanImages(cohort, scan).missing
    chunk = next((stored / "cohort.zarr" / "posterior" / "c").rglob("0"))
    target = chunk if chunk.is_file() else next(path for path in chunk.rglob("*") if path.is_file())
    target.write_bytes(target.read_bytes()[:-3])
    assert scan_sections(ScanImages(cohort, "sub-01")) == {}
    assert "cannot be read" in ScanImages(cohort, "sub-01").missing
