"""What the viewer shows: where it lies in the world, which labels it has, how large it is."""

import base64
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from report_cohorts import made_cohort, stored_cohort

from hypojax import open_cohort
from hypojax.grid import to_world
from hypojax.phantom import HYPOTHALAMUS_CENTRE
from hypojax.plot.sections import FINE, read_box
from hypojax.reporting.scan_images import ScanImages
from hypojax.reporting.viewer_data import INTRACRANIAL, NAME, viewer_script, viewer_volumes

COHORT = made_cohort(2)
SCAN = str(COHORT["scan"].values[0])
GREY = 1 / 255
"""A grey step of the range of a box, and the most that a value may be off, rounded."""


def loaded(volume: dict[str, str], name: str) -> Nifti1Image:
    return Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(volume[name])))


def test_a_voxel_of_the_viewer_lies_where_it_lies_in_the_scan() -> None:
    volume = viewer_volumes(ScanImages(COHORT, SCAN))["box"]
    image, labels = loaded(volume, "image"), loaded(volume, "labels")
    affine = COHORT["box_affine"].sel(scan=SCAN).values
    assert np.allclose(image.affine, affine)
    for index in ([0, 0, 0], [39, 39, 39], [7, 21, 33]):
        assert np.allclose(to_world(labels.affine, FINE * np.array(index)), to_world(affine, np.array(index)))
    # The phantom knows where its hypothalamus is, half of it on either side.
    middle = to_world(labels.affine, np.argwhere(np.asarray(labels.dataobj) > 0).mean(axis=0))
    assert np.linalg.norm(middle - np.array([0.0, *HYPOTHALAMUS_CENTRE[1:]])) < 1.0
    index = np.linalg.solve(labels.affine, [*volume["centre"], 1.0])[:3].round().astype(int)
    assert 1 <= np.asarray(labels.dataobj)[tuple(index)] <= 5
    assert np.allclose(volume["centre"], [-HYPOTHALAMUS_CENTRE[0], *HYPOTHALAMUS_CENTRE[1:]], atol=1.0)
    left = to_world(labels.affine, np.argwhere((np.asarray(labels.dataobj) > 0) & (np.asarray(labels.dataobj) <= 5)))
    assert (left[:, 0] < 0.5).all()


def test_labels_and_intensities_are_those_of_the_section_pictures() -> None:
    box = read_box(COHORT, SCAN)
    volume = viewer_volumes(ScanImages(COHORT, SCAN))["box"]
    assert box is not None
    assert np.array_equal(np.asarray(loaded(volume, "labels").dataobj), box.labels)
    grey = np.asarray(loaded(volume, "image").dataobj)
    low, high = float(box.image.min()), float(box.image.max())
    assert np.abs(grey * (high - low) / 255 + low - box.image).max() <= 0.51 * GREY * (high - low)
    assert np.allclose(np.array(volume["window"]) * (high - low) / 255 + low, box.window, atol=0.51 * GREY * (high - low))


def test_the_head_is_there_only_where_it_is_asked_for() -> None:
    assert set(viewer_volumes(ScanImages(COHORT, SCAN))) == {"box"}
    volumes = viewer_volumes(ScanImages(COHORT, SCAN), whole_head=True)
    volume = volumes["head"]
    image, labels = loaded(volume, "image"), np.asarray(loaded(volume, "labels").dataobj)
    assert np.allclose(image.affine, COHORT["head_affine"].sel(scan=SCAN).values)
    assert labels.shape == image.shape
    shell = np.argwhere(labels == INTRACRANIAL)
    inside = np.argwhere(COHORT["head_posterior"].sel(scan=SCAN).values > 0.5)
    assert 0 < len(shell) < 0.3 * len(inside)
    assert (shell.min(axis=0) == inside.min(axis=0)).all()
    assert (shell.max(axis=0) == inside.max(axis=0)).all()
    fine = np.asarray(loaded(volumes["box"], "labels").dataobj)
    for first in (1, 6):  # a voxel of the head is 64 of the box
        counted = ((labels >= first) & (labels < first + 5)).sum() * 64
        assert counted == pytest.approx(((fine >= first) & (fine < first + 5)).sum(), rel=0.25)


def test_a_head_without_intracranial_volume_has_no_outline_of_it() -> None:
    volumes = COHORT["volume_mm3"].copy()
    volumes.loc[{"region": "icv"}] = np.nan
    volume = viewer_volumes(ScanImages(COHORT.assign(volume_mm3=volumes), SCAN), whole_head=True)["head"]
    assert not (np.asarray(loaded(volume, "labels").dataobj) == INTRACRANIAL).any()


def test_the_script_is_small_plain_and_always_the_same(tmp_path: Path) -> None:
    cohort = open_cohort(stored_cohort(tmp_path, 1))
    script = viewer_script(ScanImages(cohort, "sub-01"))
    assert script == viewer_script(ScanImages(cohort, "sub-01"))
    assert len(script) < 150_000
    head, body = script.decode("ascii").split("=", 1)
    assert head == f"window.{NAME}"
    assert set(json.loads(body.rstrip().removesuffix(";"))["box"]) == {"image", "labels", "window", "centre"}
    assert b"<" not in script
    assert b"sub-01" not in script


def test_a_scan_without_labels_has_no_script() -> None:
    assert viewer_script(ScanImages(COHORT.assign(posterior=COHORT["posterior"] * 0), SCAN)) == b""
