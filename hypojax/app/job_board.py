"""All jobs of all sessions: in memory for the threads that work on them, on the disk for the next server."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from hypojax.app.safe_reader import ScanSource
from hypojax.app.scan_job import ENDED, JOBS, JobRecord, ScanJob, SessionFolder, new_id, read_records, save_record, scan_name
from hypojax.app.scan_queue import FairQueue
from hypojax.reason import Reason, RunError
from hypojax.reporting.reason_words import FAILURES

MOST_JOBS: Final = 2000
"""Scans that one session may have."""

MOST_ATTEMPTS: Final = 2
"""Times that measuring a scan is begun: one that took server after server down is not tried again."""

Key = tuple[str, str]
"""Session and job."""


class JobBoard:
    """The jobs, and whose turn it is. All methods may be called from any thread."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._sessions: dict[str, SessionFolder] = {}
        self._records: dict[str, dict[str, JobRecord]] = {}
        self._queue = FairQueue()
        self._running: Key | None = None
        self._closed = False

    def adopt(self, session: SessionFolder) -> None:
        """Take up a session with what waited or ran when an earlier server ended; nothing for one that is known."""
        with self.changed:
            if session.id in self._sessions:
                return
            (session.folder / JOBS).mkdir(mode=0o700, exist_ok=True)
            self._sessions[session.id], self._records[session.id] = session, {}
            for record in read_records(session.folder):
                self._records[session.id][record.job.id] = record
                if record.job.state not in ENDED:
                    self._again((session.id, record.job.id), record)
            self.changed.notify_all()

    def _again(self, key: Key, record: JobRecord) -> None:
        if record.attempts >= MOST_ATTEMPTS:
            self.fail(key, Reason.CRASHED, "the server ended more than once while it was measured")
        else:
            self._put(key, record.with_job(state="waiting"))
            self._queue.put(*key)

    def add(self, session: SessionFolder, records: Sequence[JobRecord]) -> None:
        """Add jobs of a session.

        Raises
        ------
        RunError
            ``USAGE``: it has too many.
        """
        self.adopt(session)
        with self.changed:
            known = self._records[session.id]
            if len(known) + len(records) > MOST_JOBS:
                raise RunError(Reason.USAGE, f"a session may have {MOST_JOBS:,} scans; begin another one")
            first = max((record.number for record in known.values()), default=-1) + 1
            for number, record in enumerate(records, first):
                if self._put((session.id, record.job.id), replace(record, number=number)):
                    self._queue.put(session.id, record.job.id)
            self.changed.notify_all()

    def split(self, key: Key, scans: Sequence[ScanSource]) -> bool:
        """Put the scans that were found in a job in its place: the first keeps its id, the others follow it; False where it has ended."""
        with self.changed:
            record, session = self.find(key), self._sessions.get(key[0])
            if record is None or session is None or record.job.state in ENDED:
                return False
            before = key[1]
            for number, scan in enumerate(scans):
                job = ScanJob(key[1], scan.name) if not number else ScanJob(new_id(), scan.name, origin=key[1])
                source = str(scan.path.resolve().relative_to(session.folder.resolve()))
                made = JobRecord(job, "image", (source,), number=record.number)
                if number:
                    made = replace(made, number=max(one.number for one in self._records[key[0]].values()) + 1)
                    self._queue.put_behind(key[0], job.id, before=before)
                self._put((key[0], job.id), made)
                before = job.id
                if scan.reason:
                    self.fail((key[0], job.id), scan.reason, scan.message)
            self.changed.notify_all()
            return True

    def find(self, key: Key) -> JobRecord | None:
        """A job; None where the session has none of this id."""
        with self.changed:
            return self._records.get(key[0], {}).get(key[1])

    def session(self, key: Key) -> SessionFolder | None:
        """The session of a job."""
        return self._sessions.get(key[0])

    def jobs(self, session_id: str) -> tuple[ScanJob, ...]:
        """Jobs of a session in their order, with their positions."""
        with self.changed:
            places = self._queue.positions()
            ahead = int(self._running is not None)
            found = sorted(self._records.get(session_id, {}).values(), key=lambda record: record.number)
            return tuple(
                replace(record.job, position=places[record.job.id] + ahead) if record.job.id in places else record.job for record in found
            )

    def update(self, key: Key, *, clean: str | None = None, attempts: int | None = None, **changes: Any) -> bool:  # noqa: ANN401
        """Change a job; False where it has ended, was cancelled, or its session is gone."""
        with self.changed:
            record = self.find(key)
            if record is None or record.job.state in ENDED:
                return False
            record = record.with_job(**changes)
            record = replace(
                record, clean=record.clean if clean is None else clean, attempts=record.attempts if attempts is None else attempts
            )
            if record.job.state in ENDED:
                self._queue.remove(*key)
            kept = self._put(key, record)
            self.changed.notify_all()
            return kept

    def name_scan(self, key: Key) -> str:
        """Give the scan of a job an id that no other of its session has; empty where the job has ended."""
        with self.changed:
            record = self.find(key)
            if record is None or record.job.state in ENDED:
                return ""
            taken = [other.job.scan for other in self._records[key[0]].values() if other.job.scan]
            name = record.job.scan or scan_name(record.job.name, taken)
            return name if self.update(key, scan=name) else ""

    def fail(self, key: Key, reason: str, message: str, *, seconds: float = 0.0) -> None:
        """End a job with a reason."""
        self.update(key, state="failed", reason=str(reason), message=failure_sentence(str(reason), message), seconds=seconds)

    def take_unread(self) -> Key | None:
        """Wait for the next job that was not read, and begin with it; None once the board is closed."""
        with self.changed:
            key = self._wait(lambda: self._queue.first(lambda job: self._is_waiting(job, read=False)))
            if key is not None:
                self.update(key, state="reading")
            return key

    def take_read(self) -> Key | None:
        """Wait for the next job to be measured, and begin with it; None once the board is closed."""
        with self.changed:
            key = self._wait(lambda: self._queue.take(lambda job: self._is_waiting(job, read=True)))
            if key is not None:
                self._running = key
                record = self.find(key)
                self.update(key, state="measuring", attempts=record.attempts + 1 if record else 1)
            return key

    def ended(self) -> None:
        """Nothing is measured now."""
        with self.changed:
            self._running = None
            self.changed.notify_all()

    def is_busy(self, session_id: str) -> bool:
        """Whether a job of a session has not ended."""
        with self.changed:
            return any(record.job.state not in ENDED for record in self._records.get(session_id, {}).values())

    def forget(self, session_id: str) -> None:
        """Drop a session."""
        with self.changed:
            self._queue.remove_session(session_id)
            self._records.pop(session_id, None)
            self._sessions.pop(session_id, None)
            self.changed.notify_all()

    @property
    def is_closed(self) -> bool:
        """Whether the server ends: what breaks off now is taken up by the next one."""
        return self._closed

    def close(self) -> None:
        """Let those that wait go; what is on the disk stays as it is."""
        with self.changed:
            self._closed = True
            self.changed.notify_all()

    def _wait(self, found: Callable[[], Key | None]) -> Key | None:
        while not self._closed:
            if (key := found()) is not None:
                return key
            self.changed.wait()
        return None

    def _is_waiting(self, job: str, *, read: bool) -> bool:
        record = next((records[job] for records in self._records.values() if job in records), None)
        return record is not None and record.job.state == "waiting" and bool(record.clean) == read

    def _put(self, key: Key, record: JobRecord) -> bool:
        """Keep a job, on the disk too; where its session's folder is gone, the session is dropped."""
        session = self._sessions[key[0]]
        self._records[key[0]][key[1]] = record
        if save_record(session.folder, record):
            return True
        if not (session.folder / JOBS).is_dir():
            self.forget(key[0])
        return False


def failure_sentence(reason: str, message: str) -> str:
    """Why a scan failed, for people who do not program: what it means, what to do, and what was found.

    >>> failure_sentence("empty_file", "the file is empty (0 bytes)")
    'The file is empty: copy or convert it again. What was found: the file is empty (0 bytes)'
    """
    known = FAILURES.get(reason)
    if known is None or reason == Reason.CRASHED:  # here, the first time counts
        return message[:1].upper() + message[1:]
    return f"{known.words[:1].upper()}{known.words[1:]}: {known.step}. What was found: {message}"
