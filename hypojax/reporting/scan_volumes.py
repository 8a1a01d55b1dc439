"""Volumes of one scan against those of its cohort: a row a region, with a strip that shows where it lies, as SVG."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import xarray as xr
from jaxtyping import Float64
from markupsafe import Markup

from hypojax.reason import HypojaxError, visible
from hypojax.reporting.reason_words import gap_words
from hypojax.schema import LABELS, REGIONS, SUBUNITS

WIDTH, HEIGHT, EDGE = 260, 26, 8
"""Of a strip: its width and height, and what is left free at either end, pixels."""

TICKS: Final = 150
"""Scans that a strip marks one by one; of more it shows so many, evenly taken from the smallest to the largest."""

SHOWN: Final = (2.5, 97.5)
"""Percentiles of the others that lie on a strip for sure."""

LEAST_OTHERS: Final = 5
"""Others from which on a scan is ranked among them."""

ORDER: Final = (*REGIONS[:4], *(f"{side}_{subunit}" for subunit in SUBUNITS for side in ("left", "right")))
"""Regions as a page lists them: subunits with left and right beside each other."""


@dataclass(frozen=True)
class VolumeRow:
    """One region of one scan.

    Parameters
    ----------
    region
        As the table has it.
    name
        In words.
    subunit
        Number of its colour, 1 to 5; 0 for wholes.
    volume, uncertainty
        mm³, NaN where missing.
    missing
        Why there is no volume, in words; empty where there is one.
    share
        Thousandths of the intracranial volume; NaN where either is missing.
    strip
        Where it lies among the others.
    rank
        The same in words.
    centile
        Of the norms, in words; empty without norms.
    """

    region: str
    name: str
    subunit: int
    volume: float
    uncertainty: float
    missing: str
    share: float
    strip: Markup
    rank: str
    centile: str = ""


def volume_rows(cohort: xr.Dataset, scan: str, *, norms: Path | None = None) -> tuple[list[VolumeRow], str]:
    """All regions of a scan, and a sentence on the norms: what they are, or why there are none; empty where none were asked for.

    Parameters
    ----------
    cohort
        As `hypojax.open_cohort` gives it.
    scan
        Its id.
    norms
        File of norms.
    """
    row = cohort[["volume_mm3", "uncertainty_mm3", "missing_reason"]].sel(scan=scan).compute()
    others = cohort["volume_mm3"].where(cohort["scan"] != scan).to_numpy()
    regions = [str(region) for region in cohort["region"].values]
    head = float(row["volume_mm3"].sel(region="icv").item())
    centiles, said = norms_centiles(cohort, scan, norms) if norms else ({}, "")
    rows = []
    for region in (region for region in ORDER if region in regions):
        here = row.sel(region=region)
        volume, known = float(here["volume_mm3"].item()), others[:, regions.index(region)]
        known = known[np.isfinite(known)]
        reason = str(here["missing_reason"].item())
        rows.append(
            VolumeRow(
                region=region,
                name=region_in_words(region),
                subunit=SUBUNITS.index(region.split("_", 1)[1]) + 1 if region in LABELS.values() else 0,
                volume=volume,
                uncertainty=float(here["uncertainty_mm3"].item()),
                missing="" if np.isfinite(volume) else gap_words(reason).words if reason else "not measured",
                share=float("nan") if region == "icv" else 1000 * volume / head,
                strip=strip(known, volume, float(here["uncertainty_mm3"].item())),
                rank=rank_in_words(known, volume),
                centile=centiles.get(region, ""),
            )
        )
    return rows, said


def region_in_words(region: str) -> str:
    """A region as people say it.

    >>> region_in_words("icv"), region_in_words("hypothalamus_left"), region_in_words("left_superior_tubular")
    ('intracranial volume', 'hypothalamus, left', 'superior tubular, left')
    """
    if region == "icv":
        return "intracranial volume"
    first, _, last = region.partition("_")
    if first in {"left", "right"}:
        return f"{last.replace('_', ' ')}, {first}"
    return f"{first}, {last}" if last else "hypothalamus, whole"


def rank_in_words(others: Float64[np.ndarray, "n"], volume: float) -> str:
    """Where a volume lies among others.

    >>> rank_in_words(np.arange(10.0), 7.5), rank_in_words(np.arange(10.0), 20.0), rank_in_words(np.arange(3.0), 1.0)
    ('larger than 8 of 10', 'largest of 11', '')
    """
    if len(others) < LEAST_OTHERS or not np.isfinite(volume):
        return ""
    smaller = int((others < volume).sum())
    if smaller in {0, len(others)}:
        return f"{'largest' if smaller else 'smallest'} of {len(others) + 1:,}"
    if len(others) < 100:
        return f"larger than {smaller} of {len(others)}"
    share = min(max(round(100 * smaller / len(others)), 1), 99)  # neither the smallest nor the largest
    return f"larger than {share} % of {len(others):,}"


def strip(others: Float64[np.ndarray, "n"], volume: float, uncertainty: float) -> Markup:
    """Other scans as ticks, their middle half as a box with the median, and this scan with its uncertainty, on one line.

    A scan beyond the end of the line is drawn as an arrow there.
    """
    if not len(others):
        return Markup("")
    low, high = np.percentile(others, SHOWN).tolist()
    margin = 0.3 * max(high - low, 1e-3 * abs(high), 1e-9)
    low, high = low - margin, high + margin

    def at(value: float) -> float:
        place = EDGE + (WIDTH - 2 * EDGE) * (value - low) / (high - low)
        return round(float(min(max(place, EDGE), WIDTH - EDGE)), 1)

    inside = np.sort(others[(others >= low) & (others <= high)])
    taken = inside[np.unique(np.linspace(0, len(inside) - 1, min(TICKS, len(inside))).round().astype(int))] if len(inside) else inside
    middle = HEIGHT // 2
    ticks = "".join(f"M{at(value):g},{middle - 5}v10" for value in taken.tolist())
    quarter, median, three = (at(float(value)) for value in np.percentile(others, (25, 50, 75)))
    parts = [f'<path class="rule" d="M{EDGE},{middle}H{WIDTH - EDGE}"/>']
    if len(others) >= LEAST_OTHERS:
        parts.append(f'<rect class="box" x="{quarter:g}" y="{middle - 8}" width="{max(three - quarter, 1):g}" height="16"/>')
        parts.append(f'<path class="median" d="M{median:g},{middle - 8}v16"/>')
    parts.append(f'<path class="axis ticks" d="{ticks}"/>')
    if np.isfinite(volume):
        parts.append(_own(volume, uncertainty, at, within=low <= volume <= high, below=volume < low))
    view = f'<svg class="drawing strip" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" aria-hidden="true">'
    return Markup(f"{view}{''.join(parts)}</svg>")  # noqa: S704 - numbers only


def _own(volume: float, uncertainty: float, place: Callable[[float], float], *, within: bool, below: bool) -> str:
    """The scan itself on its strip."""
    middle = HEIGHT // 2
    if not within:
        tip, back = (1, EDGE + 2) if below else (WIDTH - 1, WIDTH - EDGE - 2)
        return f'<path class="mark" d="M{tip},{middle}L{back},{middle - 6}V{middle + 6}Z"/>'
    spread = uncertainty if np.isfinite(uncertainty) else 0.0
    line = f'<path class="interval" stroke-width="2" d="M{place(volume - spread):g},{middle}H{place(volume + spread):g}"/>'
    return f'{line}<circle class="mark" cx="{place(volume):g}" cy="{middle}" r="4.5"/>'


def norms_centiles(cohort: xr.Dataset, scan: str, norms: Path) -> tuple[dict[str, str], str]:
    """Region → centile of the norms in words, and a sentence on the norms, or why there is no centile.

    A fault of the norms, or of what they need to know of a person, costs the centiles and no page.
    """
    from hypojax.study import apply_norms

    try:
        scores = apply_norms(_norms(norms), cohort.drop_dims(["anterior", "head_anterior"], errors="ignore").sel(scan=[scan]))
    except (HypojaxError, OSError, ValueError, KeyError) as error:
        return {}, f"No centiles of the norms: {visible(' '.join(str(error).split()))}"
    found = {}
    for region in (str(region) for region in scores["region"].values):
        centile, low, high = (float(scores[name].sel(scan=scan, region=region)) for name in ("centile", "centile_low", "centile_high"))
        if np.isfinite(centile):
            found[region] = f"{centile:.0f} ({low:.0f}–{high:.0f})"
    if not found:
        return {}, "No centiles of the norms: age, sex or head size of this scan is missing."
    beyond = bool(scores["extrapolated"].sel(scan=scan).item()) if "extrapolated" in scores else False
    warning = " This person is outside what the norms were made from (age, head size or site): read the centiles with care." * beyond
    return found, f"Centiles are those of the norms for this age, sex and head size, with their 95 % intervals.{warning}"


@lru_cache(maxsize=2)
def _norms(path: Path) -> xr.Dataset:
    """The norms, read once in a process."""
    from hypojax.study.writing.study_extras import open_norms

    return open_norms(str(path))
