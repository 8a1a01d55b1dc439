"""3×3×3 convolution in the form that is fast on the backend at hand.

XLA's native 3-D convolution on CPU is several times slower than the same sums made of 2-D convolutions. All forms here
give the same numbers to float32 rounding; `conv3d` picks by channels and backend, `benchmarks/unet.py` prints the times
behind the choice. Arrays are channel-last (batch, depth, height, width, channel), zero padded, stride one.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Volume = Float[Array, "n d h w c"]
Features = Float[Array, "n d h w o"]
Rescaled = Float[Array, "n d_out h_out w_out c_out"]
Kernel = Float[Array, "3 3 3 c o"]
Form = Callable[[Volume, Kernel], Features]

NARROW_INPUT = 8
"""Up to this many input channels, shifts concatenated on channels make one well-filled 2-D convolution."""

SLAB_VOXELS = 8192
"""Voxels of the planes that `kernel_gradient` takes at once: 16 channels of their twelve shifted copies fill a second-level cache."""


def conv3d_native(x: Volume, kernel: Kernel) -> Features:
    """XLA's own 3-D convolution: the obvious twin, and the choice on GPU and TPU."""
    return lax.conv_general_dilated(x, kernel, (1, 1, 1), "SAME", dimension_numbers=("NDHWC", "DHWIO", "NDHWC"))


def conv3d_sum(x: Volume, kernel: Kernel) -> Features:
    """Sum over the depth shifts of three 2-D convolutions."""
    return sum((_conv2d(shifted, kernel[shift]) for shift, shifted in enumerate(_depth_shifts(x))), start=jnp.zeros((), x.dtype))


def conv3d_concatenated(x: Volume, kernel: Kernel) -> Features:
    """Depth shifts side by side on the channel axis, then one 2-D convolution."""
    flat = jnp.moveaxis(kernel, 0, 2).reshape(3, 3, -1, kernel.shape[-1])
    return _conv2d(jnp.concatenate(_depth_shifts(x), axis=-1), flat)


def conv3d_wide(x: Volume, kernel: Kernel) -> Features:
    """One 2-D convolution to three times the outputs, then shifted along depth and added."""
    wide = jnp.moveaxis(kernel, 0, 3).reshape(3, 3, kernel.shape[3], -1)
    parts = jnp.split(_conv2d(x, wide), 3, axis=-1)
    return sum((_depth_shifts(part)[shift] for shift, part in enumerate(parts)), start=jnp.zeros((), x.dtype))


def conv3d(x: Volume, kernel: Kernel) -> Features:
    """3×3×3 convolution with zero padding, by the form `fastest_form` names; on CPU with a gradient of its own."""
    inputs, outputs = kernel.shape[3:]
    backend = jax.default_backend()
    if backend == "cpu" and inputs > NARROW_INPUT:
        return _conv3d_cpu(x, kernel)
    return fastest_form(inputs, outputs, backend)(x, kernel)


@jax.custom_vjp
def _conv3d_cpu(x: Volume, kernel: Kernel) -> Features:
    """`conv3d` whose kernel gradient is `kernel_gradient`: XLA's own takes twice as long on CPU, half of a training step."""
    return fastest_form(kernel.shape[3], kernel.shape[4], "cpu")(x, kernel)


def _forward(x: Volume, kernel: Kernel) -> tuple[Features, tuple[Volume, Kernel]]:
    """Result, and what the gradient needs."""
    return _conv3d_cpu(x, kernel), (x, kernel)


def _backward(kept: tuple[Volume, Kernel], gradient: Features) -> tuple[Volume, Kernel]:
    """Gradients of input (a convolution with the mirrored kernel) and of kernel."""
    x, kernel = kept
    mirrored = kernel[::-1, ::-1, ::-1].swapaxes(3, 4)
    return fastest_form(mirrored.shape[3], mirrored.shape[4], "cpu")(gradient, mirrored), kernel_gradient(x, gradient)


_conv3d_cpu.defvjp(_forward, _backward)


