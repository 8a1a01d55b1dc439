"""Run in a process of its own: segment three scans on so many (virtual) devices, in batches of so many, and store the labels.

    python tests/devices.py DEVICES BATCH OUT.npz

Also holds the sharded box network against `jax.pmap` itself on the same devices.
"""

import sys
from pathlib import Path

import jax
import numpy as np
from flax import nnx

from hypojax import demonstration as demo
from hypojax.checkpoint import load_checkpoint
from hypojax.grid import Affine
from hypojax.preprocessing.foreground import find_head
from hypojax.release import released_folder
from hypojax.scans import read
from hypojax.segmenter.forward import box_outputs
from hypojax.segmenter.segmenter import Segmentation, Segmenter, Surroundings, box_input
from hypojax.unet import UNet


def scans() -> list[tuple[np.ndarray, Affine]]:
    """The sample scan, brighter, and larger: three scans that differ."""
    image = read("colin27", demo.sample_scan())
    volume, larger = image.scaled(), np.diag([1.05, 1.05, 1.05, 1.0]) @ image.affine
    return [(volume, image.affine), (volume**1.1, image.affine), (volume, larger)]


def labels(subunits: np.ndarray) -> np.ndarray:
    """The label map of posteriors × 255."""
    return np.where(subunits.sum(axis=-4, dtype=int) > 127, subunits.argmax(axis=-4) + 1, 0).astype(np.uint8)


def pmapped(found: list[Segmentation], devices: int) -> np.ndarray:
    """Labels of the same boxes by the same network under `jax.pmap`."""
    checkpoint = load_checkpoint(released_folder() / "box.safetensors")
    graph, _ = nnx.split(UNet(checkpoint.network, rngs=nnx.Rngs(0)))
    boxes = []
    for (volume, affine), result in zip(scans(), found, strict=True):
        around = Surroundings(find_head(volume, affine).statistics.background, result.head_grid, result.intracranial)
        boxes.append(box_input(volume, affine, result.box_grid, around=around))
    padded = np.stack([boxes[index % len(boxes)] for index in range(-(-len(boxes) // devices) * devices)])
    mapped = jax.pmap(lambda weights, image: box_outputs(nnx.merge(graph, weights), image[None, ..., None])[0], in_axes=(None, 0))
    parts = [np.asarray(mapped(checkpoint.weights, padded[start : start + devices]))[:, 0] for start in range(0, len(padded), devices)]
    return labels(np.concatenate(parts)[: len(boxes)])


def main(devices: int, batch: int, out: Path) -> None:
    """Segment and store."""
    assert len(jax.local_devices()) == devices
    found = Segmenter.load(batch=batch).segment_batch(scans())
    np.savez(
        out,
        hypothalamus=np.stack([labels(result.subunits) for result in found]),
        intracranial=np.stack([result.intracranial > 127 for result in found]),
        pmapped=pmapped(found, devices),
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
