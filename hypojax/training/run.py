"""One training run from its configuration to its last state: what ``hypojax train`` does for each fold."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import jax
from jaxtyping import Array, PyTree

import hypojax
from hypojax.checkpoint import Checkpoint, load_checkpoint, sha256
from hypojax.preprocessing.normalisation import constants
from hypojax.reason import Reason, RunError
from hypojax.training.config import TrainConfig
from hypojax.training.examples import held_out_names, refuse_unknown
from hypojax.training.history import Entry, best, exhausted, read_history
from hypojax.training.loop import QUIET, train
from hypojax.training.plot import PLOT, draw_history
from hypojax.training.record import Record, as_table, check_same, lineage, read_record, released_weights, write_record
from hypojax.training.stage import Stage, load_stage
from hypojax.training.state import STATE
from hypojax.training.step import Precision, Training, make_training, settled_precision
from hypojax.training.watch import Watch


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

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
    """

    folder: Path
    step: int
    finished: bool
    best: Entry | None


def train_network(
    config: TrainConfig, *, fold: int | None = None, watch: Watch = QUIET, interrupted: Callable[[], bool] = lambda: False
) -> Outcome:
    """Train on all subjects outside a fold, or on all; goes on where the same run stopped.

    Parameters
    ----------
    config
        What is trained, on what, and where to.
    fold
        Held out; None for none.
    watch
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
    state = train(training, stage.data, own.out, score=stage.score, watch=watch, interrupted=interrupted)
    outcome = outcome_of(own, int(state.step))
    if outcome.finished:
        _draw(own, watch)
    return outcome


def outcome_of(config: TrainConfig, step: int) -> Outcome:
    """How a run stands at a step."""
    entries = read_history(config.out)
    done = step >= config.loop.steps or exhausted(entries, patience=config.loop.patience)
    return Outcome(config.out, step, done, best(entries))


def _record(config: TrainConfig, fold: int | None, held_out: tuple[str, ...], stage: Stage) -> Record:
    """The record of a run, checked against that of the run that it goes on with, and written."""
    new = Record(
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


def _draw(config: TrainConfig, watch: Watch) -> None:
    """Draw the log; where that cannot be, say why."""
    try:
        draw_history(read_history(config.out), config.out / PLOT, title=f"{config.stage}: {config.out.name}")
    except RunError as error:
        watch.noted(str(error))
