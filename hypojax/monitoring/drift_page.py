"""A comparison in words, and as a page to read."""

from collections.abc import Sequence
from math import isfinite
from typing import Final

import numpy as np

from hypojax.metrics import Interval
from hypojax.monitoring.finding import DriftResult, Finding, trend_rows, trend_sentences
from hypojax.pages import Bullets, Figure, Heading, Page, Paragraph, TextTable, interval_figure, per_cent
from hypojax.pages.figures import IntervalRow
from hypojax.pages.page import Block, Emphasis
from hypojax.tables.cells import counted

CAPTION: Final = "Differences of volumes, new minus reference, with 95 % intervals; those that moved are in orange, the limit is shaded."

FRACTIONS: Final = {1 / 4: "a quarter", 1 / 3: "a third", 1 / 2: "half", 2 / 3: "two thirds", 3 / 4: "three quarters"}

NEAR: Final = 0.03
"""How near a share must be to a fraction to be called so."""

HEADER: Final = ("measure", "reference", "new", "difference (95 % CI)", "limit", "detectable", "p, Holm", "verdict")

SHOWN: Final = 4
"""Columns of it that fit a terminal."""

UNPAIRED: Final = (
    "Tests: Welch's t on logarithms for volumes, Brunner-Munzel's for other measures (P: probability that a new scan has a higher "
    "value than one of the reference), Fisher's exact test for shares of scans, Kolmogorov-Smirnov's for distributions."
)

PAIRED: Final = (
    "Tests: paired t on logarithms for volumes, Wilcoxon's signed-rank test for other measures (SD: the typical change within a scan, "
    "Hodges and Lehmann's, over the robust standard deviation of the first measurement), McNemar's for shares of scans. "
    "Intracranial volume and hypothalamus also moved where their within-scan coefficient of variation exceeds {}: a limit without a test."
)

EVALUATIONS: Final = (
    " Evaluations: the last against the one before; it moved where their intervals do not overlap, which is conservative, even more so "
    "where both used the same scans."
)

EMPHASIS: Final[dict[str, Emphasis]] = {"moved": "strong", "too few scans": "faint", "not shown": "faint"}
"""Verdict → how its row is shown."""


def verdict(drift: DriftResult) -> str:
    """The comparison in a sentence, and one on recorded evaluations where any moved."""
    evaluations = sum(finding.measure.kind == "evaluation" for finding in drift.moved)
    counted = f"{evaluations} recorded evaluation{'s are' if evaluations > 1 else ' is'} outside the interval of the previous one."
    return f"{_of_scans(drift)} {counted}" if evaluations else _of_scans(drift)


def sentences(drift: DriftResult) -> list[str]:
    """What moved, a sentence each, then what it suggests."""
    middles = {finding.measure.name for finding in drift.moved if finding.test != "Kolmogorov-Smirnov"}
    scans = [finding for finding in drift.compared if finding.moved]
    shown = [finding for finding in scans if not (finding.test == "Kolmogorov-Smirnov" and finding.measure.name in middles)]
    return [*(sentence(finding) for finding in shown), *_suggestions(drift), *trend_sentences(drift.trend, moved=True)]


def sentence(finding: Finding) -> str:
    """One finding in a sentence, with what to look at where it moved (the scans, so not where these are the same)."""
    asked = finding.moved and not _is_paired(finding)
    advice = f": {finding.measure.advice}" if asked and finding.measure.advice else ""
    return f"{what(finding)}{advice}"


def what(finding: Finding) -> str:
    """One finding in a sentence.

    A volume reads "hypothalamus: 4.1 % smaller than the reference (95 % CI 2.0 to 6.1), 120 against 800 scans".
    """
    if finding.difference is None:
        return f"{finding.measure.title}: {_counts(finding)}, too few to compare"
    if finding.test == "Kolmogorov-Smirnov":
        return f"{finding.measure.title}: another distribution ({_spreads(finding)}), {_counts(finding)}"
    if finding.measure.scale == "ratio":
        return _ratio(finding, finding.difference.effect)
    return (_rank if finding.measure.scale == "rank" else _share)(finding, finding.difference.effect)


def by_fraction(change: float) -> str:
    """A relative change as a fraction or in per cent.

    >>> by_fraction(0.34), by_fraction(-0.17)
    ('a third', '17 %')
    """
    size = abs(change)
    return next((name for fraction, name in FRACTIONS.items() if abs(size - fraction) < NEAR), f"{size:.0%}".replace("%", " %"))


def drift_page(drift: DriftResult) -> Page:
    """What moved in words, the figure, all findings, how they were compared, and recorded evaluations."""
    said = [*sentences(drift), *drift.notes, *trend_sentences(drift.trend)]
    findings = TextTable(
        HEADER, [_cells(finding) for finding in drift.findings], emphasis=[EMPHASIS.get(finding.verdict, "") for finding in drift.findings]
    )
    blocks: list[Block] = [
        Paragraph(verdict(drift), strong=True),
        Bullets(said),
        Figure(difference_figure(drift), caption=CAPTION if drift.compared else ""),
        findings,
        Paragraph(_method(drift)),
    ]
    if not drift.trend.empty:
        header, *rows = trend_rows(drift.trend)
        blocks += [Heading("Evaluations"), TextTable(header, rows)]
    return Page("Drift", blocks)


