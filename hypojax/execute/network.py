"""The network of a run: loaded as its settings say, and what it says of itself."""

from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from hypojax.settings import RunSettings

if TYPE_CHECKING:
    from hypojax.execute.pipeline import Segments

PACKAGES: Final = ("hypojax", "numpy", "xarray", "zarr")


def load_segmenter(settings: RunSettings) -> "Segments":
    """The networks that the settings name.

    Raises
    ------
    RunError
        The weights are missing or not what they should be.
    """
    from hypojax.segmenter.segmenter import Segmenter  # here, because JAX takes seconds to import

    return Segmenter.load(settings.weights, ensemble=settings.ensemble, batch=settings.batch)


def weights_of(network: "Segments") -> dict[str, Any]:
    """What every scan of a cohort must have in common besides the version of hypojax: hashes of the weights."""
    return {name: value for name, value in network.provenance.items() if name.startswith("weights")}


def provenance(network: "Segments | None") -> dict[str, str]:
    """What took part: versions, and all that a network says of itself (weights, configuration, devices)."""
    versions = {name: metadata.version(name) for name in PACKAGES}
    return {**versions, **(network.provenance if network else {})}
