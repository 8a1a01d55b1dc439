"""Long tables, a row a scan and region, as wide ones, a row a scan."""

from typing import Final

import pandas as pd

from hypojax.reason import Reason, RunError, visible
from hypojax.schema import DATASET
from hypojax.study.people.numbers_read import cell_texts
from hypojax.study.people.region_columns import region_of, unit_of
from hypojax.study.people.scan_ids import SCAN_NAMES
from hypojax.study.study_settings import StudySettings
from hypojax.tables import SESSION_NAMES, SUBJECT_NAMES, find_column, plain

REGION_NAMES: Final = ("region", "structure", "structname", "roi", "roiname")

VALUE_NAMES: Final = ("volumemm3", "volume", "volumeml", "volumecm3", "volmm3", "vol")

UNCERTAINTY_NAMES: Final = ("uncertaintymm3", "uncertainty")

MISSING_REASON: Final = "missing_reason"


def long_columns(frame: pd.DataFrame) -> tuple[str, str] | None:
    """The columns of regions and of volumes, where a table has a row a scan and region; None where it has not.

    >>> long_columns(pd.DataFrame({"scan": ["a", "a"], "region": ["icv", "hypothalamus"], "volume_mm3": [1.5e6, 900.0]}))
    ('region', 'volume_mm3')
    """
    region, value = find_column(frame.columns, REGION_NAMES), find_column(frame.columns, VALUE_NAMES)
    if region is None or value is None or region_of(region) is not None:
        return None
    return region, value


def widened(frame: pd.DataFrame, settings: StudySettings, *, place: str) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """A long table with a row a scan, why volumes are missing, and the unit that the name of their column says.

    Parameters
    ----------
    frame
        With `long_columns`.
    settings
        Column of subjects.
    place
        Its name, for messages.

    Returns
    -------
    A column a region, ``<region>_uncertainty`` where there are uncertainties, and all columns that are the same in all rows of a scan;
    a column a region of reasons, or none; the unit, or nothing.

    Raises
    ------
    RunError
        ``USAGE``: it has no ids, or a region of one scan twice.
    """
    found = long_columns(frame)
    keys = _keys(frame, settings)
    if found is None or not keys:
        raise RunError(Reason.USAGE, f"{place} has a row a region and no column of ids; name it scan, or with --subject")
    region, value = found
    rows = pd.Series(pd.MultiIndex.from_frame(frame[keys].astype(str)).factorize()[0], index=frame.index)
    names = pd.Series([region_of(name) or name for name in cell_texts(frame[region])], index=frame.index)
    double = pd.DataFrame({"row": rows, "region": names}).duplicated().to_numpy()
    if double.any():
        where = frame.iloc[int(double.argmax())]
        who = " ".join(visible(str(where[name])) for name in keys)
        raise RunError(Reason.USAGE, f"{place} has {visible(str(where[region]))} of {who} more than once; keep one row for each")
    others = frame.drop(columns=[region, value])
    first = others.groupby(rows).nth(0)
    same = (others.groupby(rows).nunique(dropna=False) <= 1).all()
    volumes = _pivot(rows, names, frame[value])
    extra = [_pivot(rows, names, frame[name]).add_suffix("_uncertainty") for name in others if plain(str(name)) in UNCERTAINTY_NAMES]
    why = _pivot(rows, names, frame[MISSING_REASON]).fillna("") if MISSING_REASON in frame else pd.DataFrame()
    kept = first.loc[:, [bool(same[name]) and name not in volumes for name in first.columns]].reset_index(drop=True)
    return pd.concat([kept, volumes, *extra], axis=1), why, unit_of(value)


def _keys(frame: pd.DataFrame, settings: StudySettings) -> list[str]:
    """Columns that tell scans apart."""
    if scan := find_column(frame.columns, SCAN_NAMES):
        return [scan]
    subject = settings.subject or find_column(frame.columns, SUBJECT_NAMES)
    if subject is None or subject not in frame:
        return []
    session = find_column(frame.columns, SESSION_NAMES)
    return [*filter(lambda name: name in frame.columns, [DATASET.name]), subject, *filter(None, [session])]


def _pivot(rows: pd.Series, regions: pd.Series, values: pd.Series) -> pd.DataFrame:
    """One column a region, in the order in which they come."""
    table = pd.DataFrame({"row": rows, "region": regions, "value": values})
    found = table.pivot(index="row", columns="region", values="value")
    return found[list(dict.fromkeys(regions))].rename_axis(index=None, columns=None)
