"""Training arrays on disk: boxes, heads, label maps, and the fold of every subject.

`hypojax.write_examples` makes them from anybody's scans and label maps.
"""

import csv
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from zipfile import BadZipFile

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float32

from hypojax.reason import Reason, RunError
from hypojax.training.box import Boxes, Example, plain_box
from hypojax.training.head import CSF, FIRST_EXTRACEREBRAL, HeadMaps, RealHeads, tissue_prior

FOLDS: Final = "folds.tsv"
BOXES: Final = "boxes.npz"
MAPS: Final = "maps.npz"
HEADS: Final = "heads.npz"
POSES: Final = "poses.npz"

BOX_SIDE: Final = 72
"""Side of a stored box, mm and voxels: the box of inference, tilted and moved as far as examples are."""

MAKE: Final = "make them with --labels TABLE, a table of your own scans and label maps, or say where they are with --examples FOLDER"


def held_out_names(folder: Path, *, fold: int, folds: int) -> frozenset[str]:
    """Names of the subjects of a fold, from ``folds.tsv`` (columns ``name`` and ``fold``).

    Raises
    ------
    RunError
        ``NOTHING_FOUND``: no such file or fold. ``USAGE``: the file has another number of folds.
    """
    with _existing(folder / FOLDS).open(encoding="utf-8", newline="") as table:
        rows = [(row["name"], int(row["fold"])) for row in csv.DictReader(table, delimiter="\t")]
    known = sorted({number for _, number in rows})
    if len(known) != folds:
        raise RunError(Reason.USAGE, f"{folder / FOLDS} has {len(known)} folds, the configuration says folds = {folds}; make them agree")
    if fold not in known:
        raise RunError(Reason.NOTHING_FOUND, f"there is no fold {fold} in {folder / FOLDS}; it has {', '.join(map(str, known))}")
    return frozenset(name for name, number in rows if number == fold)


def known_names(folder: Path, files: Collection[str]) -> frozenset[str]:
    """Names of the subjects and label maps in files of examples."""
    known: set[str] = set()
    for file in files:
        with _stored(folder / file) as stored:
            known.update(stored["names"].tolist())
    return frozenset(known)


def refuse_unknown(never: Collection[str], folder: Path, files: Collection[str]) -> None:
    """Refuse names to keep from training that no file of examples has: a misspelt one would be learnt from.

    Raises
    ------
    RunError
        ``USAGE``.
    """
    known = known_names(folder, files)
    if unknown := sorted(set(never) - known):
        raise RunError(Reason.USAGE, f"never names {', '.join(unknown)}, which {folder} has not; it has {', '.join(sorted(known))}")


def load_boxes(folder: Path, *, whole_heads: float, held_out: Collection[str] = (), name: str = BOXES) -> Boxes:
    """Boxes to learn from.

    Parameters
    ----------
    folder
        Has the file ``name`` with ``names``, ``images`` (n, 72, 72, 72), ``posteriors`` × 255 (…, 10) and ``intracranial`` × 255.
    whole_heads
        Share of examples from scans that are not skull-stripped: those whose intracranial mask is known.
    held_out
        Names to leave out.
    """
    with _stored(folder / name) as stored:
        kept = _kept(stored["names"], held_out, folder / name)
        intracranial = stored["intracranial"][kept]
        return Boxes(
            images=jnp.asarray(stored["images"][kept]),
            posteriors=jnp.asarray(stored["posteriors"][kept]),
            intracranial=jnp.asarray(intracranial),
            odds=jnp.asarray(drawing_odds(intracranial.min(axis=(1, 2, 3)) < 255, whole_heads)),
        )


def drawing_odds(whole: Bool[np.ndarray, " n"], share: float) -> Float32[np.ndarray, " n"]:
    """How often each box is drawn, so that whole heads together have their share; all alike where there is one kind alone.

    Examples
    --------
    >>> drawing_odds(np.array([True, False, False]), 0.5).tolist()
    [0.5, 0.25, 0.25]
    """
    if whole.all() or not whole.any():
        return np.full(len(whole), 1 / len(whole), np.float32)
    return np.where(whole, share / whole.sum(), (1 - share) / (~whole).sum()).astype(np.float32)


def plain_boxes(folder: Path, *, held_out: Collection[str], name: str = BOXES) -> list[Example]:
    """The held-out boxes without variation, for validation."""
    with _stored(folder / name) as stored:
        held = np.isin(stored["names"], list(held_out))
        parts = [stored[part][held] for part in ("images", "posteriors", "intracranial")]
        return [plain_box(*map(jnp.asarray, box)) for box in zip(*parts, strict=True)]


def load_maps(folder: Path, *, held_out: Collection[str] = ()) -> HeadMaps:
    """Head label maps to learn from, with what their classes are: all but those held out."""
    with _stored(folder / MAPS) as stored:
        return _maps(stored, _kept(stored["names"], held_out, folder / MAPS), folder)


