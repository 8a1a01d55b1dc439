"""Settings of a report: arguments of the library and options of ``hypojax report``."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ReportSettings:
    """Settings of a report.

    Parameters
    ----------
    scans
        Which scans get a page of their own: all, flagged (those with a quality flag or a doubt), or their names. Default: all where there
        are up to 500, flagged beyond that.
    share
        Make pages that may be passed on: no names of scans, people, datasets or raters, no dates, no paths of files, no messages that hold
        them, and of participants' columns only those of --columns.
    whole_head
        Show heads with their faces, and the whole head in the viewer; without it what lies beyond 15 mm outside the intracranial mask is
        blank.
    norms
        File of norms (`hypojax norms`) to show each person against.
    columns
        Participants' columns to show, beside age, sex, group and site.
    jobs
        Processes that draw pages; 0: one for each processor.
    """

    scans: tuple[str, ...] = ()
    share: bool = False
    whole_head: bool = False
    norms: Path | None = None
    columns: tuple[str, ...] = ()
    jobs: int = 0
