"""The average image and the probability map of a cohort on its page, patients and controls side by side.

Only scans whose rating is not ``reject`` are averaged (`hypojax.plot.average` says how).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from jaxtyping import Float32
from markupsafe import Markup

from hypojax.cohort.ratings import REJECT, latest_ratings
from hypojax.plot.average import HALF, LEVELS, MOST, GroupAverage, average_scans
from hypojax.plot.sections import distance_title, level_lines, upright
from hypojax.reporting.report_data import ReportData
from hypojax.reporting.section_pictures import encoded, enlarged, svg_path
from hypojax.tables.cells import counted

OFFSETS: Final = (6, 4, 2, 0, -2, -4, -6)
"""Coronal sections, mm in front of the middle of the hypothalamus."""

SCALE: Final = 5
"""Pixels a millimetre."""

MOST_GROUPS: Final = 4
"""Groups that are drawn, the largest ones."""


def group_averages(data: ReportData) -> Markup | None:
    """Averages of each group, the largest four of them, or of the whole cohort where no group is known; None where nothing is measured.

    Takes about 15 ms a scan for at most 200 scans of a group.

    Raises
    ------
    HypojaxError
        USAGE: the extra ``report`` is not installed.
    """
    groups, notes = _groups(data)
    found = [average for name, scans in groups.items() if (average := average_scans(data.cohort, scans, name=name))]
    if not found:
        return None
    window = found[0].window
    strips = Markup("").join(_strip(average, window) for average in found)
    return Markup("<p>{}</p>{}{}").format(_explanation(found, notes), _legend(), strips)


def _groups(data: ReportData) -> tuple[dict[str, list[str]], list[str]]:
    """Name of a group → its measured scans that nobody rejected; and sentences on what is left out."""
    scans = [str(scan) for scan in data.cohort["scan"].values]
    ratings = latest_ratings(data.ratings, scans)[0].to_numpy(object) if len(data.ratings) else [""] * len(scans)
    status = data.cohort["status"].values.tolist()
    measured = [scan for scan, state in zip(scans, status, strict=True) if state == "done"]
    rejected = {scan for scan, rating in zip(scans, ratings, strict=True) if rating == REJECT}
    kept = [scan for scan in measured if scan not in rejected]
    notes = [f"{counted(len(measured) - len(kept), 'scan')} rated as reject left out."] if len(kept) < len(measured) else []
    if "group" not in data.people:
        return {"": kept}, notes
    group = data.people["group"].dropna().astype(str)
    named: dict[str, list[str]] = {}
    for scan in kept:
        if group.get(scan):
            named.setdefault(group[scan], []).append(scan)
    if not named:
        return {"": kept}, notes
    if unknown := len(kept) - sum(map(len, named.values())):
        notes.append(f"{counted(unknown, 'scan')} of no known group left out.")
    largest = sorted(named, key=lambda name: -len(named[name]))[:MOST_GROUPS]
    if len(largest) < len(named):
        notes.append(f"The {MOST_GROUPS} largest of {len(named)} groups are shown.")
    return {name: named[name] for name in sorted(largest)}, notes


def _explanation(found: Sequence[GroupAverage], notes: Sequence[str]) -> str:
    """What is shown."""
    spaced = f"For speed {MOST} evenly spaced scans of a larger group stand for it. " if any(one.of > MOST for one in found) else ""
    lost = sum(min(one.of, MOST) - one.scans for one in found)
    without = f"{counted(lost, 'scan')} without a hypothalamus that can be read left out. " if lost else ""
    return (
        "Mean image of the scans near the centre of the hypothalamus, from front to back. Scans are aligned by this centre only, without "
        "any other registration. Lines enclose the places that are hypothalamus in 25, 50 and 75 % of the scans. The left of the head is "
        "on the left. "
        f"{spaced}{without}{' '.join(notes)}"
    ).strip()


def _legend() -> Markup:
    """What the lines mean."""
    line = Markup('<li><svg width="22" height="8" aria-hidden="true"><path d="M0 4h22" stroke="{}" stroke-width="{}"/></svg> {} %</li>')
    items = Markup("").join(line.format(colour, 2, round(100 * level)) for level, colour in LEVELS.items())
    return Markup('<ul class="legend">{}</ul>').format(items)


def _strip(average: GroupAverage, window: tuple[float, float]) -> Markup:
    """The sections of one group."""
    name = f"{average.name}, " if average.name else ""
    of = f" of {average.of:,}" if average.scans < average.of else ""
    pictures = Markup("").join(_section(average, offset, window) for offset in OFFSETS)
    heading = f"{name}n = {average.scans:,}{of}"
    return Markup('<figure class="averages"><figcaption>{}</figcaption><div class="strip">{}</div></figure>').format(heading, pictures)


def _section(average: GroupAverage, offset: int, window: tuple[float, float]) -> Markup:
    """One section of a group: mean image and lines of the probability map."""
    image, probability = (upright(volume[HALF + offset], "coronal") for volume in (average.image, average.probability))
    picture = encoded(image, window, scale=SCALE)
    lines = Markup("").join(_line(enlarged(probability, SCALE), level) for level in LEVELS)
    title = distance_title(offset)
    alt = f"Mean coronal section of {average.name or 'the cohort'}, {title}, with lines of the probability of hypothalamus"
    return Markup(
        '<div><span class="small">{}</span><div class="picture"><img src="{}" width="{}" height="{}" alt="{}">'
        '<svg viewBox="0 0 {} {}" aria-hidden="true">{}</svg></div></div>'
    ).format(title, picture.source, picture.width, picture.height, alt, picture.width, picture.height, lines)


def _line(probability: Float32[np.ndarray, "rows columns"], level: float) -> Markup:
    """The line of one probability."""
    path = svg_path([line + 0.5 for line in level_lines(probability, level)], "probability", inset=0.0)
    return Markup('<g fill="none" stroke="{}" stroke-width="{}">{}</g>').format(LEVELS[level], 1.2, Markup(path))  # noqa: S704 - numbers only
