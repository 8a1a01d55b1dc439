"""`hypojax train`: a network learns from labelled examples."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from tyro.conf import FlagCreatePairsOff, Positional, arg

from hypojax.cli.screen import Screen, duration
from hypojax.cli.verb import OK, Verb

if TYPE_CHECKING:
    from hypojax.training.progress import LogEntry, TrainCallback

SIGNALLED: Final = 128
"""What shells add to the number of the signal that ended a process."""

SHOWN: Final = 0.9
"""Weight of the past in the loss that the bar shows: single steps are noisy."""


@dataclass(frozen=True)
class Train(Verb):
    """Train a network as CONFIG says: a TOML file, or `box`, that of the released box network.

    Without --fold or --all it learns from all subjects. OUT/all or OUT/fold0, ... receives state.safetensors (the same command goes
    on from it to the same weights, bit for bit), log.jsonl, record.json, log.png and, with a fold, best.safetensors. Ctrl-C and
    SIGTERM or SIGHUP save first. It uses all local devices, and bfloat16 on a GPU or TPU that can. With --labels the examples are
    made first, of a tab-separated table of your own scans with the columns name (of the subject), image, labels (1-5 left, 6-10
    right) and, where known, mask, age, sex and dataset.

    $ hypojax train box --fold 0
    $ hypojax train box --all
    $ hypojax train box --labels scans.tsv --examples my-examples --out my-network --all

    Exit code: 0 trained to the end, 1 it could not, 130, 143 or 129 interrupted and saved.
    """

    config: Annotated[Positional[Path], arg(metavar="CONFIG")]
    """Configuration file, or box."""
    fold: int | None = None
    """Train on all subjects outside this fold (0, 1, ...) and validate on it."""
    every_fold: Annotated[FlagCreatePairsOff[bool], arg(name="all")] = False
    """Train every fold, one after another."""
    labels: Path | None = None
    """Table of your own scans and label maps: make the examples of it."""
    examples: Path | None = None
    """Folder of examples, instead of that of CONFIG."""
    out: Path | None = None
    """Folder of the runs, instead of that of CONFIG."""
    steps: int | None = None
    """Optimiser steps, instead of those of CONFIG."""

    def __call__(self, screen: Screen) -> int:
        """Train, show progress, give the exit code."""
        from hypojax.training import read_config, train

        if self.labels:
            from hypojax.labelled import write_examples

            screen.written(write_examples(self.labels, self.examples or read_config(self.config).examples))
        with progress(screen) as callback:
            results = train(
                self.config,
                fold=self.fold,
                every_fold=self.every_fold,
                examples=self.examples,
                out=self.out,
                steps=self.steps,
                callback=callback,
            )
        return OK if results[-1].finished else SIGNALLED + results[-1].signal


@contextmanager
def progress(screen: Screen) -> "Iterator[TrainCallback]":
    """A bar while the block runs, or plain lines where standard error is no terminal."""
    if not screen.messages.is_terminal:
        yield TrainingLines(screen.messages)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[found]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=screen.messages) as bar:
        yield TrainingBar(bar)


class Clock:
    """Time left, from the steps of this start.

    Parameters
    ----------
    total, done
        Steps in all, and before this start.
    """

    def __init__(self, total: int, done: int) -> None:
        self._total, self._first, self._start = total, done, monotonic()

    def left(self, step: int) -> str:
        """Time left in words."""
        pace = (monotonic() - self._start) / max(1, step - self._first)
        return f"{duration((self._total - step) * pace)} left"


class TrainingLines:
    """One plain line a saved state, for logs.

    Parameters
    ----------
    console
        Where to print.
    """

    def __init__(self, console: Console) -> None:
        self._console, self._total, self._clock = console, 0, Clock(0, 0)

    def started(self, run: str, *, total: int, done: int) -> None:
        """A run of so many steps begins, or goes on after some of them."""
        self._total, self._clock = total, Clock(total, done)
        self.noted(f"{run}: {total} steps" + (f", {done} of them done before" if done else ""))

    def stepped(self, step: int, loss: float) -> None:
        """One more step is done: no line."""

    def saved(self, entry: "LogEntry") -> None:
        """The state was saved."""
        facts = [
            f"step {entry.step}/{self._total}",
            f"loss {entry.loss:.4f}",
            f"{entry.seconds_a_step:.2f} s/step",
            self._clock.left(entry.step),
        ]
        self.noted("  ".join([*facts, *([f"held out: {entry.scored}"] if entry.scores else [])]))

    def noted(self, sentence: str) -> None:
        """Something else worth knowing."""
        self._console.print(sentence, markup=False, highlight=False, soft_wrap=True)


class TrainingBar:
    """Progress bar on a terminal.

    Parameters
    ----------
    bar
        A started `rich.progress.Progress` with the field ``found``.
    """

    def __init__(self, bar: Progress) -> None:
        self._bar, self._task, self._clock = bar, TaskID(0), Clock(0, 0)
        self._loss: float | None = None
        self._dice = ""

    def started(self, run: str, *, total: int, done: int) -> None:
        """A run of so many steps begins, or goes on after some of them."""
        self._clock = Clock(total, done)
        self._task = self._bar.add_task(escape(run), total=total, completed=done, found="compiling")

    def stepped(self, step: int, loss: float) -> None:
        """One more step is done."""
        self._loss = loss if self._loss is None else SHOWN * self._loss + (1 - SHOWN) * loss
        self._bar.update(self._task, completed=step, found=f"loss {self._loss:.3f}{self._dice}  {self._clock.left(step)}")

    def saved(self, entry: "LogEntry") -> None:
        """The state was saved."""
        if "dice" in entry.scores:
            self._dice = f"  Dice {entry.scores['dice']:.3f}"
            self._bar.console.print(escape(f"step {entry.step}, held out: {entry.scored}"), highlight=False)

    def noted(self, sentence: str) -> None:
        """Something else worth knowing."""
        self._bar.console.print(escape(sentence), highlight=False)