def kernel_gradient(x: Volume, gradient: Features) -> Kernel:
    """Gradient of the kernel of `conv3d`: sums over voxels of input times output gradient, for each of the 27 shifts.

    One matrix product of three shifts of the input by nine shifts of the gradient has them all. It is made a few planes at
    a time, so that the shifted copies stay in the cache.
    """
    batch, depth, height, width, inputs = x.shape
    outputs = gradient.shape[-1]
    planes = next(p for p in range(depth, 0, -1) if depth % p == 0 and (p == 1 or p * batch * height * width <= SLAB_VOXELS))
    rows = jnp.moveaxis(jnp.pad(x, ((0, 0), (0, 0), (0, 0), (1, 1), (0, 0))), 1, 0)
    columns = jnp.moveaxis(jnp.pad(gradient, ((0, 0), (1, 1), (1, 1), (0, 0), (0, 0))), 1, 0)

    def add(total: Array, first: Array) -> tuple[Array, None]:
        near = lax.dynamic_slice_in_dim(rows, first, planes)
        far = lax.dynamic_slice_in_dim(columns, first, planes + 2)
        left = jnp.concatenate([near[:, :, :, w : w + width] for w in range(3)], axis=-1).reshape(-1, 3 * inputs)
        right = jnp.concatenate([far[d : d + planes, :, h : h + height] for d in (2, 1, 0) for h in (2, 1, 0)], axis=-1)
        return total + left.T @ right.reshape(-1, 9 * outputs), None

    total, _ = lax.scan(add, jnp.zeros((3 * inputs, 9 * outputs), x.dtype), jnp.arange(0, depth, planes))
    return total.reshape(3, inputs, 3, 3, outputs).transpose(2, 3, 0, 1, 4)


def fastest_form(inputs: int, outputs: int, backend: str) -> Form:
    """The form to use for this many channels on this backend ("cpu", "gpu", "tpu")."""
    if backend != "cpu":
        return conv3d_native
    if inputs <= NARROW_INPUT:
        return conv3d_concatenated
    return conv3d_wide if inputs >= 2 * outputs else conv3d_sum


def space_to_depth(x: Volume, factor: int) -> Rescaled:
    """Blocks of ``factor``³ voxels become channels: (n, d, h, w, c) → (n, d/f, h/f, w/f, f³·c)."""
    n, d, h, w, c = x.shape
    split = x.reshape(n, d // factor, factor, h // factor, factor, w // factor, factor, c)
    return split.transpose(0, 1, 3, 5, 2, 4, 6, 7).reshape(n, d // factor, h // factor, w // factor, factor**3 * c)


def depth_to_space(x: Volume, factor: int) -> Rescaled:
    """Inverse of `space_to_depth`."""
    n, d, h, w, c = x.shape
    split = x.reshape(n, d, h, w, factor, factor, factor, c // factor**3)
    return split.transpose(0, 1, 4, 2, 5, 3, 6, 7).reshape(n, d * factor, h * factor, w * factor, c // factor**3)


def mean_pool(x: Volume) -> Rescaled:
    """Average of blocks of 2×2×2 voxels."""
    n, d, h, w, c = x.shape
    return x.reshape(n, d // 2, 2, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4, 6))


def repeat_up(x: Volume) -> Rescaled:
    """Every voxel becomes 2×2×2 voxels (a transposed convolution would cost tens of times more on CPU)."""
    n, d, h, w, c = x.shape
    spread = jnp.broadcast_to(x[:, :, None, :, None, :, None], (n, d, 2, h, 2, w, 2, c))
    return spread.reshape(n, 2 * d, 2 * h, 2 * w, c)


def _depth_shifts(x: Volume) -> list[Volume]:
    """The volume seen from depth -1, 0 and +1, zero beyond the ends."""
    padded = jnp.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0), (0, 0)))
    return [padded[:, shift : shift + x.shape[1]] for shift in range(3)]


def _conv2d(x: Volume, kernel: Float[Array, "3 3 c o"]) -> Features:
    """2-D convolution of every depth slice."""
    n, d = x.shape[:2]
    flat = x.reshape(n * d, *x.shape[2:])
    out = lax.conv_general_dilated(flat, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return out.reshape(n, d, *out.shape[1:])
