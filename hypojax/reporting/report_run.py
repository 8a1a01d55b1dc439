"""Making a report: which scans get a page, drawn in parallel and only where something changed, the cohort's page last."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from hypojax.reason import Reason, RunError, visible
from hypojax.reporting.page_log import LOG, SCANS, DrawnPage, PageLog, page_inputs
from hypojax.reporting.page_workers import PageResult, draw_pages
from hypojax.reporting.rating_section import DATA_SCRIPT, rating_script
from hypojax.reporting.report_data import ReportData, ReportSettings, output_folder, read_report_data
from hypojax.storage import Disk, Place, locate, lock, on_disk, remote, writing
from hypojax.storage import place as put
from hypojax.tables.cells import counted

__all__ = ["ReportCallback", "ReportResult", "check_extra", "claim_folder", "report", "report_folder", "write_report"]

INDEX: Final = "index.html"
REPORT: Final = "report"
SHARED: Final = "report-shared"
"""Folder of the report in that of the run; one to pass on has a folder of its own, where nothing with names lies."""

STATIC: Final = "static"
FIGURES: Final = "figures"
MARK: Final = "shared.txt"
"""File that says of a folder that it holds a report to pass on."""

OWN_FILES: Final = frozenset({INDEX, STATIC, SCANS, LOG, MARK, FIGURES})
"""Names of files and folders that a report has."""

EXTRA: Final = ("bokeh", "matplotlib", "PIL")
"""Packages of the extra ``report``."""

INSTALL: Final = "python -m pip install 'hypojax[report]'"


@runtime_checkable
class ReportCallback(Protocol):
    """Called while pages are drawn."""

    def started(self, *, total: int, kept: int) -> None:
        """So many pages are to be drawn, so many are as they were."""

    def finished(self, result: PageResult) -> None:
        """The page of one scan is drawn, or could not be."""

    def noted(self, text: str) -> None:
        """Something about the report as a whole."""


@dataclass(frozen=True)
class ReportResult:
    """A report that was written.

    Parameters
    ----------
    index
        The page of the cohort, which leads to all others.
    pages
        Pages of scans that were drawn.
    unchanged
        Pages that are as they were.
    failed
        Scans whose page could not be drawn, each with the reason.
    waiting
        Scans of the cohort that were not measured yet.
    notes
        What was taken or left out, one sentence each.
    """

    index: Path
    pages: int
    unchanged: int
    failed: tuple[PageResult, ...]
    waiting: int
    notes: tuple[str, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """What is not in the report, in words."""
        later = f"{counted(self.waiting, 'scan')} of the cohort not measured yet: run it again when they are" if self.waiting else ""
        return tuple(filter(None, (later, *(result.message for result in self.failed))))


def report(
    place: Place, *, out: Disk | None = None, settings: ReportSettings | None = None, callback: ReportCallback | None = None
) -> ReportResult:
    """Draw what a cohort looks like as pages to open in a browser, without a network; also while a run goes on.

    Parameters
    ----------
    place
        The output folder of a run, or its store: a path, or a URL (``s3://bucket/out``).
    out
        Folder for the pages. Default: ``report`` in the folder of the run, ``report-shared`` where ``settings.share``; a bucket needs one.
    settings
        Which scans get a page, and what is shown. Default: `ReportSettings`.
    callback
        Called as the pages are drawn.

    Returns
    -------
    Where the page of the cohort lies, and what became of the others. Pages whose scan, cohort and settings are as they were are kept.

    Raises
    ------
    RunError
        ``NOTHING_FOUND``: there is no cohort; ``STORE_DAMAGED``; ``USAGE``: a scan or column does not exist, a bucket without ``out``, a
        folder with files of others (`claim_folder`), or the extra ``report`` is not installed; ``BUSY``: another report is being written
        there; ``NOT_WRITABLE`` or ``DISK_FULL``.

    Examples
    --------
    >>> hypojax.report("out").index  # doctest: +SKIP
    PosixPath('out/report/index.html')
    """
    settings = settings or ReportSettings()
    check_extra()
    folder = report_folder(place, out=out, share=settings.share)
    data = read_report_data(place, settings, ratings=folder if remote(locate(place)) else None)
    claim_folder(folder, share=settings.share)
    return write_report(data, folder, callback=callback)


def write_report(data: ReportData, folder: Path, *, callback: ReportCallback | None = None) -> ReportResult:
    """Write the pages of data that were read; parameters and errors as `report`."""
    with _alone(folder):
        return _write(data, folder, callback)


def _write(data: ReportData, folder: Path, callback: ReportCallback | None) -> ReportResult:
    """The same, where no other report is written at the same time."""
    from hypojax.reporting.cohort_page import cohort_page

    log, inputs = PageLog(folder), page_inputs(data)
    waiting = [scan for scan in inputs if not log.has(data.files[scan], inputs[scan])]
    log.begin(data.files[scan] for scan in inputs if scan not in set(waiting))
    _place_static(folder)
    if callback is not None:
        callback.started(total=len(waiting), kept=len(inputs) - len(waiting))
    failed = []
    for scan, result in draw_pages(data, waiting, folder, jobs=data.settings.jobs):
        if result.failed:
            failed.append(result)
        else:
            log.add(DrawnPage(data.files[scan], inputs[scan], result.files))
        if callback is not None:
            callback.finished(result)
    lost = {result.scan for result in failed}
    drawn = replace(data, files={scan: file for scan, file in data.files.items() if data.names[scan] not in lost})
    put(folder / DATA_SCRIPT, rating_script(drawn))
    put(folder / INDEX, cohort_page(drawn, folder=folder))
    pending = int((data.cohort["status"] == "pending").sum())
    return ReportResult(folder / INDEX, len(waiting) - len(failed), len(inputs) - len(waiting), tuple(failed), pending, data.notes)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other reports out of a folder, which is made: each deletes pages that it does not know."""
    with writing(folder, 0):
        folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        why = f"another report is being written into {visible(str(folder))}: wait until it is done, or name another folder with --out"
        raise RunError(Reason.BUSY, why) from error
    except OSError as error:
        if error.errno != errno.EBADF:  # NFS has no locks of folders
            os.close(descriptor)
            raise
    try:
        yield
    finally:
        os.close(descriptor)


def report_folder(place: Place, *, out: Disk | None = None, share: bool = False) -> Path:
    """Where the pages of a report go.

    Raises
    ------
    RunError
        ``USAGE``: the cohort lies in a bucket, and no folder is named.
    """
    if out is not None:
        return on_disk(out)
    where = locate(place)
    if remote(where):
        raise RunError(Reason.USAGE, f"{where} is in a bucket, and pages need a folder of this machine: add --out FOLDER")
    return Path(str(output_folder(where))) / (SHARED if share else REPORT)


def check_extra() -> None:
    """Refuse to begin where the extra ``report`` is not installed.

    Raises
    ------
    RunError
        ``USAGE``, with the command that installs it.
    """
    if lacking := [name for name in EXTRA if find_spec(name) is None]:
        named = " and ".join("Pillow" if name == "PIL" else name for name in lacking)
        raise RunError(Reason.USAGE, f"a report needs {named}, which is not installed; run: {INSTALL}")


def claim_folder(folder: Path, *, share: bool) -> None:
    """Refuse to draw into a folder whose files a report would replace, delete, or pass on; mark that of a report to share.

    Raises
    ------
    RunError
        ``USAGE``: a report to share would lie among other files, one with names in the folder of one to share, or there are files of the
        names that a report writes and deletes which no report made.
    """
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    others = sorted(found - OWN_FILES) or [INDEX]
    if share and found and (MARK not in found or found - OWN_FILES):
        why = f"has other files in it ({visible(others[0])}), and a report to share needs a folder of its own"
    elif not share and MARK in found:
        why = "holds a report to share, and this one has names in it; it needs a folder of its own"
    elif LOG not in found and (foreign := sorted(found & {INDEX, STATIC, SCANS})):
        why = f"has {foreign[0]} in it, which no report made and this one would replace"
    else:
        if share:
            put(folder / MARK, b"Made by hypojax report --share\n", through=False)
        return
    raise RunError(Reason.USAGE, f"{visible(str(folder))} {why}: --out FOLDER")


def _place_static(folder: Path) -> None:
    """Scripts that all pages share, where they are not there yet."""
    room = Path(__file__).parent / STATIC
    for path in sorted(path for path in room.rglob("*") if path.is_file()):
        target = folder / STATIC / path.relative_to(room)
        data = path.read_bytes()
        if not target.is_file() or target.read_bytes() != data:
            put(target, data, through=False)
