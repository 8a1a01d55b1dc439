"""The page of a study: what was assumed, who is in, whether groups are alike, the answer, how far it holds, and how it was made."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, Final

import numpy as np
import pandas as pd

from hypojax.pages import Bullets, Heading, Page, Paragraph, TextTable
from hypojax.pages.page import Block
from hypojax.study.models.anova import ETA, WHOLE
from hypojax.study.models.comparability import imbalances
from hypojax.study.models.group_asymmetry import ASYMMETRY
from hypojax.study.writing.study_answers import (
    SHORT_HEADER,
    answers,
    asymmetry_sentence,
    f_text,
    paragraph,
    primary_rows,
    short_rows,
    whole_term_sentence,
)
from hypojax.study.writing.study_findings import Findings
from hypojax.study.writing.study_methods import limits, methods, references
from hypojax.study.writing.wording import SHOWN_UNITS, amount, figure, interval, listed, p_text, plain_number, records, region_name

SIDES: Final = ("left_", "right_")

LEAST_DF: Final = 10
"""Degrees of freedom below which intervals and p-values are said to be worth little: robust errors of a handful of people are by chance
far too small as often as too large."""

SHOWN: Final = 4
"""Regions of the tables of other choices."""

TAKEN: Final = ("group", "age", "sex", "icv", "site", "subject", "session", "time")

OF_ALL_TERMS: Final = "Every term of the model, every quantity and every interval are in effects.tsv."

READ_BALANCE: Final = (
    "Means (SD) of numbers, shares of categories. A standardised difference beyond 0.25 asks for a look; beyond 0.5 the answer depends on "
    "the form of the model. Reviewers ask for the p-values: they depend on how many people there are, the standardised difference does not."
)

BALANCE_HEADER: Final = ("variable", "contrast", "cases", "controls", "standardised difference", "test")

SENSITIVITY: Final = "The same comparison with other people or another correction. Answers that change with such choices are not firm."


def study_page(found: Findings) -> Page:
    """All that a study says, in reading order."""
    blocks: list[Block] = [Heading("What was taken and assumed"), Bullets(assumptions(found))]
    blocks += _section("Who is in", _flow(found))
    blocks += _section("Are the groups alike?", _balance(found))
    blocks += _section("Answer", _answer(found))
    blocks += [*found.figures[:1]]
    blocks += _section("Change over time", [Bullets(found.remarks["change"])] if found.remarks.get("change") else [])
    blocks += _section("Does the model fit?", [Bullets(found.checks)] if found.checks else [])
    blocks += _section("Does the answer depend on choices?", _choices(found))
    blocks += _section("What these data could have shown", _power(found))
    for name, title in (("harmonisation", "Sites"), ("norms", "Norms")):
        blocks += _section(title, [Bullets(found.remarks[name])] if found.remarks.get(name) else [])
    blocks += [*found.figures[1:]]
    blocks += [Heading("Methods, to paste"), *map(Paragraph, methods(found))]
    blocks += [Heading("References"), Bullets(references(found)), Heading("Limits"), Bullets(limits(found))]
    return Page(_title(found), blocks)


def assumptions(found: Findings) -> list[str]:
    """What was taken for what, and what was assumed, one sentence each."""
    sample, settings = found.sample, found.settings
    said = [f"{name}: column {sample.took[name]!r}" for name in TAKEN if name in sample.took]
    said.append(f"Model: {found.formula}.")
    if found.contrasts:
        controls = listed(dict.fromkeys(control for _, control in found.contrasts.values()))
        negative = "more loss (or less growth)" if found.settings.change else "smaller"
        said.append(f"Compared: {listed(found.contrasts)}; the reference is {controls}. Negative: {negative} in the case group.")
    said.append(f"Method: {listed(dict.fromkeys(found.effects['method']))}; intervals cover {100 * settings.confidence:g} %.")
    said += list(found.remarks.get("head_size", ()))
    said.append("Flagged and doubted scans are in; scans rejected by hand and duplicates are not; the flow of counts says how many.")
    said.append("FDR (Benjamini and Hochberg) runs over the regions asked for, wholes and subunits as separate families.")
    if settings.permutations:
        said.append(f"Family-wise p-values: {settings.permutations:,} permutations (Freedman and Lane), seed {settings.seed}.")
    return [*said, *found.notes]


def screen_table(found: Findings) -> TextTable:
    """The answer as a table that fits into 80 columns: what all rows have in common is its title."""
    is_mean = found.effects["quantity"].eq("change_mean") & bool(found.contrasts)  # of change, the difference is the question
    effects = found.effects[~is_mean]
    asked = records(primary_rows(effects, [found.term]))
    units, contrasts = ({str(row[name]) for row in asked} for name in ("unit", "contrast"))
    header = ["region", "difference", "interval", "%", "p", "p FDR"]
    rows = []
    for row, cells in zip(asked, short_rows(effects, terms=[found.term]), strict=True):
        value, _, ends = cells[2].partition(" (")
        unit = f" {SHOWN_UNITS.get(row['unit'], row['unit'])}" if len(units) > 1 else ""
        rows.append(
            [
                cells[0],
                *([cells[1]] if len(contrasts) > 1 else []),
                f"{value}{unit}",
                ends.partition(")")[0],
                cells[3].partition(" (")[0],
                *cells[4:6],
            ]
        )
    if len(contrasts) > 1:
        header.insert(1, "contrast")
    common = [next(iter(names)) for names in (contrasts, [SHOWN_UNITS.get(unit, unit) for unit in units]) if len(names) == 1]
    return TextTable(header, rows, title=", ".join(filter(None, (_title(found), *common))))


def warnings(found: Findings) -> list[str]:
    """What a reader has to know before the answer: too few people, and groups that are not alike."""
    balance = found.table("balance")
    return [*too_few(found), *([] if balance.empty else imbalances(balance, adjusted=found.covariates))]


def too_few(found: Findings) -> list[str]:
    """A sentence where hardly more people than coefficients were analysed; none otherwise."""
    rows = [row for row in records(primary_rows(found.effects, [found.term])) if isfinite(row["df"]) and isfinite(row["p"])]
    fewest = min(rows, key=lambda row: float(row["df"]), default=None)
    if fewest is None or fewest["df"] >= LEAST_DF:
        return []
    left = f"degrees of freedom: {fewest['df']:.3g}, fewer than {LEAST_DF}"
    which = f"{int(fewest['n'])} scans for the model of {region_name(str(fewest['region']))} ({left})"
    return [f"Too few people: {which}. Intervals and p-values are not reliable: this is no finding; add people, or leave terms out."]


def answer_sentences(found: Findings) -> list[str]:
    """The paragraph of every region asked for."""
    counts = {region: {group: size.words for group, size in sizes.items()} for region, sizes in found.analysed.items()}
    return answers(found.effects, term=found.term, detectable=found.table("power"), counts=counts, confidence=found.settings.confidence)


def _title(found: Findings) -> str:
    regions = [region_name(region) for region in dict.fromkeys(found.effects["region"])]
    return f"{listed(regions, most=3)} by {found.term}".capitalize() if regions else "Study"


def _section(title: str, blocks: Sequence[Block]) -> list[Block]:
    return [Heading(title), *blocks] if blocks else []


def _flow(found: Findings) -> list[Block]:
    rows = [(row.what, f"{row.count:,}", row.sentence) for row in found.sample.flow]
    return [TextTable(("", "scans", ""), rows, words=True)] if rows else []


def _balance(found: Findings) -> list[Block]:
    table = found.table("balance")
    if table.empty:
        return []
    said = imbalances(table, adjusted=found.covariates)
    blocks: list[Block] = [TextTable(BALANCE_HEADER, _balance_rows(table))]
    blocks.append(Bullets(said) if said else Paragraph("No standardised difference is beyond 0.25."))
    return [*blocks, Paragraph(READ_BALANCE)]


def _balance_rows(table: pd.DataFrame) -> list[list[str]]:
    found = []
    for row in records(table):
        share = bool(row["level"])
        sides = []
        for side in ("case", "control"):
            value = f"{100 * row[side]:.0f} %" if share else f"{plain_number(row[side])} ({plain_number(row[f'sd_{side}'])})"
            sides.append(f"{value}, n = {row[f'n_{side}']}" if np.isfinite(row[side]) else "none known")
        name = f"{row['variable']} = {row['level']}" if share else str(row["variable"])
        test = f"{row['test']}, p {p_text(row['p'])}" if isfinite(row["p"]) else ""
        chi = f"; chi-squared, p {p_text(row['chi_squared_p'])}" if isfinite(row["chi_squared_p"]) and "Fisher" in test else ""
        found.append([name, str(row["contrast"]), *sides, figure(row["standardised_difference"], "1", sign=True), f"{test}{chi}"])
    return found


def _answer(found: Findings) -> list[Block]:
    said = answer_sentences(found)
    blocks: list[Block] = [Paragraph(sentence) for sentence in too_few(found)]
    blocks += [Paragraph(sentence, strong=number == 0) for number, sentence in enumerate(said)]
    rows = short_rows(found.effects, terms=[found.term])
    emphasis = tuple("strong" if row[-1] == "difference" else "" for row in rows)
    table = TextTable(SHORT_HEADER, rows, emphasis=emphasis)  # type: ignore[arg-type]  # words of Emphasis
    further = [*_whole(found), *found.remarks.get("equivalence", ()), *_by_sex(found), *_sides(found)]
    return [*blocks, *([Bullets(further)] if further else []), table, Paragraph(OF_ALL_TERMS)]


def _whole(found: Findings) -> list[str]:
    """Whether several groups differ at all, for the first regions; a spline's own test is its answer."""
    tested = found.effects[found.effects["term"].eq(found.term)]
    first = [row for row in records(tested[tested["quantity"].eq(WHOLE)]) if not str(row["region"]).startswith(SIDES)][:SHOWN]
    etas = {row["region"]: {ETA: row} for row in records(tested[tested["quantity"].eq(ETA)])}
    how = found.settings.confidence
    return [whole_term_sentence(row, etas.get(row["region"], {}), confidence=how) for row in first] if found.contrasts else []


