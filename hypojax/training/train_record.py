"""What a run was made with: ``record.json`` in its folder. A run goes on only with the same, and its weights are released from it."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from jaxtyping import PyTree

from hypojax.preprocessing.normalisation import RELEASED
from hypojax.reason import Reason, RunError
from hypojax.settings import build
from hypojax.training.box import BoxConfig
from hypojax.training.head import HeadConfig
from hypojax.training.loop import (
    BEST,
    STATE,
    empty_state,
    load_state,
    load_tree,
)
from hypojax.training.train_config import LoopConfig
from hypojax.training.train_log import best, read_history

RECORD: Final = "record.json"
"""Name of the record in the folder of a run."""

FREE: Final = ("start", "before", "learnt", "maybe_learnt", "history", "precision", "device", "version")
"""What may differ when a run goes on: what only counts at its beginning, and what is said of it."""


@dataclass(frozen=True)
class TrainRecord:
    """What a run was made with; the header of released weights has all of it.

    Parameters
    ----------
    stage
        ``box`` or ``head``.
    loop
        How long and how fast; the seed is that of the fold.
    example
        How examples were varied.
    examples
        Names of the files of examples.
    examples_sha256
        Of each of them.
    fold
        Held out; None where all subjects were learnt from.
    held_out
        Their names.
    history
        What the weights went through that a run from the start does not repeat.
    start, start_sha256
        The weights it started from; empty for random ones.
    before
        The runs that made those weights, a line each, the first one first.
    learnt
        Whom the weights learnt from, in this run and in those before it that say so: digests of names, so that weights that are passed on
        list nobody; whoever knows a name can still test for it. A later run that starts from the weights may hold none of them out.
    maybe_learnt
        Names held out of whom the start does not say whether it learnt from them: scores on them may be too good.
    precision, precision_reason
        Of the network's arithmetic, and why.
    device
        What it began on.
    version
        Of hypojax.
    normalisation
        The constants that intensities are normalised with (`normalisation`); those of released weights where a record has none.
    """

    stage: str
    loop: LoopConfig
    example: BoxConfig | HeadConfig
    examples: str
    examples_sha256: dict[str, str] = field(default_factory=dict)
    fold: int | None = None
    held_out: tuple[str, ...] = ()
    history: str = ""
    start: str = ""
    start_sha256: str = ""
    before: tuple[str, ...] = ()
    learnt: tuple[str, ...] = ()
    maybe_learnt: tuple[str, ...] = ()
    precision: str = "float32"
    precision_reason: str = ""
    device: str = ""
    version: str = ""
    normalisation: dict[str, Any] = field(default_factory=lambda: dict(RELEASED))


def write_record(folder: Path, record: TrainRecord) -> None:
    """Write ``record.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{RECORD}.part"
    temporary.write_text(json.dumps(as_table(record), indent=1) + "\n", encoding="utf-8")
    temporary.replace(folder / RECORD)


def read_record(folder: Path) -> TrainRecord | None:
    """Read ``record.json``; None where a folder has none.

    Raises
    ------
    RunError
        ``OTHER_SETTINGS``: another version wrote it.
    """
    path = folder / RECORD
    if not path.exists():
        return None
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        loop, example = build(LoopConfig, table["loop"], key="loop"), _example(table["stage"], table.pop("example"))
        return build(TrainRecord, table, default=TrainRecord(table["stage"], loop, example, table["examples"]))
    except (RunError, json.JSONDecodeError, KeyError) as error:
        raise RunError(Reason.OTHER_SETTINGS, f"{path}: {error}; another version of hypojax wrote it, or it was changed by hand") from error


def _example(stage: str, made: Mapping[str, Any]) -> BoxConfig | HeadConfig:
    """How the examples of a stage were varied."""
    if stage == "box":
        return build(BoxConfig, made, key="example")
    return build(HeadConfig, made, key="example")


def check_same(folder: Path, *, old: TrainRecord, new: TrainRecord) -> None:
    """Refuse to go on with other settings than a run began with.

    Raises
    ------
    RunError
        ``OTHER_SETTINGS``, with the first setting that differs.
    """
    before, now = flat(as_table(old)), flat(as_table(new))
    for key in sorted({*before, *now}):
        if not key.startswith(FREE) and before.get(key) != now.get(key):
            was = f"{key} was {before.get(key)!r}, now it is {now.get(key)!r}"
            raise RunError(
                Reason.OTHER_SETTINGS, f"{folder} holds a run with other settings ({was}); continue with those, or give another --out"
            )


