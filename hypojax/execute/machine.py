"""What a run would use on this machine: versions, devices, weights."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from hypojax.execute.network import load_segmenter
from hypojax.reason import RunError
from hypojax.settings import RunSettings

PACKAGES: Final = ("hypojax", "jax", "flax", "numpy", "scipy", "xarray", "zarr", "dask", "nibabel", "isal", "pandas", "pyarrow")


@dataclass(frozen=True)
class Info:
    """What a run would use.

    Parameters
    ----------
    facts
        Name → value, in the order to show them.
    problem
        Why a run could not start; None when it could.
    """

    facts: Mapping[str, str]
    problem: RunError | None


def info(weights: Path | None = None) -> Info:
    """Versions, devices and weights, checked as a run would check them.

    Parameters
    ----------
    weights
        Folder of weights; the released ones when left out.
    """
    facts = {"python": platform.python_version(), "system": platform.platform(), **{name: metadata.version(name) for name in PACKAGES}}
    try:
        provenance = load_segmenter(RunSettings(weights=weights)).provenance
    except RunError as error:
        return Info({**facts, "weights": f"{error.reason}"}, error)
    return Info({**facts, **provenance}, None)
