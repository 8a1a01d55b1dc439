"""Figures of one scan as files for a paper: its sections with outlines, as SVG and PNG of 300 dpi."""

import re
from pathlib import Path
from typing import Final

from hypojax.pages.figures import blank_figure
from hypojax.plot.house_style import PAGE, save
from hypojax.plot.mosaics import outlines
from hypojax.plot.sections import PLANES
from hypojax.reason import Reason, RunError, visible
from hypojax.reporting.report_data import ReportData
from hypojax.storage import Disk, on_disk

HEIGHT: Final = PAGE / 2
"""Of a figure, inches; what of it stays empty is cut off."""


def write_figures(data: ReportData, scan: str, folder: Disk) -> list[Path]:
    """Write the coronal, sagittal and axial sections of a scan as figures.

    Parameters
    ----------
    data
        What the report is drawn from.
    scan
        Its id.
    folder
        Where the files go; made when it does not exist.

    Returns
    -------
    ``SCAN_coronal.svg``, ``SCAN_coronal.png`` and so on.

    Raises
    ------
    RunError
        ``USAGE``: there is no such scan, it has no posterior, or the extra ``report`` is not installed.
    OSError
        They cannot be written.
    """
    if scan not in data.order:
        raise RunError(Reason.USAGE, f"--figure {visible(scan)}: no such scan; volumes.tsv has all ids in its column scan")
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", data.names[scan])
    return [file for plane in PLANES for file in _write(data, scan, on_disk(folder) / f"{name}_{plane}", plane)]


def _write(data: ReportData, scan: str, path: Path, plane: str) -> tuple[Path, Path]:
    ax = blank_figure(PAGE, HEIGHT).subplots()
    return save(outlines(data.cohort, scan, plane=plane, ax=ax), path)
