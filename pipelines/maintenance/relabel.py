"""Soften the teacher's posteriors by what the network of the cross-validation that never saw a scan says of it: the second round of labels.

    python -m pipelines.maintenance.relabel checkpoints runs/examples

Reads ``boxes.npz`` and writes ``relabelled.npz`` beside it: the same boxes, with the mean of the teacher's posteriors and of the
held-out network's (in the box and in its mirror). What carries over to people never seen is the protocol; what the teacher alone
says is more often its noise. Two minutes on one core.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Float32, PyTree, UInt8

from hypojax.checkpoint import load_checkpoint
from hypojax.preprocessing.intensity import BRIGHTEST, box_statistics, zscore
from hypojax.schema import BOX_SHAPE
from hypojax.segmenter.forward import box_outputs
from hypojax.segmenter.segmenter import HALF
from hypojax.unet import blueprint

SIDE = 48
"""Voxels of the middle of a box that are labelled anew: the hypothalamus and a margin; farther out the teacher says nothing."""


def middle(side: int, inner: int) -> slice:
    """The middle voxels of a side."""
    return slice((side - inner) // 2, (side + inner) // 2)


def main(weights: Path, examples: Path) -> None:
    """Label anew."""
    stored = np.load(examples / "boxes.npz")
    networks = [load_checkpoint(path) for path in sorted(weights.glob("box-fold*.safetensors"))]
    never_saw = {name: network for network in networks for name in network.header["training"]["held_out"]}
    graph, _ = blueprint(networks[0].network)

    @jax.jit
    def look(weights: PyTree, image: Float[Array, "x y z"]) -> Array:
        return box_outputs(nnx.merge(graph, weights), image[None, ..., None])[0][0]

    def labelled(name: str, image: Float32[np.ndarray, "i j k"], inside: Bool[np.ndarray, "i j k"]) -> UInt8[np.ndarray, "10 x y z"]:
        whole, near = (tuple(middle(n, side) for n, side in zip(image.shape, sides, strict=True)) for sides in (BOX_SHAPE, (SIDE,) * 3))
        statistics = box_statistics(image[whole], inside[whole], background=float(image.min()))
        seen = jnp.asarray(zscore(image[near], statistics, brightest=BRIGHTEST))
        return np.asarray(look(never_saw[name].weights, seen))

    posteriors = stored["posteriors"].copy()
    near = (middle(posteriors.shape[1], SIDE),) * 3
    for name, image, cranium, target in zip(stored["names"], stored["images"], stored["intracranial"], posteriors, strict=True):
        ours = np.moveaxis(labelled(str(name), image, cranium > HALF), 0, -1)
        before = target[near].sum() / 255
        target[near] = ((target[near].astype(np.uint16) + ours + 1) // 2).astype(np.uint8)
        print(name, f"teacher {before:.0f} mm3, held-out network {ours.sum() / 255:.0f} mm3", flush=True)
    np.savez(examples / "relabelled.npz", **{name: stored[name] for name in stored.files if name != "posteriors"}, posteriors=posteriors)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
