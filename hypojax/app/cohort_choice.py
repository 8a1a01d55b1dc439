"""Which cohorts a visitor may look at: those in the folder that ``hypojax app --cohorts`` names, and the scans of her own visit.

A cohort is kept in memory until its ledger changes, so that a run that goes on is followed. Names are looked up in the list and never made
into paths; whatever lies outside the folder once links are followed is refused.
"""

import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import Final

from hypojax.app.cohort_view import STORE, CohortView, is_cohort, ledger_mark, read_view
from hypojax.reason import Reason, RunError, visible

OWN: Final = ".own"
"""Name of the cohort of a visit; folders whose names begin with a point are none of the list."""

KEPT: Final = 6
"""Cohorts that stay in memory."""

SLOW: Final = 1.0
FRESH: Final = 30.0
"""A cohort that took longer to open than ``SLOW`` seconds is opened anew ``FRESH`` seconds later at the earliest."""


class CohortChoice:
    """The cohorts of a server.

    Parameters
    ----------
    folder
        Whose folders are cohorts; one that is a cohort itself counts too. None: there are only those of visits.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._views: OrderedDict[Path, tuple[CohortView, float]] = OrderedDict()
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Names of all cohorts of the folder, in order; that of a visit is not among them."""
        return sorted(self._folders(), key=str.casefold)

    def folder_of(self, name: str, *, own: Path | None = None) -> Path:
        """Where a cohort lies, links followed.

        Parameters
        ----------
        name
            One of `names`, or `OWN`.
        own
            The cohort of the visit; None where there is none.

        Raises
        ------
        RunError
            ``NOTHING_FOUND``: there is no cohort of that name, or it lies elsewhere.
        """
        mine = own.resolve() if own is not None and (own / STORE).is_dir() else None
        found = mine if name == OWN else self._folders().get(name)
        if found is None:
            raise RunError(Reason.NOTHING_FOUND, f"there is no cohort {visible(str(name))!r} here; choose one of the list")
        return found

    def open(self, name: str, *, own: Path | None = None) -> CohortView:
        """A cohort as its ledger has it now; parameters and errors as `folder_of`.

        Raises
        ------
        RunError
            ``STORE_DAMAGED`` too.
        """
        folder = self.folder_of(name, own=own)
        with self._lock:
            known, until = self._views.get(folder, (None, 0.0))
            if known is not None and (time.monotonic() < until or known.mark == ledger_mark(folder / STORE)):
                self._views.move_to_end(folder)
                return known
            start = time.monotonic()
            view = read_view(name, folder)
            took = time.monotonic() - start
            self._views[folder] = view, time.monotonic() + FRESH if took > SLOW else 0.0
            while len(self._views) > KEPT:
                self._views.popitem(last=False)
            return view

    def _folders(self) -> dict[str, Path]:
        """Name → folder of every cohort, links followed; those that lead outside are left out."""
        if self.folder is None or not self.folder.is_dir():
            return {}
        top = self.folder.resolve()
        found = {top.name: top} if is_cohort(top, top) else {}
        try:
            parts = sorted(self.folder.iterdir())
        except OSError:
            return found
        return found | {path.name: path.resolve() for path in parts if not path.name.startswith(".") and is_cohort(path, top)}
