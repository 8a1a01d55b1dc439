"""What the user sees: progress, a closing summary, errors. Everything goes to standard error but what was asked for."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isnan
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from hypojax.cli.document import dumped, of_outcome
from hypojax.cli.terminal import Outlet, Terminal
from hypojax.reason import visible
from hypojax.storage import Location

if TYPE_CHECKING:
    from hypojax.demonstration import Comparison
    from hypojax.execute import Outcome, ScanResult
    from hypojax.store import Problem

LISTED: Final = 20
"""Failures listed in the summary; all of them stand in the table."""


SHOWN: Final = ("icv", "hypothalamus", "hypothalamus_left", "hypothalamus_right")
"""Regions of the summary; all of them stand in the table."""


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


class Pace:
    """Scans per second, the time left and how busy the device is, from when each scan was finished.

    Several worker processes keep a device each busy: together they come to more than 100 %.

    Parameters
    ----------
    total
        Scans to do.

    Examples
    --------
    >>> Pace(3).text(done=0)
    'starting'
    """

    def __init__(self, total: int) -> None:
        self._total = total
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
        return f"{done / elapsed:.2g} scans/s, {duration((self._total - done) * elapsed / done)} left{busy}"


class LiveWatch:
    """Progress bar on a terminal.

    Parameters
    ----------
    bar
        A started `rich.progress.Progress` with the fields ``pace`` and ``failed``.
    """

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task: TaskID | None = None
        self._pace = Pace(0)
        self._done = self._failed = 0

    def started(self, *, total: int, kept: int) -> None:
        """So many scans are to do, so many were done before."""
        self._pace = Pace(total)
        if kept:
            self._bar.console.print(f"{kept} scans were done before and are kept")
        self._task = self._bar.add_task("scans", total=total, pace="starting", failed=0)

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


class LineWatch:
    """One plain line a scan, for logs.

    Parameters
    ----------
    console
        Where to print.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._pace = Pace(0)
        self._total = self._done = self._failed = 0

    def started(self, *, total: int, kept: int) -> None:
        """So many scans are to do, so many were done before."""
        self._total, self._pace = total, Pace(total)
        self._print(f"{total} scans to do, {kept} done before and kept")

    def finished(self, result: Result) -> None:
        """One scan is done or failed."""
        self._done += 1
        self._failed += result.failed
        self._pace.add(result)
        done = f"{result.scan} {result.status} in {result.seconds:.1f} s" + (f"; {notes}" if (notes := noted(result)) else "")
        what = f"failed: {result.message}" if result.failed else done
        self._print(f"{self._done}/{self._total} {what} ({self._pace.text(done=self._done)}, {self._failed} failed)")

    def noted(self, text: str) -> None:
        """A line between those of the scans."""
        self._print(text)

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class Screen:
    """Where a verb shows what it does.

    Parameters
    ----------
    console
        For what was asked for; standard output when left out.
    messages
        For progress and errors; standard error when left out.
    quiet
        Show no progress and no notes.
    as_json
        Collect what was asked for in one document, which `finish` prints, instead of showing it.
    """

    def __init__(
        self, *, console: Console | None = None, messages: Console | None = None, quiet: bool = False, as_json: bool = False
    ) -> None:
        self._outlet = Outlet(sys.stdout)
        self._console = console or Terminal(self._outlet)
        self._messages = messages or Terminal(Outlet(sys.stderr))
        self._console.quiet, self._messages.quiet = as_json, quiet
        self._document: dict[str, Any] | None = {} if as_json else None

    @property
    def messages(self) -> Console:
        """Where progress and errors go."""
        return self._messages

    @contextmanager
    def progress(self) -> Iterator[LineWatch | LiveWatch]:
        """A bar while the block runs, or plain lines where standard error is no terminal."""
        if not self._messages.is_terminal:
            yield LineWatch(self._messages)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}"),
            TextColumn("[red]{task.fields[failed]} failed"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._messages) as bar:
            yield LiveWatch(bar)

    def add(self, **facts: object) -> None:
        """Facts for the JSON document, where one is wanted."""
        if self._document is not None:
            self._document |= facts

    def finish(self, verb: str, code: int) -> None:
        """Print the JSON document, where one is wanted: one line, the verb and its exit code first."""
        if self._document is not None:
            self._outlet.write(dumped({"verb": verb, "exit_code": code, **self._document}) + "\n")
        self.lost()

    def answer(self, text: str) -> None:
        """One line of what was asked for."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def written(self, paths: Sequence[Location]) -> None:
        """Where results lie now."""
        self.add(paths=list(map(str, paths)))
        self.answer(f"written: {', '.join(map(str, paths))}")

    def say(self, text: str) -> None:
        """One line about what goes on."""
        self._messages.print(text, markup=False, highlight=False, soft_wrap=True)

    def error(self, sentence: str) -> None:
        """One sentence about what went wrong; it is shown also where all else is quiet."""
        if self._document is not None:
            self._document.setdefault("errors", []).append(sentence)
        quiet, self._messages.quiet = self._messages.quiet, False
        self._messages.print(f"[bold red]error:[/bold red] {escape(sentence)}", highlight=False, soft_wrap=True)
        self._messages.quiet = quiet

    def detail(self, text: str) -> None:
        """Text for whoever mends the software, of several lines."""
        for line in text.splitlines():
            self.say(line)

    def lost(self) -> None:
        """Say so where what was asked for could not be written; a reader who had enough (``| head``) needs no word."""
        self._outlet.flush()
        if self._outlet.fault is not None and not isinstance(self._outlet.fault, BrokenPipeError):
            self.error(
                f"standard output could not be written ({self._outlet.fault}); the results in OUT are whole, and the exit code is theirs"
            )

    def pairs(self, title: str, facts: Mapping[str, str]) -> None:
        """A table of names and values."""
        table = Table(title=escape(title), show_header=False, title_justify="left")
        table.add_column()
        table.add_column(overflow="fold")  # a path is of no use with its end cut off
        for name, value in facts.items():
            table.add_row(escape(name), Text("\n".join(map(visible, value.split("\n")))))  # a value may have several lines
        self._console.print(table)

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table of text, its first column names."""
        table = Table(title=escape(title), title_justify="left")
        for number, name in enumerate(header):
            table.add_column(escape(name), justify="right" if number else "left", overflow="fold")
        for row in rows:
            table.add_row(*map(escape, row))
        self._console.print(table)

    def outcome(self, outcome: "Outcome", out: Location) -> None:
        """The summary at the end of a run."""
        self.add(**of_outcome(outcome, out))
        self._volumes(outcome)
        self._failures(outcome.failures)
        self.pairs("Summary", {**facts(outcome), "results": str(out)})

    def repaired(self, done: Sequence[str]) -> None:
        """What `hypojax repair` did."""
        self.add(done=list(done))
        for sentence in done or ["there was nothing to repair"]:
            self._console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    def problems(self, problems: Sequence["Problem"], out: Location) -> None:
        """What `hypojax verify` found."""
        self.add(out=out, problems=list(problems))
        if not problems:
            self._console.print(f"{out}: every stored byte is as it was written", markup=False, highlight=False, soft_wrap=True)
            return
        table = Table("scan", "problem", title=f"{len(problems)} problems", title_justify="left")
        for problem in problems:
            table.add_row(escape(problem.scan or "(store)"), escape(problem.what))
        self._console.print(table)

    def comparison(self, rows: Sequence["Comparison"], *, measured: float, known: float) -> None:
        """Measured against known volume ratios."""
        table = Table("scan", "group", "region", "known ratio", "measured ratio", "error", title="Volumes over those of the first scan")
        for row in rows:
            found = ("missing", "") if isnan(row.measured) else (f"{row.measured:.3f}", f"{row.measured / row.known - 1:+.1%}")
            numbers = (f"{row.known:.3f}", *found)
            table.add_row(row.scan, row.group, row.region, *numbers)
        self._console.print(table)
        ratio = f"measured {measured:.3f}, known {known:.3f}"
        self._console.print(f"Hypothalamus over ICV, group 'smaller' over group 'reference': {ratio}", highlight=False, soft_wrap=True)

    def _volumes(self, outcome: "Outcome") -> None:
        """Median and range of the main regions over the scans that are done."""
        if outcome.summary is None or not outcome.done:
            return
        table = Table("region", "scans", "median mm³", "5 %", "95 %", title="Volumes", title_justify="left")
        for region in SHOWN:
            row = outcome.summary.regions[region]
            table.add_row(region, str(row.count), *(f"{value:,.0f}" if row.count else "–" for value in (row.median, row.low, row.high)))
        self._console.print(table)

    def _failures(self, failures: Sequence["ScanResult"]) -> None:
        """The first failures with their sentences, and how many more there are."""
        if not failures:
            return
        table = Table("scan", "reason", "what and what to do", title="Failed scans", title_justify="left")
        for failure in failures[:LISTED]:
            table.add_row(escape(failure.scan), failure.reason, escape(failure.message))
        self._console.print(table)
        if len(failures) > LISTED:
            self._console.print(f"… and {len(failures) - LISTED} more: see status and message in volumes.tsv")


def facts(outcome: "Outcome") -> dict[str, str]:
    """What a summary says of a run, by name."""
    found = {"scans done": str(outcome.done), "failed": str(outcome.failed), "waiting": str(outcome.pending)}
    if outcome.kept:
        found["done before and kept"] = str(outcome.kept)
    if outcome.ignored:
        found["other images, ignored"] = ", ".join(f"{count} {kind}" for kind, count in outcome.ignored.items())
    if outcome.seconds:
        rate = f" ({outcome.processed / outcome.seconds:.2g} scans/s)" if outcome.processed else ""
        found["time"] = duration(outcome.seconds) + rate
    if outcome.summary is not None:
        found |= {f"flag {flag}": f"{count} scans" for flag, count in outcome.summary.flags.items()}
        found |= {f"missing: {reason}": f"{count} regions" for reason, count in outcome.summary.missing_reasons.items()}
        if outcome.summary.duplicates:
            found["same voxels as another scan"] = f"{outcome.summary.duplicates} scans: count one of each (column duplicate_of)"
    if outcome.notes:
        found["to know"] = "\n".join(outcome.notes)
    return found


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
