"""One training run from its configuration to its last state, what ``hypojax train`` does for each fold."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
from jaxtyping import Array, PyTree

import hypojax
from hypojax.checkpoint import Checkpoint, load_checkpoint, sha256
from hypojax.preprocessing.normalisation import constants
from hypojax.reason import Reason, RunError
from hypojax.storage import Disk, on_disk
from hypojax.training.examples import held_out_names, known_names, refuse_unknown
from hypojax.training.loop import (
    SILENT,
    STATE,
    Precision,
    Training,
    make_training,
    run_loop,
    settled_precision,
)
from hypojax.training.stage import Stage, load_stage
from hypojax.training.train_config import TrainConfig, read_config
from hypojax.training.train_log import PLOT, LogEntry, TrainCallback, best, draw_history, exhausted, interruptible, read_history
from hypojax.training.train_record import (
    TrainRecord,
    as_table,
    check_same,
    digests,
    lineage,
    read_record,
    refuse_learnt,
    released_weights,
    write_record,
)


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
            return f"{self.folder}: interrupted and saved at step {self.step}; run the same command again to continue"
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
        Folder of examples, folder of the runs and number of steps, where not those of the configuration; ``loop.warmup`` is at most
        half of such steps.
    callback
        Called as the training proceeds.

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
        loop=chosen.loop if steps is None else replace(chosen.loop, steps=steps, warmup=min(chosen.loop.warmup, steps // 2)),
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
        Called as the training proceeds.
    interrupted
        Asked after every step; the run then saves and ends.

    Raises
    ------
    RunError
        ``NOTHING_FOUND``: no examples or no such fold. ``USAGE``: ``never`` names what is not there, or ``start`` learnt from somebody
        who is held out.
        ``OTHER_SETTINGS``: the folder holds another run. ``WEIGHTS_MISSING``, ``WEIGHTS_CORRUPTED``: nothing to start from.
    """
    own = config.of_fold(fold)
    of_fold = () if fold is None else held_out_names(own.examples, fold=fold, folds=own.folds)
    held_out = tuple(sorted({*own.never, *of_fold}))
    stage = load_stage(own, of_fold=of_fold)
    refuse_unknown(own.never, own.examples, stage.files)
    record = _record(own, fold, held_out, stage)
    if record.maybe_learnt:
        callback.noted(f"{own.start} may have learnt from {', '.join(record.maybe_learnt)}, held out now: their scores may be too good")
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
    """The record of a run, checked against that of the run that it goes on with or starts from, and written."""
    training, steps = _made(config.start)
    names = known_names(config.examples, stage.files)
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
        before=lineage(training, steps) if training else (),
        learnt=tuple(sorted({*training.get("learnt", ()), *digests(names.difference(held_out))})),
        device=_device(),
        version=hypojax.__version__,
        normalisation=constants(),
    )
    old = read_record(config.out)
    if old is not None and (config.out / STATE).exists():
        check_same(config.out, old=old, new=new)
        return old
    maybe_learnt = refuse_learnt(config.start, training, held_out) if config.start else ()
    precision = _precision(config, stage)
    record = replace(new, maybe_learnt=maybe_learnt, precision=precision.name, precision_reason=precision.reason)
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


def _made(start: Path | None) -> tuple[dict[str, Any], int]:
    """The record of the weights that a run starts from, and their steps; empty where they say nothing or are no longer there."""
    if start is None or not start.exists():
        return {}, 0
    if start.is_dir():
        _, record, step = released_weights(start)
        return as_table(record), step
    training: dict[str, Any] = load_checkpoint(start).header.get("training", {})
    return (training, training["steps_done"]) if "steps_done" in training else ({}, 0)


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
