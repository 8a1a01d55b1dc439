"""What a session gets back: tables, label maps, pages, and all of it as a zip. Nothing in it says where it lay on this machine."""

import csv
import hashlib
import os
import threading
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import pandas as pd

from hypojax.app.scan_job import ScanJob, SessionFolder
from hypojax.reporting import scan_page
from hypojax.tables.cells import NOT_AVAILABLE, decoded

RESULTS: Final = "results"
"""Folder of a session with one folder a job."""

ALL: Final = "all"
"""Stands for all scans of a session in place of a job."""

STATIC: Final = "static"
"""Stands for the scripts of pages in place of a job."""

SCRIPTS: Final = ("niivue.umd.js", "niivue.LICENSE", "scan_page.js", "viewer.js")
"""Scripts that pages name, and the notice of the one that is not ours."""

DRAWN: Final = ("page.html", "page.js")
TABLE: Final = "volumes.tsv"
MAPS: Final = {"labels.nii.gz": "hypothalamus", "intracranial.nii.gz": "intracranial"}
"""Label maps as they are asked for → how they are called in a zip."""

EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""Time of all files in a zip, so that the same results are the same bytes."""

BUILDING: Final = threading.Lock()
"""One zip at a time."""


def script_file(name: str) -> Path | None:
    """A script of pages; None where it is none of them."""
    return scan_page.FOLDERS[1] / name if name in SCRIPTS else None


def result_file(session: SessionFolder, job: ScanJob, name: str) -> Path | None:
    """A file of a scan that is done; None where there is none of this name."""
    folder = session.folder / RESULTS / job.id
    if name in DRAWN:
        found = folder / name
    elif name in MAPS:
        found = label_map(session, job.scan, name)
    elif name == TABLE:
        found = scan_table(session, job.scan, folder)
    elif name == "scan.zip":
        found = packed(session, [job], folder / name)
    else:
        return None
    return found if found.is_file() else None


def all_file(session: SessionFolder, jobs: Sequence[ScanJob], name: str) -> Path | None:
    """A file of all scans of a session that are done; ``jobs`` are all of its jobs."""
    done = [job for job in jobs if job.state == "done"]
    if name == TABLE and done:
        found = session.cohort / TABLE
    elif name == "all.zip" and jobs:
        found = packed(session, jobs, session.folder / RESULTS / name)
    else:
        return None
    return found if found.is_file() else None


def label_map(session: SessionFolder, scan: str, name: str) -> Path:
    """Where a label map of a scan lies."""
    from hypojax.cohort.derivatives import DSEG, MASK, scan_stem

    end = DSEG if name == "labels.nii.gz" else MASK
    return session.cohort / "derivatives" / f"{scan_stem(scan)}{end}.nii.gz"


def read_volumes(session: SessionFolder) -> pd.DataFrame:
    """Rows of the table of a session; without rows where there is none yet."""
    try:
        table = pd.read_csv(
            session.cohort / TABLE, sep="\t", na_values=[NOT_AVAILABLE], keep_default_na=False, quoting=csv.QUOTE_NONE, dtype={"scan": str}
        )
    except (OSError, ValueError):
        return pd.DataFrame({"scan": pd.Series(dtype=str), "region": pd.Series(dtype=str), "volume_mm3": pd.Series(dtype=float)})
    return table.assign(scan=table["scan"].map(decoded))


def scan_table(session: SessionFolder, scan: str, folder: Path) -> Path:
    """The rows of one scan, byte for byte as they are in the table of all."""
    path = folder / TABLE
    with suppress(OSError):
        head, *rows = (session.cohort / TABLE).read_bytes().splitlines(keepends=True)
        own = [row for row in rows if decoded(row.split(b"\t", 1)[0].decode()) == scan]
        _place(path, head + b"".join(own))
    return path


def packed(session: SessionFolder, jobs: Sequence[ScanJob], path: Path) -> Path:
    """A zip of the results of scans that are done, and a list of those that failed; kept until something changes."""
    done = [job for job in jobs if job.state == "done"]
    mark = path.with_suffix(".sha256")
    with BUILDING, suppress(OSError):
        said = hashlib.sha256(repr([(job.id, job.state) for job in jobs]).encode() + _stamp(session)).hexdigest()
        if path.is_file() and mark.is_file() and mark.read_text() == said:
            return path
        path.parent.mkdir(mode=0o700, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            for name, source in _contents(session, done):
                _add(archive, name, source)
            _add_tables(archive, session, jobs, done)
        part.replace(path)
        mark.write_text(said)
    return path


def _contents(session: SessionFolder, done: Sequence[ScanJob]) -> Iterator[tuple[str, Path]]:
    """Name in a zip → file."""
    for job in done:
        for name, word in MAPS.items():
            yield f"{job.scan}/{job.scan}_{word}.nii.gz", label_map(session, job.scan, name)
        for name in DRAWN:
            yield f"pages/{job.scan}/{name}", session.folder / RESULTS / job.id / name
    if done:
        for name in SCRIPTS:
            yield f"pages/{STATIC}/{name}", scan_page.FOLDERS[1] / name
        yield "labels.tsv", session.cohort / "derivatives" / "dseg.tsv"


def _add_tables(archive: zipfile.ZipFile, session: SessionFolder, jobs: Sequence[ScanJob], done: Sequence[ScanJob]) -> None:
    """The table of volumes, of one scan or of all, and those that failed."""
    from hypojax.tables.writer import tsv

    if done and len(jobs) == 1:
        _add(archive, TABLE, scan_table(session, done[0].scan, session.folder / RESULTS / done[0].id))
    elif done:
        _add(archive, TABLE, session.cohort / TABLE)
    failed = [{"file": job.name, "reason": job.reason, "message": job.message} for job in jobs if job.state == "failed"]
    if failed:
        archive.writestr(zipfile.ZipInfo("failed.tsv", EPOCH), tsv(pd.DataFrame(failed)))


def _add(archive: zipfile.ZipFile, name: str, source: Path) -> None:
    """One file; one that is not there is left out: a mask that is missing with a reason, a page that could not be drawn."""
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.external_attr = 0o600 << 16
    entry.compress_type = zipfile.ZIP_STORED if name.endswith(".gz") else zipfile.ZIP_DEFLATED
    with suppress(FileNotFoundError), source.open("rb") as file, archive.open(entry, "w") as target:
        while piece := file.read(1 << 20):
            target.write(piece)


def _stamp(session: SessionFolder) -> bytes:
    """What changes with the table of a session."""
    try:
        found = os.stat(session.cohort / TABLE)  # noqa: PTH116
    except OSError:
        return b""
    return f"{found.st_size} {found.st_mtime_ns}".encode()


def _place(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.name}.{threading.get_ident()}.part")
    part.write_bytes(content)
    part.replace(path)
