"""Progress of scans and of training: a bar on a terminal, plain lines in a log."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar, runtime_checkable

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TaskID, TextColumn, TimeElapsedColumn

from hypojax.tables.cells import counted

if TYPE_CHECKING:
    from hypojax.training.train_log import LogEntry, TrainCallback

Shown = TypeVar("Shown")

SHOWN: Final = 0.9
"""Weight of the past in the loss that the bar shows: single steps are noisy."""


@runtime_checkable
class Result(Protocol):
    """What became of one scan, whoever says it: a run, or an evaluation."""

    @property
    def scan(self) -> str:
        """Its id."""

    @property
    def status(self) -> str:
        """``done``, ``failed`` or ``pending``."""

    @property
    def failed(self) -> bool:
        """Whether it failed."""

    @property
    def message(self) -> str:
        """The failure in a sentence."""

    @property
    def seconds(self) -> float:
        """Time it took."""


def noted(result: Result) -> str:
    """What asks for a look in the file of a scan, in sentences; empty where nothing does, or where nobody looked (an evaluation)."""
    return str(getattr(result, "notes", ""))


class ProgressWords(NamedTuple):
    """What is worked on, and what is done with it, in words.

    Parameters
    ----------
    one
        One of them: ``scan``.
    to_do
        What is to be done with those that are left.
    kept
        What the others are.
    """

    one: str = "scan"
    to_do: str = "to process"
    kept: str = "finished before"


SCAN_WORDS: Final = ProgressWords()

PAGE_WORDS: Final = ProgressWords("page", "to draw", "up to date")
"""Pages of a report, one a scan."""


class Pace:
    """Scans per second, the time left and how busy the device is, from when each scan was finished.

    Several worker processes keep a device each busy: together they come to more than 100 %.

    Parameters
    ----------
    total
        Scans to do.
    one
        What a scan is called: pages of scans are counted too.

    Examples
    --------
    >>> Pace(3).text(done=0)
    'starting'
    """

    def __init__(self, total: int, one: str = "scan") -> None:
        self._total, self._one = total, one
        self._start = time.monotonic()
        self._device = 0.0

    def add(self, result: Result) -> None:
        """Count what a scan took of the device."""
        self._device += getattr(result, "device_seconds", 0.0)  # an evaluation has none

    def text(self, *, done: int) -> str:
        """Rate and time left in words, once a scan was finished."""
        if not done:
            return "starting"
        elapsed = max(1e-9, time.monotonic() - self._start)
        busy = f", device busy {self._device / elapsed:.0%}" if self._device else ""
        return f"{done / elapsed:.2g} {self._one}s/s, {duration((self._total - done) * elapsed / done)} left{busy}"


class ScanBar:
    """Progress bar on a terminal.

    Parameters
    ----------
    bar
        A started `rich.progress.Progress` with the fields ``pace`` and ``failed``.
    words
        What is counted.
    """

    def __init__(self, bar: Progress, words: ProgressWords = SCAN_WORDS) -> None:
        self._bar, self._words = bar, words
        self._task: TaskID | None = None
        self._pace = Pace(0)
        self._done = self._failed = 0

    def started(self, *, total: int, kept: int) -> None:
        """So many scans are to do, so many were done before."""
        self._pace = Pace(total, self._words.one)
        if kept:
            self._bar.console.print(f"{counted(kept, self._words.one)} {self._words.kept}")
        self._task = self._bar.add_task(f"{self._words.one}s", total=total, pace="starting", failed=0)

    def finished(self, result: Result) -> None:
        """One scan is done or failed."""
        self._done += 1
        self._pace.add(result)
        if result.failed:
            self._failed += 1
            self._bar.console.print(f"[red]failed[/red] {escape(result.message)}")
        elif notes := noted(result):
            self._bar.console.print(f"scan {result.scan!r}: {notes}", markup=False, highlight=False)
        if self._task is not None:
            self._bar.update(self._task, completed=self._done, pace=self._pace.text(done=self._done), failed=self._failed)

    def noted(self, text: str) -> None:
        """A line above the bar."""
        self._bar.console.print(text, markup=False, highlight=False)


class ScanLines:
    """One plain line a scan, for logs.

    Parameters
    ----------
    console
        Where to print.
    words
        What is counted.
    """

    def __init__(self, console: Console, words: ProgressWords = SCAN_WORDS) -> None:
        self._console, self._words = console, words
        self._pace = Pace(0)
        self._total = self._done = self._failed = 0

    def started(self, *, total: int, kept: int) -> None:
        """So many scans are to do, so many were done before."""
        self._total, self._pace = total, Pace(total, self._words.one)
        self._print(f"{counted(total, self._words.one)} {self._words.to_do}, {kept} {self._words.kept}")

    def finished(self, result: Result) -> None:
        """One scan is done or failed."""
        self._done += 1
        self._failed += result.failed
        self._pace.add(result)
        status = "read" if result.status == "pending" and not result.message else result.status  # where only reading was asked for
        done = f"{result.scan} {status} in {result.seconds:.1f} s" + (f"; {notes}" if (notes := noted(result)) else "")
        what = f"failed: {result.message}" if result.failed else done
        self._print(f"{self._done}/{self._total} {what} ({self._pace.text(done=self._done)}, {self._failed} failed)")

    def noted(self, text: str) -> None:
        """A line between those of the scans."""
        self._print(text)

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def scan_progress(console: Console, words: ProgressWords = SCAN_WORDS) -> "AbstractContextManager[ScanBar | ScanLines]":
    """A bar while the block runs, or plain lines where the console is no terminal."""
    columns = (TextColumn("{task.fields[pace]}"), TextColumn("[red]{task.fields[failed]} failed"))
    return _bar(console, lambda bar: ScanBar(bar, words), columns) if console.is_terminal else nullcontext(ScanLines(console, words))


def training_progress(console: Console) -> "AbstractContextManager[TrainCallback]":
    """A bar while the block runs, or plain lines where the console is no terminal."""
    columns = (TextColumn("{task.fields[found]}"),)
    return _bar(console, TrainingBar, columns) if console.is_terminal else nullcontext(TrainingLines(console))


@contextmanager
def _bar(console: Console, kind: Callable[[Progress], Shown], columns: Sequence[ProgressColumn]) -> Iterator[Shown]:
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *columns, TimeElapsedColumn(), console=console
    ) as bar:
        yield kind(bar)


class Clock:
    """Time left, from the steps of this start.

    Parameters
    ----------
    total, done
        Steps in all, and before this start.
    """

    def __init__(self, total: int, done: int) -> None:
        self._total, self._first, self._start = total, done, time.monotonic()

    def left(self, step: int) -> str:
        """Time left in words."""
        pace = (time.monotonic() - self._start) / max(1, step - self._first)
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
        self.noted(f"{run}: {counted(total, 'step')}" + (f", {done} of them done before" if done else ""))

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


def duration(seconds: float) -> str:
    """A length of time in the two largest units.

    >>> [duration(s) for s in (4.2, 75.0, 3725.0)]
    ['4 s', '1 min 15 s', '1 h 02 min']
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
