"""What the tab of a cohort shows, as HTML: summary, numbers, the comparison, doubtful scans, and one scan with its ratings."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from math import isfinite
from typing import Final, SupportsFloat
from urllib.parse import quote

import numpy as np
import pandas as pd
from markupsafe import Markup

from hypojax.app.cohort_comparison import GroupComparison
from hypojax.app.cohort_filter import UNKNOWN, CohortFilter, Mask
from hypojax.app.cohort_numbers import GroupRow, ScanCounts, Spread, scan_counts
from hypojax.app.cohort_rating import ratings_of
from hypojax.app.cohort_view import CohortView
from hypojax.app.scan_result import doubt_in_words
from hypojax.app.shown_html import list_html, number_text, sentences_html, table_html
from hypojax.app.words import Words
from hypojax.reporting.plot_columns import OTHERS
from hypojax.reporting.plot_columns import UNKNOWN as NOT_KNOWN

LISTED: Final = 50
"""Doubtful scans that are listed at once."""

REASONS: Final = 3
"""Reasons to look at a scan that are listed."""

FILES: Final = "/cohort-files"
"""Where files of cohorts are given out."""


class CohortWords:
    """Texts of the tab in one language, and numbers as it writes them.

    Parameters
    ----------
    words
        All texts.
    language
        Code of the language.
    table
        Beginning of the keys.
    """

    def __init__(self, words: Words, language: str, table: str = "cohort") -> None:
        self.words, self.language, self.table = words, language, table

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key."""
        return self.words.text(f"{self.table}.{key}", self.language, **values)

    def number(self, value: SupportsFloat, digits: int = 0) -> str:
        """A number in this language."""
        return number_text(float(value), digits, language=self.language)

    def label(self, value: str) -> str:
        """A value of a column, or what stands for one that is missing."""
        return {UNKNOWN: self("not_known"), NOT_KNOWN: self("not_known"), OTHERS: self("others")}.get(value, value)


def summary_html(view: CohortView, rated: pd.Series, say: CohortWords) -> Markup:
    """How many scans the whole cohort has, and what was taken for age, sex, group and site."""
    counts = scan_counts(view, np.ones(len(view.scans), bool), rated)
    read = say("read_at", time=f"{view.read:%H:%M}")
    lines = [say("summary", **_counted(counts, say)), say("summary_looked", **_counted(counts, say))]
    details = (
        Markup("<details><summary>{}</summary>{}</details>").format(say("taken"), list_html(view.notes, lang="en")) if view.notes else ""
    )
    return sentences_html(lines) + Markup('<p class="faint small">{}</p>').format(read) + details


def numbers_html(
    view: CohortView, keep: Mask, rated: pd.Series, rows: Sequence[GroupRow], *, regions: Sequence[str], say: CohortWords
) -> Markup:
    """How many scans the filter leaves, and means by group."""
    counts = scan_counts(view, keep, rated)
    lines = [say("shown", shown=say.number(counts.found), found=say.number(len(keep))), say("counts", **_counted(counts, say))]
    if left_out := counts.rejected + counts.copies:
        lines.append(say("left_out", n=say.number(left_out), rejected=say.number(counts.rejected), copies=say.number(counts.copies)))
    header = [say("group"), say("scans"), say("age_years"), say("women"), *(_region(region, say) for region in regions)]
    cells = [_group_cells(row, regions, say) for row in rows]
    table = table_html(say("means"), header, cells, name="cohort-means") if cells else Markup("")
    return Markup('<div id="cohort-numbers" role="status">{}</div>{}').format(sentences_html(lines), table)


def download_html(view: CohortView, asked: CohortFilter, say: CohortWords) -> Markup:
    """The link to the table of what is shown."""
    chosen = {name: value for name, value in asdict(asked).items() if value not in ((), None, "")}
    address = f"{address_of(view.name, 'shown.tsv')}?filter={quote(json.dumps(chosen, separators=(',', ':')), safe='')}"
    return Markup('<p><a class="button" id="cohort-download" href="{}" download>{}</a></p>').format(address, say("download"))


def doubtful_html(view: CohortView, keep: Mask, rated: pd.Series, say: CohortWords) -> Markup:
    """Scans that somebody should look at, the most doubtful first, each with its page."""
    shown = set(view.scans.index[keep])
    found = [scan for scan in view.order if scan in shown and view.doubts.get(scan)]
    if not found:
        return sentences_html([say("no_doubts")])
    rows = [(page_link(view, scan), _reasons(view.doubts[scan][:REASONS], say), _rating(rated[scan], say)) for scan in found[:LISTED]]
    said = say("doubtful", n=say.number(len(found)), listed=say.number(min(LISTED, len(found))))
    return sentences_html([said]) + table_html(
        say("doubtful_table"), [say("scan"), say("why"), say("rating")], rows, name="cohort-doubtful"
    )


