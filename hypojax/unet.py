"""The U-Net: one small residual-skip network for both stages, in Flax NNX, with 3×3×3 convolutions that are fast on each backend.

Normalisation is over the channels of each voxel alone (root mean square; Zhang 2019, Karras 2018), never over space or
batch: what a voxel becomes does not depend on how much air the field of view holds, nor on its neighbours in a batch.
"""

from collections.abc import Callable, Sequence
from functools import cache, reduce
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PyTree

from hypojax.unet_config import UNetConfig

Volume = Float[Array, "n d h w c"]
Features = Float[Array, "n d h w o"]
Rescaled = Float[Array, "n d_out h_out w_out c_out"]
Kernel = Float[Array, "3 3 3 c o"]
Form = Callable[[Volume, Kernel], Features]

NARROW_INPUT = 8
"""Up to this many input channels there is more to transform than to multiply, and `conv3d_winograd` does not pay."""

TILE = 4
"""Planes that `conv3d_winograd` makes at once."""

FROM_PLANES = (
    (4.0, 0.0, -5.0, 0.0, 1.0, 0.0),
    (0.0, -4.0, -4.0, 1.0, 1.0, 0.0),
    (0.0, 4.0, -4.0, -1.0, 1.0, 0.0),
    (0.0, -2.0, -1.0, 2.0, 1.0, 0.0),
    (0.0, 2.0, -1.0, -2.0, 1.0, 0.0),
    (0.0, 4.0, 0.0, -5.0, 0.0, 1.0),
)
FROM_TAPS = ((1 / 4, 0.0, 0.0), (-1 / 6,) * 3, (-1 / 6, 1 / 6, -1 / 6), (1 / 24, 1 / 12, 1 / 6), (1 / 24, -1 / 12, 1 / 6), (0.0, 0.0, 1.0))
TO_PLANES = (
    (1.0, 1.0, 1.0, 1.0, 1.0, 0.0),
    (0.0, 1.0, -1.0, 2.0, -2.0, 0.0),
    (0.0, 1.0, 1.0, 4.0, 4.0, 0.0),
    (0.0, 1.0, -1.0, 8.0, -8.0, 1.0),
)
"""Matrices of F(4, 3) (Lavin 2016): six planes and three taps to six factors each, the products to four planes."""

SLAB_VOXELS = 8192
"""Voxels of the planes that `kernel_gradient` takes at once: 16 channels of their twelve shifted copies fill a second-level cache."""


def conv3d_native(x: Volume, kernel: Kernel) -> Features:
    """XLA's own 3-D convolution: the obvious twin, and the choice on GPU and TPU."""
    return lax.conv_general_dilated(x, kernel, (1, 1, 1), "SAME", dimension_numbers=("NDHWC", "DHWIO", "NDHWC"))


def conv3d_concatenated(x: Volume, kernel: Kernel) -> Features:
    """Depth shifts side by side on the channel axis, then one 2-D convolution."""
    flat = jnp.moveaxis(kernel, 0, 2).reshape(3, 3, -1, kernel.shape[-1])
    return _conv2d(jnp.concatenate(_depth_shifts(x), axis=-1), flat)


def conv3d_wide(x: Volume, kernel: Kernel) -> Features:
    """One 2-D convolution to three times the outputs, then shifted along depth and added."""
    wide = jnp.moveaxis(kernel, 0, 3).reshape(3, 3, kernel.shape[3], -1)
    parts = jnp.split(_conv2d(x, wide), 3, axis=-1)
    return sum((_depth_shifts(part)[shift] for shift, part in enumerate(parts)), start=jnp.zeros((), x.dtype))


