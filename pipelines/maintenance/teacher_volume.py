"""The teacher's posteriors, brought to the volume of its own label maps."""

from typing import Final

import numpy as np
from jaxtyping import Float32, Num
from scipy import optimize

MOST_ODDS: Final = 3.0
"""Largest change of the logarithm of the odds of a posterior, either way."""


def settled_volume(posteriors: Num[np.ndarray, "i j k 10"], *, voxels: float) -> Float32[np.ndarray, "i j k 10"]:
    """Posteriors × 255 that sum to as many labelled ``voxels``: the odds of being hypothalamus at all, all times one factor.

    As the teacher gives them they sum to 3.7 % more than the voxels of its own label maps (1.4 to 14 % in 58 scans): outside the outline
    they fall off more slowly than inside. A network that repeats them measures, and draws, as much more.

    Raises
    ------
    ValueError
        No change of the odds up to `MOST_ODDS` gives as many voxels: the posteriors are not those of the labels.

    Examples
    --------
    >>> soft = np.array([255, 128, 128, 0], np.uint8).reshape(4, 1, 1, 1) * np.eye(10, dtype=np.uint8)[0]
    >>> (settled_volume(soft, voxels=1.5).sum(axis=-1).ravel() / 255).round(2).tolist()
    [1.0, 0.25, 0.25, 0.0]
    """
    soft = posteriors.astype(np.float32)
    whole = np.clip(soft.sum(axis=-1) / 255, 0, 1)

    def changed(log_factor: float) -> Float32[np.ndarray, "i j k"]:
        factor = np.float32(np.exp(log_factor))
        return whole * factor / (1 + whole * (factor - 1))

    found = optimize.brentq(lambda x: float(changed(x).sum()) - voxels, -MOST_ODDS, MOST_ODDS, xtol=1e-4)
    return soft * np.divide(changed(found), whole, out=np.ones_like(whole), where=whole > 0)[..., None]
