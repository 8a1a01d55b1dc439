"""Findings in plain words."""

from typing import Final

import numpy as np

from hypojax.metrics import Interval
from hypojax.monitoring.finding import Drift, Finding
from hypojax.monitoring.trend import trend_sentences

FRACTIONS: Final = {1 / 4: "a quarter", 1 / 3: "a third", 1 / 2: "half", 2 / 3: "two thirds", 3 / 4: "three quarters"}
NEAR: Final = 0.03
"""How near a share must be to a fraction to be called so."""


def verdict(drift: Drift) -> str:
    """The comparison in a sentence, and one on recorded evaluations where any moved."""
    evaluations = sum(finding.measure.kind == "evaluation" for finding in drift.moved)
    counted = f"{evaluations} recorded evaluation{'s lie' if evaluations > 1 else ' lies'} beyond the interval of the one before."
    return f"{_of_scans(drift)} {counted}" if evaluations else _of_scans(drift)


def _of_scans(drift: Drift) -> str:
    """The comparison of scans in a sentence."""
    compared, moved = len(drift.compared), sum(finding.moved for finding in drift.compared)
    if not compared:
        first, second = drift.scans
        sides = f"{second} measured twice" if drift.paired else f"{second} new against {first}"
        return f"Too few scans to say anything: {sides}, and a comparison takes {drift.limits.minimum} on each side."
    of = f"{drift.scans[1]} scans measured twice" if drift.paired else f"{drift.scans[1]} new scans against {drift.scans[0]}"
    if not moved:
        nothing = "No measure of the scans" if drift.moved else "Nothing"
        return f"{nothing} moved beyond its limits, as far as can be seen: {compared} comparisons, {of}.{_unseen(drift)}"
    return f"{moved} of {compared} comparisons moved beyond their limits, {of}.{_unseen(drift)}"


def sentences(drift: Drift) -> list[str]:
    """What moved, a sentence each, then what it suggests."""
    middles = {finding.measure.name for finding in drift.moved if finding.test != "Kolmogorov-Smirnov"}
    scans = [finding for finding in drift.compared if finding.moved]
    told = [finding for finding in scans if not (finding.test == "Kolmogorov-Smirnov" and finding.measure.name in middles)]
    return [*(sentence(finding) for finding in told), *_suggestions(drift), *trend_sentences(drift.trend, moved=True)]


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


def per_cent(value: float, *, digits: int = 1) -> str:
    """A share in per cent.

    >>> per_cent(0.041)
    '4.1 %'
    """
    return f"{100 * value:.{digits}f} %".replace("-", "−")


def _unseen(drift: Drift) -> str:
    """What such a comparison would not have seen of the hypothalamus; nothing where it would see its limit."""
    seen = {found.measure.name: found.difference for found in drift.compared if found.measure.scale == "ratio" and not found.moved}
    difference = seen.get("adjusted volume_mm3 hypothalamus", seen.get("volume_mm3 hypothalamus"))
    if difference is None or not difference.detectable > drift.limits.volume:
        return ""
    return f" A shift of the hypothalamus of less than {per_cent(difference.detectable)} is easily missed in so many scans."


def _ratio(finding: Finding, effect: Interval) -> str:
    """A ratio in a sentence."""
    estimate, low, high = effect
    sign = -1 if estimate < 0 else 1
    ends = sorted((sign * 100 * low, sign * 100 * high))
    interval = f"95 % CI {ends[0]:.1f} to {ends[1]:.1f}".replace("-", "−")
    than = "before" if _is_paired(finding) else "the reference"
    scatter = f", within-scan CV {per_cent(finding.within_scan_cv)}" if np.isfinite(finding.within_scan_cv) else ""
    size = f"{per_cent(abs(estimate))} {'smaller' if sign < 0 else 'larger'} than {than} ({interval}){scatter}"
    if finding.moved and abs(estimate) <= finding.limit:
        size = f"single scans scatter{scatter}; on average {size.partition(', within')[0]}"
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
    """How often a new scan has more than one of the reference."""
    sign = 1 if effect.estimate > 0 else -1
    low, high = sorted(50 + 100 * sign * end for end in effect[1:])
    often = f"{'higher' if sign > 0 else 'lower'} in {50 + 100 * abs(effect.estimate):.0f} % of comparisons"
    return f"{often} (95 % CI {low:.0f} to {high:.0f})"


def _typically(effect: Interval) -> str:
    """How much scans changed, in standard deviations."""
    sign = 1 if effect.estimate > 0 else -1
    low, high = sorted(sign * end for end in effect[1:])
    size = f"{abs(effect.estimate):.2f} SD {'higher' if sign > 0 else 'lower'} than before"
    return f"{size} (95 % CI {low:.2f} to {high:.2f})".replace("inf", "∞").replace("-", "−")


def _share(finding: Finding, effect: Interval) -> str:
    """A difference of shares in a sentence."""
    estimate, low, high = effect
    ends = sorted((low, high) if estimate >= 0 else (-low, -high))
    points = f"{100 * abs(estimate):.1f} points {'more' if estimate >= 0 else 'fewer'}, 95 % CI {100 * ends[0]:.1f} to {100 * ends[1]:.1f}"
    shares = f"{per_cent(finding.middles[1])} against {per_cent(finding.middles[0])}"
    return f"{finding.measure.title}: {shares} ({points}), {_counts(finding)}".replace("-", "−")


def _spreads(finding: Finding) -> str:
    """Both standard deviations."""
    first, second = finding.spreads
    if finding.measure.scale == "ratio":
        return f"standard deviation {per_cent(second)} against {per_cent(first)}"
    return f"standard deviation {second:.3g} against {first:.3g}"


def _counts(finding: Finding) -> str:
    """How many scans, or subjects."""
    first, second = finding.scans
    return f"{second} {finding.counted} measured twice" if _is_paired(finding) else f"{second} against {first} {finding.counted}"


def _is_paired(finding: Finding) -> bool:
    """Whether it is of the same scans measured twice."""
    return finding.test in ("paired t on logarithms", "signed rank", "McNemar")


def _suggestions(drift: Drift) -> list[str]:
    """What the findings suggest together."""
    if drift.paired:
        return []
    moved = {finding.measure.name for finding in drift.moved}
    kinds = {finding.measure.kind for finding in drift.moved}
    adjusted = next((found for found in drift.compared if found.measure.name == "adjusted volume_mm3 hypothalamus"), None)
    said = []
    if "volume_mm3 hypothalamus" in moved and adjusted is not None and not adjusted.moved:
        said.append(f"Who was scanned may explain the hypothalamus: {what(adjusted)}.")
    if kinds & {"volume", "adjusted volume"}:
        image = "Images moved too: part of the shift of volumes may be the scanner's."
        said.append(image if "image" in kinds else "No measure of the image moved: the scanner is not the first suspect.")
    return said
