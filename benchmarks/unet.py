"""The networks' forward pass side by side in one run: ours, XLA's native 3-D convolution, and OpenVINO.

    pip install openvino  # for the third of them; it belongs to this benchmark and to nothing else
    python benchmarks/unet.py [--runs 11]

Released weights, random images, same cores, turn about: processor time (median) and wall time (least) in ms, and ratios to ours.
Logits are held against each other first. Found on two cores of an AMD EPYC (Zen 4) beside other work, jax 0.10.2, OpenVINO 2026.4.1:
OpenVINO takes 1.0 times our processor time for both networks, and 1.2 times our wall time.
"""

import argparse
import importlib.util
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any, Final

import jax
import numpy as np
from flax import nnx

from hypojax import unet
from hypojax.checkpoint import Checkpoint, load_checkpoint
from hypojax.release import released_folder
from hypojax.schema import BOX_SHAPE, HEAD_SHAPE
from hypojax.unet import blueprint

SHAPES: Final = {"box": BOX_SHAPE, "head": HEAD_SHAPE}
AGREEMENT: Final = 1e-5
"""Largest difference of logits between ways, as a share of the largest logit: float32 sums in another order, through a dozen layers."""

Way = Callable[[], np.ndarray]


def in_jax(checkpoint: Checkpoint, x: np.ndarray, conv3d: Callable[..., Any]) -> Way:
    """The network of `hypojax.unet` with a given convolution, compiled."""
    graph, _ = blueprint(checkpoint.network)
    weights, image = jax.device_put((checkpoint.weights, x))
    ours, unet.conv3d = unet.conv3d, conv3d
    forward = jax.jit(lambda weights, image: nnx.merge(graph, weights)(image)).lower(weights, image).compile()
    unet.conv3d = ours
    return lambda: np.asarray(forward(weights, image))


