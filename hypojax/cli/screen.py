"""What the user sees: progress, a closing summary, errors; what was asked for goes to standard output, all else to standard error.

With ``--json`` standard output receives one JSON document of plain values instead of tables.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, is_dataclass
from math import isfinite, isnan
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hypojax.cli.progress_bars import SCAN_WORDS, ProgressWords, ScanBar, ScanLines, duration, scan_progress
from hypojax.cli.terminal import Outlet, Terminal
from hypojax.reason import visible
from hypojax.storage import Location
from hypojax.tables.cells import counted

if TYPE_CHECKING:
    from hypojax.demonstration import Comparison
    from hypojax.execute import Outcome, Plan, ScanResult
    from hypojax.store import Problem

WRITTEN: Final = ("cohort.zarr", "volumes.parquet", "volumes.tsv", "derivatives")
"""What a run leaves in OUT."""

LISTED: Final = 20
"""Failures listed in the summary; all of them stand in the table."""


SHOWN: Final = ("icv", "hypothalamus", "hypothalamus_left", "hypothalamus_right")
"""Regions of the summary; all of them stand in the table."""


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

    def progress(self, words: ProgressWords = SCAN_WORDS) -> AbstractContextManager[ScanBar | ScanLines]:
        """A bar while the block runs, or plain lines where standard error is no terminal."""
        return scan_progress(self._messages, words)

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
        first, *rest = sentence.split("\n    ")  # a formula with a mark under its fault has lines of its own
        self._messages.print(f"[bold red]error:[/bold red] {escape(first)}", highlight=False, soft_wrap=True)
        for line in rest:
            self.say(f"    {line}")
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
        table = Table("scan", "problem", title=counted(len(problems), "problem"), title_justify="left")
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
        found["finished before"] = str(outcome.kept)
    if outcome.ignored:
        found["other images, ignored"] = ", ".join(f"{count} {kind}" for kind, count in outcome.ignored.items())
    if outcome.seconds:
        rate = f" ({outcome.processed / outcome.seconds:.2g} scans/s)" if outcome.processed else ""
        found["time"] = duration(outcome.seconds) + rate
    if outcome.summary is not None:
        found |= {f"flag {flag}": counted(count, "scan") for flag, count in outcome.summary.flags.items()}
        found |= {f"missing: {reason}": counted(count, "region") for reason, count in outcome.summary.missing_reasons.items()}
        if outcome.summary.duplicates:
            found["same voxels as another scan"] = f"{counted(outcome.summary.duplicates, 'scan')}: count one of each (column duplicate_of)"
    if outcome.notes:
        found["notes"] = "\n".join(outcome.notes)
    return found


def dumped(document: Mapping[str, Any]) -> str:
    r"""A document as JSON, in ASCII: whatever the terminal's encoding, and whatever bytes a file name has.

    >>> dumped({"scans": {"done": 2}, "low": float("nan"), "path": "größe"})
    '{"scans": {"done": 2}, "low": null, "path": "gr\\u00f6\\u00dfe"}'
    """
    return json.dumps(plain(document), allow_nan=False).replace("\x7f", r"\u007f")  # the one unprintable of ASCII that JSON leaves


def plain(value: object) -> Any:  # noqa: ANN401  (whatever JSON has)
    """The same value of types that JSON has; a number that is none, as of a volume that is missing, is null."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, (bool, int)) or value is None:
        return value
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    return str(value)


def of_outcome(outcome: "Outcome", out: Location) -> dict[str, Any]:
    """How a run ended, or how far a cohort is."""
    summary = outcome.summary
    found: dict[str, Any] = {
        "out": out,
        "scans": {"done": outcome.done, "failed": outcome.failed, "waiting": outcome.pending, "kept": outcome.kept},
        "seconds": outcome.seconds,
        "ignored": outcome.ignored,
        "notes": outcome.notes,
        "failures": [{"scan": one.scan, "reason": one.reason, "message": one.message} for one in outcome.failures],
        "paths": {name: out / name for name in WRITTEN if (out / name).exists()},
    }
    if summary is not None:
        found |= {"flags": summary.flags, "missing": summary.missing_reasons, "volumes_mm3": summary.regions}
    return found


def of_plan(plan: "Plan") -> dict[str, Any]:
    """What a run will take."""
    return {
        "fits": plan.fits,
        "scans": {"to_do": len(plan.sizes), "refused": len(plan.refused), "kept": plan.kept},
        "workers": plan.workers.count,
        "seconds": plan.seconds,
        "scan_seconds": plan.scan_seconds,
        "memory_bytes": round(plan.memory_bytes),
        "memory_available": plan.memory_available,
        "disk_bytes": round(plan.disk_bytes),
        "disk_available": plan.disk_available,
        "refused": [{"scan": one.scan, "reason": one.reason, "message": one.message} for one in plan.refused],
        "shortages": plan.shortages,
        "notes": plan.notes,
    }
