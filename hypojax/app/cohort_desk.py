"""What a visitor asks of a cohort, answered: each question names the cohort, and all of it is checked as if a stranger had sent it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hypojax.app.cohort_choice import OWN
from hypojax.app.cohort_comparison import GroupQuestion, compare_groups, groups_of
from hypojax.app.cohort_figures import cohort_plots, plots_html, points_of
from hypojax.app.cohort_filter import CohortFilter, Mask, chosen_scans, filter_of
from hypojax.app.cohort_numbers import counting, group_rows, groups_shown
from hypojax.app.cohort_parts import (
    CohortWords,
    comparison_html,
    done_html,
    doubtful_html,
    download_html,
    numbers_html,
    problem_html,
    scan_html,
    summary_html,
)
from hypojax.app.cohort_rating import rate_scan
from hypojax.app.cohort_view import VOLUME, CohortView
from hypojax.app.shown_html import sentences_html
from hypojax.app.visitor_limits import CallRate, OpenCalls, visitor_of
from hypojax.reason import HypojaxError, Reason, RunError
from hypojax.schema import REGIONS

if TYPE_CHECKING:
    from pathlib import Path

    import gradio as gr

    from hypojax.app.page_layout import AppContext

MOST_SCANS: Final = 500
"""Scans that can be picked from a list; others are typed."""

COLUMNS: Final = ("group", "sex", "site", "dataset")
"""By what numbers and plots are grouped."""


COMPARISONS, RATINGS = 30, 60
"""Of one visitor in a minute."""


class CohortShown(NamedTuple):
    """What follows the filter: numbers with plots, doubtful scans, and the scans that can be picked."""

    numbers: str
    doubtful: str
    scans: list[str]


class CohortDesk:
    """Answers of the tab of a cohort.

    Parameters
    ----------
    context
        What the tabs share.
    """

    def __init__(self, context: "AppContext") -> None:
        self.context = context
        self._comparisons = CallRate(COMPARISONS, f"{COMPARISONS} comparisons a minute are possible; wait {{seconds}} seconds")
        self._ratings = CallRate(RATINGS, f"{RATINGS} ratings a minute are possible; wait {{seconds}} seconds")
        self._comparing = OpenCalls(1, "a comparison of yours is being made; wait until it is shown")

    def names(self, request: "gr.Request | None") -> list[tuple[str, str]]:
        """Label and name of every cohort that a visitor may look at, her own first where it has scans."""
        own = self._own(request)
        has_own = own is not None and (own / "cohort.zarr").is_dir()
        mine = [(self.say(request)("own"), OWN)] if has_own else []
        return [*mine, *((name, name) for name in self.context.cohorts.names())]

    def say(self, request: "gr.Request | None", table: str = "cohort") -> CohortWords:
        """Texts in the language of a visitor."""
        return CohortWords(self.context.words, self.context.words.language_of(request), table)

    def open(self, name: object, request: "gr.Request | None") -> CohortView:
        """The cohort of a name.

        Raises
        ------
        RunError
            There is none.
        """
        if not isinstance(name, str):
            raise RunError(Reason.NOTHING_FOUND, self.say(request)("choose_first"))
        view: CohortView = self.context.cohorts.open(name, own=self._own(request))
        return view

    def summary(self, name: object, request: "gr.Request | None") -> str:
        """The summary of a cohort, or why there is none."""
        try:
            view = self.open(name, request)
            return summary_html(view, view.rated(), self.say(request))
        except HypojaxError as error:
            return problem_html(str(error))

    def shown(self, name: object, given: Mapping[str, object], plots: tuple[object, object], request: "gr.Request | None") -> CohortShown:
        """What the filter leaves.

        Parameters
        ----------
        name
            Of the cohort.
        given
            The filter, as the page sent it.
        plots
            Region whose volumes are drawn, and the column that groups the scans.
        """
        say = self.say(request)
        try:
            view, asked = self.open(name, request), filter_of(given)
            rated = view.rated()
            keep = chosen_scans(view.scans, asked, rated)
            numbers = self._numbers(view, keep, (str(plots[0]), str(plots[1])), say)
            return CohortShown(numbers + download_html(view, asked, say), doubtful_html(view, keep, rated, say), listed_scans(view, keep))
        except HypojaxError as error:
            return CohortShown(problem_html(str(error)), "", [])

    def shown_scans(self, name: object, given: Mapping[str, object], request: "gr.Request | None") -> list[str]:
        """The scans that a filter leaves, the most doubtful first; none where the filter is none."""
        try:
            view = self.open(name, request)
            return listed_scans(view, chosen_scans(view.scans, filter_of(given), view.rated()))
        except HypojaxError:
            return []

    def compared(self, name: object, given: Mapping[str, object], question: Mapping[str, Any], request: "gr.Request | None") -> str:
        """The comparison of the groups that the filter leaves, or why it cannot be made."""
        say = self.say(request)
        try:
            visitor = self._visitor(request)
            self._comparisons.take(visitor)
            with self._comparing.held(visitor):
                view = self.open(name, request)
                keep = chosen_scans(view.scans, filter_of(given), view.rated())
                return comparison_html(compare_groups(view, keep, question_of(question)), say)
        except HypojaxError as error:
            return problem_html(str(error))

    def groups(self, name: object, column: object, request: "gr.Request | None") -> tuple[list[str], str]:
        """Groups of a column, and the one with a usual name of controls."""
        try:
            view = self.open(name, request)
            return groups_of(view, chosen_scans(view.scans, CohortFilter(), view.rated()), str(column))
        except HypojaxError:
            return [], ""

    def scan(self, name: object, scan: object, request: "gr.Request | None") -> str:
        """One scan with its page and ratings."""
        try:
            return scan_html(self.open(name, request), str(scan or ""), self.say(request))
        except HypojaxError as error:
            return problem_html(str(error))

    def rate(self, name: object, scan: object, rating: object, comment: object, request: "gr.Request | None") -> str:
        """Write a rating; says what became of it."""
        say = self.say(request)
        try:
            self._ratings.take(self._visitor(request))
            rate_scan(self.open(name, request), scan, rating, comment, rater=self._rater(request))
        except HypojaxError as error:
            if error.reason is Reason.NOT_WRITABLE:
                return problem_html(say("not_writable"))
            return problem_html(str(error))
        return done_html(say("saved", scan=str(scan), rating=say(f"rating_{rating}")))

    def _numbers(self, view: CohortView, keep: Mask, plots: tuple[str, str], say: CohortWords) -> str:
        """Numbers and plots."""
        region, by = plots
        if region not in REGIONS or f"{VOLUME}{region}" not in view.scans:
            raise RunError(Reason.USAGE, say("choose_region"))
        rated = view.rated()
        groups = groups_shown(view, by) if by in COLUMNS else None
        counted = counting(view, keep, rated)
        regions = list(dict.fromkeys(("hypothalamus", region, "icv")))
        table = numbers_html(view, keep, rated, group_rows(view, counted, groups, regions), regions=regions, say=say)
        if not counted.any():
            return table + sentences_html([say("nothing_shown")])
        return table + plots_html(cohort_plots(points_of(view.scans, counted, groups, region, label=say.label), say))

    def _visitor(self, request: "gr.Request | None") -> str:
        """Who asks; empty for the page itself."""
        return "" if request is None else visitor_of(self.context.sessions.of(request))

    def _rater(self, request: "gr.Request | None") -> str:
        """The user who logged in; empty where nobody has to."""
        return "" if request is None else str(self.context.sessions.of(request).user[0])

    def _own(self, request: "gr.Request | None") -> "Path | None":
        """Folder of the cohort of the visit."""
        return None if request is None else self.context.sessions.of(request).cohort


def listed_scans(view: CohortView, keep: Mask) -> list[str]:
    """Scans that can be picked, the most doubtful first."""
    shown = set(view.scans.index[keep])
    return [scan for scan in view.order if scan in shown][:MOST_SCANS]


def question_of(given: Mapping[str, Any]) -> GroupQuestion:
    """A question from what a page sent.

    Raises
    ------
    RunError
        ``USAGE``: it is none.
    """
    outcome, group, reference = (given.get(name) or "" for name in ("outcome", "group", "reference"))
    covariates = given.get("covariates") or []
    texts = (outcome, group, reference, *covariates) if isinstance(covariates, list) else (None,)
    if not all(isinstance(text, str) for text in texts):
        raise RunError(Reason.USAGE, "choose the groups and what to adjust for from the lists")
    return GroupQuestion(outcome=outcome or "usual", group=group, covariates=tuple(covariates), reference=reference)
