"""The scans of all sessions: taken in, read in a process of their own, measured one at a time, and given back to their session only."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from hypojax.app.scan_job import ScanJob, SessionFolder

if TYPE_CHECKING:
    from hypojax.execute import Segments
    from hypojax.reporting.section_pictures import SectionPicture


class ScanService:
    """Scans of all sessions on this machine; all methods may be called from any thread.

    Parameters
    ----------
    weights
        Folder of weights. Default: the released ones.
    norms
        File of norms (`hypojax norms`) to show each person against.
    load
        Gives the network; called in the engine's process, so it must be a function at the top of a module. Default: that of the weights.
    """

    def __init__(self, *, weights: Path | None = None, norms: Path | None = None, load: "Callable[[], Segments] | None" = None) -> None:
        self._weights, self._norms, self._load = weights, norms, load

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
        raise NotImplementedError

    def jobs(self, session: SessionFolder) -> tuple[ScanJob, ...]:
        """All scans of a session, in the order in which they came; also after a reload of the page or a restart of the server."""
        raise NotImplementedError

    def adopt(self, session: SessionFolder) -> None:
        """Take up a session of an earlier server: what waited or ran then is queued again."""
        raise NotImplementedError

    def is_busy(self, session: SessionFolder) -> bool:
        """Whether a scan of a session waits, is read or is measured."""
        raise NotImplementedError

    def forget(self, session_id: str) -> None:
        """Drop the jobs of a session whose files are about to be removed."""
        raise NotImplementedError

    def cancel(self, session: SessionFolder, job_id: str) -> None:
        """Cancel a scan of the session; nothing where it has none of this id, or it has ended."""
        raise NotImplementedError

    def volumes(self, session: SessionFolder) -> pd.DataFrame:
        """Rows of the session's ``volumes.tsv``; without rows where there is none yet."""
        raise NotImplementedError

    def summary(self, session: SessionFolder, job_id: str) -> Mapping[str, Any]:
        """What was found in a scan that is done, as JSON has it; empty otherwise.

        ``scan``, ``name``; ``volumes``: a list with ``region``, ``volume_mm3`` and what the page of the scan says beside it; ``flags``:
        codes; ``doubts``: sentences why somebody should look at the scan; ``quality``: rows in words; ``read``, as `ScanJob`.
        """
        raise NotImplementedError

    def file(self, session: SessionFolder, job_id: str, name: str) -> Path | None:
        """A file to hand out; None where there is none.

        Of a job: ``labels.nii.gz``, ``intracranial.nii.gz``, ``volumes.tsv``, ``page.html``, ``page.js``, ``scan.zip``. Of the job
        ``all``: ``all.zip`` and ``volumes.tsv``.
        """
        raise NotImplementedError

    def sections(self, session: SessionFolder, job_id: str) -> "Mapping[str, list[SectionPicture]]":
        """Pictures of the sections of a scan by plane (`section_pictures.scan_sections`); empty where there are none."""
        raise NotImplementedError

    def close(self) -> None:
        """End the engine and all readers; what waits or runs is taken up by the next server."""
        raise NotImplementedError
