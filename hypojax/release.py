"""Where released weights lie and which hashes they must have, known without loading them."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from hypojax.reason import Reason, RunError

SUMS: Final = "SHA256SUMS"
STAGES: Final = ("head", "box")
ENSEMBLE: Final = "box-fold*.safetensors"
"""The box networks of the cross-validation, whose mean the ensemble is."""

FOLDERS: Final = (Path(__file__).parent / "weights", Path(__file__).parent.parent / "checkpoints")
"""Where released weights lie: inside an installed package, or beside it in a checkout."""


def released_folder() -> Path:
    """The folder of the weights that come with hypojax.

    Raises
    ------
    RunError
        ``weights_missing``.
    """
    for folder in FOLDERS:
        if (folder / SUMS).is_file():
            return folder
    raise RunError(Reason.WEIGHTS_MISSING, f"no weights in {FOLDERS[0]} or {FOLDERS[1]}; reinstall hypojax or give --weights FOLDER")


def listed_sum(path: Path) -> str:
    """A file's entry in ``SHA256SUMS`` beside it.

    Raises
    ------
    RunError
        ``weights_corrupted``: it has none.
    """
    sums = path.parent / SUMS
    lines = [line.split() for line in sums.read_text().splitlines()] if sums.is_file() else []
    for fields in lines:
        if len(fields) == 2 and fields[1] == path.name:
            return fields[0]
    raise RunError(Reason.WEIGHTS_CORRUPTED, f"{sums} has no entry for {path.name}; reinstall hypojax or add its SHA-256")


def require(path: Path) -> None:
    """Refuse a weights file that is not there.

    Raises
    ------
    RunError
        ``weights_missing``.
    """
    if not path.is_file():
        raise RunError(Reason.WEIGHTS_MISSING, f"weights {path} are missing; reinstall hypojax or give --weights FOLDER")


def weights_files(folder: Path, *, ensemble: bool = False) -> Mapping[str, tuple[Path, ...]]:
    """Weights files of each stage: one, or for the box the networks of the cross-validation when ``ensemble``.

    Raises
    ------
    RunError
        ``weights_missing``.
    """
    files: dict[str, tuple[Path, ...]] = {stage: (folder / f"{stage}.safetensors",) for stage in STAGES}
    if ensemble:
        files["box"] = tuple(sorted(folder.glob(ENSEMBLE))) or (folder / ENSEMBLE.replace("*", "0"),)
    for path in (path for paths in files.values() for path in paths):
        require(path)
    return files


def joint_sum(sums: Sequence[str]) -> str:
    """One hash for one weights file, its own, or for several.

    >>> joint_sum(["ab12"])
    'ab12'
    >>> joint_sum(["ab12", "cd34"])[:16]
    'dbfa1458b0c5d731'
    """
    return sums[0] if len(sums) == 1 else hashlib.sha256("\n".join(sums).encode()).hexdigest()


def weights_sha256(folder: Path | None = None, *, ensemble: bool = False) -> Mapping[str, str]:
    """Hashes that the weights of both stages must have, under the names that `hypojax.Segmenter.provenance` has for them.

    The files are not read: whoever loads them checks that they hold what is promised here.

    Parameters
    ----------
    folder
        Folder of weights; the released ones when left out.
    ensemble
        Whether the box stage is the ensemble; it has one hash, of all its hashes.

    Raises
    ------
    RunError
        ``weights_missing``, or ``weights_corrupted`` where ``SHA256SUMS`` says nothing of them.

    Examples
    --------
    >>> sorted(weights_sha256())  # doctest: +SKIP
    ['weights_box_sha256', 'weights_head_sha256']
    """
    files = weights_files(folder or released_folder(), ensemble=ensemble)
    return {f"weights_{stage}_sha256": joint_sum([listed_sum(path) for path in paths]) for stage, paths in files.items()}
