"""A comparison of outputs from end to end: read, compare, write."""

from dataclasses import replace
from pathlib import Path

from hypojax.monitoring.batch import open_batches
from hypojax.monitoring.choice import Choice
from hypojax.monitoring.comparison import compare
from hypojax.monitoring.finding import Drift, frame
from hypojax.monitoring.limits import Limits
from hypojax.monitoring.page import html, markdown
from hypojax.monitoring.repeat import compare_repeats
from hypojax.monitoring.trend import trend_findings, trend_of
from hypojax.storage import Disk, on_disk
from hypojax.store.objects import place
from hypojax.tables.write import tsv


def drift(
    reference: Disk, new: Disk | None = None, *, out: Disk | None = None, choice: Choice | None = None, limits: Limits | None = None
) -> Drift:
    """What moved between two outputs of hypojax, or between parts of one: all that ``hypojax drift`` does.

    Parameters
    ----------
    reference
        Output folder of the reference; of both where ``new`` is left out.
    new
        Output folder of the new batch, or of the same scans with other weights.
    out
        Folder for the files of `write_drift`; nothing is written when left out.
    choice
        Which scans are new.
    limits
        What counts as moved.

    Raises
    ------
    RunError
        ``NOTHING_FOUND``, ``STORE_DAMAGED``, ``USAGE``, ``DISK_FULL`` or ``NOT_WRITABLE``.
    """
    reference, new = on_disk(reference), None if new is None else on_disk(new)
    batches = open_batches(reference, new, choice=choice)
    found = (compare_repeats if batches.same else compare)(batches.reference, batches.new, limits=limits)
    trend = trend_of(*dict.fromkeys(filter(None, (reference, new))))
    found = replace(found, findings=(*found.findings, *trend_findings(trend)), notes=(*batches.notes, *found.notes), trend=trend)
    return found if out is None else replace(found, paths=write_drift(found, out))


def write_drift(found: Drift, out: Disk) -> tuple[Path, Path, Path]:
    """Write ``drift.tsv``, ``drift.md`` and ``drift.html`` into a folder.

    Returns
    -------
    The three paths.

    Raises
    ------
    RunError
        ``DISK_FULL`` or ``NOT_WRITABLE``.
    """
    folder = on_disk(out)
    table, text, page = folder / "drift.tsv", folder / "drift.md", folder / "drift.html"
    place(table, tsv(frame(found)))
    place(text, markdown(found).encode())
    place(page, html(found).encode())
    return table, text, page