def held_out_maps(folder: Path, *, held_out: Collection[str]) -> HeadMaps:
    """Head label maps to test on; refused when none is held out."""
    with _stored(folder / MAPS) as stored:
        chosen = np.isin(stored["names"], list(held_out))
        if not chosen.any():
            raise RunError(Reason.NOTHING_FOUND, f"none of the {len(chosen)} label maps in {folder / MAPS} was kept from training")
        return _maps(stored, chosen, folder)


def poses(folder: Path, names: np.ndarray) -> tuple[Float32[np.ndarray, "n 3 4"], Bool[np.ndarray, " n"]]:
    """From positions on an example's grid to the template (see `hypojax.training.head`), zero where not known, and where it is known.

    Without a file of poses none is known.
    """
    known: dict[str, np.ndarray] = {}
    if (folder / POSES).exists():
        with _stored(folder / POSES) as stored:
            known = dict(zip(stored["names"].tolist(), stored["to_template"], strict=True))
    matrices = np.array([known.get(str(name), np.zeros((3, 4))) for name in names], np.float32)
    return matrices.reshape(-1, 3, 4), np.isin(names, list(known))


def require_poses(folder: Path) -> None:
    """Refuse a folder without poses: a network of six outputs would learn no coordinates, and nobody would notice.

    Raises
    ------
    RunError
        ``NOTHING_FOUND``.
    """
    if not (folder / POSES).is_file():
        how = "make it with python -m pipelines.maintenance.head_poses, or train a network of two outputs"
        raise RunError(Reason.NOTHING_FOUND, f"{folder / POSES} is not there, which a head network of six outputs learns from; {how}")


def _maps(stored: Mapping[str, np.ndarray], chosen: Bool[np.ndarray, " n"], folder: Path) -> HeadMaps:
    """Some of the stored label maps."""
    values = stored["values"]
    to_template, posed = poses(folder, stored["names"][chosen])
    return HeadMaps(
        labels=jnp.asarray(stored["labels"][chosen]),
        centres=jnp.asarray(stored["centres"][chosen], jnp.float32),
        intracranial=jnp.asarray(stored["intracranial"]),
        extracerebral=jnp.asarray((values >= FIRST_EXTRACEREBRAL) & ~stored["intracranial"]),
        fluid=jnp.asarray(np.isin(values, CSF)),
        prior=jnp.asarray(tissue_prior(values), jnp.float32),
        to_template=jnp.asarray(to_template),
        posed=jnp.asarray(posed),
    )


def load_heads(folder: Path, *, held_out: Collection[str] = ()) -> RealHeads:
    """Real heads to learn from: all but those held out."""
    with _stored(folder / HEADS) as stored:
        return _heads(stored, _kept(stored["names"], held_out, folder / HEADS), folder)


def held_out_heads(folder: Path, *, held_out: Collection[str]) -> RealHeads:
    """Real heads to validate on."""
    with _stored(folder / HEADS) as stored:
        return _heads(stored, np.isin(stored["names"], list(held_out)), folder)


def _heads(stored: Mapping[str, np.ndarray], chosen: Bool[np.ndarray, " n"], folder: Path) -> RealHeads:
    """Some of the stored heads."""
    to_template, posed = poses(folder, stored["names"][chosen])
    return RealHeads(
        images=jnp.asarray(stored["images"][chosen]),
        centres=jnp.asarray(stored["centres"][chosen], jnp.float32),
        intracranial=jnp.asarray(stored["intracranial"][chosen]),
        known=jnp.asarray(stored["intracranial_known"][chosen]),
        to_template=jnp.asarray(to_template),
        posed=jnp.asarray(posed),
    )


def _kept(names: np.ndarray, held_out: Collection[str], path: Path) -> Bool[np.ndarray, " n"]:
    """Which are not held out; refused when none is left to learn from."""
    kept: Bool[np.ndarray, " n"] = ~np.isin(names, list(held_out))
    if not kept.any():
        raise RunError(Reason.NOTHING_FOUND, f"{path} has {len(names)} examples and all of them are held out; give more, or fewer folds")
    return kept


@contextmanager
def _stored(path: Path) -> Iterator[Mapping[str, np.ndarray]]:
    """Arrays of an ``.npz`` file by name; nothing in it is unpickled.

    Raises
    ------
    RunError
        ``NOTHING_FOUND``: there is no such file. ``USAGE``: it is no such file, or an array is missing or of objects.
    """
    try:
        with np.load(_existing(path), allow_pickle=False) as stored:
            yield stored
    except (ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
        raise RunError(Reason.USAGE, f"{path} holds no training examples ({error}); {MAKE}") from error


def _existing(path: Path) -> Path:
    """A file that is there."""
    if not path.is_file():
        raise RunError(Reason.NOTHING_FOUND, f"no training examples: {path} is not there; {MAKE}")
    return path