def screen_rows(findings: Sequence[Finding]) -> tuple[Sequence[str], list[list[str]]]:
    """Findings as a table that fits a terminal: header and rows."""
    return HEADER[:SHOWN], [_cells(finding)[:SHOWN] for finding in findings]


def difference_figure(drift: DriftResult) -> str:
    """Differences of volumes with their intervals."""
    rows = [
        IntervalRow(finding.measure.title.rstrip(","), *finding.difference.effect, strong=finding.moved)
        for finding in drift.compared
        if finding.measure.scale == "ratio" and finding.test != "Kolmogorov-Smirnov" and finding.difference is not None
    ]
    return interval_figure(rows, limit=drift.limits.volume)


def _of_scans(drift: DriftResult) -> str:
    compared, moved = len(drift.compared), sum(finding.moved for finding in drift.compared)
    if not compared:
        first, second = drift.scans
        sides = f"{second} measured twice" if drift.paired else f"{second} new against {first}"
        return f"Too few scans to compare: {sides}; each side needs {drift.limits.minimum}."
    second = drift.scans[1]
    of = f"{counted(second, 'scan')} measured twice" if drift.paired else f"{counted(second, 'new scan')} against {drift.scans[0]}"
    if not moved:
        nothing = "No measure of the scans" if drift.moved else "Nothing"
        return f"{nothing} moved beyond its limits: {compared} comparisons, {of}.{_unseen(drift)}"
    return f"{moved} of {compared} comparisons moved beyond their limits, {of}.{_unseen(drift)}"


def _unseen(drift: DriftResult) -> str:
    """What such a comparison would not have seen of the hypothalamus; nothing where it would see its limit."""
    seen = {found.measure.name: found.difference for found in drift.compared if found.measure.scale == "ratio" and not found.moved}
    difference = seen.get("adjusted volume_mm3 hypothalamus", seen.get("volume_mm3 hypothalamus"))
    if difference is None or not difference.detectable > drift.limits.volume:
        return ""
    return f" A shift of the hypothalamus of less than {per_cent(difference.detectable)} is easily missed with this number of scans."


def _ratio(finding: Finding, effect: Interval) -> str:
    estimate, low, high = effect
    sign = -1 if estimate < 0 else 1
    ends = sorted((sign * 100 * low, sign * 100 * high))
    interval = f"95 % CI {ends[0]:.1f} to {ends[1]:.1f}".replace("-", "−")
    than = "before" if _is_paired(finding) else "the reference"
    scatter = f", within-scan CV {per_cent(finding.within_scan_cv)}" if np.isfinite(finding.within_scan_cv) else ""
    size = f"{per_cent(abs(estimate))} {'smaller' if sign < 0 else 'larger'} than {than} ({interval}){scatter}"
    if finding.moved and abs(estimate) <= finding.limit:
        size = f"single scans vary{scatter}; on average {size.partition(', within')[0]}"
    return f"{finding.measure.title}: {size}, {_counts(finding)}".replace(",:", ":")


def _rank(finding: Finding, effect: Interval) -> str:
    """A shift of ranks, or of one within scans, in a sentence."""
    size = _typically(effect) if finding.test == "signed rank" else _often(effect)
    middle = f"median {finding.middles[1]:.3g} against {finding.middles[0]:.3g}"
    text = f"{finding.measure.title}: {middle}, {size}, {_counts(finding)}"
    if finding.measure.name == "quality_noise" and min(finding.middles) > 0:
        change = finding.middles[0] / finding.middles[1] - 1
        how = f"rose to {1 + change:.1f} times" if change > 1 else f"{'fell' if change < 0 else 'rose'} by {by_fraction(change)}"
        return f"signal to noise {how} ({text})"
    return text


def _often(effect: Interval) -> str:
    """How often a new scan has a higher value than one of the reference."""
    sign = 1 if effect.estimate > 0 else -1
    low, high = sorted(50 + 100 * sign * end for end in effect[1:])
    often = f"{'higher' if sign > 0 else 'lower'} in {50 + 100 * abs(effect.estimate):.0f} % of comparisons"
    return f"{often} (95 % CI {low:.0f} to {high:.0f})"


def _typically(effect: Interval) -> str:
    sign = 1 if effect.estimate > 0 else -1
    low, high = sorted(sign * end for end in effect[1:])
    size = f"{abs(effect.estimate):.2f} SD {'higher' if sign > 0 else 'lower'} than before"
    return f"{size} (95 % CI {low:.2f} to {high:.2f})".replace("inf", "∞").replace("-", "−")


