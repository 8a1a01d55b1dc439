"""Which pages of a report are drawn, and of what: a page whose inputs are the same need not be drawn again."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from hypojax.reporting.report_data import ReportData
from hypojax.schema import REGIONS
from hypojax.storage import place, remove

LOG: Final = "pages.jsonl"
"""File of the report that says so, a line a page."""

SCANS: Final = "scans"
"""Folder of the report that holds pages and data of scans, and nothing else."""

NO_MATTER: Final = ("jobs", "scans")
"""Settings on which no page depends."""


class DrawnPage(NamedTuple):
    """A page that lies in the report.

    Parameters
    ----------
    page
        Its file, below the report.
    inputs
        Digest of what it was drawn from.
    files
        It and the files beside it → their length, bytes.
    """

    page: str
    inputs: str
    files: dict[str, int]

    @property
    def line(self) -> str:
        """The page as a line of the log."""
        return json.dumps(self._asdict()) + "\n"


class PageLog:
    """The pages of a report that are whole.

    Parameters
    ----------
    folder
        The report.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOG
        self._folder = folder
        self._pages = {page.page: page for page in _read(self._path) if _lies(folder, page)}

    def has(self, page: str, inputs: str) -> bool:
        """Whether a page was drawn of these inputs."""
        return page in self._pages and self._pages[page].inputs == inputs

    def begin(self, pages: Iterable[str]) -> None:
        """Forget all other pages, and delete their files.

        Raises
        ------
        RunError
            ``NOT_WRITABLE`` or ``DISK_FULL``.
        """
        self._pages = {page: self._pages[page] for page in pages if page in self._pages}
        place(self._path, "".join(page.line for page in self._pages.values()).encode(), through=False)
        kept = {file for page in self._pages.values() for file in page.files}
        found = sorted(path for path in (self._folder / SCANS).rglob("*") if path.is_file() or path.is_symlink())
        for path in found:
            if path.relative_to(self._folder).as_posix() not in kept:
                remove(path)

    def add(self, page: DrawnPage) -> None:
        """Say that a page was drawn. A line that breaks off says nothing."""
        self._pages[page.page] = page
        with self._path.open("a", encoding="utf-8") as file:
            file.write(page.line)


def page_inputs(data: ReportData) -> dict[str, str]:
    """Scan → digest of all that its page is drawn from, ratings aside: its record, its place among the others, settings, templates.

    A page compares its scan with the cohort, so that another scan more changes it too.
    """
    settings = {name: str(value) for name, value in asdict(data.settings).items() if name not in NO_MATTER}
    common = _digest([made_by(), settings, _of_cohort(data), _of_norms(data.settings.norms)])
    people = {str(scan): [str(value) for value in row] for scan, row in zip(data.people.index, data.people.to_numpy(), strict=True)}
    return {
        scan: _digest([common, scan, data.records.get(scan, ""), data.doubts.get(scan, ()), people.get(scan, [])])
        for scan in data.order
        if scan in data.files
    }


@cache
def made_by() -> str:
    """Digest of the code and the templates that pages are made with."""
    room = Path(__file__).parent
    files = [path for folder in (room, room.parent / "pages", room.parent / "plot") for path in sorted(folder.rglob("*")) if path.is_file()]
    found = hashlib.sha256(version("hypojax").encode())  # limits and words of other rooms
    for path in files:
        if path.suffix in (".py", ".html", ".css", ".js"):
            found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()


def _of_cohort(data: ReportData) -> str:
    """Digest of what a scan is compared with."""
    volumes = np.ascontiguousarray(data.cohort["volume_mm3"].transpose("scan", "region").values, np.float64)
    known = data.people.drop(columns=[name for name in data.settings.columns if name in data.people])
    places = [list(data.order), dict(data.files), data.cohort["scan"].values.tolist()]
    measured = [
        hashlib.sha256(volumes.tobytes()).hexdigest(),
        dict(data.records),
    ]  # records: quality too, of which pages say the usual range
    return _digest([list(REGIONS), places, measured, known.to_csv()])


def _of_norms(norms: Path | None) -> str:
    """Digest of a file of norms."""
    return hashlib.sha256(norms.read_bytes()).hexdigest() if norms is not None and norms.is_file() else ""


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, default=str, sort_keys=True).encode(errors="surrogatepass")).hexdigest()


def _read(path: Path) -> list[DrawnPage]:
    """The pages of a log; a line that broke off, or that another version wrote, counts for nothing."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            document = json.loads(line)
            page = DrawnPage(
                str(document["page"]), str(document["inputs"]), {str(name): int(size) for name, size in document["files"].items()}
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        found.append(page)
    return found


def _lies(folder: Path, page: DrawnPage) -> bool:
    """Whether all files of a page are there, as long as they were."""
    return all(_length(folder / file) == size for file, size in page.files.items())


def _length(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def lengths(files: Mapping[str, bytes]) -> dict[str, int]:
    """Files → their length, bytes."""
    return {name: len(data) for name, data in files.items()}
