"""`Finding`: what was found of one measure; `Drift`: all findings of one comparison."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

import pandas as pd

from hypojax.metrics import Interval
from hypojax.monitoring.difference import Difference, holm
from hypojax.monitoring.limits import Limits
from hypojax.monitoring.measure import Measure
from hypojax.monitoring.subject import Counted

Verdict = Literal["moved", "within limits", "not shown", "too few scans"]
Test = Literal[
    "Welch on logarithms",
    "Brunner-Munzel",
    "Fisher",
    "Kolmogorov-Smirnov",
    "paired t on logarithms",
    "signed rank",
    "McNemar",
    "intervals apart",
]

UNITS: Final[dict[str, str]] = {
    "Welch on logarithms": "ratio of geometric means - 1",
    "paired t on logarithms": "geometric mean ratio within scans - 1",
    "Brunner-Munzel": "P(new > reference) - 1/2",
    "signed rank": "change within scans / standard deviation of the reference",
    "Fisher": "difference of shares",
    "McNemar": "difference of shares",
    "intervals apart": "difference of mean Dice",
    "Kolmogorov-Smirnov": "largest gap between distribution functions",
}
"""Test → what the effect is."""


@dataclass(frozen=True)
class Finding:
    """What was found of one measure.

    Parameters
    ----------
    measure
        What was compared.
    test
        How.
    scans
        Scans of the reference and of the new batch that have it; subjects where ``counted`` says so.
    middles, spreads
        Of both: geometric mean, median, or share; and the standard deviation (of logarithms for volumes).
    difference
        New less reference; None where there are too few scans.
    limit
        What the difference may be.
    p_adjusted
        p over all measures together (Holm 1979); NaN where none.
    within_scan_cv
        Of the same scans measured twice; NaN otherwise.
    counted
        Whether each value is that of a scan, or of a subject with several (`hypojax.monitoring.subject`).
    verdict
        Whether it moved: beyond its limit, and not by chance; ``within limits``: its whole interval is; ``not shown``: more
        scans are needed to tell, or the test has no interval (Kolmogorov and Smirnov's).
    """

    measure: Measure
    test: Test
    scans: tuple[int, int]
    middles: tuple[float, float]
    spreads: tuple[float, float]
    difference: Difference | None
    limit: float
    p_adjusted: float = float("nan")
    within_scan_cv: float = float("nan")
    counted: Counted = "scans"
    verdict: Verdict = "too few scans"

    @property
    def moved(self) -> bool:
        """Whether it moved beyond its limit."""
        return self.verdict == "moved"


@dataclass(frozen=True)
class Drift:
    """A comparison.

    Parameters
    ----------
    findings
        One or two a measure (its middle, and its distribution), and one for each recorded evaluation that has one before it.
    scans
        Scans of the reference and of the new batch.
    paired
        Whether these are the same scans, measured twice.
    limits
        What counts as moved.
    notes
        What else is to be known, a sentence each.
    trend
        Evaluations recorded earlier (`hypojax.monitoring.trend`); empty where none.
    paths
        Files that were written.
    """

    findings: tuple[Finding, ...]
    scans: tuple[int, int]
    paired: bool
    limits: Limits
    notes: tuple[str, ...] = ()
    trend: pd.DataFrame = field(default_factory=pd.DataFrame)
    paths: tuple[Path, ...] = ()

    @property
    def moved(self) -> tuple[Finding, ...]:
        """Findings beyond their limits."""
        return tuple(finding for finding in self.findings if finding.moved)

    @property
    def compared(self) -> tuple[Finding, ...]:
        """Findings with scans enough; recorded evaluations are none of these scans."""
        return tuple(finding for finding in self.findings if finding.difference is not None and finding.measure.kind != "evaluation")


def judged(findings: Sequence[Finding], *, limits: Limits) -> tuple[Finding, ...]:
    """The same findings with their verdicts: beyond the limit, and not by chance over all of them together.

    A within-scan coefficient of variation beyond its limit moves a whole too: versions that scatter without a mean
    difference change every single scan. That is a limit without a test; alpha does not speak of it.
    """
    tested = [finding.difference for finding in findings if finding.difference is not None]
    adjusted = iter(holm([difference.p for difference in tested]) if tested else [])
    return tuple(_judge(finding, adjusted=next(adjusted), limits=limits) if finding.difference else finding for finding in findings)


def frame(drift: Drift) -> pd.DataFrame:
    """One row a finding, numbers as numbers."""
    return pd.DataFrame([_row(finding) for finding in drift.findings])


def _judge(finding: Finding, *, adjusted: float, limits: Limits) -> Finding:
    """A finding with its verdict."""
    effect = finding.difference.effect if finding.difference else Interval(*[float("nan")] * 3)
    if (abs(effect.estimate) > finding.limit and adjusted < limits.alpha) or finding.within_scan_cv > limits.repeat:
        return replace(finding, p_adjusted=adjusted, verdict="moved")
    inside = all(abs(end) <= finding.limit for end in effect)  # False of NaN: without an interval nobody knows
    return replace(finding, p_adjusted=adjusted, verdict="within limits" if inside else "not shown")


def _row(finding: Finding) -> dict[str, object]:
    """A finding as a row of a table."""
    effect = finding.difference.effect if finding.difference else (float("nan"),) * 3
    return {
        "kind": finding.measure.kind,
        "measure": finding.measure.name,
        "test": finding.test,
        "effect_unit": UNITS[finding.test],
        "counted": finding.counted,
        "n_reference": finding.scans[0],
        "n_new": finding.scans[1],
        "reference": finding.middles[0],
        "new": finding.middles[1],
        "spread_reference": finding.spreads[0],
        "spread_new": finding.spreads[1],
        "effect": effect[0],
        "effect_low": effect[1],
        "effect_high": effect[2],
        "limit": finding.limit,
        "p": finding.difference.p if finding.difference else float("nan"),
        "p_adjusted": finding.p_adjusted,
        "detectable": finding.difference.detectable if finding.difference else float("nan"),
        "within_scan_cv": finding.within_scan_cv,
        "verdict": finding.verdict,
    }
