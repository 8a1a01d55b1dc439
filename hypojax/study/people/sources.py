"""Where the volumes of a study come from: a cohort, wherever it is stored, or a table, whatever wrote it."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import xarray as xr

from hypojax.cohort.opening import open_table
from hypojax.reason import WrongTypeError
from hypojax.storage import locate
from hypojax.study.people.cohort_volumes import cohort_volumes
from hypojax.study.people.measurements import Measurements
from hypojax.study.people.table_file import TableFile, is_table, read_frame
from hypojax.study.people.table_volumes import table_volumes
from hypojax.study.study_settings import StudySettings

STORE = "cohort.zarr"


def measurements_of(source: xr.Dataset | pd.DataFrame | str | Path, settings: StudySettings, *, outcome: str | None = None) -> Measurements:
    """Volumes and people of a cohort (a Dataset, its store, the output folder of a run, a URL), or of a table (a file, a pandas table).

    Parameters
    ----------
    source
        Where they are.
    settings
        Regions, unit, and the column of subjects.
    outcome
        Of the formula, where it names one region.

    Raises
    ------
    RunError
        ``USAGE`` or ``NOTHING_FOUND``: there are none, or two rows have one id; ``STORE_DAMAGED``.

    Examples
    --------
    >>> table = pd.DataFrame({"subject": ["a", "b"], "hypothalamus_mm3": [900.0, 950.0]})
    >>> measurements_of(table, StudySettings()).volumes.hypothalamus.tolist()
    [900.0, 950.0]
    """
    if isinstance(source, xr.Dataset):
        return cohort_volumes(source, settings, outcome=outcome)
    if isinstance(source, pd.DataFrame):
        return table_volumes(TableFile(_flat(source), "the table", {}), settings, outcome=outcome)
    if not isinstance(source, str | Path):
        raise WrongTypeError("a study takes a Dataset, a pandas table, a folder or a table file", source)
    place = locate(source)
    if is_table(place):
        found = table_volumes(read_frame(place, strict=settings.strict_tables), settings, outcome=outcome)
        return replace(found, folder=place.parent)
    folder = place.parent if place.name == STORE else place
    return replace(cohort_volumes(open_table(source), settings, outcome=outcome), folder=folder)


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """A table whose index, where it holds names, is a column; of an index without a name it is ``scan``."""
    has_names = any(name is not None for name in frame.index.names)
    is_counted = isinstance(frame.index, pd.RangeIndex) or pd.api.types.is_integer_dtype(frame.index)
    if (is_counted and not has_names) or any(name in frame.columns for name in frame.index.names):
        return frame.reset_index(drop=True)
    return frame.reset_index(names=[str(name) if name is not None else "scan" for name in frame.index.names])
