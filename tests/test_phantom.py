"""`hypojax.phantom`: what it renders has the volumes it claims, on any grid."""

import numpy as np
import pytest
from affines import ORIENTATIONS, affine_of, reorder, rotation
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from hypojax.grid import voxel_volume
from hypojax.phantom import LARGEST_HYPOTHALAMUS, Phantom, intracranial_coverage, render, subunit_coverage
from hypojax.reason import HypojaxError
from hypojax.schema import LABELS, PARTS, REGIONS

WHOLE_TOLERANCE = 0.005
"""Relative error of a rendered ellipsoid: edge voxels are looked at in 64 points or more, whose errors mostly cancel."""

SUBUNIT_TOLERANCE = 0.03
"""The same for a subunit of 60 to 110 mm³: a face 50 mm² large off by a 64th of a 2 mm voxel is 1.6 mm³."""

PARTIAL_TOLERANCE = 90.0
"""Largest change of an edge voxel when its points are mirrored: a tenth of the contrast of white matter and air."""

GRIDS = {
    "1 mm": ((1.0, 1.0, 1.0), (180, 200, 170), None),
    "0.7 mm": ((0.7, 0.7, 0.7), (240, 290, 230), None),
    "thick slices, tilted": ((0.9, 0.9, 6.0), (200, 230, 44), rotation(0, 25)),
    "coarse, turned": ((2.0, 2.5, 3.0), (100, 90, 80), rotation(2, 40) @ rotation(1, 170)),
}


@pytest.mark.parametrize("name", GRIDS)
def test_rendered_volumes_are_the_analytic_ones(name: str) -> None:
    sizes, shape, turn = GRIDS[name]
    affine = affine_of(sizes, shape, turn)
    phantom = Phantom(head=0.97, left=0.9, right=1.1, centre=(3.0, -4.0, 5.0), rotation=(8.0, -5.0, 12.0))
    voxel, volumes = voxel_volume(affine), phantom.volumes
    intracranial = intracranial_coverage(phantom, shape=shape, affine=affine)
    assert_allclose(intracranial.sum(dtype=np.float64) * voxel, volumes["icv"], rtol=WHOLE_TOLERANCE)
    measured = subunit_coverage(phantom, shape=shape, affine=affine).sum(axis=(1, 2, 3), dtype=np.float64) * voxel
    for value, region in LABELS.items():
        assert_allclose(measured[value - 1], volumes[region], rtol=SUBUNIT_TOLERANCE, err_msg=region)
    assert_allclose(measured[:5].sum(), volumes["hypothalamus_left"], rtol=WHOLE_TOLERANCE)
    assert_allclose(measured[5:].sum(), volumes["hypothalamus_right"], rtol=WHOLE_TOLERANCE)


@given(head=st.floats(0.5, 2.0), left=st.floats(0.1, LARGEST_HYPOTHALAMUS), right=st.floats(0.1, LARGEST_HYPOTHALAMUS))
@settings(deadline=None)
def test_volumes_scale_with_the_cube_and_wholes_are_sums(head: float, left: float, right: float) -> None:
    volumes, unit = Phantom(head=head, left=left, right=right).volumes, Phantom().volumes
    assert set(volumes) == set(REGIONS)
    assert_allclose(volumes["icv"], unit["icv"] * head**3)
    assert_allclose(volumes["left_posterior"], unit["left_posterior"] * (head * left) ** 3)
    assert_allclose(volumes["right_anterior_superior"], unit["right_anterior_superior"] * (head * right) ** 3)
    for whole, parts in PARTS.items():
        assert_allclose(volumes[whole], sum(volumes[LABELS[value]] for value in parts))


def test_left_lies_left_and_the_subunits_where_their_names_say() -> None:
    shape = (60, 60, 60)
    affine = affine_of((1.0, 1.0, 1.0), shape)
    coverage = subunit_coverage(Phantom(centre=(0.0, -5.0, 20.0)), shape=shape, affine=affine)
    index = np.indices(shape).reshape(3, -1) - 29.5
    centres = {LABELS[n + 1]: (index * part.ravel()).sum(axis=1) / part.sum() for n, part in enumerate(coverage)}
    assert all((centre[0] < 0) == region.startswith("left") for region, centre in centres.items())
    for side in ("left", "right"):
        assert centres[f"{side}_anterior_superior"][1] > centres[f"{side}_superior_tubular"][1] > centres[f"{side}_posterior"][1]
        assert centres[f"{side}_anterior_superior"][2] > centres[f"{side}_anterior_inferior"][2]
        assert centres[f"{side}_superior_tubular"][2] > centres[f"{side}_inferior_tubular"][2]