@jax.jit  # traced once for all layers of one shape: a third of the time to the first scan
def conv3d_winograd(x: Volume, kernel: Kernel) -> Features:
    """Four planes at a time by six 2-D convolutions where the sum takes twelve: F(4, 3) along depth (Winograd 1980, Lavin 2016)."""
    depth = x.shape[1]
    tiles = -(-depth // TILE)
    padded = jnp.pad(x, ((0, 0), (1, TILE * tiles + 1 - depth), (0, 0), (0, 0), (0, 0)))
    planes = [padded[:, first : first + TILE * (tiles - 1) + 1 : TILE] for first in range(TILE + 2)]
    taps = jnp.einsum("pt,thwio->phwio", np.array(FROM_TAPS, kernel.dtype), kernel, precision="float32")
    products = [_conv2d(_weighted(row, planes), taps[number]) for number, row in enumerate(FROM_PLANES)]
    found = jnp.stack([_weighted(row, products) for row in TO_PLANES], axis=2)
    return found.reshape(x.shape[0], TILE * tiles, *found.shape[3:])[:, :depth]


def conv3d(x: Volume, kernel: Kernel) -> Features:
    """3×3×3 convolution with zero padding, by the form `fastest_form` names; on CPU with a gradient of its own."""
    return _conv3d_cpu(x, kernel) if jax.default_backend() == "cpu" else conv3d_native(x, kernel)


@jax.custom_vjp
def _conv3d_cpu(x: Volume, kernel: Kernel) -> Features:
    """`conv3d` whose kernel gradient is `kernel_gradient`: XLA's own takes twice as long on CPU, half of a training step."""
    return fastest_form(kernel.shape[3], "cpu", x.dtype)(x, kernel)


def _forward(x: Volume, kernel: Kernel) -> tuple[Features, tuple[Volume, Kernel]]:
    """Result, and what the gradient needs."""
    return _conv3d_cpu(x, kernel), (x, kernel)


def _backward(kept: tuple[Volume, Kernel], gradient: Features) -> tuple[Volume, Kernel]:
    """Gradients of input (a convolution with the mirrored kernel) and of kernel."""
    x, kernel = kept
    mirrored = kernel[::-1, ::-1, ::-1].swapaxes(3, 4)
    to_input = fastest_form(mirrored.shape[3], "cpu", gradient.dtype)(gradient, mirrored)
    if x.shape[-1] > NARROW_INPUT:
        return to_input, kernel_gradient(x, gradient)
    (to_kernel,) = jax.vjp(lambda narrow: conv3d_concatenated(x, narrow), kernel)[1](gradient)
    return to_input, to_kernel


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


def fastest_form(inputs: int, backend: str, kind: DTypeLike = jnp.float32) -> Form:
    """The form to use for so many input channels on this backend ("cpu", "gpu", "tpu"), and in this arithmetic."""
    if backend != "cpu":
        return conv3d_native
    # The transforms of Winograd lose a decimal digit, of which bfloat16 has two.
    return conv3d_winograd if inputs > NARROW_INPUT and kind == jnp.float32 else conv3d_wide


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
    return repeated(x, 2)


def repeated(x: Volume, factor: int) -> Rescaled:
    """Every voxel becomes ``factor``³ voxels."""
    n, d, h, w, c = x.shape
    spread = jnp.broadcast_to(x[:, :, None, :, None, :, None], (n, d, factor, h, factor, w, factor, c))
    return spread.reshape(n, factor * d, factor * h, factor * w, c)


def _weighted(factors: Sequence[float], terms: Sequence[Array]) -> Array:
    """Sum of terms, each times its factor."""
    return reduce(lax.add, [factor * term if factor != 1 else term for factor, term in zip(factors, terms, strict=True) if factor])


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


EPSILON = 1e-6
LEAK = 0.1


class Convolution(nnx.Module):
    """3×3×3 convolution with bias, He-initialised (He 2015)."""

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs) -> None:
        scale = jnp.sqrt(2.0 / (27 * inputs))
        self.kernel = nnx.Param(scale * jax.random.normal(rngs.params(), (3, 3, 3, inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(self, x: Volume) -> Features:
        """Convolve (batch, depth, height, width, channel)."""
        return conv3d(x, self.kernel[...]) + self.bias[...]


class Pointwise(nnx.Module):
    """1×1×1 convolution with bias."""

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs, scale: float = 1.0) -> None:
        self.kernel = nnx.Param(scale / jnp.sqrt(inputs) * jax.random.normal(rngs.params(), (inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(self, x: Volume) -> Features:
        """Mix the channels of each voxel."""
        return x @ self.kernel[...] + self.bias[...]


class VoxelNorm(nnx.Module):
    """Divide a voxel's channels by their root mean square, then scale each channel."""

    def __init__(self, channels: int) -> None:
        self.scale = nnx.Param(jnp.ones(channels))

    def __call__(self, x: Volume) -> Volume:
        """Normalise over the last axis."""
        return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + EPSILON) * self.scale[...]


class Block(nnx.Module):
    """Two convolutions, each followed by the voxel norm (the very first excepted) and a leaky rectifier."""

    def __init__(self, inputs: int, outputs: int, *, first: bool = False, rngs: nnx.Rngs) -> None:
        self.one = Convolution(inputs, outputs, rngs=rngs)
        self.two = Convolution(outputs, outputs, rngs=rngs)
        # The first convolution sees intensities: dividing by their size would throw away what it should measure.
        self.norm_one = None if first else VoxelNorm(outputs)
        self.norm_two = VoxelNorm(outputs)

    def __call__(self, x: Volume) -> Features:
        """Return features of the same grid."""
        x = self.one(x)
        x = jax.nn.leaky_relu(x if self.norm_one is None else self.norm_one(x), LEAK)
        return jax.nn.leaky_relu(self.norm_two(self.two(x)), LEAK)


class UNet(nnx.Module):
    """U-Net (Ronneberger 2015) whose skips are added, not concatenated.

    Examples
    --------
    >>> network = UNet(UNetConfig(outputs=11, widths=(4, 8)), rngs=nnx.Rngs(0))
    >>> network(jnp.zeros((1, 8, 8, 8, 1))).shape
    (1, 8, 8, 8, 11)
    """

    def __init__(self, config: UNetConfig, *, rngs: nnx.Rngs) -> None:
        widths, channels = config.widths, config.stem**3
        self.config = config
        self.down = nnx.List(
            Block(inputs, width, first=level == 0, rngs=rngs) for level, (inputs, width) in enumerate(pairwise((channels, *widths)))
        )
        self.lateral = nnx.List(Pointwise(coarse, fine, rngs=rngs) for fine, coarse in pairwise(widths))
        self.up = nnx.List(Block(width, width, rngs=rngs) for width in widths[:-1])
        self.head = Pointwise(widths[0], (config.outputs - config.coarse) * channels, rngs=rngs, scale=0.1)
        self.coarse = Pointwise(widths[1], config.coarse, rngs=rngs, scale=0.1) if config.coarse else None

    def __call__(self, x: Float[Array, "n d h w 1"]) -> Float[Array, "n d h w o"]:
        """Logits for normalised intensities; each side a multiple of ``config.multiple``."""
        fine, coarse = self.answers(x)
        return fine if coarse is None else jnp.concatenate([fine, repeated(coarse, 2 * self.config.stem)], axis=-1)

    def answers(self, x: Float[Array, "n d h w 1"]) -> tuple[Float[Array, "n d h w o"], Float[Array, "n i j k c"] | None]:
        """Logits that each voxel has, and those that blocks of ``2 * config.stem`` voxels a side have in common; None without such."""
        x = space_to_depth(x, self.config.stem)
        skips = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else mean_pool(x))
            skips.append(x)
        broad = x
        for level in reversed(range(len(self.up))):
            broad, x = x, self.up[level](skips[level] + repeat_up(self.lateral[level](x)))
        fine = depth_to_space(self.head(x), self.config.stem)
        return fine, None if self.coarse is None else self.coarse(broad)


@cache
def blueprint(config: UNetConfig) -> tuple[nnx.GraphDef[UNet], PyTree]:
    """The parts of a network without its weights: what `nnx.merge` needs beside them, and their shapes in a tree.

    Made once for each configuration. Nothing is drawn: random weights that are thrown away would take seconds.
    """
    graph, empty = nnx.split(nnx.eval_shape(lambda: UNet(config, rngs=nnx.Rngs(0))))
    return graph, empty
