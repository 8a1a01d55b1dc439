"""A cohort in a few sentences and one table: what stands above everything else on its page."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from hypojax.cohort.ratings import REJECT, latest_ratings
from hypojax.monitoring.measures import in_words
from hypojax.reporting.doubts import cohort_doubts
from hypojax.reporting.report_data import ReportData
from hypojax.reporting.scan_counts import flow_sentence
from hypojax.schema import REGIONS
from hypojax.tables.cells import counted


class RegionRow(NamedTuple):
    """Volumes of a region over the measured scans, as text with the unit of ``region``."""

    region: str
    n: str
    mean: str
    deviation: str
    median: str
    smallest: str
    largest: str


def cohort_title(data: ReportData) -> str:
    """Its datasets, and how many scans; no names where the report is to be shared."""
    datasets = list(dict.fromkeys(str(name) for name in data.cohort["dataset"].values if name))
    scans = f"{data.cohort.sizes['scan']:,} scan{'s' if data.cohort.sizes['scan'] != 1 else ''}"
    if data.settings.share or not datasets:
        return f"A cohort of {scans}"
    return f"{datasets[0]}: {scans}" if len(datasets) == 1 else f"{len(datasets)} datasets: {scans}"


def summary(data: ReportData) -> list[str]:
    """What a reader should know first, in sentences."""
    return [
        flow_sentence(data),
        *_volumes(data),
        *_rejected(data),
        *_doubtful(data),
        *(f"{said[:1].upper()}{said[1:]}." for said in cohort_doubts(data.cohort)),
    ]


def region_rows(data: ReportData) -> list[RegionRow]:
    """Volumes by region: of the intracranial space in mL, of all others in mm³."""
    volumes = data.cohort["volume_mm3"]
    return [_row(region, volumes.sel(region=region).values) for region in REGIONS if region in volumes["region"].values]


def _row(region: str, volumes: np.ndarray) -> RegionRow:
    known = volumes[np.isfinite(volumes)]
    name = f"{in_words(region)}, {'mL' if region == 'icv' else 'mm³'}"
    if not known.size:
        return RegionRow(name, "0", *"–––––")
    digits = 0 if known.mean() >= 500 or region == "icv" else 1
    known = known / 1000 if region == "icv" else known
    deviation = known.std(ddof=1) if known.size > 1 else np.nan
    numbers = (known.mean(), deviation, np.median(known), known.min(), known.max())
    return RegionRow(name, f"{known.size:,}", *("–" if np.isnan(number) else f"{number:,.{digits}f}" for number in numbers))


def _volumes(data: ReportData) -> Iterator[str]:
    """Mean volumes of the hypothalamus and the head."""
    rows = {region: _row(region, data.cohort["volume_mm3"].sel(region=region).values) for region in ("hypothalamus", "icv")}
    for region, unit in (("hypothalamus", "mm³"), ("icv", "mL")):
        row = rows[region]
        if row.n == "1":
            yield f"The {in_words(region)} measures {row.mean} {unit}."
        elif row.n != "0":
            spread = f"(SD {row.deviation}, n = {row.n})".replace(" ", "\N{NO-BREAK SPACE}")
            yield f"The {in_words(region)} measures {row.mean} {unit} on average {spread}."


def _rejected(data: ReportData) -> Iterator[str]:
    """How many of the measured scans are rejected: what is on the page has them, a study has not."""
    done = data.cohort["scan"].values[data.cohort["status"].values == "done"].tolist()
    if rejected := int((latest_ratings(data.ratings, done)[0] == REJECT).sum()):
        yield f"{counted(rejected, 'measured scan is', many='measured scans are')} rated as reject, and still in these volumes."


def _doubtful(data: ReportData) -> Iterator[str]:
    """How many measured scans should be looked at."""
    done = data.cohort["status"].values == "done"
    doubtful = sum(bool(data.doubts.get(str(scan))) for scan in data.cohort["scan"].values[done])
    if doubtful:
        yield f"{counted(doubtful, 'measured scan')} should be looked at before you draw conclusions."
    elif done.any():
        yield "No doubtful scan was found among the measured ones."
