"""Run in a process of its own with several virtual devices: sharded, pmapped and one-by-one results are the same.

Prints "same labels" and exits 0, or says what differs.
"""

import sys

import jax
import numpy as np
from flax import nnx

from hypojax.checkpoint import load_checkpoint, released_folder
from hypojax.segment import Segmenter, box_outputs
from hypojax.unet import UNet


def main(devices: int) -> None:
    """Compare on random boxes and on random heads."""
    assert len(jax.local_devices()) == devices
    checkpoint = load_checkpoint(released_folder() / "box.safetensors")
    rng = np.random.default_rng(0)
    images = rng.normal(size=(devices, 40, 40, 40)).astype(np.float32)
    sharded = Segmenter.load(batch=devices)._run(Segmenter.load(batch=devices)._box, list(images))[0]
    graph, _ = nnx.split(UNet(checkpoint.network, rngs=nnx.Rngs(0)))
    mapped = jax.pmap(lambda weights, image: box_outputs(nnx.merge(graph, weights), image[None, ..., None])[0], in_axes=(None, 0))
    (pmapped,) = (np.asarray(mapped(checkpoint.weights, images))[:, 0],)
    alone = Segmenter.load(batch=devices)
    singly = [alone._run(alone._box, [image])[0][0] for image in images]
    for index in range(devices):
        for name, other in (("pmap", pmapped[index]), ("one by one", singly[index])):
            ours, theirs = (np.where(p.sum(0, dtype=int) > 127, p.argmax(0) + 1, 0) for p in (sharded[index], other))
            if not np.array_equal(ours, theirs):
                raise SystemExit(f"scan {index}: {(ours != theirs).sum()} labels differ from {name}")
    sys.stdout.write("same labels\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
