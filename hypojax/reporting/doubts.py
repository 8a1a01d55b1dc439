"""Which scans somebody should look at, and why: sentences with the numbers, the most doubtful scan first.

A sentence comes from a flag (`hypojax.volumes.flags`), from a value unlike those of the other scans (`hypojax.reporting.unlike_others`),
from notes on the file, or from another scan with the same voxels. Nothing here removes a scan.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import xarray as xr

from hypojax.cohort.region_scores import measure_of
from hypojax.grid import NOD
from hypojax.reason import visible
from hypojax.reporting.unlike_others import (
    LEAST_OTHERS,
    Compared,
    Unlike,
    compared_volumes,
    in_words_with_unit,
    unlike_others,
    volume_in_words,
)
from hypojax.tables.cells import counted
from hypojax.volumes.flags import FLAGS

OF_THE_COHORT: Final = ("skull_stripped", "template_space", "noise_outside_head", "thick_voxels")
"""Flags that say how a cohort was acquired or prepared: where most scans carry one it is said once, and marks no scan."""

MOST: Final = 0.5
"""Share of measured scans beyond which such a flag is one of the cohort."""

WEIGHTS: Final[Mapping[str, float]] = {
    "skull_stripped": 1.0, "template_space": 2.0, "noise_outside_head": 1.0, "thick_voxels": 2.0, "orientation_assumed": 2.0,
    "noisy": 3.0, "saturated": 5.0, "low_contrast": 4.0, "icv_cut_off": 4.0, "partly_blank": 5.0, "uncertain": 6.0, "asymmetric": 6.0,
    "orientation_conflict": 6.0, "icv_unlike_others": 6.0, "unusual_icv": 8.0, "voxel_size_conflict": 8.0,
    "voxel_size_unlike_others": 8.0, "low_quality_icv": 8.0, "low_quality_hypothalamus": 9.0, "not_located": 10.0,
    "hypothalamus_cut_off": 10.0,
    "not_t1w": 11.0, "blank_near_hypothalamus": 10.0, "nonfinite_near_hypothalamus": 10.0, "one_side": 10.0, "unusual_hypothalamus": 10.0,
}  # fmt: skip
"""Flag → how much it weighs in the order of scans; robust standard deviations weigh as many as they are, up to `HEAVIEST`."""

HEAVIEST: Final = 12.0

USUAL_WEIGHT: Final = 5.0
"""Of flags that only other versions know, of notes, and of copies."""

FAILED_WEIGHT: Final = 1000.0

FLAG_MEASURES: Final[Mapping[str, str]] = {
    "low_quality_hypothalamus": "quality_score_hypothalamus", "low_quality_icv": "quality_score_icv",
    "uncertain": "quality_certainty", "not_located": "quality_location",
    "not_t1w": "t1w_probability", "low_contrast": "quality_contrast", "noisy": "quality_noise",
}  # fmt: skip
"""Flag → the measure that raises it."""

UNLIKE_OTHERS_NOTED: Final = ("voxel_size_unlike_others", "icv_unlike_others")
"""Flags whose notes say the same with numbers."""

SEE_NOTES: Final = re.compile(r" \(see notes(?:; ([^)]*))?\)")

SUBUNITS_NAMED: Final = 2
"""Subunits that a sentence names; it counts the others."""

TILTED: Final = 30.0
"""Degrees from the usual position; about as far as the networks were trained to see heads turned."""


class Doubt(NamedTuple):
    """One reason to look at a scan: its weight in the order of scans, and the sentence."""

    weight: float
    sentence: str


def find_doubts(cohort: xr.Dataset) -> Mapping[str, tuple[str, ...]]:
    """Sentences why somebody should look at a scan, the weightiest first, of every scan; empty where nothing was found.

    Parameters
    ----------
    cohort
        As `hypojax.open_cohort` gives it; images are not read.

    Examples
    --------
    >>> from hypojax import cohort
    >>> find_doubts(cohort.build([], [{"scan": "sub-01", "path": "a.nii", "entities": {}, "columns": {}}]))
    {'sub-01': ()}
    """
    return {scan: tuple(doubt.sentence for doubt in found) for scan, found in weighted_doubts(cohort).items()}


def doubt_order(cohort: xr.Dataset, doubts: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """All scans, the most doubtful first: failed ones, those with doubts by weight, then the others as the cohort has them.

    Parameters
    ----------
    cohort
        As `hypojax.open_cohort` gives it.
    doubts
        Of `find_doubts`; scans without a sentence there come last.
    """
    weights = {scan: _weight(found) for scan, found in weighted_doubts(cohort).items()}
    scans = [str(scan) for scan in cohort["scan"].values]
    return tuple(sorted(scans, key=lambda scan: weights[scan] if doubts.get(scan) else (0.0, 0.0), reverse=True))


def cohort_doubts(cohort: xr.Dataset) -> tuple[str, ...]:
    """What holds of the cohort as a whole, and so marks no single scan, one sentence each."""
    done = int((cohort["status"].values == "done").sum())
    common = _common_flags(cohort)
    carried = dict(zip(cohort["flag"].values.tolist(), cohort["flagged"].values.sum(axis=0).tolist(), strict=True))
    said = [f"{carried[flag]:,} of {done:,} measured scans: {flag_in_words(flag)}" for flag in common]
    if 0 < done <= LEAST_OTHERS:
        few = f"{counted(done, 'measured scan')}: too few to find outliers by comparing scans ({LEAST_OTHERS + 1} are needed)"
        said.append(f"{few}; flags and implausible volumes are named as always")
    return tuple(said)


def flag_in_words(flag: str) -> str:
    """What a flag says, as a sentence of its own.

    >>> flag_in_words("voxel_size_conflict"), flag_in_words("of_tomorrow")
    ('the file gives two voxel sizes (the sform counts): volumes are wrong if the other is right', 'flag of tomorrow')
    """
    words = FLAGS.get(flag, f"flag {visible(flag).replace('_', ' ')}").replace("mm3", "mm³")
    return SEE_NOTES.sub(lambda found: f" ({found[1]})" if found[1] else "", words)


def weighted_doubts(cohort: xr.Dataset) -> dict[str, tuple[Doubt, ...]]:
    """Doubts of every scan, the weightiest first."""
    found: dict[int, list[Doubt]] = defaultdict(list)
    for part in (_failures(cohort), _flagged(cohort), _notes(cohort), _copies(cohort), _tilts(cohort), _volumes(cohort), _measures(cohort)):
        for row, doubt in part:
            found[row].append(doubt)
    scans = [str(scan) for scan in cohort["scan"].values]
    return {scan: tuple(sorted(found.get(row, ()), key=lambda doubt: -doubt.weight)) for row, scan in enumerate(scans)}


Found = Iterator[tuple[int, Doubt]]


def _weight(doubts: Sequence[Doubt]) -> tuple[float, float]:
    """By the heaviest doubt, then by all."""
    return max((doubt.weight for doubt in doubts), default=0.0), sum((doubt.weight for doubt in doubts), 0.0)


def _failures(cohort: xr.Dataset) -> Found:
    for row in np.flatnonzero(cohort["status"].values == "failed").tolist():
        why = visible(str(cohort["message"].values[row] or "")) or str(cohort["reason"].values[row]).replace("_", " ")
        yield row, Doubt(FAILED_WEIGHT, f"not measured: {why or 'no reason is recorded'}")


def _common_flags(cohort: xr.Dataset) -> list[str]:
    """Flags that say something of the cohort and not of one scan."""
    done = cohort["status"].values == "done"
    flags = cohort["flag"].values.tolist()
    known = [flag for flag in OF_THE_COHORT if flag in flags]
    return [flag for flag in known if done.sum() and cohort["flagged"].values[done, flags.index(flag)].mean() > MOST]


def _flagged(cohort: xr.Dataset) -> Found:
    """Flags in words, with the value that raised them."""
    common, flags = _common_flags(cohort), cohort["flag"].values.tolist()
    noted = _texts(cohort, "notes")
    rows, columns = np.nonzero(cohort["flagged"].values)
    for row, flag in zip(rows.tolist(), (flags[column] for column in columns.tolist()), strict=True):
        if flag in common or (flag in UNLIKE_OTHERS_NOTED and noted[row]):
            continue
        value = _flag_value(cohort, flag, row)
        yield row, Doubt(WEIGHTS.get(flag, USUAL_WEIGHT), flag_in_words(flag) + (f": {value}" if value else ""))


def _flag_value(cohort: xr.Dataset, flag: str, row: int) -> str:
    """The value that raised a flag, in words; nothing where it has none."""
    if flag in FLAG_MEASURES:
        value = float(measure_of(cohort, FLAG_MEASURES[flag])[row])
        return "" if np.isnan(value) else f"here {value:.2f}"
    region = flag.removeprefix("unusual_")
    if flag.startswith("unusual_") and region in cohort["region"].values.tolist():
        return f"here {volume_in_words(region, float(cohort['volume_mm3'].sel(region=region).values[row]))}"
    if flag == "asymmetric":
        return f"here {_asymmetry(float(cohort['quality_asymmetry'].values[row]))}"
    if flag == "thick_voxels":
        return f"here {float(np.nanmax(cohort['voxel_size_mm'].values[row])):.3g} mm"
    return ""


def _asymmetry(share: float) -> str:
    """(left - right) / (left + right) in words.

    >>> _asymmetry(-0.107)
    '10.7 % of their sum, the right larger'
    """
    return f"{abs(share):.1%} of their sum, the {'left' if share > 0 else 'right'} larger".replace("%", " %")


def _notes(cohort: xr.Dataset) -> Found:
    for row, text in enumerate(_texts(cohort, "notes")):
        if text:
            yield row, Doubt(USUAL_WEIGHT, visible(" ".join(text.split())))


def _copies(cohort: xr.Dataset) -> Found:
    """Scans with the voxels of another, and those that they are copies of."""
    scans = [str(scan) for scan in cohort["scan"].values]
    rows = {scan: row for row, scan in enumerate(scans)}
    copies: dict[str, list[str]] = defaultdict(list)
    for row, first in enumerate(_texts(cohort, "duplicate_of")):
        if first:
            copies[first].append(scans[row])
            yield row, Doubt(USUAL_WEIGHT, f"the same voxels as {first}: one image was counted twice, or stored under two names")
    for first, others in copies.items():
        if first in rows:
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            sentence = f"the same voxels as {others[0]}{more}: one image was counted twice, or stored under two names"
            yield rows[first], Doubt(USUAL_WEIGHT, sentence)


def _tilts(cohort: xr.Dataset) -> Found:
    """Heads that are turned far from how heads usually lie in scanners, of cohorts that record it."""
    if "tilt_deg" not in cohort:
        return
    tilts = np.abs(cohort["tilt_deg"].to_numpy().reshape(cohort.sizes["scan"], -1) - [NOD, 0.0, 0.0])
    worst = np.max(np.where(np.isfinite(tilts), tilts, 0.0), axis=1)
    for row in np.flatnonzero(worst > TILTED).tolist():
        sentence = f"the head is turned by {worst[row]:.0f}° from its usual position in a scanner: see whether the labels fit"
        yield row, Doubt(float(worst[row]) / 10, sentence)


def _volumes(cohort: xr.Dataset) -> Found:
    """Volumes unlike those of the others: the wholes by name, sides and subunits only where their whole is not strange, a few of them."""
    found: dict[int, list[Unlike]] = defaultdict(list)
    for compared in compared_volumes(cohort):
        for row, unlike in unlike_others(compared):
            found[row].append(unlike)
    noted = _carries(cohort, "icv_unlike_others")
    for row, every in found.items():
        kept = _of_most_weight([unlike for unlike in every if not (unlike.measure == "icv" and noted[row])])
        wholes = [unlike for unlike in kept if "hypothalamus" in unlike.measure or unlike.measure == "icv"]
        for unlike in wholes:
            yield row, Doubt(_bounded(unlike), f"{in_words_with_unit(unlike)}: {unlike.away}")
        if subunits := sorted((unlike for unlike in kept if unlike not in wholes), key=lambda unlike: -abs(unlike.deviations)):
            yield row, Doubt(_bounded(subunits[0]) - 1, _subunits(subunits))


def _of_most_weight(found: Sequence[Unlike]) -> list[Unlike]:
    """Without the parts of a whole that is unlike the others itself."""
    names = {unlike.measure for unlike in found}
    parts = [unlike for unlike in found if unlike.measure != "icv"]
    if "hypothalamus" in names:
        return [unlike for unlike in found if unlike.measure in ("icv", "hypothalamus")]
    strange = {side for side in ("left", "right") if f"hypothalamus_{side}" in names}
    inside = [unlike for unlike in parts if unlike.measure.split("_")[0] in strange]
    return [unlike for unlike in found if unlike not in inside]


def _subunits(found: Sequence[Unlike]) -> str:
    """Subunits that are unlike the others, the strangest first, as one sentence."""
    named = "; ".join(f"{in_words_with_unit(unlike)}: {unlike.away}" for unlike in found[:SUBUNITS_NAMED])
    more = len(found) - SUBUNITS_NAMED
    return named + (f"; and {counted(more, 'more subunit')}" if more > 0 else "")


def _measures(cohort: xr.Dataset) -> Found:
    """Asymmetry, uncertainty and measures of the image unlike those of the others, unless a flag says the same."""
    for compared, flag, words in _compared_measures(cohort):
        carried = _carries(cohort, flag)
        for row, unlike in unlike_others(compared):
            if not carried[row]:
                yield row, Doubt(_bounded(unlike) - 1, f"{words.format(unlike.value)}: {unlike.away}")
    carried = _carries(cohort, "asymmetric")
    values = measure_of(cohort, "quality_asymmetry")
    for row, unlike in unlike_others(Compared("quality_asymmetry", values, values)):
        if not carried[row]:
            yield (
                row,
                Doubt(_bounded(unlike), f"left and right hypothalamus differ by {_asymmetry(unlike.value)}: {_left_over_right(unlike)}"),
            )


def _left_over_right(unlike: Unlike) -> str:
    """How far an asymmetry lies from the others, in words that leave no doubt of the direction."""
    way = "further to the right" if unlike.deviations < 0 else "further to the left"
    return re.sub(r" (?:below|above) ", f" {way} than ", unlike.away)


def _compared_measures(cohort: xr.Dataset) -> Iterator[tuple[Compared, str, str]]:
    """What is compared, the flag that says the same, and its words with a place for the value."""
    with np.errstate(divide="ignore", invalid="ignore"):
        noise, contrast = (measure_of(cohort, name) for name in ("quality_noise", "quality_contrast"))
        certainty, whole = measure_of(cohort, "quality_certainty"), cohort["volume_mm3"].sel(region="hypothalamus").to_numpy()
        share = cohort["uncertainty_mm3"].sel(region="hypothalamus").to_numpy() / np.where(whole > 0, whole, np.nan)
        yield Compared("noise", _finite(np.log(noise)), noise, "high"), "noisy", "noise near the hypothalamus {:.2f}"
        yield Compared("contrast", _finite(np.log(contrast)), contrast, "low"), "low_contrast", "contrast near the hypothalamus {:.1f}"
        yield Compared("certainty", certainty, certainty, "low"), "uncertain", "certainty of the hypothalamus {:.3f}"
        words = "uncertainty of the hypothalamus {:.1f} % of its volume"
        yield Compared("uncertainty", _finite(np.log(share)), 100 * share, "high"), "uncertain", words


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)


def _carries(cohort: xr.Dataset, flag: str) -> np.ndarray:
    """Which scans carry a flag."""
    flags = cohort["flag"].values.tolist()
    return cohort["flagged"].values[:, flags.index(flag)] if flag in flags else np.zeros(cohort.sizes["scan"], bool)


def _texts(cohort: xr.Dataset, name: str) -> list[str]:
    """A column of text; empty where the cohort does not have it."""
    return [str(text or "") for text in cohort[name].values] if name in cohort else [""] * cohort.sizes["scan"]


def _bounded(unlike: Unlike) -> float:
    return min(abs(unlike.deviations), HEAVIEST)
