"""The head network alone, on one scan: its look at the head, as a run has it before it looks at the hypothalamus."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from hypojax.grid import Affine
from hypojax.preprocessing.foreground import Prepared
from hypojax.segmenter.devices import Batch
from hypojax.segmenter.head_look import HeadLook, looked_until_settled
from hypojax.segmenter.segmenter import Segmenter


class SeenHead(NamedTuple):
    """A prepared scan and the look at its head that counts."""

    scan: Prepared
    look: HeadLook


def seen_head(segmenter: Segmenter, volume: Float32[np.ndarray, "i j k"], affine: Affine) -> SeenHead:
    """Look at the head of one scan."""
    scan = segmenter.prepare(volume, affine)
    batch = Batch(segmenter._devices, segmenter.batch)
    (look,) = looked_until_settled([scan], lambda shown: segmenter._look(batch, shown))
    return SeenHead(scan, look)
