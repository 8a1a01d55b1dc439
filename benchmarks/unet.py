"""The networks' forward pass, three ways side by side in one run: ours, XLA's native 3-D convolution, and PyTorch.

    python benchmarks/unet.py [--runs 7]

Same network, same weights (random), same cores, turn about; medians in ms and ratios. PyTorch is measured where it is installed
(it belongs to this benchmark's own environment and to nothing else); its output is held against ours first.
"""

import argparse
import importlib.util
import platform
import statistics
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hypojax import unet
from hypojax.schema import BOX_SHAPE, HEAD_SHAPE
from hypojax.unet import UNet, UNetConfig

NETWORKS = {"box": (UNetConfig(outputs=11), BOX_SHAPE), "head": (UNetConfig(outputs=2, stem=2), HEAD_SHAPE)}
AGREEMENT = 1e-3
"""Largest difference of logits between frameworks: float32 sums in another order, through a dozen layers."""


def compiled(config: UNetConfig, conv3d: Callable[..., Any]) -> Callable[[np.ndarray], np.ndarray]:
    """The network of `hypojax.unet` with a given convolution."""
    model = UNet(config, rngs=nnx.Rngs(0))
    graph, weights = nnx.split(model)
    unet.conv3d = conv3d
    forward = jax.jit(lambda weights, x: nnx.merge(graph, weights)(x))
    return lambda x: np.asarray(forward(weights, x))


def in_torch(config: UNetConfig) -> Callable[[np.ndarray], np.ndarray]:
    """The same network with the same weights in PyTorch, channels first."""
    import torch
    from torch.nn import functional

    model = UNet(config, rngs=nnx.Rngs(0))

    def tensor(parameter: Any, order: tuple[int, ...] | None = None) -> Any:
        array = np.asarray(parameter[...])
        return torch.from_numpy(np.array(array.transpose(order) if order else array))

    def conv(layer: Any) -> Callable[[Any], Any]:
        kernel, bias = tensor(layer.kernel, (4, 3, 0, 1, 2)), tensor(layer.bias)
        return lambda x: functional.conv3d(x, kernel, bias, padding=1)

    def point(layer: Any) -> Callable[[Any], Any]:
        kernel, bias = tensor(layer.kernel, (1, 0))[:, :, None, None, None], tensor(layer.bias)
        return lambda x: functional.conv3d(x, kernel, bias)

    def norm(layer: Any) -> Callable[[Any], Any]:
        if layer is None:
            return lambda x: x
        scale = tensor(layer.scale)[None, :, None, None, None]
        return lambda x: x * torch.rsqrt((x * x).mean(1, keepdim=True) + unet.EPSILON) * scale

    def block(layer: Any) -> Callable[[Any], Any]:
        one, first, two, second = conv(layer.one), norm(layer.norm_one), conv(layer.two), norm(layer.norm_two)
        return lambda x: functional.leaky_relu(second(two(functional.leaky_relu(first(one(x)), unet.LEAK))), unet.LEAK)

    down, up, lateral = [block(b) for b in model.down], [block(b) for b in model.up], [point(p) for p in model.lateral]
    head, stem = point(model.head), config.stem

    def forward(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            y = torch.from_numpy(np.ascontiguousarray(np.asarray(unet.space_to_depth(jnp.asarray(x), stem)).transpose(0, 4, 1, 2, 3)))
            skips = []
            for level, layer in enumerate(down):
                y = layer(y if level == 0 else functional.avg_pool3d(y, 2))
                skips.append(y)
            for level in reversed(range(len(up))):
                y = up[level](skips[level] + functional.interpolate(lateral[level](y), scale_factor=2, mode="nearest"))
            return np.asarray(unet.depth_to_space(jnp.asarray(head(y).numpy().transpose(0, 2, 3, 4, 1)), stem))

    return forward


def medians(ways: dict[str, Callable[[np.ndarray], np.ndarray]], x: np.ndarray, runs: int) -> dict[str, float]:
    """Median milliseconds of each way, turn about after one warm-up."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for forward in ways.values():
        forward(x)
    for _ in range(runs):
        for name, forward in ways.items():
            start = time.perf_counter()
            forward(x)
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Print one line a network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    torch = importlib.util.find_spec("torch") is not None
    versions = {name: metadata.version(name) for name in ("jax", "flax", *(("torch",) if torch else ()))}
    print(f"{platform.processor() or platform.machine()}, {jax.local_devices()[0].device_kind}, {versions}")
    fast = unet.conv3d
    for name, (config, shape) in NETWORKS.items():
        x = np.random.default_rng(0).normal(size=(1, *shape, 1)).astype(np.float32)
        ways = {}
        for title, conv3d in (("ours", fast), ("native", unet.conv3d_native)):
            ways[title] = compiled(config, conv3d)
            ways[title](x)  # traced while `unet.conv3d` is this one
        if torch:
            ways["torch"] = in_torch(config)
        ours = ways["ours"](x)
        for title, forward in ways.items():
            assert np.abs(forward(x) - ours).max() < AGREEMENT, title
        found = medians(ways, x, runs)
        ratios = ", ".join(f"{title} / ours {value / found['ours']:.2f}" for title, value in found.items() if title != "ours")
        print(f"{name} {shape}: " + ", ".join(f"{title} {value:.0f} ms" for title, value in found.items()) + f"; {ratios}")


if __name__ == "__main__":
    main()