def _by_sex(found: Findings) -> list[str]:
    """Whether the difference depends on sex, for the first regions."""
    crossed = found.effects[found.effects["quantity"].eq("interaction") & found.effects["term"].str.contains("sex")]
    crossed = crossed[~crossed["region"].str.startswith(SIDES)]
    return [paragraph(row, {}, smallest={}, counts={}, confidence=found.settings.confidence) for row in records(crossed)[:SHOWN]]


def _sides(found: Findings) -> list[str]:
    """Left against right, for the first structures."""
    return [asymmetry_sentence(row) for row in records(found.effects[found.effects["quantity"].eq(ASYMMETRY)])[:SHOWN]]


def _choices(found: Findings) -> list[Block]:
    blocks: list[Block] = []
    for name, first in (("sensitivity", "analysis"), ("head_size", "head size")):
        table = found.table(name)
        if not table.empty:
            blocks.append(TextTable((first, "region", "contrast", "difference", "%", "p", "n"), _choice_rows(table)))
    said = list(found.remarks.get("sensitivity", ()))
    return [Paragraph(SENSITIVITY), *blocks, *([Bullets(said)] if said else [])] if blocks or said else []


def _choice_rows(table: pd.DataFrame) -> list[list[str]]:
    """The wholes, or the first regions where there are none; all of them are in the file."""
    regions = [region for region in dict.fromkeys(table["region"]) if not str(region).startswith(SIDES)][:SHOWN]
    regions = regions or list(dict.fromkeys(table["region"]))[:SHOWN]
    percents = {(one["analysis"], one["region"], one["contrast"]): one for one in records(table[table["quantity"] == "percent"])}
    rows = []
    shown = table[table["region"].isin(regions)]
    for row in records(primary_rows(shown, list(dict.fromkeys(shown["term"])))):
        key = (row["analysis"], row["region"], row["contrast"])
        percent = _cell(percents[key]) if key in percents else ""
        first = [str(row["analysis"]), region_name(str(row["region"])), str(row["contrast"] or row["term"])]
        rows.append([*first, _cell(row), percent, p_text(row["p"]).removeprefix("= "), str(int(row["n"]))])
    return rows


def _cell(row: Mapping[str, Any]) -> str:
    """An estimate with its interval and unit, or the F of a term that has none."""
    unit = str(row["unit"])
    if row["quantity"] == WHOLE:
        return f_text(row)
    return f"{figure(row['estimate'], unit, sign=True)} ({interval(row['ci_low'], row['ci_high'], unit)})"


def _power(found: Findings) -> list[Block]:
    table = found.table("power")
    if table.empty:
        return []
    percents = [str(name) for name in table if str(name).startswith("power_")]
    header = (
        "region",
        "contrast",
        "smallest difference, 80 % power",
        *(f"power for {str(name).removeprefix('power_')} %" for name in percents),
    )
    rows = [
        [
            region_name(str(row["region"])),
            str(row["contrast"]),
            amount(row["smallest"], row["unit"])
            + (f" ({amount(row['smallest_percent'], '%')})" if isfinite(row["smallest_percent"]) else ""),
            *(f"{row[name]:.2f}" if isfinite(row[name]) else "–" for name in percents),
        ]
        for row in records(table)
    ]
    about = "Two-sided t-test at .05 with the standard error of this model, in percent of the adjusted mean of controls."
    return [TextTable(header, rows), Paragraph(about)]