class OpenVino:
    """The same network with the same weights as a graph of OpenVINO, channels first."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        import openvino.opset15 as ops

        self.ops, self.network = ops, nnx.merge(blueprint(checkpoint.network)[0], checkpoint.weights)

    def constant(self, values: Any) -> Any:
        """A float32 constant."""
        return self.ops.constant(np.ascontiguousarray(values, np.float32))

    def along_channels(self, values: Any) -> Any:
        """A constant of one number a channel."""
        return self.constant(np.asarray(values[...]).reshape(1, -1, 1, 1, 1))

    def convolved(self, x: Any, layer: Any) -> Any:
        """A convolution of 3×3×3 or 1×1×1 voxels with its bias."""
        kernel = np.asarray(layer.kernel[...])
        kernel = kernel.transpose(4, 3, 0, 1, 2) if kernel.ndim == 5 else kernel.T[:, :, None, None, None]
        around = [kernel.shape[2] // 2] * 3
        return self.ops.add(
            self.ops.convolution(x, self.constant(kernel), [1] * 3, around, around, [1] * 3), self.along_channels(layer.bias)
        )

    def active(self, x: Any, norm: Any) -> Any:
        """The voxel norm, where there is one, and the leaky rectifier."""
        ops = self.ops
        if norm is not None:
            square = ops.reduce_mean(ops.multiply(x, x), ops.constant(np.array([1])), keep_dims=True)
            inverse = ops.power(ops.add(square, self.constant([unet.EPSILON])), self.constant([-0.5]))
            x = ops.multiply(ops.multiply(x, inverse), self.along_channels(norm.scale))
        return ops.prelu(x, self.constant([unet.LEAK]))

    def block(self, x: Any, layer: Any) -> Any:
        """Two convolutions."""
        x = self.active(self.convolved(x, layer.one), layer.norm_one)
        return self.active(self.convolved(x, layer.two), layer.norm_two)

    def repeated(self, x: Any, factor: int) -> Any:
        """Every voxel ``factor``³ times."""
        how = {"nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
        factors, axes = self.constant([factor] * 3), self.ops.constant(np.array([2, 3, 4]))
        return self.ops.interpolate(x, factors, mode="nearest", shape_calculation_mode="scales", axes=axes, **how)

    def graph(self, shape: tuple[int, int, int]) -> Any:
        """The whole network."""
        import openvino

        ops, network, stem = self.ops, self.network, self.network.config.stem
        image = ops.parameter([1, 1, *shape], np.float32)
        x, skips = ops.space_to_depth(image, "blocks_first", stem), []
        for level, layer in enumerate(network.down):
            x = self.block(ops.avg_pool(x, [2] * 3, [0] * 3, [0] * 3, [2] * 3, exclude_pad=True) if level else x, layer)
            skips.append(x)
        broad = x
        for level in reversed(range(len(network.up))):
            added = ops.add(skips[level], self.repeated(self.convolved(x, network.lateral[level]), 2))
            broad, x = x, self.block(added, network.up[level])
        found = ops.depth_to_space(self.convolved(x, network.head), "blocks_first", stem)
        if network.coarse is not None:
            found = ops.concat([found, self.repeated(self.convolved(broad, network.coarse), 2 * stem)], 1)
        return openvino.Model([found], [image])


def in_openvino(checkpoint: Checkpoint, x: np.ndarray) -> Way:
    """The network in OpenVINO, float32, on the cores that this process may use."""
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": len(os.sched_getaffinity(0))}
    model = openvino.Core().compile_model(OpenVino(checkpoint).graph(x.shape[1:4]), "CPU", settings)
    request, image = model.create_infer_request(), np.ascontiguousarray(np.moveaxis(x, -1, 1))
    return lambda: np.moveaxis(request.infer([image])[0], 1, -1)


def processor_seconds() -> float:
    """Processor time of this process so far, with that of the system for it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measured(ways: dict[str, Way], runs: int) -> dict[str, tuple[float, float]]:
    """Median processor and least wall milliseconds of each way, turn about after one warm-up."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for forward in ways.values():
        forward()
    for _ in range(runs):
        for name, forward in ways.items():
            processor, start = processor_seconds(), time.perf_counter()
            forward()
            wall = time.perf_counter() - start
            times[name].append((1e3 * (processor_seconds() - processor), 1e3 * wall))
    return {name: (statistics.median(p for p, _ in values), min(w for _, w in values)) for name, values in times.items()}


def main() -> None:
    """Print one table of both networks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=11)
    runs = parser.parse_args().runs
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # it would tell its makers of each use
    openvino = importlib.util.find_spec("openvino") is not None
    versions = {name: metadata.version(name) for name in ("jax", "flax", *(("openvino",) if openvino else ()))}
    cores = len(os.sched_getaffinity(0))
    print(f"{platform.processor() or platform.machine()}, {cores} cores, {jax.local_devices()[0].device_kind}, {versions}\n")
    print("| network | way | processor, ms | wall, ms | processor / ours | wall / ours |\n| --- | --- | --- | --- | --- | --- |")
    for stage, shape in SHAPES.items():
        checkpoint = load_checkpoint(released_folder() / f"{stage}.safetensors")
        x = np.random.default_rng(0).normal(size=(1, *shape, 1)).astype(np.float32)
        ways = {"ours": in_jax(checkpoint, x, unet.conv3d), "native": in_jax(checkpoint, x, unet.conv3d_native)}
        if openvino:
            ways["openvino"] = in_openvino(checkpoint, x)
        ours = ways["ours"]()
        for name, forward in ways.items():
            apart = np.abs(forward() - ours).max() / np.abs(ours).max()
            assert apart < AGREEMENT, (name, apart)
        found = measured(ways, runs)
        for name, (processor, wall) in found.items():
            ratios = f"{processor / found['ours'][0]:.2f} | {wall / found['ours'][1]:.2f}"
            print(f"| {stage} | {name} | {processor:.0f} | {wall:.0f} | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