def _share(finding: Finding, effect: Interval) -> str:
    estimate, low, high = effect
    ends = sorted((low, high) if estimate >= 0 else (-low, -high))
    points = f"{100 * abs(estimate):.1f} points {'more' if estimate >= 0 else 'fewer'}, 95 % CI {100 * ends[0]:.1f} to {100 * ends[1]:.1f}"
    shares = f"{per_cent(finding.middles[1])} against {per_cent(finding.middles[0])}"
    return f"{finding.measure.title}: {shares} ({points}), {_counts(finding)}".replace("-", "−")


def _spreads(finding: Finding) -> str:
    first, second = finding.spreads
    if finding.measure.scale == "ratio":
        return f"standard deviation {per_cent(second)} against {per_cent(first)}"
    return f"standard deviation {second:.3g} against {first:.3g}"


def _counts(finding: Finding) -> str:
    first, second = finding.scans
    return f"{second} {finding.counted} measured twice" if _is_paired(finding) else f"{second} against {first} {finding.counted}"


def _is_paired(finding: Finding) -> bool:
    """Whether it is of the same scans measured twice."""
    return finding.test in ("paired t on logarithms", "signed rank", "McNemar")


def _suggestions(drift: DriftResult) -> list[str]:
    if drift.paired:
        return []
    moved = {finding.measure.name for finding in drift.moved}
    kinds = {finding.measure.kind for finding in drift.moved}
    adjusted = next((found for found in drift.compared if found.measure.name == "adjusted volume_mm3 hypothalamus"), None)
    said = []
    if "volume_mm3 hypothalamus" in moved and adjusted is not None and not adjusted.moved:
        said.append(f"The people scanned may explain the shift of the hypothalamus: {what(adjusted)}.")
    if kinds & {"volume", "adjusted volume"}:
        image = "Image measures moved too: the scanner may cause part of the shift of volumes."
        said.append(image if "image" in kinds else "No image measure moved: the scanner is an unlikely cause.")
    return said


def _cells(finding: Finding) -> list[str]:
    """One finding as cells of `HEADER`."""
    sides = [f"{_value(finding, side)} (n = {count})" if count else "no scan" for side, count in enumerate(finding.scans)]
    name = f"{finding.measure.title.rstrip(',')}{' (distribution)' if finding.test == 'Kolmogorov-Smirnov' else ''}"
    if finding.difference is None:
        return [name, *sides, "", "", "", "", finding.verdict]
    shown = _effect(finding)
    detectable = finding.difference.detectable
    smallest = _size(finding, detectable) if isfinite(detectable) else ""
    p = "< 0.001" if finding.p_adjusted < 0.001 else f"{finding.p_adjusted:.3f}" if isfinite(finding.p_adjusted) else ""
    return [name, *sides, shown, _size(finding, finding.limit), smallest, p, finding.verdict]


def _value(finding: Finding, side: int) -> str:
    value = finding.middles[side]
    if not isfinite(value):
        return "too few"
    if finding.measure.scale == "share":
        return per_cent(value)
    if finding.measure.scale == "score":
        return f"{value:.3f}"
    return f"{value:,.0f}" if finding.measure.kind in ("volume", "adjusted volume") else f"{value:.3g}"


def _effect(finding: Finding) -> str:
    effect = finding.difference.effect if finding.difference else (0.0, 0.0, 0.0)
    if finding.test == "Kolmogorov-Smirnov":
        return f"gap {effect[0]:.2f}"
    if finding.measure.scale == "score":
        return f"{effect[0]:+.3f} ({effect[1]:+.3f} to {effect[2]:+.3f})".replace("-", "−")
    if finding.test == "signed rank":
        return f"{effect[0]:+.2f} SD ({effect[1]:+.2f} to {effect[2]:+.2f})".replace("inf", "∞").replace("-", "−")
    if finding.measure.scale == "rank":
        return f"P {0.5 + effect[0]:.2f} ({0.5 + effect[1]:.2f} to {0.5 + effect[2]:.2f})"
    scatter = f", CV {per_cent(finding.within_scan_cv)}" if isfinite(finding.within_scan_cv) else ""
    ends = f"{100 * effect[1]:+.1f} to {100 * effect[2]:+.1f}"
    return f"{100 * effect[0]:+.1f} % ({ends}){scatter}".replace("-", "−")


def _size(finding: Finding, size: float) -> str:
    """A limit, or a detectable difference, in the unit of the effect."""
    if finding.test == "Kolmogorov-Smirnov":
        return f"{size:.2f}"
    if finding.measure.scale == "score":
        return "intervals apart"
    if finding.test == "signed rank":
        return f"± {size:g} SD"
    return f"P 0.5 ± {size:.2f}" if finding.measure.scale == "rank" else f"± {per_cent(size)}"


def _method(drift: DriftResult) -> str:
    return (
        f"Moved: the difference exceeds its limit, and p over all comparisons together (Holm) is below {drift.limits.alpha:g}. "
        "Within limits: its whole interval is. Not shown: more scans are needed; a distribution has no interval. "
        f"{PAIRED.format(per_cent(drift.limits.repeat)) if drift.paired else UNPAIRED} "
        "Detectable: the smallest difference that a single test at 0.05 finds in four of five such comparisons."
        f"{'' if drift.trend.empty else EVALUATIONS}"
    )
