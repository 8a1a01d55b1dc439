"""How a training run goes: its log (``log.jsonl``), callbacks, the picture of the log, and ending in order on a signal.

The log is the memory of early stopping. The first SIGTERM, SIGHUP or Ctrl-C lets a run finish its step and save; a second has its default
effect. A signal that was ignored when the process began stays ignored (``nohup``; Ctrl-C for a job that a script starts with ``&``).
"""

import json
import math
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final, Protocol, runtime_checkable

from hypojax.reason import Reason, RunError

LOG: Final = "log.jsonl"
"""Name of the log in the folder of a run."""

SCORE: Final = "score"
"""Name of the score that early stopping looks at; the higher the better."""


@dataclass(frozen=True)
class LogEntry:
    """One line of the log.

    Parameters
    ----------
    step
        Steps done.
    loss
        Mean over the steps since the line before.
    seconds_a_step
        Mean over this start of the run.
    scores
        Of the averaged weights on what is held out; empty where there was no validation.
    """

    step: int
    loss: float
    seconds_a_step: float
    scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def scored(self) -> str:
        """The scores by name, as text."""
        return "  ".join(f"{name} {value:.3f}" for name, value in self.scores.items())


def read_history(folder: Path) -> list[LogEntry]:
    """The lines of a log, up to the first that is not whole; none where there is no log.

    Scores that are text, as logs before this form have them, are left out.
    """
    path, entries = folder / LOG, []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            found = json.loads(line)
        except json.JSONDecodeError:
            break
        scores = found["scores"] if isinstance(found["scores"], dict) else {}
        entries.append(LogEntry(found["step"], found["loss"], found["seconds_a_step"], scores))
    return entries


def append(folder: Path, entry: LogEntry) -> None:
    """Add a line to the log."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOG).open("a", encoding="utf-8") as log:
        log.write(json.dumps(asdict(entry)) + "\n")


def cut(folder: Path, step: int) -> list[LogEntry]:
    """Take away lines beyond a step, which a run that goes on from there writes again; the lines that are left."""
    path = folder / LOG
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [entry for entry in read_history(folder) if entry.step <= step]
    if len(kept) < len(lines):
        temporary = path.with_suffix(".part")
        temporary.write_text("".join(line + "\n" for line in lines[: len(kept)]), encoding="utf-8")
        temporary.replace(path)
    return kept


def best(entries: Sequence[LogEntry]) -> LogEntry | None:
    """The first entry with the highest score; None where nothing was scored.

    Examples
    --------
    >>> best([LogEntry(1, 0.5, 1.0, {"score": 0.7}), LogEntry(2, 0.4, 1.0), LogEntry(3, 0.4, 1.0, {"score": 0.7})]).step
    1
    """
    scored = [entry for entry in entries if math.isfinite(entry.scores.get(SCORE, math.nan))]
    return max(scored, key=lambda entry: entry.scores[SCORE], default=None)


def exhausted(entries: Sequence[LogEntry], *, patience: int) -> bool:
    """Whether so many validations brought no better score (patience 0: never).

    Examples
    --------
    >>> entries = [LogEntry(step, 0.0, 1.0, {"score": score}) for step, score in enumerate([0.6, 0.8, 0.7, 0.8])]
    >>> exhausted(entries, patience=2), exhausted(entries, patience=3), exhausted(entries, patience=0)
    (True, False, False)
    """
    leader = best(entries)
    if not patience or leader is None:
        return False
    return sum(SCORE in entry.scores for entry in entries if entry.step > leader.step) >= patience


@runtime_checkable
class TrainCallback(Protocol):
    """What a training says while it goes on; a terminal shows it as a bar, a log as lines."""

    def started(self, run: str, *, total: int, done: int) -> None:
        """A run of so many steps begins, or goes on after some of them."""

    def stepped(self, step: int, loss: float) -> None:
        """One more step is done."""

    def saved(self, entry: LogEntry) -> None:
        """The state was saved, with this line of log."""

    def noted(self, sentence: str) -> None:
        """Something else worth knowing."""


class SilentTraining:
    """Says nothing to anybody."""

    def started(self, run: str, *, total: int, done: int) -> None:
        """Nothing."""

    def stepped(self, step: int, loss: float) -> None:
        """Nothing."""

    def saved(self, entry: LogEntry) -> None:
        """Nothing."""

    def noted(self, sentence: str) -> None:
        """Nothing."""


PLOT: Final = "log.png"
"""Name of the picture in the folder of a run."""


def draw_history(entries: Sequence[LogEntry], path: Path, *, title: str) -> Path:
    """Draw the loss, and the scores on what is held out where there are some, over the steps.

    Raises
    ------
    RunError
        ``USAGE``: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RunError(
            Reason.USAGE, f"{path.name} needs matplotlib, which is not installed; run: python -m pip install 'hypojax[report]'"
        ) from error
    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    loss, dice = figure.subplots(1, 2)
    loss.semilogy([entry.step for entry in entries], [entry.loss for entry in entries], color="0.2")
    loss.set(title=title, xlabel="step", ylabel="mean loss since the point before")
    for name in sorted({name for entry in entries for name in entry.scores if name.startswith("dice")}):
        scored = [(entry.step, entry.scores[name]) for entry in entries if name in entry.scores]
        dice.plot(*zip(*scored, strict=True), marker="o", markersize=3, label=name)
    if (leader := best(entries)) is None:
        dice.set_axis_off()
    else:
        dice.axvline(leader.step, color="0.7", linestyle=":", label=f"best, step {leader.step}")
        dice.set(title="held out, averaged weights", xlabel="step", ylabel="Dice")
        dice.legend(fontsize=8)
    figure.savefig(path, dpi=110, metadata={"Software": "hypojax"})
    return path


SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Interruption:
    """Whether the process was asked to end, and by which signal.

    Examples
    --------
    >>> with interruptible() as interruption:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     interruption.happened, interruption.signal == signal.SIGTERM
    (True, True)
    """

    def __init__(self) -> None:
        self.signal = 0

    @property
    def happened(self) -> bool:
        """Whether a signal came."""
        return self.signal != 0


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Catch the first signal of each kind while the block runs (in the main thread; elsewhere none can come)."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {number: signal.getsignal(number) for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN}

    def note(number: int, _frame: FrameType | None) -> None:
        interruption.signal = number
        # A terminal that goes may send SIGHUP more than once.
        signal.signal(number, signal.SIG_IGN if number == signal.SIGHUP else before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
