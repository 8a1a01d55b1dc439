"""Label maps and masks are told from scans by what they hold: scans of few grey values, stripped ones and phantoms stay scans."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from standin import AFFINE, SHAPE, StandIn, phantom_voxels

import hypojax
from hypojax import execute
from hypojax.cohort import open_cohort
from hypojax.phantom import Phantom, render
from hypojax.reason import Reason, ScanError
from hypojax.scans import read, write_nifti
from hypojax.scans.voxels import label_count

FINE = np.diag([-2.0, 2, 2, 1]) + np.array([[0, 0, 0, 90.0], [0, 0, 0, -107], [0, 0, 0, -92], [0, 0, 0, 0]])
LARGE = (90, 108, 90)


def parcels(count: int, *, seed: int, shape: tuple[int, int, int] = (40, 44, 36)) -> np.ndarray:
    """A map of so many labels in a ball: each voxel has that of the nearest of as many points."""
    random = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij"), axis=-1)
    points = random.uniform(-0.8, 0.8, (count, 3))
    nearest = ((places[..., None, :] - points) ** 2).sum(axis=-1).argmin(axis=-1)
    labels = random.permutation(np.arange(1, count + 1) * 7)
    return np.where((places**2).sum(axis=-1) < 0.8, labels[nearest], 0).astype(np.int16)


@settings(deadline=None, max_examples=10)
@given(st.integers(1, 50), st.integers(0, 99), st.sampled_from(["int16", "uint8", "float32", "int32"]))
def test_label_maps_of_any_number_of_labels_and_type_are_known(count: int, seed: int, dtype: str) -> None:
    found = parcels(min(count, 36) if dtype == "uint8" else count, seed=seed).astype(dtype)
    # Slices are looked at, which may miss a label of a few voxels.
    assert 0.9 * len(np.unique(found)) <= label_count(found) <= len(np.unique(found))


def test_a_small_structure_in_a_large_box_is_a_label_map() -> None:
    for count in (1, 2, 10):
        box = np.zeros((128, 128, 128), np.uint8)
        box[60:76, 60:80, 63:77] = parcels(count, seed=1, shape=(16, 20, 14))
        assert label_count(box) == len(np.unique(box))


@pytest.mark.parametrize("noise", [0.0, 3.0, 10.0])
def test_scans_of_few_grey_values_stay_scans(noise: float) -> None:
    head = gaussian_filter(render(Phantom(noise=noise), shape=LARGE, affine=FINE), 1.0)
    for levels in (8, 16, 32, 64, 256):
        quantised = np.clip(np.round(head / head.max() * (levels - 1)), 0, levels - 1)
        assert label_count(quantised.astype(np.uint8)) == label_count(quantised.astype(np.float32)) == 0
        stripped = np.where(np.abs(np.indices(LARGE) - 48).max(axis=0) < 24, quantised, 0)
        assert levels == 8 or label_count(stripped.astype(np.int16)) == 0


def test_phantoms_without_noise_stay_scans() -> None:
    for affine, shape in ((AFFINE, SHAPE), (FINE, LARGE)):
        assert label_count(np.round(render(Phantom(noise=0.0), shape=shape, affine=affine)).astype(np.int16)) == 0


def test_real_scans_and_their_label_maps_are_told_apart(shared: Path) -> None:
    scans = [
        *shared.glob("scans/*.nii.gz"),
        *shared.glob("bids/*/sub-0[17]/anat/*.nii.gz"),
        *shared.glob("icv_reference/Subj0[1-3]_T1w.nii.gz"),
    ]
    maps = [
        *shared.glob("template/*hypothalamus*.nii.gz"),
        *shared.glob("template/*mask*.nii.gz"),
        *shared.glob("icv_reference/Subj0[1-3]_dlmuse*"),
    ]
    assert [path.name for path in scans if label_count(read("x", path).voxels)] == []
    assert [path.name for path in maps if not label_count(read("x", path).voxels)] == []


def test_a_label_map_is_refused_by_name_and_its_neighbours_go_on(tmp_path: Path) -> None:
    write_nifti(tmp_path / "in" / "head.nii.gz", phantom_voxels(), AFFINE)
    write_nifti(tmp_path / "in" / "regions.nii.gz", parcels(20, seed=0, shape=SHAPE), AFFINE)
    outcome = execute.run([tmp_path / "in"], out=tmp_path / "out", segmenter=StandIn())
    assert (outcome.done, outcome.failed) == (1, 1)
    (failure,) = outcome.failures
    assert failure.reason == Reason.LABEL_MAP
    assert "scan 'regions': it holds 21 values and no texture" in failure.message
    assert open_cohort(tmp_path / "out").reason.values.tolist() == ["", "label_map"]
    with pytest.raises(ScanError, match="2 values and no texture, so that it is a mask") as caught:
        hypojax.segment((phantom_voxels() > 300).astype(np.uint8), affine=AFFINE, segmenter=StandIn())
    assert caught.value.reason == Reason.LABEL_MAP
