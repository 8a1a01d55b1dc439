"""The convolution forms against XLA's own, and the network's locality."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hypojax import unet
from hypojax.unet import (
    UNet,
    conv3d,
    conv3d_concatenated,
    conv3d_native,
    conv3d_wide,
    conv3d_winograd,
    depth_to_space,
    fastest_form,
    mean_pool,
    repeat_up,
    space_to_depth,
)
from hypojax.unet_config import UNetConfig

ROUNDING = 2e-5
"""Sums of up to 27 x 48 float32 products of unit normals differ by their order: about 1e-6 of a value of some tens."""

FORMS = (conv3d_winograd, conv3d_concatenated, conv3d_wide)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("channels", [(1, 4), (8, 8), (48, 16)])
def test_forms_agree_with_native_convolution(form: unet.Form, channels: tuple[int, int]) -> None:
    x_key, kernel_key = jax.random.split(jax.random.key(sum(channels)))
    x = jax.random.normal(x_key, (2, 5, 6, 7, channels[0]))
    kernel = jax.random.normal(kernel_key, (3, 3, 3, *channels)) / np.sqrt(27 * channels[0])
    np.testing.assert_allclose(form(x, kernel), conv3d_native(x, kernel), atol=ROUNDING)


@pytest.mark.parametrize("form", FORMS)
def test_gradients_agree_with_native_convolution(form: unet.Form) -> None:
    x = jax.random.normal(jax.random.key(0), (1, 4, 5, 6, 3))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 3, 3, 2)) / 9
    ours = jax.grad(lambda a, b: (form(a, b) ** 2).sum(), argnums=(0, 1))(x, kernel)
    theirs = jax.grad(lambda a, b: (conv3d_native(a, b) ** 2).sum(), argnums=(0, 1))(x, kernel)
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our, their, atol=20 * ROUNDING)


@pytest.mark.parametrize(
    ("shape", "channels", "slab"),
    [((1, 5, 7, 3), (9, 4), unet.SLAB_VOXELS), ((2, 5, 3, 1), (11, 1), 1), ((1, 6, 5, 5), (20, 7), 60)],
)
def test_own_gradients_agree_with_native_ones(shape: tuple[int, int, int, int], channels: tuple[int, int], slab: int) -> None:
    """Odd sides, one voxel thick, and cut into slabs of planes or not: input and kernel gradients are XLA's."""
    keys = jax.random.split(jax.random.key(sum(shape) + sum(channels)), 3)
    x, pull = jax.random.normal(keys[0], (*shape, channels[0])), jax.random.normal(keys[1], (*shape, channels[1]))
    kernel = jax.random.normal(keys[2], (3, 3, 3, *channels)) / np.sqrt(27 * channels[0])
    (_, ours), (_, theirs) = (jax.vjp(form, x, kernel) for form in (conv3d, conv3d_native))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unet, "SLAB_VOXELS", slab)
        pulled = ours(pull)
    for our, their in zip(pulled, theirs(pull), strict=True):
        np.testing.assert_allclose(our, their, atol=20 * ROUNDING)


def test_the_gradient_of_many_channels_is_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """On CPU wide kernels have `kernel_gradient`; the narrow first layer and other devices keep XLA's."""
    called = []
    monkeypatch.setattr(
        unet, "kernel_gradient", lambda x, gradient: called.append(1) or jnp.zeros((3, 3, 3, x.shape[-1], gradient.shape[-1]))
    )
    for inputs in (4, 16):
        jax.grad(lambda kernel, n=inputs: conv3d(jnp.ones((1, 2, 2, 2, n)), kernel).sum())(jnp.ones((3, 3, 3, inputs, 2)))
    assert called == [1]
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    jax.grad(lambda kernel: conv3d(jnp.ones((1, 2, 2, 2, 16)), kernel).sum())(jnp.ones((3, 3, 3, 16, 2)))
    assert called == [1]


def test_native_convolution_agrees_with_a_loop() -> None:
    x = np.random.default_rng(0).normal(size=(1, 3, 4, 3, 2)).astype(np.float32)
    kernel = np.random.default_rng(1).normal(size=(3, 3, 3, 2, 2)).astype(np.float32)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (1, 1), (0, 0)))
    expected = np.zeros((1, 3, 4, 3, 2))
    for i, j, k in np.ndindex(3, 4, 3):
        expected[0, i, j, k] = np.einsum("abcx,abcxy->y", padded[0, i : i + 3, j : j + 3, k : k + 3], kernel)
    np.testing.assert_allclose(conv3d(jnp.asarray(x), jnp.asarray(kernel)), expected, atol=ROUNDING)


def test_form_is_picked_by_backend_and_channels() -> None:
    assert fastest_form(16, "gpu") is conv3d_native
    assert fastest_form(16, "tpu") is conv3d_native
    assert fastest_form(1, "cpu") is conv3d_wide
    assert fastest_form(16, "cpu") is conv3d_winograd
    assert fastest_form(16, "cpu", jnp.bfloat16) is conv3d_wide


def test_space_to_depth_has_an_inverse() -> None:
    x = jax.random.normal(jax.random.key(0), (2, 4, 6, 8, 3))
    np.testing.assert_array_equal(depth_to_space(space_to_depth(x, 2), 2), x)


def test_repeat_then_pool_is_nothing() -> None:
    x = jax.random.normal(jax.random.key(0), (1, 2, 3, 4, 5))
    np.testing.assert_allclose(mean_pool(repeat_up(x)), x, atol=1e-6)


@pytest.mark.parametrize(
    "config",
    [
        UNetConfig(outputs=3, widths=(4, 8)),
        UNetConfig(outputs=2, widths=(4, 8), stem=2),
        UNetConfig(outputs=6, widths=(4, 8, 8), stem=2, coarse=3),
    ],
)
def test_shape_and_multiple(config: UNetConfig) -> None:
    side = 2 * config.multiple
    network = UNet(config, rngs=nnx.Rngs(0))
    images = jax.ShapeDtypeStruct((2, side, side, 2 * side, 1), jnp.float32)
    assert jax.eval_shape(network, images).shape == (2, side, side, 2 * side, config.outputs)


def test_coarse_outputs_are_those_of_blocks() -> None:
    """The last outputs are alike in each block of four voxels a side, and differ between blocks; the others differ within them."""
    network = UNet(UNetConfig(outputs=3, widths=(4, 8, 8), stem=2, coarse=1), rngs=nnx.Rngs(0))
    found = np.asarray(network(jax.random.normal(jax.random.key(0), (1, 8, 8, 16, 1))))[0].reshape(2, 4, 2, 4, 4, 4, 3)
    within, between = np.ptp(found, axis=(1, 3, 5)), np.ptp(found.mean(axis=(1, 3, 5)), axis=(0, 1, 2))
    assert within[..., 2].max() == 0
    assert within[..., :2].min() > 0
    assert between[2] > 0


def test_far_voxels_do_not_change_a_result() -> None:
    """Normalisation is local: what lies beyond the receptive field moves nothing at all."""
    network = UNet(UNetConfig(outputs=1, widths=(4, 8)), rngs=nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(0), (1, 8, 8, 64, 1))
    changed = x.at[:, :, :, 48:].set(100.0)
    np.testing.assert_array_equal(network(x)[:, :, :, :16], network(changed)[:, :, :, :16])


def test_a_scan_does_not_depend_on_its_batch() -> None:
    network = UNet(UNetConfig(outputs=2, widths=(4, 8)), rngs=nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(0), (3, 8, 8, 8, 1))
    np.testing.assert_allclose(network(x)[1:2], network(x[1:2]), atol=ROUNDING)
