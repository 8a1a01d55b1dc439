"""Released weights: one ``.safetensors`` file of arrays and a JSON header, known by its SHA-256.

Nothing is unpickled. The header says what the network is (`UNetConfig`), what its outputs mean, on which grid it works,
how intensities are normalised, and how it was trained.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import jax
import numpy as np
from jaxtyping import Float32, PyTree
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from hypojax.reason import Reason, RunError
from hypojax.release import listed_sum, require
from hypojax.unet_config import UNetConfig

HEADER_KEY: Final = "hypojax"


@dataclass(frozen=True)
class Checkpoint:
    """One network with its weights.

    Parameters
    ----------
    network
        Configuration.
    arrays
        Name (``down/0/one/kernel``) → weights.
    header
        Everything else the file says of itself.
    sha256
        Of the file.
    """

    network: UNetConfig
    arrays: Mapping[str, Float32[np.ndarray, "..."]]
    header: Mapping[str, Any]
    sha256: str

    @property
    def weights(self) -> PyTree:
        """Flax NNX state of `UNet`; errors as `weights_of`."""
        return weights_of(self.network, self.arrays)


def save_checkpoint(path: Path, weights: PyTree, *, network: UNetConfig, header: Mapping[str, Any]) -> str:
    """Write weights with their header; return the file's SHA-256. Errors as `weights_of`."""
    arrays = {name: np.asarray(leaf) for name, leaf in named(weights).items()}
    weights_of(network, arrays)
    about = {"network": asdict(network), **header}
    temporary = path.with_suffix(".part")
    # Written here, because `safetensors.save_file` writes for its owner alone, whatever the umask says.
    temporary.write_bytes(save(arrays, metadata={HEADER_KEY: json.dumps(about, sort_keys=True)}))
    temporary.replace(path)
    return sha256(path)


def load_checkpoint(path: Path, *, expected: str | None = None) -> Checkpoint:
    """Read weights, refusing a file that is not what it should be.

    Parameters
    ----------
    path
        A ``.safetensors`` file of `save_checkpoint`.
    expected
        Its SHA-256; by default the entry in ``SHA256SUMS`` beside it.

    Raises
    ------
    RunError
        ``weights_missing`` or ``weights_corrupted``, with what to do.
    """
    require(path)
    found, wanted = sha256(path), expected or listed_sum(path)
    if found != wanted:
        raise RunError(Reason.WEIGHTS_CORRUPTED, f"weights {path} have SHA-256 {found[:16]}…, expected {wanted[:16]}…; reinstall hypojax")
    try:
        return _read(path, found)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RunError(Reason.WEIGHTS_CORRUPTED, f"weights {path} cannot be used ({error}); reinstall hypojax") from error


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path, digest: str) -> Checkpoint:
    """Header and weights of a file whose hash is right."""
    with safe_open(path, framework="numpy") as stored:
        header = json.loads(stored.metadata()[HEADER_KEY])
        arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a dict)
    about = header.pop("network")
    network = UNetConfig(outputs=about["outputs"], widths=tuple(about["widths"]), stem=about["stem"], coarse=about.get("coarse", 0))
    return Checkpoint(network, arrays, header, digest)


def weights_of(network: UNetConfig, arrays: Mapping[str, Any]) -> PyTree:
    """Named arrays as the state of a network.

    Raises
    ------
    RunError
        ``WEIGHTS_CORRUPTED``: they are those of another network.
    """
    from hypojax.unet import blueprint  # Flax takes a quarter of a second, and a network that was traced before needs it no more

    _, empty = blueprint(network)
    wanted = named(empty)
    if {name: leaf.shape for name, leaf in wanted.items()} != {name: array.shape for name, array in arrays.items()}:
        raise RunError(Reason.WEIGHTS_CORRUPTED, f"weights do not fit their network ({network}); reinstall hypojax, or train them anew")
    return jax.tree.unflatten(jax.tree.structure(empty), [arrays[name] for name in wanted])


def named(tree: PyTree) -> dict[str, Any]:
    """Leaves by their path, "down/0/one/kernel"."""
    return {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _name(path: tuple[Any, ...]) -> str:
    """A path without the wrapper that Flax puts round a leaf."""
    parts = [str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key)))) for key in path]
    return "/".join(part for part in parts if part not in {"value", "raw_value"})
