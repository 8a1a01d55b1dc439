"""Spoilt scans: each has its name, is a scan still, and what lay in the head is found where the case says it lies."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.testing import assert_allclose
from standin import AFFINE as PHANTOM_AFFINE
from standin import StandIn, phantom_voxels

from hypojax.grid import Affine, to_world, voxel_sizes
from hypojax.phantom import Phantom
from pipelines.maintenance.perturb.cranium_cases import cranium_cases
from pipelines.maintenance.perturb.head_damage import left_out_slices, repeated_slices, wrapped
from pipelines.maintenance.perturb.spoiling import geometry_cases, ordinary_cases, resolution_cases, spoilt_cases
from pipelines.maintenance.perturb.undisturbed import Case, Undisturbed
from pipelines.maintenance.spoilt_scans import cranium

SHAPE = (30, 32, 28)
AFFINE: Affine = np.array([[-2.0, 0, 0, 29], [0, 2, 0, -31], [0, 0, 2, -27], [0, 0, 0, 1]])
CENTRE = (3.0, -2.0, 1.0)


def away(shape: tuple[int, ...], affine: Affine) -> np.ndarray:
    """Distance of every voxel from the middle of the hypothalamus, mm."""
    return np.linalg.norm(to_world(affine, np.moveaxis(np.indices(shape), 0, -1)) - np.array(CENTRE), axis=-1)


@pytest.fixture(scope="module")
def scan() -> Undisturbed:
    """A bright spot in a ball of tissue with texture; the spot is labelled."""
    distance = away(SHAPE, AFFINE)
    volume = 20 + 60 * (distance < 24) + np.random.default_rng(0).normal(0, 3, SHAPE) + 400 * np.exp(-(distance**2) / 18)
    return Undisturbed(volume.astype(np.float32), AFFINE, (distance < 5).astype(np.uint8), distance < 24)


@pytest.mark.parametrize("cases_of", [spoilt_cases, cranium_cases])
def test_every_case_has_a_name_of_its_own_and_gives_a_scan(scan: Undisturbed, cases_of: Callable[[Undisturbed], list[Case]]) -> None:
    cases = cases_of(scan)
    assert len({case.name for case in cases}) == len(cases)
    assert len(cases) >= 50
    for case in cases:
        volume, affine = case.change(scan.volume, scan.affine)
        assert volume.dtype == np.float32, case.name
        assert np.isfinite(volume).all(), case.name
        assert abs(np.linalg.det(affine[:3, :3])) > 0.1, case.name


def test_the_spot_is_found_where_the_case_puts_it(scan: Undisturbed) -> None:
    kept = [case for case in geometry_cases(scan) if "pieces" not in case.name and "nothing" not in case.name]
    cases = [*ordinary_cases(), *resolution_cases(scan.affine), *kept]
    for case in cases:
        after = case.change(scan.volume, scan.affine)
        moved = case.moved(scan.volume, scan.affine, after=after)
        expected = to_world(moved, np.array(CENTRE))
        weight = np.maximum(after[0].astype(float) - 130, 0)
        if weight.sum() == 0:  # blurred away
            continue
        world = to_world(after[1], np.moveaxis(np.indices(after[0].shape), 0, -1))
        found = (weight[..., None] * world).sum((0, 1, 2)) / weight.sum()
        # A spot 6 mm wide is sampled by slices as thick as that, and a threshold bends what they average.
        assert_allclose(found, expected, atol=max(1.2, 0.3 * float(voxel_sizes(after[1]).max())), err_msg=case.name)


def test_slices_are_left_out_repeated_and_folded() -> None:
    row = np.arange(8, dtype=np.float32).reshape(1, 8, 1)
    assert left_out_slices(row, AFFINE, axis=1, every=4)[0].ravel().tolist() == [1, 2, 3, 5, 6, 7]
    assert repeated_slices(row, AFFINE, axis=1, every=4)[0].ravel().tolist() == [0, 0, 1, 2, 3, 4, 4, 5, 6, 7]
    assert wrapped(row, AFFINE, axis=1, mm=4.0)[0].ravel().tolist() == [6, 8, 2, 3, 4, 5]  # two voxels of 2 mm come in at the beginning


def test_a_cut_field_of_view_moves_nothing(scan: Undisturbed) -> None:
    for case in geometry_cases(scan):
        if "nothing" in case.name:
            volume, affine = case.change(scan.volume, scan.affine)
            assert volume.size < scan.volume.size
            assert_allclose(case.moved(scan.volume, scan.affine, after=(volume, affine)), np.eye(4))


def test_the_cranium_of_a_scan_is_known_where_a_run_leaves_its_mask_empty() -> None:
    """As in a skull-stripped scan, which is to be spoilt like any other: it is what the network says."""
    volume, network = phantom_voxels().astype(np.float32), StandIn()
    inside = cranium(network.segment(network.prepare(volume, PHANTOM_AFFINE)), (volume, PHANTOM_AFFINE))
    assert inside.sum() * abs(np.linalg.det(PHANTOM_AFFINE[:3, :3])) == pytest.approx(Phantom().volumes["icv"], rel=0.01)
