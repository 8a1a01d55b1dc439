"""Weights of a head network of two outputs (cranium, place) as the start of one of six: two protocols, place, template coordinates.

    python -m pipelines.maintenance.widen_head runs/head/weights/head.safetensors runs/start/head.safetensors

Both protocols start from the one cranium; coordinates start small and random.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from flax import nnx
from jaxtyping import Float32

from hypojax.checkpoint import load_checkpoint, save_checkpoint
from hypojax.training.train_config import OUTPUTS
from hypojax.training.weights import write_sums
from hypojax.unet import UNet

SOURCES: Final = (0, 0, 1)
"""The old output that each of the first new ones starts from."""

COARSE: Final = 3
"""The coordinates are answered at 8 mm: they change slowly, and there the network sees the whole head (`UNetConfig`)."""


def widened(old: Float32[np.ndarray, "*i b"], before: int) -> Float32[np.ndarray, "*i c"]:
    """Weights of the last layer with more outputs; channels are ordered by place in the block, then by output (`depth_to_space`)."""
    split = old.reshape(*old.shape[:-1], -1, before)
    return split[..., SOURCES].reshape(*old.shape[:-1], -1)


def main(source: Path, out: Path) -> None:
    """Write the start, and its hash beside it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    released = load_checkpoint(source)
    network = replace(released.network, outputs=max(OUTPUTS["head"]), coarse=COARSE)
    weights = nnx.state(UNet(network, rngs=nnx.Rngs(0)))
    for part in ("down", "lateral", "up"):
        weights[part] = released.weights[part]
    for name, leaf in released.weights["head"].items():
        weights["head"][name] = leaf.replace(widened(np.asarray(leaf[...]), released.network.outputs))
    write_sums(out.parent, {out.name: save_checkpoint(out, weights, network=network, header=dict(released.header))})


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
