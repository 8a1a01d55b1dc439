"""The networks and the whole line on one GPU: volumes against the processor's, scans a second, memory, and what bounds it.

    python benchmarks/gpu.py [--scans FOLDER] --out gpu.json

`benchmarks/gpu.sh` starts it on a machine that has little installed. Figures go into the JSON that `benchmarks/scaling.py` reads.

| row | what |
|---|---|
| volumes | largest difference of a volume between this device and the processor, and share of voxels with the same label |
| networks | scans a second of both networks alone, by batch and precision, and their share of what a matrix product reaches |
| gpu | the whole line from files to table, with all cores |

Precisions: float32 (as `hypojax run` has it on every device), tf32 (the matrix units' own float32), bfloat16 (weights and images).
Volumes of the last two are held against float32. Without a GPU the processor is measured, in float32 and with small batches.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from figures import Figure, add, machine
from flax import nnx
from inputs import linked, real_scans
from throughput import Bench, Pace
from watched import HYPOJAX, watch

from hypojax import open_cohort
from hypojax.checkpoint import load_checkpoint
from hypojax.demonstration.scaled_heads import write_cohort
from hypojax.release import released_folder
from hypojax.schema import BOX_SHAPE, HEAD_SHAPE
from hypojax.unet import blueprint

TOLERANCE: Final = 1e-3
"""Largest relative difference of a volume between two devices: sums in another order, posteriors in steps of 1/255."""

SHAPES: Final = {"head": HEAD_SHAPE, "box": BOX_SHAPE}
PRECISIONS: Final = {"gpu": ("float32", "tf32", "bfloat16"), "cpu": ("float32",)}
"""A processor has no tf32, and bfloat16 gains nothing there."""

BATCHES: Final = {"gpu": (8, 64), "cpu": (1, 2)}
"""Each batch, network and precision is compiled for itself, which takes seconds on a GPU."""

LINE_BATCH: Final = {"gpu": 16, "cpu": 2}
LINE_SCANS: Final = {"gpu": 400, "cpu": 8}
PRODUCT: Final = {"gpu": 8192, "cpu": 1024}
"""Side of the matrices whose product says what the device can do."""


def timed(work: Callable[[], Any], *, least: float = 0.5) -> float:
    """Median seconds of a call after two warm ones, over at least three calls and half a second."""
    for _ in range(2):
        jax.block_until_ready(work())
    times: list[float] = []
    while len(times) < 3 or sum(times) < least:
        start = time.perf_counter()
        jax.block_until_ready(work())
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def arithmetic(precision: str) -> tuple[Any, Any]:
    """The type of weights and images, and the context that sets how float32 is multiplied."""
    if precision == "bfloat16":
        return jnp.bfloat16, nullcontext()
    return jnp.float32, jax.default_matmul_precision("float32" if precision == "float32" else "tensorfloat32")


def product_rate(side: int, precision: str) -> float:
    """Floating-point operations a second of a matrix product of random numbers."""
    kind, context = arithmetic(precision)
    first, second = (jax.random.normal(jax.random.key(n), (side, side), kind) for n in (0, 1))
    with context:
        multiply = jax.jit(jnp.matmul)
        return 2 * side**3 / timed(lambda: multiply(first, second))


def network_row(stage: str, batch: int, precision: str, *, peak: float) -> dict[str, Any]:
    """One network on one batch: scans a second, and the share of the rate of a matrix product."""
    checkpoint = load_checkpoint(released_folder() / f"{stage}.safetensors")
    kind, context = arithmetic(precision)
    graph, _ = blueprint(checkpoint.network)
    weights = jax.tree.map(lambda leaf: jnp.asarray(leaf, kind), checkpoint.weights)
    images = jax.random.normal(jax.random.key(batch), (batch, *SHAPES[stage], 1), kind)
    with context:
        forward = jax.jit(lambda w, x: nnx.merge(graph, w)(x)).lower(weights, images).compile()
        seconds = timed(lambda: forward(weights, images))
    costs = forward.cost_analysis() or {}
    operations, moved = float(costs.get("flops", float("nan"))), float(costs.get("bytes accessed", float("nan")))
    return {
        "stage": stage,
        "batch": batch,
        "precision": precision,
        "scans_per_second": batch / seconds,
        "milliseconds": 1e3 * seconds,
        "tflops": operations / seconds / 1e12,
        "share_of_product": operations / seconds / peak,
        "gigabytes_per_second": moved / seconds / 1e9,
    }


def networks(backend: str) -> list[Figure]:
    """Both networks alone, by batch and precision."""
    found = []
    for precision in PRECISIONS[backend]:
        peak = product_rate(PRODUCT[backend], precision)
        print(f"{precision}: a matrix product reaches {peak / 1e12:.1f} TFLOP/s", flush=True)
        for stage in SHAPES:
            for batch in BATCHES[backend]:
                try:
                    row = network_row(stage, batch, precision, peak=peak)
                except (jax.errors.JaxRuntimeError, NotImplementedError) as error:
                    print(f"{precision} {stage} x{batch}: not possible: {str(error).splitlines()[0]}", flush=True)
                    continue
                found.append(row)
                rate, share = row["scans_per_second"], row["share_of_product"]
                print(f"{precision} {stage} x{batch}: {rate:.1f} scans/s, {share:.0%} of a matrix product", flush=True)
    best = max(row["scans_per_second"] for row in found if row["stage"] == "head" and row["precision"] == "float32")
    detail = {"rows": found, "peak_bytes": (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")}
    return [Figure("networks", "whole-head network alone, float32, best batch", best, "scans/s", detail=detail)]


def volumes(scans: Sequence[Path], folder: Path) -> list[Figure]:
    """The same scans on this device and on the processor."""
    inputs = linked(scans, folder / "compared", count=len(scans))
    tables = {}
    for name, variables in (("device", {}), ("processor", {"JAX_PLATFORMS": "cpu"})):
        watch([*HYPOJAX, "run", str(inputs), str(folder / name)], environment=variables).checked(0, 2)
        tables[name] = open_cohort(folder / name)
    ours, theirs = (tables[name].volume_mm3.values for name in ("device", "processor"))
    apart = float(np.nanmax(np.abs(ours / theirs - 1)))
    labels = [(tables[name].posterior.argmax("region") * (tables[name].posterior.max("region") > 0)).values for name in tables]
    posterior = float(np.abs(tables["device"].head_posterior - tables["processor"].head_posterior).max())
    either = (labels[0] > 0) | (labels[1] > 0)
    detail = {"same_label": float((labels[0] == labels[1])[either].mean()), "head_posterior": posterior, "scans": len(scans)}
    print(f"volumes: at most {apart:.2e} apart, {detail['same_label']:.4%} of voxels with the same label", flush=True)
    return [Figure("volumes", "largest relative difference of a volume from the processor's", apart, "", most=TOLERANCE, detail=detail)]


def line(scans: Sequence[Path], folder: Path, backend: str) -> list[Figure]:
    """The whole line with all cores."""
    bench = Bench(scans=scans, count=LINE_SCANS[backend], folder=folder, options=("--batch", str(LINE_BATCH[backend])))
    run, out = bench.run(bench.inputs(bench.count))
    pace, cores = Pace.of(out), len(os.sched_getaffinity(0))
    start, end = pace.warm
    detail = {
        "device": jax.local_devices()[0].device_kind,
        "scans": bench.count,
        "device_busy": run.device_between(start, end),
        "cores_busy": run.cpu_between(start, end) / (end - start) / cores,
        "cpu_seconds_per_scan": run.cpu_between(start, end) / (end - start) / pace.rate,
        "peak_bytes": run.peak,
    }
    print(f"whole line: {pace.rate:.1f} scans/s, cores {detail['cores_busy']:.0%} busy, device {detail['device_busy']:.0%}", flush=True)
    return [Figure("gpu", f"whole line on one {backend.upper()} and {cores} cores, warm", pace.rate, "scans/s", detail=detail)]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scans", type=Path, help="folder of real scans; those of the demonstration when left out")
    parser.add_argument("--out", type=Path, required=True, help="JSON file that the figures are added to")
    chosen = parser.parse_args()
    backend = jax.default_backend()
    print(machine() | {"device": jax.local_devices()[0].device_kind, "jax": jax.__version__}, flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        scans = real_scans([chosen.scans or write_cohort(folder / "scans")])
        for row in (lambda: volumes(scans[:8], folder), lambda: line(scans, folder, backend), lambda: networks(backend)):
            add(chosen.out, row())


if __name__ == "__main__":
    main()
