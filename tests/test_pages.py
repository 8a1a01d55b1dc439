"""`hypojax.pages`: the picture is written, and shows labels where they lie."""

import sys
from pathlib import Path

import numpy as np
import pytest
from affines import affine_of, reorder
from matplotlib import image as png
from matplotlib.colors import to_rgb

from hypojax.pages.figures import coronal_figure
from hypojax.pages.palette import INTRACRANIAL_COLOUR, SUBUNIT_COLOURS
from hypojax.phantom import Phantom, intracranial_coverage, render, subunit_coverage
from hypojax.reason import HypojaxError, Reason
from hypojax.volumes.structure import label_voxels

COLOUR_TOLERANCE = 0.12
"""Largest difference of a channel (0 to 1) in the middle of an outline: its rim is blended with the grey slice."""

Head = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def head() -> Head:
    """A phantom with its label maps: volume, affine, hypothalamus, intracranial."""
    shape, phantom = (84, 100, 80), Phantom(noise=20.0)
    affine = affine_of((2.0, 2.0, 2.0), shape)
    labels = label_voxels(subunit_coverage(phantom, shape=shape, affine=affine))
    inside = (intracranial_coverage(phantom, shape=shape, affine=affine) > 0.5).astype(np.uint8)
    return render(phantom, shape=shape, affine=affine), affine, labels, inside


def pixels(path: Path, colour: str) -> np.ndarray:
    """Rows and columns of the pixels of one colour, legend left out."""
    picture = png.imread(path)[..., :3]
    rows, columns, _ = picture.shape
    found = np.abs(picture - to_rgb(colour)).max(axis=-1) < COLOUR_TOLERANCE
    found[rows // 2 :, columns * 3 // 4 :] = False
    return np.argwhere(found)


def test_every_structure_is_outlined_and_the_picture_is_always_the_same(head: Head, tmp_path: Path) -> None:
    first = coronal_figure(*head, tmp_path / "deep" / "down" / "a.png")
    assert first.read_bytes().startswith(b"\x89PNG")
    assert all(len(pixels(first, colour)) > 20 for colour in (*SUBUNIT_COLOURS, INTRACRANIAL_COLOUR))
    assert coronal_figure(*head, tmp_path / "b.png").read_bytes() == first.read_bytes()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (-1, -1, 1)])
def test_left_is_on_the_left_however_the_scan_is_stored(head: Head, tmp_path: Path, side: str, flips: tuple[int, ...]) -> None:
    volume, affine, labels, inside = head
    one_side = np.where((labels > 0) & ((labels <= 5) == (side == "left")), np.uint8(5), np.uint8(0))
    turned = reorder(volume, affine, (1, 2, 0), flips)[1]
    stored = [reorder(array, affine, (1, 2, 0), flips)[0] for array in (volume, one_side, inside)]
    path = coronal_figure(stored[0], turned, stored[1], stored[2], tmp_path / "one.png")
    outlined, skull = pixels(path, SUBUNIT_COLOURS[4]), pixels(path, INTRACRANIAL_COLOUR)
    quarter = png.imread(path).shape[1] // 4
    half = png.imread(path).shape[0] // 2
    in_head = outlined[(outlined[:, 1] < quarter) & (outlined[:, 0] < half)][:, 1].mean()
    middle = skull[(skull[:, 1] < quarter) & (skull[:, 0] < half)][:, 1].mean()
    assert (in_head < middle) == (side == "left")


def test_a_scan_without_labels_still_has_a_picture(head: Head, tmp_path: Path) -> None:
    volume, affine, labels, inside = head
    assert coronal_figure(volume, affine, np.zeros_like(labels), inside, tmp_path / "a.png").stat().st_size > 1000
    assert coronal_figure(volume, affine, np.zeros_like(labels), np.zeros_like(inside), tmp_path / "b.png").stat().st_size > 1000


def test_missing_matplotlib_says_what_to_install(head: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(HypojaxError, match=r"hypojax\[report\]") as caught:
        coronal_figure(*head, tmp_path / "a.png")
    assert caught.value.reason == Reason.USAGE
