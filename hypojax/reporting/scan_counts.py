"""What became of all scans: the flow from those found to those measured, why others failed, and which volumes are missing."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import xarray as xr
from jaxtyping import Bool

from hypojax.cohort.ratings import ACCEPT, DOUBT, REJECT, latest_ratings
from hypojax.monitoring.measures import in_words
from hypojax.reporting.reason_words import ReasonWords, failure_words, gap_words
from hypojax.reporting.report_data import ReportData
from hypojax.schema import REGIONS
from hypojax.tables.cells import counted

Mask = Bool[np.ndarray, " scan"]

MESSAGES: Final = 40
"""Failed scans of one reason that are named; a table of all is on the page, and in ``volumes.tsv``."""

WHOLE_REGIONS: Final = 4
"""The head, the hypothalamus and its sides: the first of `REGIONS`."""


@dataclass(frozen=True)
class Aside:
    """Scans that go no further, or that are marked: how many, and why."""

    count: int
    words: str


@dataclass(frozen=True)
class FlowStep:
    """A box of the flow: scans that came so far, what they are, and beside it those that did not."""

    count: int
    words: str
    asides: tuple[Aside, ...] = ()


@dataclass(frozen=True)
class Failure:
    """Scans that failed for one reason."""

    reason: str
    count: int
    said: ReasonWords
    scans: tuple[tuple[str, str], ...]
    """Name and message of the first ones."""


@dataclass(frozen=True)
class Gap:
    """Volumes that are missing for one reason in the same scans."""

    regions: str
    count: int
    said: ReasonWords


def flow(data: ReportData) -> list[FlowStep]:
    """The flow of scans, from those found to those without doubts."""
    cohort = data.cohort
    status = cohort["status"].values
    done, failed, waiting = (status == word for word in ("done", "failed", "pending"))
    reasons = Counter(failure_words(str(reason)).words for reason in cohort["reason"].values[failed])
    gone = [Aside(count, f"failed: {words}") for words, count in reasons.most_common()]
    gone += [Aside(int(waiting.sum()), "not measured yet")] if waiting.any() else []
    gaps = [Aside(gap.count, f"no {gap.regions}: {gap.said.words}") for gap in gaps_of(cohort)]
    doubtful = done & _marked(data, data.doubts)
    sound = int((done & ~doubtful).sum())
    return [
        FlowStep(cohort.sizes["scan"], "found", tuple(gone)),
        FlowStep(int(done.sum()), "measured", tuple(gaps)),
        FlowStep(sound, "without doubts", (Aside(int(doubtful.sum()), "doubtful, to be looked at"),) if doubtful.any() else ()),
    ]


def count_rows(data: ReportData) -> list[tuple[str, int, str]]:
    """Scans by what is known of them: words, count, and what the share is of."""
    cohort = data.cohort
    status, found = cohort["status"].values, cohort.sizes["scan"]
    done = status == "done"
    flags = dict(zip(cohort["flag"].values.tolist(), (cohort["flagged"].values & done[:, None]).T, strict=True))
    rows = [
        ("found", found, found),
        ("failed", int((status == "failed").sum()), found),
        ("not measured yet", int((status == "pending").sum()), found),
        ("measured", int(done.sum()), found),
        ("skull-stripped: no intracranial volume", int(flags.get("skull_stripped", np.zeros(found)).sum()), int(done.sum())),
        ("with a quality flag", int((cohort["flagged"].values.any(axis=1) & done).sum()), int(done.sum())),
        ("doubtful", int((_marked(data, data.doubts) & done).sum()), int(done.sum())),
        ("with the same voxels as another scan", int((cohort["duplicate_of"].values != "").sum()), found),
        *_rated(data, found),
    ]
    shown = [row for row in rows if row[1] or row[0] in ("found", "failed", "measured", "doubtful")]
    return [(words, count, f"{count / of:.1%}".replace("%", " %") if of else "–") for words, count, of in shown]


def failures(data: ReportData) -> list[Failure]:
    """Failed scans by reason, the most frequent first, with names and messages of the first ones."""
    cohort = data.cohort
    by_reason: dict[str, list[int]] = defaultdict(list)
    for row in np.flatnonzero(cohort["status"].values == "failed").tolist():
        by_reason[str(cohort["reason"].values[row])].append(row)
    scans, messages = cohort["scan"].values, cohort["message"].values
    found = []
    for reason, rows in sorted(by_reason.items(), key=lambda entry: (-len(entry[1]), entry[0])):
        named = tuple((data.names[str(scans[row])], "" if data.settings.share else str(messages[row])) for row in rows[:MESSAGES])
        found.append(Failure(reason, len(rows), failure_words(reason), named))
    return found


def gaps_of(cohort: xr.Dataset) -> list[Gap]:
    """Volumes that measured scans do not have, with the reason; regions that are missing in the same scans are one row."""
    done = cohort["status"].values == "done"
    missing = np.isnan(cohort["volume_mm3"].values) & done[:, None]
    why = cohort["missing_reason"].values
    alike: dict[tuple[str, bytes], list[int]] = defaultdict(list)
    for region in np.flatnonzero(missing.any(axis=0)).tolist():
        for reason in sorted({str(word) for word in why[missing[:, region], region]}):
            alike[reason, (missing[:, region] & (why[:, region] == reason)).tobytes()].append(region)
    return [Gap(_regions(regions), int(np.frombuffer(mask, bool).sum()), gap_words(reason)) for (reason, mask), regions in alike.items()]


def unknown_people(data: ReportData) -> list[tuple[str, int]]:
    """Columns of people that some measured scans have no value of, and in how many."""
    done = data.people[data.cohort["status"].values == "done"]
    empty = {str(name): int((values.isna() | (values.astype(str) == "")).sum()) for name, values in done.items()}
    return [(name, count) for name, count in empty.items() if count]


def _regions(regions: Sequence[int]) -> str:
    """Regions in words: the hypothalamus with its parts is one."""
    if set(range(1, len(REGIONS))) <= set(regions):
        return "hypothalamus" if 0 not in regions else "hypothalamus and intracranial volume"
    return ", ".join(in_words(REGIONS[region]) for region in regions)


def _marked(data: ReportData, marks: Mapping[str, Sequence[str]]) -> Mask:
    return np.array([bool(marks.get(str(scan))) for scan in data.cohort["scan"].values], bool)


def _rated(data: ReportData, found: int) -> Iterator[tuple[str, int, int]]:
    """How scans were rated, where any was."""
    latest, _ = latest_ratings(data.ratings, [str(scan) for scan in data.cohort["scan"].values])
    said = Counter(str(rating) for rating in latest if rating)
    for rating in (ACCEPT, DOUBT, REJECT):
        yield f"rated: {rating}", said[rating], found


def flow_sentence(data: ReportData) -> str:
    """The flow in one sentence, for the paragraph above everything else."""
    status = data.cohort["status"].values
    done, failed, waiting = (int((status == word).sum()) for word in ("done", "failed", "pending"))
    parts = [f"{done:,} of {counted(len(status), 'scan')} {'is' if done == 1 else 'are'} measured"]
    if done == len(status) > 1:
        parts = [f"All {done:,} scans are measured"]
    parts += [f"{failed:,} failed"] if failed else []
    parts += [f"{waiting:,} {'is' if waiting == 1 else 'are'} not measured yet"] if waiting else []
    return f"{', '.join(parts)}."
