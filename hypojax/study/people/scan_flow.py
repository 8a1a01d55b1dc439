"""What became of every scan: the flow of counts from those found to those analysed."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool

from hypojax.cohort.ratings import DOUBT, REJECT, latest_ratings, read_ratings
from hypojax.reason import Reason, RunError, visible
from hypojax.schema import FLAG_TEXT
from hypojax.study.people.measurements import DUPLICATE, MESSAGE, RATING, REASON, STATUS, Measurements
from hypojax.study.people.numbers_read import cell_texts
from hypojax.tables.cells import counted

Mask = Bool[np.ndarray, " scan"]

SHOWN: Final = 3

NO_FLAGS: Final = frozenset({"", "0", "false", "no", "none", "-"})
"""What a table has where a scan carries no flag."""


class FlowRow(NamedTuple):
    """One line of the flow of scans.

    Parameters
    ----------
    what
        ``found``, ``failed``, ``not run``, ``duplicates``, ``rejected by hand``, ``without volume``, ``without covariates``, ``analysed``,
        and of those analysed ``flagged`` and ``doubted``. Lines of no scan are left out, but for ``found`` and ``analysed``.
    count
        Scans.
    ids
        Their ids; none for ``found`` and ``analysed``.
    sentence
        The same in words, with the reasons.
    """

    what: str
    count: int  # type: ignore[assignment]
    ids: tuple[str, ...]
    sentence: str


class ScanFlow:
    """Scans that are left, and what became of the others.

    Parameters
    ----------
    scans
        All scans found.

    Attributes
    ----------
    kept
        Those that are left.
    rows
        The flow so far.
    """

    def __init__(self, scans: Sequence[str]) -> None:
        self.scans = list(scans)
        self.kept: Mask = np.ones(len(self.scans), dtype=bool)
        self.rows = [FlowRow("found", len(self.scans), (), f"{counted(len(self.scans), 'scan')} found")]

    def leave_out(self, what: str, gone: Mask, why: Sequence[str] = ()) -> None:
        """Leave out those of the scans left that are marked, each with its reason."""
        numbers = np.flatnonzero(gone & self.kept).tolist()
        self.kept = self.kept & ~gone
        if not numbers:
            return
        ids = tuple(self.scans[number] for number in numbers)
        reasons = Counter(why[number] for number in numbers if why and why[number])
        said = "; ".join(f"{reason} ({count})" for reason, count in reasons.most_common(6))
        self.rows.append(FlowRow(what, len(ids), ids, f"{counted(len(ids), 'scan')} {what}: {said + '; ' if said else ''}{shown(ids)}"))

    def end(self, flagged: Mask, doubted: Mask) -> None:
        """Say how many are analysed, and how many of them are marked."""
        self.rows.append(FlowRow("analysed", int(self.kept.sum()), (), f"{counted(int(self.kept.sum()), 'scan')} analysed"))
        for what, marked in (("flagged", flagged), ("doubted", doubted)):
            ids = tuple(self.scans[number] for number in np.flatnonzero(marked & self.kept).tolist())
            if ids:
                self.rows.append(FlowRow(what, len(ids), ids, f"{len(ids)} of these {what}, and kept: {shown(ids)}"))


def shown(ids: Sequence[str]) -> str:
    """The first ids.

    >>> shown(["a", "b", "c", "d"])
    'a, b, c and 1 more'
    """
    named = ", ".join(visible(one) for one in ids[:SHOWN])
    return f"{named} and {len(ids) - SHOWN} more" if len(ids) > SHOWN else named


def left_out(found: Measurements, people: pd.DataFrame) -> tuple[ScanFlow, Mask, Mask, list[str]]:
    """The flow up to scans without any volume; which scans are flagged and doubted; and notes.

    Raises
    ------
    RunError
        ``USAGE``: no scan is left.
    """
    flow = ScanFlow([str(scan) for scan in people.index])
    texts = {name: cell_texts(people[name]) if name in people else [""] * len(people) for name in (STATUS, REASON, MESSAGE, DUPLICATE)}
    status = np.array(texts[STATUS], dtype=object)
    flow.leave_out("failed", _equal(status, "failed"), texts[REASON])
    flow.leave_out("not run", _equal(status, "pending"))
    twins = np.array([bool(name) for name in texts[DUPLICATE]], dtype=bool)
    flow.leave_out("duplicates", twins, [f"same voxels as {visible(name)}" if name else "" for name in texts[DUPLICATE]])
    rating, notes = _ratings(found, people, flow.scans)
    flow.leave_out("rejected by hand", _equal(rating, REJECT))
    without = found.volumes[list(found.regions)].isna().all(axis=1).to_numpy()
    flow.leave_out("without volume", without, _why(found, without))
    if not flow.kept.any():
        why = "; ".join(row.sentence for row in flow.rows)
        raise RunError(Reason.USAGE, f"no scan is left: {why}; measure more scans, or name another SOURCE")
    flags = cell_texts(people[FLAG_TEXT.name]) if FLAG_TEXT.name in people else [""] * len(people)
    return flow, np.array([text.casefold() not in NO_FLAGS for text in flags], dtype=bool), _equal(rating, DOUBT), notes


def missing_volumes(found: Measurements, kept: Mask) -> list[str]:
    """A sentence on the regions without a volume in some of the scans that are analysed; regions with the same scans in one."""
    gone = found.volumes[list(found.regions)].isna().to_numpy()[kept]
    alike: dict[bytes, list[int]] = {}
    for number in np.flatnonzero(gone.any(axis=0)).tolist():
        alike.setdefault(gone[:, number].tobytes(), []).append(number)
    said = []
    for numbers in alike.values():
        names = [visible(found.regions[number]) for number in numbers]
        region = found.regions[numbers[0]]
        words = found.why_missing[region].to_numpy(dtype=object)[kept] if region in found.why_missing else []
        why = ", ".join(f"{word} ({count})" for word, count in Counter(str(word) for word in words if word).most_common(SHOWN))
        listed = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        count = int(gone[:, numbers[0]].sum())
        said.append(f"{listed}: no volume in {count} of {counted(len(gone), 'scan')}{f': {why}' if why else ''}")
    return said


def _equal(values: np.ndarray, word: str) -> Mask:
    return np.array([value == word for value in values], dtype=bool)


def _ratings(found: Measurements, people: pd.DataFrame, scans: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Rating of each scan: of the table beside the cohort, else of a column."""
    table, notes = read_ratings(found.folder)
    if not len(table) and RATING in people:
        table = pd.DataFrame({"scan": list(scans), "rater": "", "rating": list(people[RATING]), "time": ""}, dtype=object)
    rating, said = latest_ratings(table, scans)
    return rating.to_numpy(dtype=object), [*notes, *said]


def _why(found: Measurements, without: Mask) -> list[str]:
    """Why each scan has no volume, in the words of the cohort."""
    regions = [region for region in found.regions if region in found.why_missing]
    if not regions:
        return [""] * len(without)
    words = found.why_missing[regions].to_numpy(dtype=object)
    return [", ".join(dict.fromkeys(str(word) for word in row if word)) for row in words]
