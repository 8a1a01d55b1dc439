"""`hypojax.reporting.head_pictures`: no voxel beyond 15 mm outside the mask is ever shown, and the outline is the mask that is counted."""

import re
from io import BytesIO

import numpy as np
import pytest
import xarray as xr
from PIL import Image
from report_cohorts import HEAD_GRID, made_cohort
from scipy import ndimage

from hypojax.phantom import HYPOTHALAMUS_CENTRE, Phantom, intracranial_coverage
from hypojax.plot.sections import enclosed_area, moved
from hypojax.reporting import head_pictures
from hypojax.reporting.head_pictures import REACH, SCALE, head_sections, head_sentence, near_mask
from hypojax.reporting.scan_images import ScanImages
from hypojax.reporting.section_pictures import INSET, SectionPicture
from hypojax.schema import HEAD_SHAPE, HEAD_SPACING

MASK = intracranial_coverage(Phantom(head=0.8), shape=HEAD_SHAPE, affine=HEAD_GRID.affine) > 0.5
SCAN = str(made_cohort(1)["scan"].values[0])


def changed(*, image: np.ndarray | None = None, posterior: np.ndarray | None = None, reason: str = "") -> xr.Dataset:
    cohort = made_cohort(1).load()
    for name, values in (("head_image", image), ("head_posterior", posterior)):
        if values is not None:
            cohort[name][0] = values
    cohort["missing_reason"] = cohort["missing_reason"].where(cohort["region"] != "icv", reason)
    return cohort


def grey(picture: SectionPicture) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(picture.image)).convert("L")).astype(int)


def test_near_mask_agrees_with_the_distance_transform() -> None:
    random = np.random.default_rng(1)
    mask = random.random((24, 19, 22)) < 0.002
    distance = ndimage.distance_transform_edt(~mask)
    for index in (0, 7, 23):
        assert np.array_equal(near_mask(mask, index), distance[index] <= REACH / HEAD_SPACING)
    assert not near_mask(np.zeros((3, 4, 5), bool), 1).any()


@pytest.fixture(scope="module")
def distance() -> np.ndarray:
    """Distance from the mask of the phantom, mm."""
    return ndimage.distance_transform_edt(~MASK) * HEAD_SPACING


@pytest.mark.parametrize("whole_head", [False, True])
def test_nothing_beyond_15_mm_outside_the_mask_is_shown(distance: np.ndarray, whole_head: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_pictures, "_window", lambda _: (-1.0, 7.0))
    face = np.where(distance > REACH, np.float32(6), np.float32(0))
    pictures = head_sections(ScanImages(changed(image=face, posterior=MASK.astype(np.float32)), SCAN), whole_head=whole_head)
    assert len(pictures) == 9
    assert all((grey(picture).max() > 200) == whole_head for picture in pictures)


def test_all_within_15_mm_is_shown(distance: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_pictures, "_window", lambda _: (-1.0, 7.0))
    rim = np.where((distance > REACH - HEAD_SPACING) & (distance <= REACH), np.float32(6), np.float32(0))
    for picture in head_sections(ScanImages(changed(image=rim, posterior=MASK.astype(np.float32)), SCAN), whole_head=False):
        assert grey(picture).max() > 200


def test_the_outline_encloses_the_mask_that_is_counted() -> None:
    posterior = intracranial_coverage(Phantom(), shape=HEAD_SHAPE, affine=HEAD_GRID.affine)
    soft = np.clip(ndimage.gaussian_filter(posterior, 1.5), 0, 1) ** 1.5
    pictures = head_sections(ScanImages(changed(posterior=soft), SCAN), whole_head=False)
    coronal = pictures[1]
    assert coronal.title == "0 mm"
    counted = np.sort(soft.ravel())[-round(float(soft.sum()))]
    middle = round(float((HYPOTHALAMUS_CENTRE[1] + 111) / HEAD_SPACING))
    drawn = sum(map(enclosed_area, lines(coronal))) / SCALE**2
    assert drawn == pytest.approx(np.count_nonzero(soft[middle] > counted), rel=0.02)


@pytest.mark.parametrize("left", [True, False])
def test_left_is_on_the_left(left: bool) -> None:
    image = np.zeros(HEAD_SHAPE, np.float32)
    half = slice(0, HEAD_SHAPE[2] // 2) if left else slice(HEAD_SHAPE[2] // 2, None)
    image[:, :, half] = 1
    for picture in head_sections(ScanImages(changed(image=image), SCAN), whole_head=False):
        if picture.sides == ("L", "R"):
            columns = grey(picture).mean(axis=0)
            assert (columns[: len(columns) // 2].mean() > columns[len(columns) // 2 :].mean()) == left


def test_what_hangs_on_the_mask_somewhere_else_shows_nothing() -> None:
    posterior = MASK.astype(np.float32)
    posterior[100:104, 2:6, 46:50] = 1
    plain = head_sections(ScanImages(changed(posterior=MASK.astype(np.float32)), SCAN), whole_head=False)
    assert [p.image for p in head_sections(ScanImages(changed(posterior=posterior), SCAN), whole_head=False)] == [p.image for p in plain]


@pytest.mark.parametrize(
    ("posterior", "reason", "words"),
    [
        (np.zeros(HEAD_SHAPE, np.float32), "", "no intracranial mask was found"),
        (np.ones(HEAD_SHAPE, np.float32), "", "more than a cranium"),
        (None, "partly_blank", "not to be relied on (partly blank)"),
    ],
)
def test_without_a_mask_to_go_by_nothing_is_shown_unless_the_whole_head_is_asked_for(
    posterior: np.ndarray | None, reason: str, words: str
) -> None:
    cohort = changed(posterior=posterior, reason=reason)
    assert head_sections(ScanImages(cohort, SCAN), whole_head=False) == []
    assert words in head_sentence(ScanImages(cohort, SCAN), whole_head=False)
    assert len(head_sections(ScanImages(cohort, SCAN), whole_head=True)) == 9
    assert words not in head_sentence(ScanImages(cohort, SCAN), whole_head=True)


def test_a_head_whose_volume_is_missing_has_no_outline_and_says_so() -> None:
    cohort = changed(reason="skull_stripped")
    assert all(not picture.outlines for picture in head_sections(ScanImages(cohort, SCAN), whole_head=False))
    assert "not drawn, since the volume is missing (skull stripped)" in head_sentence(ScanImages(cohort, SCAN), whole_head=False)
    assert "15 mm" in head_sentence(ScanImages(changed(), SCAN), whole_head=False)
    assert all("icv" in picture.outlines for picture in head_sections(ScanImages(changed(), SCAN), whole_head=False))


def test_a_scan_that_failed_has_no_head() -> None:
    cohort = changed()
    cohort["status"][0], cohort["reason"][0] = "failed", "truncated"
    cohort["head_image"][0] = np.nan
    assert head_sections(ScanImages(cohort, SCAN), whole_head=True) == []
    assert "truncated" in head_sentence(ScanImages(cohort, SCAN), whole_head=True)


def lines(picture: SectionPicture) -> list[np.ndarray]:
    """The closed lines of the outlines, pixels, before they were moved inwards."""
    data = re.findall(r' d="([^"]*)"', picture.outlines)
    found = [np.array(re.findall(r"-?[\d.]+", line), float).reshape(-1, 2) for path in data for line in path.split("z") if line]
    return [moved(np.cumsum(line, axis=0), -INSET) for line in found]
