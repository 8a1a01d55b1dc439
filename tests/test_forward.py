"""What networks say of images, from their logits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hypojax.schema import BOX_SPACING, HEAD_SPACING
from hypojax.segmenter.forward import (
    BLOCK,
    COORDINATES,
    PLACE_RADIUS,
    TEMPLATE_SCALE,
    box_outputs,
    head_outputs,
    place_of,
    template_mm,
)
from hypojax.segmenter.pose import block_positions, fit_affine
from hypojax.unet import UNet
from hypojax.unet_config import UNetConfig


def test_sides_are_exchanged_back_in_the_mirrored_box() -> None:
    """A network that calls the left half of whatever it sees label 1 and the right half label 6 is as sure of the mean of both views."""
    left, right, sure = 1, 6, 20.0

    class Halves(UNet):
        def __init__(self) -> None:
            pass

        def __call__(self, images: jax.Array) -> jax.Array:
            halves = jnp.arange(images.shape[3]) < images.shape[3] // 2
            return jnp.zeros((*images.shape[:4], 11)).at[..., left].set(sure * halves).at[..., right].set(sure * ~halves)

    posteriors, volumes = box_outputs(Halves(), jnp.zeros((1, 4, 4, 6, 1)))
    expected = np.zeros((10, 4, 4, 6), np.uint8)
    expected[left - 1, :, :, :3] = expected[right - 1, :, :, 3:] = 255
    np.testing.assert_array_equal(posteriors[0], expected)
    half = 4 * 4 * 3 * BOX_SPACING**3
    np.testing.assert_allclose(volumes[0, :, [left - 1, right - 1]], half, rtol=1e-5)  # of each view


@pytest.mark.parametrize(("outputs", "place"), [(2, 1), (6, 2)])
def test_the_place_is_read_from_its_own_output(outputs: int, place: int) -> None:
    """Head networks of two outputs, and of six with a second protocol before the place: cranium is the first of both."""

    class Known(UNet):
        def __init__(self) -> None:
            pass

        def answers(self, images: jax.Array) -> tuple[jax.Array, None]:
            logits = jnp.zeros((*images.shape[:4], outputs)).at[..., 0].set(20.0)
            return logits.at[:, 1, 2, 3, place].set(50.0), None

    cranium, found, located, *_ = head_outputs(Known(), jnp.zeros((2, 4, 4, 8, 1)))
    assert np.asarray(cranium).min() == 255
    np.testing.assert_allclose(found, [[1, 2, 3]] * 2, atol=1e-4)
    np.testing.assert_allclose(located, 1, atol=1e-6)


def test_the_pose_is_fitted_to_the_blocks_that_the_network_answers() -> None:
    """As to means of blocks of all its logits, voxel by voxel."""
    network = UNet(UNetConfig(outputs=6, widths=(4, 8), stem=2, coarse=3), rngs=nnx.Rngs(0))
    images = jax.random.normal(jax.random.key(0), (2, 16, 12, 20, 1))
    logits = np.asarray(network(images), np.float64)
    split = logits.reshape(2, 4, BLOCK, 3, BLOCK, 5, BLOCK, 6)
    counted = (1 / (1 + np.exp(-split[..., 0]))).mean(axis=(2, 4, 6)).reshape(2, -1)
    said = TEMPLATE_SCALE * split[..., COORDINATES].mean(axis=(2, 4, 6)).reshape(2, -1, 3)
    points = block_positions((16, 12, 20), HEAD_SPACING, BLOCK)
    expected = fit_affine(*(jnp.asarray(array, jnp.float32) for array in (points, said, counted)))
    for ours, theirs in zip(head_outputs(network, images)[-3:], expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("peak", [(0, 0, 15), (9, 8, 0), (5, 8, 7), (4, 3, 9)])
def test_the_place_at_the_border_is_that_of_a_loop(peak: tuple[int, int, int]) -> None:
    """Near the ends of a grid, and on one that is smaller than the radius along one axis."""
    logits = np.random.default_rng(sum(peak)).normal(size=(10, 9, 16)).astype(np.float32)
    logits[peak] = 5
    weight, total, inside = np.zeros(3), np.exp(logits, dtype=np.float64).sum(), 0.0
    for voxel in np.ndindex(*logits.shape):
        if HEAD_SPACING * np.linalg.norm(np.subtract(voxel, peak)) <= PLACE_RADIUS:
            share = np.exp(float(logits[voxel])) / total
            weight, inside = weight + share * np.array(voxel), inside + share
    place, located = place_of(jnp.asarray(logits))
    np.testing.assert_allclose(place, weight / inside, rtol=1e-4, atol=1e-4)
    assert float(located) == pytest.approx(inside, rel=1e-4)


def test_coordinates_are_means_of_blocks_in_mm() -> None:
    logits = jnp.zeros((1, 4, 4, 4, 6)).at[..., 3:].set(jnp.array([0.1, -0.5, 1.0])).at[0, :2, :2, 0, 3].set(0.3)
    found = np.asarray(template_mm(logits))
    np.testing.assert_allclose(found[0, 1, 1, 1], [5, -25, 50], atol=1e-4)
    np.testing.assert_allclose(found[0, 0, 0, 0], [10, -25, 50], atol=1e-4)


def test_the_place_is_the_mean_within_twelve_millimetres_of_the_likeliest_voxel() -> None:
    """Posterior 10 mm away counts, posterior 14 mm away does not, whatever the spacing."""
    peak, near, far = (round(mm / HEAD_SPACING) for mm in (20, 30, 34))
    logits = jnp.full((24, 4, 4), -30.0)
    logits = logits.at[peak, 2, 2].set(jnp.log(0.5)).at[near, 2, 2].set(jnp.log(0.25))
    one, share = place_of(logits)
    assert float(share) == pytest.approx(1.0, abs=1e-6)
    assert one.tolist() == pytest.approx([peak + (near - peak) / 3, 2, 2], abs=1e-4)
    other, share = place_of(logits.at[far, 2, 2].set(jnp.log(0.25)))
    assert float(share) == pytest.approx(0.75, abs=1e-6)
    assert other.tolist() == pytest.approx(one.tolist(), abs=1e-4)