def _reasons(doubts: Sequence[str], say: CohortWords) -> Markup:
    """Why to look at a scan, each reason on a line of its own and in the language that there are words for."""
    told = (doubt_in_words(say.words, say.language, sentence) for sentence in doubts)
    return Markup("<br>").join(Markup('<span lang="{}">{}</span>').format(spoken, sentence) for sentence, spoken in told)


def page_link(view: CohortView, scan: str) -> Markup | str:
    """A link to the page of a scan; its name where it has none, not being measured."""
    if scan not in view.files:
        return scan
    return Markup('<a href="{}" target="_blank" rel="noopener">{}</a>').format(address_of(view.name, view.files[scan]), scan)


def scan_html(view: CohortView, scan: str, say: CohortWords) -> Markup:
    """One scan: its page, and what people said of it."""
    if scan not in view.scans.index:
        return sentences_html([say("no_scan")]) if scan else Markup("")
    said = ratings_of(view, scan)
    cells = said.astype(str).itertuples(index=False, name=None)
    rows = [(rater or "–", _rating(rating, say), comment, time[:16].replace("T", " ")) for rater, rating, comment, time in cells]
    header = [say("rater"), say("rating"), say("comment"), say("time")]
    table = (
        table_html(say("ratings_of", scan=scan), header, rows, name="cohort-ratings")
        if rows
        else sentences_html([say("not_rated", scan=scan)])
    )
    if scan not in view.files:
        return list_html(view.doubts.get(scan, ()), lang="en") + table
    frame = Markup('<iframe class="scan-page" loading="lazy" title="{}" src="{}"></iframe>')
    return table + frame.format(say("page_of", scan=scan), address_of(view.name, view.files[scan]))


def comparison_html(found: GroupComparison, say: CohortWords) -> Markup:
    """The comparison: the sentences of ``hypojax study``, which are English, ready to be pasted."""
    first = Markup('<div class="answer" id="cohort-answer" lang="en">{}</div>').format(sentences_html(found.answers))
    warned = Markup('<div class="note doubt"><h4>{}</h4>{}</div>').format(say("warnings"), list_html(found.warnings, lang="en"))
    model = say("model", formula=found.formula)
    told = list_html((model, *found.counts, *found.notes), lang="en")
    table = table_html(found.table.title, found.table.header, found.table.rows, name="cohort-effects")
    details = Markup("<details open><summary>{}</summary>{}</details>").format(say("how"), told)
    return Markup("").join([first, warned if found.warnings else "", table, details, sentences_html([say("as_study")])])


def problem_html(sentence: str) -> Markup:
    """Why something was not done."""
    return Markup('<p class="note doubt" role="alert">{}</p>').format(sentence)


def done_html(sentence: str) -> Markup:
    """That something was done."""
    return Markup('<p role="status">{}</p>').format(sentence)


def address_of(cohort: str, path: str) -> str:
    """Address of a file of a cohort.

    >>> address_of("site a?", "scans/sub-01.html")
    '/cohort-files/site%20a%3F/scans/sub-01.html'
    """
    return f"{FILES}/{quote(cohort, safe='')}/{quote(path)}"


def _counted(counts: ScanCounts, say: CohortWords) -> dict[str, str]:
    return {name: say.number(value) for name, value in counts._asdict().items()}


def _group_cells(row: GroupRow, regions: Sequence[str], say: CohortWords) -> list[str]:
    women, of = row.women
    share = f"{women} / {of}" if of else "–"
    volumes = [_spread(_scaled(row.volumes[region], region), say, 0) for region in regions]
    return [say.label(row.label) if row.label else say("all"), say.number(row.scans), _spread(row.age, say, 1), share, *volumes]


def _scaled(spread: Spread, region: str) -> Spread:
    """Of the head in mL."""
    return Spread(spread.n, spread.mean / 1000, spread.deviation / 1000) if region == "icv" else spread


def _spread(spread: Spread, say: CohortWords, digits: int) -> str:
    """Mean, standard deviation and number."""
    if not spread.n:
        return "–"
    digits = 1 if not digits and spread.mean < 100 else digits
    deviation = f" ± {say.number(spread.deviation, digits)}" if isfinite(spread.deviation) else ""
    return f"{say.number(spread.mean, digits)}{deviation} (n = {say.number(spread.n)})"


def _region(region: str, say: CohortWords) -> str:
    return f"{say(f'region_{region}')}, {'mL' if region == 'icv' else 'mm³'}"


def _rating(rating: str, say: CohortWords) -> str:
    return say(f"rating_{rating}") if rating else ""
