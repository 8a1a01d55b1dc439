"""What a run uses on this machine: its network, versions, devices, weights."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from hypojax.reason import RunError
from hypojax.settings import RunSettings
from hypojax.storage import Disk, on_disk

if TYPE_CHECKING:
    from hypojax.execute.pipeline import Segments

RECORDED: Final = ("hypojax", "numpy", "xarray", "zarr")
"""Packages whose versions a cohort records, besides those that its network names."""

SHOWN: Final = ("hypojax", "jax", "flax", "numpy", "scipy", "xarray", "zarr", "dask", "nibabel", "isal", "pandas", "pyarrow")


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


def info(weights: Disk | None = None) -> Info:
    """Versions, devices and weights, checked as a run would check them.

    Parameters
    ----------
    weights
        Folder of weights; the released ones when left out.
    """
    facts = {"python": platform.python_version(), "system": platform.platform(), **{name: metadata.version(name) for name in SHOWN}}
    try:
        provenance = load_segmenter(RunSettings(weights=None if weights is None else on_disk(weights))).provenance
    except RunError as error:
        return Info({**facts, "weights": f"{error.reason}"}, error)
    return Info({**facts, **provenance}, None)


def load_segmenter(settings: RunSettings) -> "Segments":
    """The networks that the settings name.

    Raises
    ------
    RunError
        The weights are missing or not what they should be.
    """
    import hypojax

    return hypojax.Segmenter.load(settings.weights, ensemble=settings.ensemble, batch=settings.batch)


def weights_of(network: "Segments") -> dict[str, Any]:
    """What every scan of a cohort must have in common besides the version of hypojax: hashes of the weights."""
    return {name: value for name, value in network.provenance.items() if name.startswith("weights")}


def provenance(network: "Segments | None") -> dict[str, str]:
    """What took part: versions, and all that a network says of itself (weights, configuration, devices)."""
    versions = {name: metadata.version(name) for name in RECORDED}
    return {**versions, **(network.provenance if network else {})}