@pytest.mark.parametrize(("order", "flips"), ORIENTATIONS)
def test_an_image_does_not_depend_on_the_axis_order(order: tuple[int, ...], flips: tuple[int, ...]) -> None:
    shape, phantom = (28, 32, 34), Phantom(bias=0.2, rotation=(5.0, 0.0, 3.0))
    affine = affine_of((7.0, 6.5, 6.0), shape)
    plain = render(phantom, shape=shape, affine=affine)
    expected, turned = reorder(plain, affine, order, flips)
    assert_allclose(render(phantom, shape=(*expected.shape,), affine=turned), expected, atol=PARTIAL_TOLERANCE)


def test_tissues_have_their_intensities() -> None:
    affine = affine_of((2.0, 2.0, 2.0), (101, 101, 101))
    image = render(Phantom(), shape=(101, 101, 101), affine=affine)
    expected = {(0, 0, 0): 1000, (78, 0, 0): 850, (72, 0, 0): 120, (66, 0, 0): 250, (62, 0, 0): 620, (0, 4, -16): 250, (6, 4, -20): 760}
    for place, intensity in expected.items():
        assert image[tuple(int(50 + mm / 2) for mm in place)] == intensity, place
    assert image[0, 0, 0] == 0


def test_noise_is_the_magnitude_of_two_channels_and_seeded() -> None:
    shape, affine = (60, 60, 60), affine_of((4.0, 4.0, 4.0), (60, 60, 60))
    first, again, other = (render(Phantom(noise=20.0, seed=seed), shape=shape, affine=affine) for seed in (1, 1, 2))
    assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    # Mean of a Rayleigh distribution, over 6000 voxels of air: a standard error of 1 %.
    assert_allclose(first[:, :5, :20].mean(), 20 * np.sqrt(np.pi / 2), rtol=0.04)
    assert_allclose(first[20:30, 25:35, 31:40].std(), 20, rtol=0.1)


def test_skull_stripped_leaves_exact_zeros_and_the_offset_lifts_all() -> None:
    shape, affine = (40, 40, 40), affine_of((6.0, 6.0, 6.0), (40, 40, 40))
    image = render(Phantom(skull_stripped=True, noise=20.0, bias=0.2), shape=shape, affine=affine)
    assert (image == 0).mean() > 0.5
    lifted = render(Phantom(skull_stripped=True, noise=20.0, bias=0.2, offset=-50.0), shape=shape, affine=affine)
    assert_allclose(lifted, image - 50, atol=1e-3)


def test_a_head_outside_or_at_the_rim_of_the_field_of_view() -> None:
    shape, affine = (20, 20, 20), affine_of((2.0, 2.0, 2.0), (20, 20, 20))
    away = Phantom(centre=(500.0, 0.0, 0.0))
    assert not render(away, shape=shape, affine=affine).any()
    assert not subunit_coverage(away, shape=shape, affine=affine).any()
    rim = Phantom(centre=(-6.0, -5.0, 40.0))
    assert 0 < subunit_coverage(rim, shape=shape, affine=affine).sum() * 8 < rim.volumes["hypothalamus"]


def test_a_matrix_of_512() -> None:
    shape, affine = (512, 512, 30), affine_of((0.5, 0.5, 6.0), (512, 512, 30))
    coverage = intracranial_coverage(Phantom(), shape=shape, affine=affine)
    assert_allclose(coverage.sum(dtype=np.float64) * 1.5, Phantom().volumes["icv"], rtol=WHOLE_TOLERANCE)


@pytest.mark.parametrize("scales", [{"left": 1.3}, {"right": 0.0}, {"head": -1.0}, {"head": np.nan}])
def test_scales_that_make_no_head_are_refused(scales: dict[str, float]) -> None:
    with pytest.raises(HypojaxError, match=next(iter(scales))):
        Phantom(**scales)
