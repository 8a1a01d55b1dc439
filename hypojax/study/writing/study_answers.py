"""The answer of a study in words: one paragraph a region and contrast, ready to paste, that claims what was shown and no more."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, Final

import pandas as pd

from hypojax.study.models.anova import ETA, WHOLE
from hypojax.study.writing.wording import (
    SHOWN_UNITS,
    SIGNIFICANT,
    amount,
    between,
    figure,
    interval,
    names_of,
    p_text,
    records,
    region_name,
)

SLOPES: Final = ("slope",)
"""Quantities that are no difference between groups."""

CHANGES: Final = ("change_difference", "change_slope", "change_interaction", "change_mean")
"""Quantities of the change per year of people."""

PRIMARY: Final = ("difference", "interaction", *SLOPES, *CHANGES)
"""Quantities that carry the test of a term; others express the same effect in other units."""

EXPRESSIONS: Final = (ETA, "percent", "hedges_g", "hedges_g_adjusted", *(f"{name}_percent" for name in CHANGES))

LOG: Final = " in log volume"
"""What is said behind an effect on the logarithm of volumes, which has no unit."""

Rows = Mapping[str, Any]


def answers(
    effects: pd.DataFrame, *, term: str, detectable: pd.DataFrame, counts: Mapping[str, Mapping[str, str]], confidence: float = 0.95
) -> list[str]:
    """One paragraph a region and contrast of a term.

    Parameters
    ----------
    effects
        ``effects.tsv`` of one method.
    term
        The term whose contrasts are the question.
    detectable
        ``power.tsv``: columns ``region``, ``contrast``, ``smallest`` (in the unit of the difference), ``smallest_percent``.
    counts
        Region → group → who was analysed, in words: ``n = 24``.
    confidence
        Coverage of the intervals.
    """
    asked = primary_rows(effects, [term])
    found = []
    for row in records(asked):
        same = effects[(effects["term"] == term) & (effects["region"] == row["region"]) & (effects["contrast"] == row["contrast"])]
        others = {str(one["quantity"]): one for one in records(same) if one["quantity"] in EXPRESSIONS}
        found.append(
            paragraph(row, others, smallest=_smallest(detectable, row), counts=counts.get(str(row["region"]), {}), confidence=confidence)
        )
    return found


def primary_rows(effects: pd.DataFrame, terms: Sequence[str]) -> pd.DataFrame:
    """Effects of some terms that carry a test: differences and slopes; of a term without them, as a spline, that of the whole."""
    found = effects[effects["term"].isin(list(terms))]
    single = found["quantity"].isin(PRIMARY)
    return found[single | (found["quantity"].eq(WHOLE) & ~found["term"].isin(found.loc[single, "term"]))]


def whole_term_sentence(row: Rows, others: Mapping[str, Rows], *, confidence: float = 0.95) -> str:
    """The test of all coefficients of a term at once.

    >>> from hypojax.study.models.effect import Effect
    >>> row = Effect("icv", "site", "2 coefficients together", "whole_term", "", float("nan"), "1", statistic=5.2, df=60, p=0.008, n=64)
    >>> whole_term_sentence(row._asdict(), {})
    'Intracranial volume: site matters as a whole (2 coefficients together: F(2, 60) = 5.20, p = .008; n = 64).'
    """
    name = region_name(str(row["region"])).capitalize()
    if not isfinite(row["p"]):
        return f"{name}: no test of {row['term']} as a whole could be made (n = {int(row['n'])})."
    claim = f"{row['term']} matters as a whole" if is_shown(row) else f"no effect of {row['term']} as a whole was shown"
    corrected = f", p FDR {p_text(row['p_fdr'])}" if isfinite(row["p_fdr"]) else ""
    eta = others.get(ETA, {})
    size = (
        f"; partial η² {figure(eta['estimate'], '1')}, {100 * confidence:g} % CI {interval(eta['ci_low'], eta['ci_high'], '1')}"
        if eta
        else ""
    )
    return f"{name}: {claim} ({row['contrast']}: {f_text(row)}, p {p_text(row['p'])}{corrected}{size}; n = {int(row['n'])})."


def f_text(row: Rows) -> str:
    """F of a whole term, with its degrees of freedom."""
    return f"F({str(row['contrast']).partition(' ')[0]}, {row['df']:.4g}) = {figure(row['statistic'], '1')}"


def paragraph(row: Rows, others: Mapping[str, Rows], *, smallest: Rows, counts: Mapping[str, str], confidence: float = 0.95) -> str:
    """What was found for one region and contrast.

    >>> from hypojax.study.models.effect import Effect
    >>> row = Effect("icv", "sex", "M - F", "difference", "linear model, HC3, t", -9.0, "mm3", 2.0, -4.5, 20, 0.0002, -13.2, -4.8, 24)
    >>> print(paragraph(row._asdict(), {}, smallest={}, counts={"M": "n = 12", "F": "n = 12"}))
    Intracranial volume: 9.0 mm³ smaller in M (n = 12) than in F (n = 12) (95 % CI −13.2 to −4.8 mm³; t(20) = −4.50, p < .001; n = 24).
    """
    if row["quantity"] == WHOLE:
        return whole_term_sentence(row, others, confidence=confidence)
    name = region_name(str(row["region"]))
    title = name[:1].upper() + name[1:]
    if not isfinite(row["estimate"]) or not isfinite(row["p"]):
        what = "estimate could be made" if not isfinite(row["estimate"]) else "test could be made (there is no spread)"
        return f"{title}: no {what} of {row['contrast'] or row['term']} (n = {int(row['n'])})."
    claim = _claim(row, others, counts) if is_shown(row) else _not_shown(row, others, counts)
    tested = f"{title}: {claim} ({_evidence(row, others, confidence)})."
    said = [tested, _after_correction(row), "" if is_shown(row) else _power(row, smallest)]
    return " ".join(filter(None, said))


def is_shown(row: Rows) -> bool:
    """Whether a test rejects at .05, before any correction."""
    return isfinite(row["p"]) and row["p"] < SIGNIFICANT


def verdict(row: Rows) -> str:
    """A word for a table.

    >>> from hypojax.study.models.effect import Effect
    >>> base = Effect("icv", "sex", "M - F", "difference", "", 1.0, "mm3", p=0.03)._asdict()
    >>> verdict(base), verdict({**base, "p_fdr": 0.2}), verdict({**base, "p": 0.3})
    ('difference', 'hint', 'not shown')
    """
    if not isfinite(row["p"]):
        return "no test"
    if row["p"] >= SIGNIFICANT:
        return "not shown"
    return "hint" if isfinite(row["p_fdr"]) and row["p_fdr"] >= SIGNIFICANT else "difference" if row["quantity"] != WHOLE else "effect"


def asymmetry_sentence(row: Rows) -> str:
    """Left against right of one structure: how the groups differ in the index.

    >>> from hypojax.study.models.effect import Effect
    >>> found = Effect("posterior", "group", "A - B", "asymmetry", "", 1.5, "%", p=0.139, ci_low=-0.5, ci_high=3.5, n=64)
    >>> asymmetry_sentence(found._asdict())
    'Posterior, left against right: a difference between A and B was not shown; asymmetry index +1.5 points (−0.5 to 3.5; p = .14; n = 64).'
    """
    case, control = names_of(str(row["contrast"]))
    shown = f"a difference between {case} and {control} was {'shown' if row['p'] < SIGNIFICANT else 'not shown'}"
    numbers = f"{figure(row['estimate'], '%', sign=True)} points ({between(row['ci_low'], row['ci_high'], '%')}; p {p_text(row['p'])}"
    structure = region_name(str(row["region"])).capitalize()
    return f"{structure}, left against right: {shown}; asymmetry index {numbers}; n = {int(row['n'])})."


def _claim(row: Rows, others: Mapping[str, Rows], counts: Mapping[str, str]) -> str:
    value = float(row["estimate"])
    if row["quantity"] in CHANGES:
        return _change(row, others, counts)
    if row["quantity"] == "interaction":
        return f"the effect of {row['term'].replace(':', ' differs with ')} by {_amount(row, value, sign=True)} ({row['contrast']})"
    if row["quantity"] in SLOPES or not row["contrast"]:
        return f"{_amount(row, value, sign=True)} for each unit of {row['term']}{_of(row)}"
    case, control = names_of(str(row["contrast"]))
    percent = f" ({amount(abs(float(others['percent']['estimate'])), '%')})" if "percent" in others else ""
    size = f"{_amount(row, abs(value))}{percent} {'smaller' if value < 0 else 'larger'}"
    return f"{size} in {_with_count(case, counts)} than in {_with_count(control, counts)}"


def _not_shown(row: Rows, others: Mapping[str, Rows], counts: Mapping[str, str]) -> str:
    value = _amount(row, float(row["estimate"]), sign=True)
    if row["quantity"] in CHANGES:
        return f"not shown: {_change(row, others, counts)}"
    if row["quantity"] == "interaction":
        return f"no interaction of {row['term'].replace(':', ' and ')} was shown; estimate {value}"
    if row["quantity"] in SLOPES or not row["contrast"]:
        return f"no relation with {row['term']}{_of(row)} was shown; estimate {value} for each unit of it"
    case, control = names_of(str(row["contrast"]))
    percent = f" ({amount(float(others['percent']['estimate']), '%', sign=True)})" if "percent" in others else ""
    return f"no difference between {_with_count(case, counts)} and {_with_count(control, counts)} was shown; estimate {value}{percent}"


def _change(row: Rows, others: Mapping[str, Rows], counts: Mapping[str, str]) -> str:
    """A change per year of people, or how it differs."""
    value = amount(float(row["estimate"]), row["unit"], sign=True)
    percent = others.get(f"{row['quantity']}_percent")
    share = f" ({amount(float(percent['estimate']), percent['unit'], sign=True)})" if percent else ""
    if row["quantity"] == "change_mean":
        return f"mean change {value}{share} in {_with_count(str(row['contrast']), counts)}"
    case, control = names_of(str(row["contrast"]))
    if row["quantity"] == "change_difference" and control:
        return f"a difference in change of {value}{share} between {_with_count(case, counts)} and {_with_count(control, counts)}"
    return f"the change goes with {row['term']}{_of(row)}: {value}{share}"


def _evidence(row: Rows, others: Mapping[str, Rows], confidence: float) -> str:
    """Intervals, test and effect sizes."""
    ends = interval(row["ci_low"], row["ci_high"], row["unit"])
    if "percent" in others:
        ends += f", {interval(others['percent']['ci_low'], others['percent']['ci_high'], '%')}"
    statistic = f"t({row['df']:.4g})" if isfinite(row["df"]) else "z"
    tested = f"{statistic} = {figure(row['statistic'], '1')}, " if isfinite(row["statistic"]) else ""
    tested += f"p {p_text(row['p'])}"
    corrected = [f"p {name} {p_text(row[column])}" for name, column in (("FDR", "p_fdr"), ("FWE", "p_fwer")) if isfinite(row[column])]
    sizes = [
        f"Hedges' g {figure(one['estimate'], '1')} ({interval(one['ci_low'], one['ci_high'], '1')}), {how}"
        for quantity, how in (("hedges_g", "unadjusted"), ("hedges_g_adjusted", "adjusted"))
        if (one := others.get(quantity)) is not None and isfinite(one["estimate"])
    ]
    return "; ".join([f"{100 * confidence:g} % CI {ends}", ", ".join([tested, *corrected]), *sizes, f"n = {int(row['n'])}"])


def _after_correction(row: Rows) -> str:
    if verdict(row) != "hint":
        return ""
    return f"After correction over the regions it is not significant (p FDR {p_text(row['p_fdr'])}): a hint, not a finding."


def _power(row: Rows, smallest: Rows) -> str:
    """What could have been shown; absence of evidence is no evidence of absence (Altman and Bland 1995)."""
    if not smallest or not isfinite(smallest.get("smallest", float("nan"))):
        return "This does not show that there is none."
    percent = smallest.get("smallest_percent", float("nan"))
    share = f" ({amount(percent, '%')})" if isfinite(percent) else ""
    size = f"{_amount(row, smallest['smallest'])}{share}"
    return f"This does not show that there is none: with 80 % power these data could have shown {size} or more, either way."


def _smallest(detectable: pd.DataFrame, row: Rows) -> Rows:
    if detectable.empty:
        return {}
    found = detectable[(detectable["region"] == row["region"]) & (detectable["contrast"] == row["contrast"])]
    return found.iloc[0].to_dict() if len(found) else {}


def _with_count(group: str, counts: Mapping[str, str]) -> str:
    return f"{group} ({counts[group]})" if group in counts else group


def _amount(row: Rows, value: float, *, sign: bool = False) -> str:
    """A volume with its unit; of a model of log volumes, that it is one of these."""
    return f"{amount(value, row['unit'], sign=sign)}{LOG if 'log volume' in row['method'] else ''}"


def _of(row: Rows) -> str:
    return f" ({row['contrast']})" if row["contrast"] else ""


def short_rows(effects: pd.DataFrame, *, terms: Sequence[str]) -> list[list[str]]:
    """Effects as cells of `SHORT_HEADER`, for the page and a terminal."""
    found = []
    for row in records(primary_rows(effects, terms)):
        same = effects[(effects["region"] == row["region"]) & (effects["term"] == row["term"]) & (effects["contrast"] == row["contrast"])]
        percents = same[same["quantity"].eq("percent")]
        found.append([
            region_name(str(row["region"])),
            str(row["contrast"] or row["term"]),
            f"{_cell(row)} {SHOWN_UNITS.get(row['unit'], row['unit'])}".strip() + (LOG if "log volume" in row["method"] else ""),
            _cell(records(percents)[0]) if len(percents) else "",
            p_text(row["p"]).removeprefix("= "),
            p_text(row["p_fdr"]).removeprefix("= ") if isfinite(row["p_fdr"]) else "",
            str(int(row["n"])),
            verdict(row),
        ])  # fmt: skip
    return found


SHORT_HEADER: Final = ("region", "contrast", "difference (interval)", "%", "p", "p FDR", "n", "")


def _cell(row: Rows) -> str:
    unit = str(row["unit"])
    if row["quantity"] == WHOLE:
        return f_text(row)
    return f"{figure(row['estimate'], unit, sign=True)} ({between(row['ci_low'], row['ci_high'], unit)})"
