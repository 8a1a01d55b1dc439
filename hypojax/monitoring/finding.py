"""`Finding`: the result for one measure; `DriftResult`: all findings of one comparison; and recorded evaluations over time.

The last evaluation against a reference moved where its interval and that of the one before do not overlap. That compares
intervals and is no test, because evaluations keep no scores of single scans. Of two equal evaluations it finds fewer than one in a
hundred apart where the scans differ (intervals of the same width are apart at 2.8 standard errors of the difference;
Schenker and Gentleman 2001), and hardly any where the scans are the same: conservative, so a smaller fall is missed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

import pandas as pd

from hypojax.evaluation.archive import read_history
from hypojax.metrics import Interval
from hypojax.monitoring.difference import Difference, holm
from hypojax.monitoring.limits import Limits
from hypojax.monitoring.measures import Counted, Measure, in_words

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

REGIONS: Final = ("hypothalamus", "icv")

COLUMNS: Final = ("date", "reference", "region", "weights_box_sha256", "scored", "dice", "dice_low", "dice_high", "bias_mm3")
"""What is shown of each evaluation."""

NAN: Final = float("nan")


@dataclass(frozen=True)
class Finding:
    """The result for one measure.

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
        New minus reference; None where there are too few scans.
    limit
        What the difference may be.
    p_adjusted
        p over all measures together (Holm 1979); NaN where none.
    within_scan_cv
        Of the same scans measured twice; NaN otherwise.
    counted
        Whether each value is that of a scan, or of a subject with several (`hypojax.monitoring.measures`).
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
class DriftResult:
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
        Further notes, one sentence each.
    trend
        Evaluations recorded earlier (`hypojax.monitoring.finding`); empty where none.
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
        """Findings with enough scans; recorded evaluations are not about these scans."""
        return tuple(finding for finding in self.findings if finding.difference is not None and finding.measure.kind != "evaluation")


def judged(findings: Sequence[Finding], *, limits: Limits) -> tuple[Finding, ...]:
    """The same findings with their verdicts: beyond the limit, and not by chance over all of them together.

    A within-scan coefficient of variation beyond its limit moves a whole too: versions that vary without a mean
    difference change every single scan. That is a limit without a test; alpha does not cover it.
    """
    tested = [finding.difference for finding in findings if finding.difference is not None]
    adjusted = iter(holm([difference.p for difference in tested]) if tested else [])
    return tuple(_judge(finding, adjusted=next(adjusted), limits=limits) if finding.difference else finding for finding in findings)


def frame(drift: DriftResult) -> pd.DataFrame:
    """One row per finding, numbers as numbers."""
    return pd.DataFrame([_row(finding) for finding in drift.findings])


def trend_of(*outs: Path) -> pd.DataFrame:
    """Evaluations of whole regions over all scans in the stores of these outputs, each once, oldest first; empty where none."""
    history = pd.concat([read_history(out) for out in outs])
    if "dice" not in history:
        return pd.DataFrame(columns=list(COLUMNS))
    wholes = history[(history["stratum"] == "all") & history["region"].isin(REGIONS)]
    return wholes.reindex(columns=list(COLUMNS)).drop_duplicates().sort_values(["reference", "region", "date"], ignore_index=True)


def trend_findings(trend: pd.DataFrame) -> tuple[Finding, ...]:
    """The last evaluation against each reference and the one before, one finding per region."""
    return tuple(_evaluation_finding(before, last) for before, last in _last_two(trend))


def trend_sentences(trend: pd.DataFrame, *, moved: bool = False) -> list[str]:
    """How the last evaluation against each reference compares with the one before, of those that moved or of the others."""
    return [_evaluation_sentence(before, last) for before, last in _last_two(trend) if _evaluation_finding(before, last).moved == moved]


def trend_rows(trend: pd.DataFrame) -> list[list[str]]:
    """The trend as text: header and rows."""
    header = ["date", "against", "region", "weights", "scans", "Dice (95 % CI)", "bias, mm³"]
    return [header, *(_evaluation_cells(line) for _, line in trend.iterrows())]


def _judge(finding: Finding, *, adjusted: float, limits: Limits) -> Finding:
    effect = finding.difference.effect if finding.difference else Interval(*[float("nan")] * 3)
    if (abs(effect.estimate) > finding.limit and adjusted < limits.alpha) or finding.within_scan_cv > limits.repeat:
        return replace(finding, p_adjusted=adjusted, verdict="moved")
    inside = all(abs(end) <= finding.limit for end in effect)  # False of NaN: without an interval nobody knows
    return replace(finding, p_adjusted=adjusted, verdict="within limits" if inside else "not shown")


def _row(finding: Finding) -> dict[str, object]:
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


def _last_two(trend: pd.DataFrame) -> Iterator[tuple[pd.Series, pd.Series]]:
    """The last two evaluations with a Dice, of each reference and region that has two."""
    if not trend.empty:
        for _, lines in trend.dropna(subset=["dice"]).groupby(["reference", "region"], sort=True):
            if len(lines) > 1:
                yield lines.iloc[-2], lines.iloc[-1]


def _evaluation_finding(before: pd.Series, last: pd.Series) -> Finding:
    """The difference of two evaluations; its interval holds zero where theirs touch."""
    steps = (("dice", "dice"), ("dice_low", "dice_high"), ("dice_high", "dice_low"))
    effect = Interval(*(float(last[end] - before[other]) for end, other in steps))
    title = f"{in_words(str(last['region']))}: Dice against {last['reference']}, last evaluation and the previous one"
    return Finding(
        measure=Measure(f"dice {last['region']} against {last['reference']}", "evaluation", "score", title),
        test="intervals apart",
        scans=(int(before["scored"]), int(last["scored"])),
        middles=(float(before["dice"]), float(last["dice"])),
        spreads=(NAN, NAN),
        difference=Difference(effect, NAN, NAN),
        limit=0.0,
        verdict="moved" if effect.low > 0 or effect.high < 0 else "not shown",
    )


def _evaluation_sentence(before: pd.Series, last: pd.Series) -> str:
    found = _evaluation_finding(before, last)
    known = found.difference is not None and pd.notna([*found.difference.effect]).all()
    apart = "beyond both intervals" if found.moved else "within the intervals" if known else "without intervals"
    way = "fell" if last["dice"] < before["dice"] else "rose"
    name, numbers = in_words(str(last["region"])), f"from {before['dice']:.3f} to {last['dice']:.3f}"
    since = pd.Timestamp(before["date"]).date()
    return f"evaluation against {last['reference']}: Dice of the {name} {way} {numbers} since {since}, {apart}"


def _evaluation_cells(line: pd.Series) -> list[str]:
    dice = f"{line['dice']:.3f} ({line['dice_low']:.3f} to {line['dice_high']:.3f})"
    made = "" if pd.isna(line["weights_box_sha256"]) else str(line["weights_box_sha256"])[:8]
    when = pd.Timestamp(line["date"]).date().isoformat()
    return [when, str(line["reference"]), in_words(str(line["region"])), made, f"{line['scored']:.0f}", dice, f"{line['bias_mm3']:+.0f}"]