def released_weights(folder: Path) -> tuple[PyTree, TrainRecord, int]:
    """The weights of a run to release, its record, and the step they are of.

    Averaged weights: those of the best validation where the run could end early, else the last.

    Raises
    ------
    RunError
        ``NOTHING_FOUND``: the folder holds no run.
    """
    record = read_record(folder)
    if record is None or not (folder / STATE).exists():
        raise RunError(
            Reason.NOTHING_FOUND, f"{folder} holds no training run; make it with hypojax train, which also completes older folders"
        )
    empty = empty_state(record.loop)
    leader = best(read_history(folder))
    if record.loop.patience and leader is not None:
        return load_tree(folder / BEST, empty.averaged), record, leader.step
    state = load_state(folder / STATE, empty)
    return state.averaged, record, int(state.step)


def lineage(training: Mapping[str, Any], steps: int) -> tuple[str, ...]:
    """The runs behind weights, a line each, from the record in their header: those before, and the one that made them.

    Examples
    --------
    >>> lineage({"loop": {"steps": 900, "learning_rate": 1e-3, "seed": 4}}, 600)
    ('600 of 900 steps, learning rate 0.001, seed 4, from random weights',)
    """
    loop, start = training["loop"], training.get("start")
    source = f"{start} ({training.get('start_sha256', '')[:12]})" if start else "random weights"
    done = f"{steps}" if steps == loop["steps"] else f"{steps} of {loop['steps']}"
    own = f"{done} steps, learning rate {loop['learning_rate']:g}, seed {loop['seed']}, from {source}"
    return (*training.get("before", ()), own)


def digests(names: Collection[str]) -> tuple[str, ...]:
    """What a record holds of names: the first twelve digits of their SHA-256, sorted.

    Examples
    --------
    >>> digests(["b", "a"])
    ('3e23e8160039', 'ca978112ca1b')
    """
    return tuple(sorted(sha256(name.encode()).hexdigest()[:12] for name in names))


def refuse_learnt(start: Path, training: Mapping[str, Any], held_out: Collection[str]) -> tuple[str, ...]:
    """Refuse weights that learnt from somebody who is held out now: a network would be tested on those it knows.

    Parameters
    ----------
    start
        The weights that a run is to start from.
    training
        The record in their header, or of their run; empty where they have none.
    held_out
        Names that the run holds out.

    Returns
    -------
    Names of whom the record does not say whether the weights learnt from them: it is of an older version and held none of them out. Where
    it held out some of them, the others are taken for learnt from.

    Raises
    ------
    RunError
        ``USAGE``, with the names.

    Examples
    --------
    >>> refuse_learnt(Path("box.safetensors"), {"learnt": digests(["a"])}, ["b"])
    ()
    >>> refuse_learnt(Path("box.safetensors"), {"held_out": ["a"]}, ["b"])
    ('b',)
    """
    learnt, apart = training.get("learnt", ()), held_out if "learnt" in training else training.get("held_out", ())
    unsure = set(held_out).difference(apart)
    seen = {name for name in held_out if digests([name])[0] in learnt}
    if seen := seen or (unsure if unsure < set(held_out) else set()):  # a fold of the same people, dealt out otherwise
        raise RunError(
            Reason.USAGE,
            f"start = {str(start)!r} learnt from {', '.join(sorted(seen))}, held out now; start from weights that did not, such as "
            "those of the same fold, or give other people of these names other names",
        )
    return tuple(sorted(unsure.union(training.get("maybe_learnt", ())).intersection(held_out)))


def as_table(record: TrainRecord) -> dict[str, Any]:
    """A record as plain names and values."""
    table: dict[str, Any] = json.loads(json.dumps(asdict(record)))
    return table


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by their whole key.

    Examples
    --------
    >>> flat({"loop": {"steps": 3}, "fold": None})
    {'loop.steps': 3, 'fold': None}
    """
    found: dict[str, Any] = {}
    for name, value in table.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found
