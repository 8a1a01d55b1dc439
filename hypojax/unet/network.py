"""The U-Net: one small residual-skip network for both stages, in Flax NNX.

Normalisation is over the channels of each voxel alone (root mean square; Zhang 2019, Karras 2018), never over space or
batch: what a voxel becomes does not depend on how much air the field of view holds, nor on its neighbours in a batch.
"""

from dataclasses import dataclass
from itertools import pairwise

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from hypojax.unet.convolution import Features, Volume, conv3d, depth_to_space, mean_pool, repeat_up, space_to_depth

EPSILON = 1e-6
LEAK = 0.1


@dataclass(frozen=True)
class UNetConfig:
    """What a network is made of.

    Parameters
    ----------
    outputs
        Channels of logits a voxel.
    widths
        Channels at each resolution, finest first; each level halves the grid.
    stem
        Space-to-depth factor before the first and after the last layer (1: none). A factor of 2 moves all work to
        half the resolution and still answers at the full one.
    """

    outputs: int
    widths: tuple[int, ...] = (16, 32, 64, 96)
    stem: int = 1

    @property
    def multiple(self) -> int:
        """Every side of the input must be a multiple of this."""
        return int(self.stem * 2 ** (len(self.widths) - 1))


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
        self.head = Pointwise(widths[0], config.outputs * channels, rngs=rngs, scale=0.1)

    def __call__(self, x: Float[Array, "n d h w 1"]) -> Float[Array, "n d h w o"]:
        """Logits for normalised intensities; each side a multiple of ``config.multiple``."""
        x = space_to_depth(x, self.config.stem)
        skips = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else mean_pool(x))
            skips.append(x)
        for level in reversed(range(len(self.up))):
            x = self.up[level](skips[level] + repeat_up(self.lateral[level](x)))
        return depth_to_space(self.head(x), self.config.stem)
