"""The scans of all sessions: taken in, read in a process of their own, measured one at a time, and given back to their session only."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from hypojax.app.job_board import JobBoard, Key
from hypojax.app.safe_reader import ReadingLimits, SafeReader, ScanSource
from hypojax.app.scan_engine import EngineEndedError, EngineSettings, ScanEngine
from hypojax.app.scan_job import ENDED, JOBS, JobRecord, ScanJob, SessionFolder, SourceKind, new_id, shown_name
from hypojax.app.session_results import ALL, RESULTS, STATIC, all_file, read_volumes, result_file, script_file
from hypojax.app.upload_limits import NO_ROOM
from hypojax.reason import HypojaxError, Reason, RunError

if TYPE_CHECKING:
    from hypojax.reporting.section_pictures import SectionPicture

__all__ = ["Job", "ScanService", "SessionFolder"]

Job = ScanJob
"""What the page shows of a scan."""

SAMPLE: Final = "Colin27 (sample)"
ZIP_TOO_LARGE: Final = "zip_too_large"
"""Reason of a zip that would become more than is allowed; `Reason.TOO_LARGE` speaks of one scan."""

ONE_SCAN: Final = 100_000_000
"""Bytes of the disk that are kept for a scan that is being read: its copy and its results."""

CLEAN, UNPACKED = "clean", "unpacked"
"""Folders of a session: copies that are to be measured, and what was in zips."""

IMAGES: Final = (".nii", ".nii.gz", ".mgz", ".mgh")


class ScanService:
    """Scans of all sessions on this machine; all methods may be called from any thread.

    Parameters
    ----------
    weights
        Folder of weights. Default: the released ones.
    norms
        File of norms (`hypojax norms`) to show each person against.
    engine
        How the engine measures, in place of weights and norms.
    reading
        What reading one upload may take.
    room
        Gives, for the time of a block, bytes of the disk to unpack a zip into: as many as are wanted, or fewer. Default: all.
    """

    def __init__(
        self,
        *,
        weights: Path | None = None,
        norms: Path | None = None,
        engine: EngineSettings | None = None,
        reading: ReadingLimits | None = None,
        room: Callable[[int], AbstractContextManager[int]] = nullcontext,
    ) -> None:
        self._limits, self._room = reading or ReadingLimits(), room
        self._board, self._reader = JobBoard(), SafeReader(self._limits)
        self._engine = ScanEngine(engine or EngineSettings(weights=weights, norms=norms))
        self._reading: Key | None = None
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._read_all, self._measure_all)]
        for thread in self._threads:
            thread.start()

    def submit(self, session: SessionFolder, files: Sequence[Path], *, sample: bool = False) -> tuple[ScanJob, ...]:
        """Take files of a session in: one job for each image, for each zip, and one for all DICOM files together.

        Parameters
        ----------
        session
            Whose files they are.
        files
            Files in ``session.uploads``; what lies elsewhere is refused.
        sample
            Whether the packaged sample scan is meant; no files then.

        Returns
        -------
        The new jobs. Where a zip or DICOM files turn out to hold several scans, the others are added to `jobs` once that is known.

        Raises
        ------
        RunError
            ``USAGE``: a file that is none of the session's, or too many at once.
        """
        records = [JobRecord(ScanJob(new_id(), SAMPLE), "sample")] if sample else _records(session, files)
        self._board.add(session, records)
        return tuple(record.job for record in records)

    def jobs(self, session: SessionFolder) -> tuple[ScanJob, ...]:
        """All scans of a session, in the order in which they came; also after a reload of the page or a restart of the server."""
        self._board.adopt(session)
        return self._board.jobs(session.id)

    def adopt(self, session: SessionFolder) -> None:
        """Take up a session of an earlier server: what waited or ran then is queued again."""
        self._board.adopt(session)

    def is_busy(self, session: SessionFolder) -> bool:
        """Whether a scan of a session waits, is read or is measured."""
        return self._board.is_busy(session.id)

    def forget(self, session_id: str) -> None:
        """Drop the jobs of a session whose files are about to be removed."""
        self._board.forget(session_id)

    def cancel(self, session: SessionFolder, job_id: str) -> None:
        """Cancel a scan of the session; nothing where it has none of this id, or it has ended.

        One that waits or is read ends at once; of one that is measured the result is thrown away when the step it is in ends.
        """
        key = (session.id, job_id)
        record = self._board.find(key)
        if record is None or not self._board.update(key, state="cancelled"):
            return
        if self._reading == key:
            self._reader.stop()
        if record.job.state in ("waiting", "reading"):
            self._drop_files(session, record)

    def volumes(self, session: SessionFolder) -> pd.DataFrame:
        """Rows of the session's ``volumes.tsv``; without rows where there is none yet."""
        return read_volumes(session)

    def summary(self, session: SessionFolder, job_id: str) -> Mapping[str, Any]:
        """What was found in a scan that is done, as JSON has it; empty otherwise.

        ``scan``, ``name``; ``volumes``: a list with ``region``, ``name``, ``volume_mm3``, ``uncertainty_mm3``, ``share_permille`` (of the
        intracranial volume), ``missing``, ``rank`` and ``centile`` in words; ``norms``: a sentence; ``doubts``: sentences why somebody
        should look at the scan; ``flags``: ``flag`` and ``meaning``; ``quality``: rows in words (``name``, ``value``, ``usual``,
        ``others``, ``meaning``, ``step``); ``notes``; ``read``, as `ScanJob`.
        """
        job = self._done(session, job_id)
        if job is None:
            return {}
        try:
            found = json.loads((session.folder / RESULTS / job.id / "summary.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return {**found, "read": dict(job.read)}

    def file(self, session: SessionFolder, job_id: str, name: str) -> Path | None:
        """A file to hand out; None where there is none.

        Of a job: ``labels.nii.gz``, ``intracranial.nii.gz``, ``volumes.tsv``, ``page.html``, ``page.js``, ``scan.zip``. Of the job
        ``all``: ``all.zip`` and ``volumes.tsv``. Of the job ``static``: scripts that ``page.html`` names.
        """
        if job_id == STATIC:
            return script_file(name)
        if job_id == ALL:
            return all_file(session, self.jobs(session), name)
        job = self._done(session, job_id)
        return None if job is None else result_file(session, job, name)

    def sections(self, session: SessionFolder, job_id: str) -> "Mapping[str, list[SectionPicture]]":
        """Pictures of the sections of a scan by plane (`section_pictures.scan_sections`); empty where there are none."""
        from hypojax.app.scan_drawing import read_sections

        job = self._done(session, job_id)
        return {} if job is None else read_sections(session.folder / RESULTS / job.id)

    def wait(self, session: SessionFolder, job_id: str, *, seconds: float) -> ScanJob | None:
        """Wait until a scan has ended, so many seconds at most; the scan as it is then, None where there is none of this id."""
        deadline = time.monotonic() + seconds
        with self._board.changed:
            while (record := self._board.find((session.id, job_id))) is not None and record.job.state not in ENDED:
                left = deadline - time.monotonic()
                if left <= 0 or not self._board.changed.wait(left):
                    break
        return None if record is None else record.job

    def engine_pid(self) -> int | None:
        """Process of the engine; None where there is none at the moment."""
        return self._engine.pid

    def close(self) -> None:
        """End the engine and all readers; what waits or runs is taken up by the next server."""
        self._board.close()
        self._engine.close()
        self._reader.stop()
        for thread in self._threads:
            thread.join(timeout=30)
        self._engine.end()

    def _done(self, session: SessionFolder, job_id: str) -> ScanJob | None:
        """A scan of the session that is done."""
        return next((job for job in self.jobs(session) if job.id == job_id and job.state == "done"), None)

    def _read_all(self) -> None:
        """The thread that has uploads read."""
        while (key := self._board.take_unread()) is not None:
            record, session = self._board.find(key), self._board.session(key)
            if record is None or session is None:
                continue
            self._reading = key
            try:
                self._read(key, record, session)
            except HypojaxError as error:
                is_zip = record.kind == "zip" and error.reason is Reason.TOO_LARGE
                self._refuse(key, record, session, ZIP_TOO_LARGE if is_zip else error.reason, str(error))
            except OSError:
                self._refuse(key, record, session, Reason.UNREADABLE, "its files cannot be read or written; send it again")
            finally:
                self._reading = None

    def _refuse(self, key: Key, record: JobRecord, session: SessionFolder, reason: str, said: str) -> None:
        """End a job that cannot be read; the next server tries it again where this one ends."""
        if not self._board.is_closed:
            self._drop_files(session, record)
            self._board.fail(key, reason, said)

    def _read(self, key: Key, record: JobRecord, session: SessionFolder) -> None:
        """Take a zip apart, or read one scan."""
        sources = [session.folder / source for source in record.sources]
        if record.kind in ("zip", "dicom"):
            self._split(key, record, session, sources)
            return
        if not (name := self._board.name_scan(key)):
            return
        folder = session.folder / CLEAN
        folder.mkdir(mode=0o700, exist_ok=True)
        with self._room(ONE_SCAN):
            clean = self._reader.read(_sample() if record.kind == "sample" else sources[0], into=folder, name=name)
        self._drop_sources(session, record)
        if not self._board.update(key, state="waiting", clean=clean.file.name, read=clean.read):
            clean.file.unlink(missing_ok=True)

    def _split(self, key: Key, record: JobRecord, session: SessionFolder, sources: Sequence[Path]) -> None:
        """Put the scans of a zip, or of DICOM files, in the place of a job, and delete all that is none of them."""
        into = session.folder / UNPACKED / record.job.id
        shutil.rmtree(into, ignore_errors=True)
        into.parent.mkdir(mode=0o700, exist_ok=True)
        into.mkdir(mode=0o700)
        kept: set[Path] = set()
        try:
            scans = self._unpacked(sources[0], into) if record.kind == "zip" else self._reader.sort(sources, into=into)
            if self._board.split(key, scans):
                kept = {scan.path for scan in scans if not scan.reason}
        finally:
            for path in {*sources, *into.glob("*")} - kept:
                _remove(session, path)
            with suppress(OSError):
                into.rmdir()

    def _unpacked(self, source: Path, into: Path) -> list[ScanSource]:
        """The scans of a zip, which takes no more of the disk than visits may have together."""
        wanted = self._limits.most_bytes
        with self._room(wanted) as given:
            try:
                return self._reader.unpack(source, into=into, most_bytes=given)
            except HypojaxError as error:
                if error.reason is Reason.TOO_LARGE and given < wanted:
                    raise RunError(Reason.DISK_FULL, NO_ROOM) from error
                raise

    def _measure_all(self) -> None:
        """The thread that has scans measured, by an engine that is loaded before the first comes."""
        with suppress(HypojaxError):  # said of the first scan
            self._engine.start()
        while (key := self._board.take_read()) is not None:
            record, session = self._board.find(key), self._board.session(key)
            if record is not None and session is not None:
                self._measure(key, record, session)
                session.touch()
            self._board.ended()

    def _measure(self, key: Key, record: JobRecord, session: SessionFolder) -> None:
        """Measure a scan and draw it; whatever goes wrong ends this scan alone."""
        start, has_ended = time.monotonic(), False
        given = {"folder": str(session.folder), "cohort": session.cohort.name, "scan": record.job.scan}
        try:
            reason, message = self._measured(key, record, given)
        except HypojaxError as error:
            if self._board.is_closed:  # the next server goes on with it
                return
            reason, message, has_ended = str(error.reason), str(error), isinstance(error, EngineEndedError)
        self._drop_files(session, record)
        seconds = time.monotonic() - start
        if reason:
            self._board.fail(key, reason, message, seconds=seconds)
        else:
            self._board.update(key, state="done", message=message, seconds=seconds)
        found = self._board.find(key)
        if has_ended or (found is not None and found.job.state == "cancelled"):
            self._take_out(given)
        if not (session.folder / JOBS).is_dir():  # the session was removed while its scan ran
            shutil.rmtree(session.folder, ignore_errors=True)

    def _measured(self, key: Key, record: JobRecord, given: Mapping[str, str]) -> tuple[str, str]:
        """Why a scan failed; no reason where it is measured, with a message where it could not be drawn."""
        scan, file = record.job.scan, f"{CLEAN}/{record.clean}"
        answer = self._engine.ask("measure", file=file, **given)
        if answer.get("status") != "done":
            said = str(answer.get("said", "")).removeprefix(f"scan {scan!r}: ").replace(f" ({file})", "")
            return str(answer.get("why", Reason.UNEXPECTED)), said
        return ("", self._draw(record, given)) if self._board.update(key, state="drawing") else ("", "")

    def _draw(self, record: JobRecord, given: Mapping[str, str]) -> str:
        """Draw a scan; why that was not possible, since its volumes are there all the same."""
        try:
            self._engine.ask("draw", into=f"{RESULTS}/{record.job.id}", name=record.job.name, **given)
        except HypojaxError as error:
            if self._board.is_closed:
                raise
            return f"its page cannot be drawn ({error})"
        return ""

    def _take_out(self, given: Mapping[str, str]) -> None:
        """Take a scan out of its cohort that was cancelled, or that ended the engine."""
        with suppress(HypojaxError):
            self._engine.ask("forget", **given)

    def _drop_files(self, session: SessionFolder, record: JobRecord) -> None:
        """Delete what is not needed once a scan has ended: its upload, and its clean copy, whose voxels the cohort has."""
        self._drop_sources(session, record)
        if record.clean:
            (session.folder / CLEAN / record.clean).unlink(missing_ok=True)

    def _drop_sources(self, session: SessionFolder, record: JobRecord) -> None:
        for source in record.sources:
            _remove(session, session.folder / source)


def _remove(session: SessionFolder, path: Path) -> None:
    """Delete a file or folder of a session, and the folder that was made for it once that is empty."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
    if path.parent.parent != session.folder:
        with suppress(OSError):
            path.parent.rmdir()


def _records(session: SessionFolder, files: Sequence[Path]) -> list[JobRecord]:
    """Jobs for files that were sent together."""
    own = [_own(session, file) for file in files]
    kinds = {file: _kind(file) for file in own}
    together = [file for file in own if kinds[file] == "dicom" or (kinds[file] == "other" and "dicom" in kinds.values())]
    records = []
    for file in own:
        if file in together:
            if file == together[0]:
                sources = tuple(_below(session, one) for one in together)
                records.append(JobRecord(ScanJob(new_id(), "DICOM files"), "dicom", sources))
        else:
            kind: SourceKind = "zip" if kinds[file] == "zip" else "image"
            records.append(JobRecord(ScanJob(new_id(), shown_name(file.name)), kind, (_below(session, file),)))
    return records


def _own(session: SessionFolder, file: Path) -> Path:
    """A file of the session, without links."""
    with suppress(OSError, ValueError, RuntimeError):
        found = Path(file).resolve(strict=True)
        if found.is_file() and found.is_relative_to(session.uploads.resolve()):
            return found
    raise RunError(Reason.USAGE, "this file is not among those that you sent; send it again")


def _below(session: SessionFolder, file: Path) -> str:
    return str(file.relative_to(session.folder.resolve()))


def _kind(file: Path) -> str:
    """What a file seems to be: ``zip``, ``dicom``, ``image`` or ``other``; nothing of it is believed when it is read."""
    name = file.name.lower()
    with file.open("rb") as opened:
        front = opened.read(132)
    if front[:2] == b"PK" or name.endswith(".zip"):
        return "zip"
    if name.endswith(IMAGES):
        return "image"
    return "dicom" if front[128:] == b"DICM" or name.endswith((".dcm", ".ima")) else "other"


def _sample() -> Path:
    """The scan that ships with hypojax."""
    from hypojax.demonstration import sample_scan

    return sample_scan()
