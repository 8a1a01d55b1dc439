"""Batches on the server: folders below ``--inputs`` that are run into cohorts below ``--cohorts``.

A batch is `hypojax run FOLDER COHORTS/NAME --report` in a process of its own, which goes on when the page or the server is closed. What
is known of it lies in ``COHORTS/.batches``: its record, and what the command said, both for their owner alone. Everything else is read
from the ledger of the cohort, so that runs which were started from a shell are seen as well, and are only watched.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from hypojax.app.batch_folders import FoldersFound, chosen_folder, folders_below
from hypojax.app.batch_record import NAME, BatchRecord, BatchRecords
from hypojax.app.batch_refusal import BatchRefusedError
from hypojax.app.detached_process import ProcessMark, ask_to_end, is_alive, mark_of, start_detached
from hypojax.app.ledger_watch import LedgerState, LedgerWatch
from hypojax.app.run_lock import is_written
from hypojax.execute.outcome import ScanResult
from hypojax.execute.output import STORE
from hypojax.reason import Reason, RunError, visible

COMMAND: Final = (sys.executable, "-P", "-c", "import sys; from hypojax.cli import main; sys.exit(main())", "run")
"""`hypojax run` of this environment, wherever its script lies."""

State = Literal["starting", "running", "drawing", "stopping", "finished", "stopped"]


@dataclass(frozen=True)
class BatchProgress:
    """How far a batch is.

    Parameters
    ----------
    name
        Name of the cohort.
    folder
        Path of the scans below ``--inputs``; empty for a run that was started from a shell.
    state
        ``starting``: scans are being looked for; ``drawing``: all are measured, their pages are being drawn; ``stopping``: asked to end;
        ``stopped``: ended, with scans that wait, or before there were any; ``finished``.
    total, done, failed, waiting
        Numbers of scans.
    scans_per_second
        Pace of the latest ones; 0 while it is not known.
    seconds_left
        At that pace; None while it is not known.
    failures
        Scans that failed, with reason and sentence.
    message
        Why it ended early, as the command said it.
    watched
        Whether it was started from a shell, and can only be watched.
    cancelled
        Whether a visitor asked it to end.
    """

    name: str
    folder: str
    state: State
    total: int = 0
    done: int = 0
    failed: int = 0
    waiting: int = 0
    scans_per_second: float = 0.0
    seconds_left: float | None = None
    failures: tuple[ScanResult, ...] = ()
    message: str = ""
    watched: bool = False
    cancelled: bool = False

    @property
    def active(self) -> bool:
        """Whether a process works on it."""
        return self.state not in ("finished", "stopped")


class BatchRuns:
    """The batches of a server.

    Parameters
    ----------
    inputs
        Folder whose folders may be run; None: none may.
    cohorts
        Folder of the cohorts.
    weights
        Folder of weights; the released ones when left out.

    Raises
    ------
    RunError
        ``USAGE``: inputs without cohorts, or one that is no folder; ``NOT_WRITABLE``.
    """

    def __init__(self, *, inputs: Path | None = None, cohorts: Path | None = None, weights: Path | None = None) -> None:
        if inputs is not None and cohorts is None:
            raise RunError(Reason.USAGE, "--inputs needs --cohorts DIR, the folder that receives the results of batches; add it")
        for option, folder in (("--inputs", inputs), ("--cohorts", cohorts)):
            if folder is not None and not folder.is_dir():
                raise RunError(Reason.USAGE, f"{option} {folder} is no folder; name one that is there")
        self._inputs, self._weights = inputs and inputs.resolve(), weights and weights.resolve()
        self._cohorts = cohorts.resolve() if cohorts else Path()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._watches: dict[str, LedgerWatch] = {}
        self._kept = BatchRecords(self._cohorts) if self._inputs else None

    @property
    def allowed(self) -> bool:
        """Whether this server runs batches at all."""
        return self._inputs is not None

    def folders(self, contains: str = "", *, limit: int = 50) -> FoldersFound:
        """Folders of scans that may be run, as `folders_below`; none where batches are not allowed."""
        return folders_below(self._inputs, contains=contains, limit=limit) if self._inputs else FoldersFound(())

    def start(self, folder: str, name: str) -> BatchProgress:
        """Run a folder into a new cohort; the second of two clicks finds the run of the first.

        Raises
        ------
        BatchRefusedError
            The folder is none of `folders`, the name cannot be or is taken, or another batch is at work.
        """
        (_, kept), name = self._allowed(), name.strip()
        if not NAME.fullmatch(name):
            message = "a name has 1 to 64 letters, digits, dots, hyphens and underscores, a letter or digit first; give another"
            raise BatchRefusedError("name_wrong", message)
        with kept.alone():
            before = kept.get(name)
            if before is None or before.folder != folder or not self._works(name, before):
                if before is not None or os.path.lexists(self._cohorts / name):
                    raise BatchRefusedError("name_taken", f"there is a cohort {name} already; give another name", name=name)
                self._begin(kept, name, folder)
        return self.progress(name)

    def resume(self, name: str, *, retry_failed: bool = False) -> BatchProgress:
        """Go on with a batch that ended early, by the same command; a batch that is at work goes on as it is.

        Raises
        ------
        BatchRefusedError
            There is no such batch, its folder is gone, a shell writes into it, or another batch is at work.
        """
        _, kept = self._allowed()
        with kept.alone():
            record = self._known(kept, name)
            if not self._works(name, record):
                if is_written(self._cohorts / name):
                    raise BatchRefusedError("watched", f"a command in a shell is writing into {name}; wait until it ends", name=name)
                self._begin(kept, name, record.folder, *(["--retry-failed"] if retry_failed else []))
        return self.progress(name)

    def cancel(self, name: str) -> BatchProgress:
        """Ask a batch to end; what it has finished is kept.

        Raises
        ------
        BatchRefusedError
            There is no such batch of this server: a run of a shell is ended there.
        """
        _, kept = self._allowed()
        with kept.alone():
            record = self._known(kept, name)
            if self._works(name, record) and ask_to_end(record.mark):
                kept.put(name, replace(record, cancelled=True))
        return self.progress(name)

    def list(self) -> tuple[str, ...]:
        """Names of all batches, and of cohorts that a shell is writing: those at work first, then the latest."""
        if self._kept is None:
            return ()
        records = self._kept.names()
        others = [path.name for path in self._cohorts.iterdir() if NAME.fullmatch(path.name) and path.name not in records]
        watched = {name: time.time() for name in others if is_written(self._cohorts / name)}
        at_work = {name for name in records if self._works(name, self._kept.get(name))} | set(watched)
        found = {**records, **watched}
        return tuple(sorted(found, key=lambda name: (name not in at_work, -found[name], name)))

    def progress(self, name: str) -> BatchProgress:
        """How far a batch is, or a run of a shell.

        Raises
        ------
        BatchRefusedError
            There is neither.
        """
        _, kept = self._allowed()
        record, out = kept.get(name), self._out(name)
        if record is None and not (out / STORE).is_dir():
            raise self._unknown(name)
        works = self._works(name, record)
        written = works or is_written(out)
        ledger = self._watches.setdefault(name, LedgerWatch(out)).look()
        state = _state(record, ledger, works=works, written=written)
        begun = record.begun if record and works else 0.0
        pace = ledger.scans_per_second(since=begun) if state == "running" else 0.0
        ended_early = state == "stopped" and record is not None and not record.cancelled
        return BatchProgress(
            name,
            record.folder if record else "",
            state,
            total=ledger.total,
            done=ledger.done,
            failed=ledger.failed,
            waiting=ledger.waiting,
            scans_per_second=pace,
            seconds_left=ledger.waiting / pace if pace else None,
            failures=tuple(replace(failure, message=self._without_places(failure.message)) for failure in ledger.failures),
            message=self._without_places(kept.last_error(name)) if ended_early else "",
            watched=written and not works,
            cancelled=record is not None and record.cancelled,
        )

    def has_pages(self, name: str) -> bool:
        """Whether the report of a batch can be opened."""
        return self._kept is not None and (self._out(name) / "report" / "index.html").is_file()

    def _out(self, name: str) -> Path:
        """The folder of a cohort, by a name that leads nowhere else.

        Raises
        ------
        BatchRefusedError
            It cannot be one.
        """
        if not NAME.fullmatch(name) or (self._cohorts / name).is_symlink():
            raise self._unknown(name)
        return self._cohorts / name

    @staticmethod
    def _unknown(name: str) -> BatchRefusedError:
        """There is no such batch."""
        return BatchRefusedError("unknown", f"there is no batch {visible(name)} of this server; choose one of the list", name=name)

    def _allowed(self) -> tuple[Path, BatchRecords]:
        """The folder of inputs, and the records.

        Raises
        ------
        BatchRefusedError
            There are none.
        """
        if self._inputs is None or self._kept is None:
            raise BatchRefusedError("not_allowed", "this server runs no batches; start it with --inputs DIR --cohorts DIR")
        return self._inputs, self._kept

    def _refuse_second(self, kept: BatchRecords) -> None:
        """Refuse a batch beside another: both would take the memory and the device of one."""
        if at_work := [name for name in kept.names() if self._works(name, kept.get(name))]:
            raise BatchRefusedError("another", f"{at_work[0]} is being measured; wait until it ends, or cancel it", name=at_work[0])

    def _begin(self, kept: BatchRecords, name: str, folder: str, *options: str) -> None:
        """Start the command and keep what finds it again.

        Raises
        ------
        BatchRefusedError
            Another batch is at work, or the folder cannot be taken.
        """
        self._refuse_second(kept)
        place = chosen_folder(self._allowed()[0], folder)
        weights = ["--weights", str(self._weights)] if self._weights else []
        command = [*COMMAND, str(place), str(self._cohorts / name), "--report", *weights, *options]
        begun = time.time()
        child = self._children[name] = start_detached(command, log=kept.log(name), folder=self._cohorts)
        mark = mark_of(child.pid) or ProcessMark(child.pid, "")
        kept.put(name, BatchRecord(folder, mark.pid, mark.start, begun))

    def _known(self, kept: BatchRecords, name: str) -> BatchRecord:
        """The record of a batch.

        Raises
        ------
        BatchRefusedError
            There is none.
        """
        self._out(name)
        if (record := kept.get(name)) is None:
            raise self._unknown(name)
        return record

    def _works(self, name: str, record: BatchRecord | None) -> bool:
        """Whether the process of a batch is alive; the end of one that this server started is taken note of."""
        if (child := self._children.get(name)) is not None and child.poll() is not None:
            self._children.pop(name, None)
        return record is not None and is_alive(record.mark)

    def _without_places(self, sentence: str) -> str:
        """A sentence without where the folders of this server lie."""
        for folder in filter(None, (self._inputs, self._cohorts)):
            sentence = sentence.replace(f"{folder}/", "").replace(str(folder), folder.name)
        return sentence


def _state(record: BatchRecord | None, state: LedgerState, *, works: bool, written: bool) -> State:
    """The state of a batch in one word."""
    if not written:
        return "finished" if state.total and not state.waiting else "stopped"
    if works and record is not None and record.cancelled:
        return "stopping"
    if not state.total:
        return "starting"
    return "running" if state.waiting else "drawing"
