"""Files of a cohort that the page links to: pages of scans, from the report or drawn when they are asked for, and the table that is shown.

Scripts come from the library and never from a report that somebody may have changed. Nothing outside the cohort's folder is given out.
"""

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from hypojax.app.cohort_choice import CohortChoice
from hypojax.app.cohort_filter import CohortFilter, Mask, chosen_scans, filter_of
from hypojax.app.cohort_view import STORE, VOLUME, CohortView, inside
from hypojax.cohort.region_scores import SCORES, measure_of
from hypojax.reason import Reason, RunError
from hypojax.reporting.rating_server import TYPES, file_of
from hypojax.reporting.report_run import REPORT
from hypojax.reporting.scan_page import FOLDERS, scan_page
from hypojax.store.ledger import record_path
from hypojax.tables.writer import tsv

SHOWN: Final = "shown.tsv"
"""Name of the table of what is shown."""

KEPT: Final = 24
"""Pages that were drawn when they were asked for and stay in memory, each of a few megabytes at most."""

LONGEST: Final = 20_000
"""Characters of a filter in an address."""

STATIC: Final = frozenset(path.name for path in FOLDERS[1].iterdir() if path.suffix in (".js", ".css") and "rating" not in path.name)
"""Scripts and styles of reports; ratings are given on the page itself."""

RATING_SCRIPT: Final = re.compile(rb"<script[^>]*\brating\.js\b[^>]*></script>")

TSV_TYPE: Final = "text/tab-separated-values; charset=utf-8"


class CohortFile(NamedTuple):
    """A file that is given out: its bytes, its type, and the name under which a browser keeps it where it is to be kept."""

    content: bytes
    kind: str
    name: str = ""


class CohortFiles:
    """Files of the cohorts of a server.

    Parameters
    ----------
    choice
        The cohorts.
    norms
        File of norms that pages show.
    """

    def __init__(self, choice: CohortChoice, *, norms: Path | None = None) -> None:
        self.choice, self.norms = choice, norms
        self._pages: OrderedDict[tuple[Path, str, str], dict[str, bytes]] = OrderedDict()
        self._drawing = threading.Lock()

    def find(self, cohort: str, path: str, query: Mapping[str, str], *, own: Path | None = None) -> CohortFile | None:
        """The file at an address; None where there is none.

        Parameters
        ----------
        cohort
            Name of the cohort.
        path
            Below the cohort: ``shown.tsv``, ``index.html``, ``scans/…``, ``figures/…`` or ``static/…``.
        query
            Of the address: ``filter`` of the table that is shown, as JSON.
        own
            The cohort of the visit.
        """
        try:
            if path == SHOWN:
                return shown_file(self.choice.open(cohort, own=own), query.get("filter", ""))
            folder = self.choice.folder_of(cohort, own=own)
            kind, _, name = path.partition("/")
            if kind == "static":
                return CohortFile((FOLDERS[1] / name).read_bytes(), TYPES[Path(name).suffix]) if name in STATIC else None
            if kind == "scans":
                return self._page(self.choice.open(cohort, own=own), path)
            return _reported(folder, path) if kind in ("index.html", "figures") else None
        except (RunError, OSError, ValueError):
            return None

    def _page(self, view: CohortView, path: str) -> CohortFile | None:
        """A file of the page of a scan: from the report where it is as new as the scan's record, else drawn."""
        scan = view.scan_of.get(path.removesuffix(".js").removesuffix(".html") + ".html")
        if scan is None:
            return None
        if is_current(view.folder, path, scan) and (found := _reported(view.folder, path)) is not None:
            return found
        content = self._drawn(view, scan).get(path)
        return None if content is None else CohortFile(_without_ratings(content), TYPES[Path(path).suffix])

    def _drawn(self, view: CohortView, scan: str) -> dict[str, bytes]:
        key = (view.folder, view.mark, scan)
        with self._drawing:
            if key not in self._pages:
                self._pages[key] = scan_page(view.report(norms=self.norms), scan)
            self._pages.move_to_end(key)
            while len(self._pages) > KEPT:
                self._pages.popitem(last=False)
            return self._pages[key]


def shown_file(view: CohortView, text: str) -> CohortFile:
    """The table of the scans that a filter leaves, as `shown_table` has it.

    Raises
    ------
    RunError
        ``USAGE``: the text is no filter.
    """
    asked = filter_from(text)
    rated = view.rated()
    table = shown_table(view, chosen_scans(view.scans, asked, rated), rated)
    return CohortFile(tsv(table), TSV_TYPE, SHOWN)


def filter_from(text: str) -> CohortFilter:
    """A filter from JSON of an address.

    Raises
    ------
    RunError
        ``USAGE``: the text is no filter.
    """
    try:
        given = json.loads(text) if text and len(text) <= LONGEST else {}
    except (ValueError, RecursionError) as error:
        raise RunError(Reason.USAGE, "the filter of the address cannot be read; load the page again") from error
    return filter_of(given if isinstance(given, dict) else {"?": ""})


def shown_table(view: CohortView, keep: Mask, rated: pd.Series) -> pd.DataFrame:
    """One row a scan: what became of it, its person, its volumes (mm³), flags, the rating that holds, and why to look at it."""
    rows = np.flatnonzero(keep)
    part, scans = view.table.isel(scan=rows), view.scans.iloc[rows]
    table = pd.DataFrame({"scan": scans.index, "dataset": scans["dataset"].to_numpy(), "status": scans["status"].to_numpy()})
    people = {name: part[name].values for name in view.columns if name not in table}
    volumes = {f"{str(name).removeprefix(VOLUME)}_mm3": scans[name].to_numpy() for name in scans if str(name).startswith(VOLUME)}
    why = ["; ".join(view.doubts.get(scan, ())) for scan in scans.index]
    last = {"flags": scans["flags"].to_numpy(), "rating": rated.iloc[rows].to_numpy(), "why_to_look": why}
    last |= {"duplicate_of": part["duplicate_of"].values} if "duplicate_of" in part else {}
    last |= {name: values for name in SCORES if np.isfinite(values := measure_of(part, name)).any()}
    own = {name: values for name, values in {**volumes, **last}.items() if name not in people}
    return pd.concat([table, pd.DataFrame({**people, **own}, index=table.index)], axis=1)


def is_current(folder: Path, path: str, scan: str) -> bool:
    """Whether the report of a cohort has a file that is as new as the record of its scan."""
    try:
        return (folder / REPORT / path).stat().st_mtime >= Path(str(record_path(folder / STORE, scan))).stat().st_mtime
    except OSError:
        return False


def _reported(folder: Path, path: str) -> CohortFile | None:
    """A file of the report, without its own ratings."""
    report = folder / REPORT
    found = file_of(report, f"/{path}") if inside(report, folder) else None
    return None if found is None else CohortFile(_without_ratings(found.read_bytes()), TYPES[found.suffix.lower()])


def _without_ratings(content: bytes) -> bytes:
    """A page without the script that would keep ratings in the browser only."""
    return RATING_SCRIPT.sub(b"", content)
