"""One training run from its configuration to its last state, what ``hypojax train`` does for each fold; and its record.

``record.json`` in the folder of a run says what it was made with: a run goes on only with the same settings, and its weights are released
from it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import jax
from jaxtyping import Array, PyTree

import hypojax
from hypojax.checkpoint import Checkpoint, load_checkpoint, sha256
from hypojax.preprocessing.normalisation import RELEASED, constants
from hypojax.reason import Reason, RunError
from hypojax.settings import build
from hypojax.storage import Disk, on_disk
from hypojax.training.box import BoxConfig
from hypojax.training.examples import held_out_names, refuse_unknown
from hypojax.training.head import HeadConfig
from hypojax.training.loop import (
    BEST,
    SILENT,
    STATE,
    Precision,
    Training,
    empty_state,
    load_state,
    load_tree,
    make_training,
    run_loop,
    settled_precision,
)
from hypojax.training.progress import PLOT, LogEntry, TrainCallback, best, draw_history, exhausted, interruptible, read_history
from hypojax.training.stage import Stage, load_stage
from hypojax.training.train_config import LoopConfig, TrainConfig, read_config

RECORD: Final = "record.json"
"""Name of the record in the folder of a run."""

FREE: Final = ("start", "before", "history", "precision", "device", "version")
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
                Reason.OTHER_SETTINGS, f"{folder} holds a run with other settings ({was}); go on with the old ones, or give --out"
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


@dataclass(frozen=True)
class TrainResult:
    """How a run ended; as text, a sentence.

    Parameters
    ----------
    folder
        Where state, log, record and picture lie.
    step
        Steps done.
    finished
        Whether it came to its end; else it was interrupted.
    best
        The entry of the log with the best score; None where nothing was held out.
    signal
        Number of the signal that interrupted it; 0 for none.
    """

    folder: Path
    step: int
    finished: bool
    best: LogEntry | None
    signal: int = 0

    def __str__(self) -> str:
        """How it ended, in a sentence."""
        if not self.finished:
            return f"{self.folder}: interrupted and saved at step {self.step}; the same command again goes on there"
        best = f"; best at step {self.best.step}: {self.best.scored}" if self.best else ""
        return f"{self.folder}: trained for {self.step} steps{best}"


def train(
    config: Disk | TrainConfig,
    *,
    fold: int | None = None,
    every_fold: bool = False,
    examples: Disk | None = None,
    out: Disk | None = None,
    steps: int | None = None,
    callback: TrainCallback = SILENT,
) -> tuple[TrainResult, ...]:
    """Train a network as a configuration says, on all subjects, without those of one fold, or of each fold in turn: ``hypojax train``.

    A signal (SIGTERM, SIGHUP, Ctrl-C) ends it in order: the state is saved, and the same call goes on from there.

    Parameters
    ----------
    config
        A TOML file, ``box`` for the recipe of the released box network, or a `TrainConfig`.
    fold
        Held out, for validation.
    every_fold
        Train each fold, one after another.
    examples, out, steps
        Folder of examples, folder of the runs and number of steps, where not those of the configuration.
    callback
        Told how it goes.

    Returns
    -------
    How each run ended; the last one is not finished where a signal came.

    Raises
    ------
    RunError
        As `read_config` and `train_network`.

    Examples
    --------
    >>> train("box", fold=0, examples="examples", out="runs/mine")  # doctest: +SKIP
    """
    if fold is not None and every_fold:
        raise RunError(Reason.USAGE, f"fold {fold} and every fold (--all) were both asked for; give one of them")
    chosen = config if isinstance(config, TrainConfig) else read_config(config)
    chosen = replace(
        chosen,
        loop=chosen.loop if steps is None else replace(chosen.loop, steps=steps),
        examples=chosen.examples if examples is None else on_disk(examples),
        out=chosen.out if out is None else on_disk(out),
    )
    results: list[TrainResult] = []
    with interruptible() as interruption:
        for number in range(chosen.folds) if every_fold else [fold]:
            results.append(train_network(chosen, fold=number, callback=callback, interrupted=lambda: interruption.happened))
            callback.noted(str(results[-1]))
            if not results[-1].finished:
                break
    return tuple(replace(result, signal=0 if result.finished else interruption.signal) for result in results)


def train_network(
    config: TrainConfig, *, fold: int | None = None, callback: TrainCallback = SILENT, interrupted: Callable[[], bool] = lambda: False
) -> TrainResult:
    """Train on all subjects outside a fold, or on all; goes on where the same run stopped.

    Parameters
    ----------
    config
        What is trained, on what, and where to.
    fold
        Held out; None for none.
    callback
        Told how it goes.
    interrupted
        Asked after every step; the run then saves and ends.

    Raises
    ------
    RunError
        ``NOTHING_FOUND``: no examples or no such fold. ``USAGE``: ``never`` names what is not there.
        ``OTHER_SETTINGS``: the folder holds another run. ``WEIGHTS_MISSING``, ``WEIGHTS_CORRUPTED``: nothing to start from.
    """
    own = config.of_fold(fold)
    of_fold = () if fold is None else held_out_names(own.examples, fold=fold, folds=own.folds)
    held_out = tuple(sorted({*own.never, *of_fold}))
    stage = load_stage(own, of_fold=of_fold)
    refuse_unknown(own.never, own.examples, stage.files)
    record = _record(own, fold, held_out, stage)
    training = _training(own, stage, record.precision)
    state = run_loop(training, stage.data, own.out, score=stage.score, callback=callback, interrupted=interrupted)
    outcome = outcome_of(own, int(state.step))
    if outcome.finished:
        _draw(own, callback)
    return outcome


def outcome_of(config: TrainConfig, step: int) -> TrainResult:
    """How a run stands at a step."""
    entries = read_history(config.out)
    done = step >= config.loop.steps or exhausted(entries, patience=config.loop.patience)
    return TrainResult(config.out, step, done, best(entries))


def _record(config: TrainConfig, fold: int | None, held_out: tuple[str, ...], stage: Stage) -> TrainRecord:
    """The record of a run, checked against that of the run that it goes on with, and written."""
    new = TrainRecord(
        stage=config.stage,
        loop=config.loop,
        example=config.example,
        examples=", ".join(sorted(stage.files)),
        examples_sha256={name: sha256(config.examples / name) for name in sorted(stage.files)},
        fold=fold,
        held_out=held_out,
        history=config.history,
        start=str(config.start or ""),
        start_sha256=_start_digest(config.start),
        before=_lineage(config.start),
        device=_device(),
        version=hypojax.__version__,
        normalisation=constants(),
    )
    old = read_record(config.out)
    if old is not None and (config.out / STATE).exists():
        check_same(config.out, old=old, new=new)
        return old
    precision = _precision(config, stage)
    record = replace(new, precision=precision.name, precision_reason=precision.reason)
    write_record(config.out, record)
    return record


def _precision(config: TrainConfig, stage: Stage) -> Precision:
    """The precision of a run, by trial where that is asked for."""

    def attempt() -> Array:
        trial = make_training(config.loop, stage.example, stage.loss, precision="bfloat16")
        _, value = trial.step(*trial.place((trial.start, stage.data)))
        return value

    return settled_precision(config.loop.precision, attempt)


def _training(config: TrainConfig, stage: Stage, precision: str) -> Training:
    """The compiled step, from the weights that a run starts with; a run that goes on needs none."""
    fresh = not (config.out / STATE).exists()
    weights = starting_weights(config) if fresh and config.start is not None else None
    return make_training(config.loop, stage.example, stage.loss, weights=weights, precision=precision)


def starting_weights(config: TrainConfig) -> PyTree:
    """Weights of the released file or of the run that a configuration starts from.

    Raises
    ------
    RunError
        ``WEIGHTS_MISSING``, ``WEIGHTS_CORRUPTED``, or ``USAGE``: they are of another network.
    """
    start = Path(config.start or "")
    if start.is_dir():
        weights, record, _ = released_weights(start)
        network = record.loop.network
    else:
        checkpoint: Checkpoint = load_checkpoint(start)
        weights, network = checkpoint.weights, checkpoint.network
    if network != config.loop.network:
        raise RunError(Reason.USAGE, f"start = {str(start)!r} is {network}, the configuration wants {config.loop.network}; make them agree")
    return weights


def _start_digest(start: Path | None) -> str:
    """SHA-256 of the weights that a run starts from, where they are still there."""
    path = start / STATE if start is not None and start.is_dir() else start
    return sha256(path) if path is not None and path.exists() else ""


def _lineage(start: Path | None) -> tuple[str, ...]:
    """The runs that made the weights that a run starts from, where they say so."""
    if start is None or not start.exists():
        return ()
    if start.is_dir():
        _, record, step = released_weights(start)
        return lineage(as_table(record), step)
    training = load_checkpoint(start).header.get("training", {})
    return lineage(training, training["steps_done"]) if "steps_done" in training else ()


def _device() -> str:
    """What the run runs on."""
    devices = jax.local_devices()
    return f"{len(devices)} x {devices[0].device_kind}, jax {jax.__version__}"


def _draw(config: TrainConfig, callback: TrainCallback) -> None:
    """Draw the log; where that cannot be, say why."""
    try:
        draw_history(read_history(config.out), config.out / PLOT, title=f"{config.stage}: {config.out.name}")
    except RunError as error:
        callback.noted(str(error))
