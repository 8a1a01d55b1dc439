"""The training loop: steps, a saved state and a line of log every so many of them, and an end that can be early.

A line is written before the state it belongs to; a run that goes on takes away the lines beyond its state. Killed at any
moment, it therefore ends with the same weights and stops at the same step as if it had not been.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from jaxtyping import PyTree

from hypojax.training.history import Entry, append, best, cut, exhausted
from hypojax.training.state import BEST, STATE, State, load_state, save_state, save_tree
from hypojax.training.step import Training
from hypojax.training.watch import Quiet, Watch

Score = Callable[[PyTree], Mapping[str, float]]
"""From averaged weights to scores on what is held out; that named ``score`` decides."""

QUIET: Final = Quiet()


def train(
    training: Training,
    data: PyTree,
    folder: Path,
    *,
    score: Score | None = None,
    watch: Watch = QUIET,
    interrupted: Callable[[], bool] = lambda: False,
) -> State:
    """Run to the last step, until patience ends, or until interrupted; goes on from a saved state.

    Parameters
    ----------
    folder
        Holds ``state.safetensors``, ``log.jsonl`` and, with a score, ``best.safetensors``.
    score
        Validation of the averaged weights.
    watch
        Told of every step and every saved state.
    interrupted
        Asked after every step; the state is saved before the loop ends.

    Returns
    -------
    The last state.
    """
    config, state = training.config, load_state(folder / STATE, training.start)
    entries = cut(folder, int(state.step))
    data, state = training.place((data, state))
    watch.started(folder.name, total=config.steps, done=int(state.step))
    losses: list[float] = []
    began, first = time.perf_counter(), int(state.step)
    while (done := int(state.step)) < config.steps and not exhausted(entries, patience=config.patience):
        state, value = training.step(state, data)
        losses.append(float(value))
        done += 1
        watch.stepped(done, losses[-1])
        ending = interrupted()
        if ending or done % config.every == 0 or done == config.steps:
            scores = score(state.averaged) if score is not None and _validates(training, done) else {}
            entry = Entry(done, sum(losses) / len(losses), (time.perf_counter() - began) / (done - first), scores)
            entries, losses = [*entries, entry], []
            _save(folder, state, entries)
            watch.saved(entry)
        if ending:
            break
    return state


def _validates(training: Training, done: int) -> bool:
    """Whether there is a validation after this step."""
    return done % training.config.validate == 0 or done == training.config.steps


def _save(folder: Path, state: State, entries: list[Entry]) -> None:
    """Log line, best weights when these are, state: in this order, so that the state never stands without the others."""
    append(folder, entries[-1])
    if best(entries) is entries[-1]:
        save_tree(folder / BEST, state.averaged)
    save_state(folder / STATE, state)
