"""The tab of a cohort: it is chosen and filtered; numbers, plots, comparison, doubtful scans and ratings follow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hypojax.app.cohort_comparison import Choices, choices_of
from hypojax.app.cohort_desk import COLUMNS, CohortDesk
from hypojax.app.cohort_filter import UNKNOWN, values_of
from hypojax.app.cohort_parts import CohortWords, problem_html
from hypojax.app.page_parts import QUIET_EVENT, on_open, pointed
from hypojax.app.shown_html import heading_html, sentences_html
from hypojax.cohort.ratings import LEVELS
from hypojax.reason import HypojaxError
from hypojax.schema import REGIONS

if TYPE_CHECKING:
    import gradio as gr

    from hypojax.app.page_layout import AppContext

CHOSEN: Final = ("group", "sex", "site", "dataset", "flags", "rating")
"""Filters of which several values are chosen."""

FILTERS: Final = (*CHOSEN, "youngest", "oldest", "text")

QUESTION: Final = ("outcome", "group", "reference", "covariates")

Updates = list[Any]


@dataclass(frozen=True)
class CohortControls:
    """Components of the tab.

    Parameters
    ----------
    lead, summary, numbers, comparison, doubtful, page, said
        What is shown.
    titles
        Headings, by the key of their text.
    body
        All below the summary, hidden until a cohort is chosen.
    cohort, again
        The choice of the cohort, and the button that reads it anew.
    filters
        Those of `FILTERS`, in order.
    clear
        Button that empties them.
    region, by
        Of the plots.
    question
        Those of `QUESTION`, in order.
    compare
        Button of the comparison.
    pick, onward, rating, comment, save
        Of ratings.
    """

    lead: "gr.HTML"
    summary: "gr.HTML"
    numbers: "gr.HTML"
    comparison: "gr.HTML"
    doubtful: "gr.HTML"
    page: "gr.HTML"
    said: "gr.HTML"
    titles: "dict[str, gr.HTML]"
    body: "gr.Column"
    cohort: "gr.Dropdown"
    again: "gr.Button"
    filters: "tuple[gr.components.Component, ...]"
    clear: "gr.Button"
    region: "gr.Dropdown"
    by: "gr.Dropdown"
    question: "tuple[gr.components.Component, ...]"
    compare: "gr.Button"
    pick: "gr.Dropdown"
    onward: "gr.Button"
    rating: "gr.Radio"
    comment: "gr.Textbox"
    save: "gr.Button"

    @property
    def labelled(self) -> "dict[str, gr.components.Component]":
        """Component by the key of its label."""
        named = {
            name if name in ("youngest", "oldest", "text") else f"filter_{name}": one
            for name, one in zip(FILTERS, self.filters, strict=True)
        }
        asked = dict(zip(("outcome", "compare_group", "reference", "covariates"), self.question, strict=True))
        own = {
            "choose": self.cohort,
            "region": self.region,
            "by": self.by,
            "pick": self.pick,
            "your_rating": self.rating,
            "comment": self.comment,
        }
        return {**named, **asked, **own}

    @property
    def buttons(self) -> "dict[str, gr.Button]":
        """Button by the key of its text."""
        return {"again": self.again, "clear": self.clear, "compare": self.compare, "next": self.onward, "save": self.save}

    @property
    def chosen(self) -> "list[gr.components.Component]":
        """What changes when another cohort is chosen, in the order of `chosen_updates`."""
        return [self.body, self.summary, *self.filters, self.region, self.by, *self.question, self.comparison, self.page, self.said]

    @property
    def asked(self) -> "list[gr.components.Component]":
        """What a filter is read from."""
        return [self.cohort, *self.filters, self.region, self.by]

    @property
    def shown(self) -> "list[gr.components.Component]":
        """What follows the filter."""
        return [self.numbers, self.doubtful, self.pick]


def cohort_controls() -> CohortControls:
    """Make the components, in the order of the page; their texts come when the tab is opened."""
    import gradio as gr

    lead = _part("cohort-lead")
    with gr.Row():
        cohort = gr.Dropdown([], value=None, elem_id="cohort-choice", scale=4)
        again = gr.Button(scale=1, size="sm", elem_id="cohort-again")
    summary = _part("cohort-summary")
    with gr.Column(visible="hidden") as body:
        titles = {"filter": _part("cohort-filter-title")}
        filters = _filter_controls()
        titles["compare_title"] = _part("cohort-compare-title")
        questions = _question_controls()
        titles["doubtful_title"] = _part("cohort-doubtful-title")
        doubtful = _part("cohort-doubtful-list")
        titles["rate_title"] = _part("cohort-rate-title")
        ratings = _rating_controls()
    own = {"lead": lead, "summary": summary, "doubtful": doubtful, "titles": titles, "body": body, "cohort": cohort, "again": again}
    return CohortControls(**own, **filters, **questions, **ratings)


def _part(name: str) -> "gr.HTML":
    """A place that is filled later."""
    import gradio as gr

    return gr.HTML(elem_id=name, elem_classes="house", apply_default_css=False, padding=False)


def _filter_controls() -> dict[str, Any]:
    """The filter, and what follows it."""
    import gradio as gr

    with gr.Row():
        chosen = [gr.Dropdown([], value=[], multiselect=True, elem_id=f"cohort-{key}", visible=False, min_width=180) for key in CHOSEN]
    with gr.Row():
        ages = [gr.Number(value=None, elem_id=f"cohort-{end}", min_width=140) for end in ("youngest", "oldest")]
        text = gr.Textbox(elem_id="cohort-text", max_lines=1, max_length=500, min_width=240)
        clear = gr.Button(size="sm", elem_id="cohort-clear", min_width=140)
    with gr.Row():
        region = gr.Dropdown(list(REGIONS), value="hypothalamus", elem_id="cohort-region")
        by = gr.Dropdown([], value=None, elem_id="cohort-by")
    return {"filters": (*chosen, *ages, text), "clear": clear, "region": region, "by": by, "numbers": _part("cohort-shown")}


def _question_controls() -> dict[str, Any]:
    """What groups are compared by, and the answer."""
    import gradio as gr

    with gr.Row():
        outcome = gr.Dropdown([], value=None, elem_id="cohort-outcome")
        group = gr.Dropdown([], value=None, elem_id="cohort-compare-group")
        reference = gr.Dropdown([], value=None, elem_id="cohort-reference")
    covariates = gr.CheckboxGroup([], elem_id="cohort-covariates")
    compare = gr.Button(variant="primary", elem_id="cohort-compare")
    return {"question": (outcome, group, reference, covariates), "compare": compare, "comparison": _part("cohort-comparison")}


def _rating_controls() -> dict[str, Any]:
    """A scan to look at, and its rating."""
    import gradio as gr

    with gr.Row():
        pick = gr.Dropdown([], value=None, allow_custom_value=True, elem_id="cohort-pick", scale=4)
        onward = gr.Button(scale=1, size="sm", elem_id="cohort-next")
    with gr.Row():
        rating = gr.Radio([], elem_id="cohort-rating")
        comment = gr.Textbox(elem_id="cohort-comment", max_lines=1, max_length=2000)
        save = gr.Button(variant="primary", elem_id="cohort-save", min_width=140)
    said, page = _part("cohort-said"), _part("cohort-page")
    return {"pick": pick, "onward": onward, "rating": rating, "comment": comment, "save": save, "said": said, "page": page}


def add_cohort_tab(context: "AppContext") -> None:
    """Put the tab into the page that is being built."""
    import gradio as gr

    desk, controls = CohortDesk(context), cohort_controls()

    def opened(request: gr.Request) -> Updates:
        return opened_updates(desk, controls, request)

    on_open(opened, [controls.lead, *controls.titles.values(), *controls.labelled.values(), *controls.buttons.values()])
    _choosing(desk, controls)
    _comparing(desk, controls)
    _rating(desk, controls)


def opened_updates(desk: CohortDesk, controls: CohortControls, request: "gr.Request | None") -> Updates:
    """Texts in the language of the visitor, and the cohorts to choose from: the only one, or the one that a button led to, is chosen."""
    import gradio as gr

    say, names = desk.say(request), desk.names(request)
    labels: dict[str, dict[str, Any]] = {key: {"label": say(key)} for key in controls.labelled}
    asked = [name for _, name in names if len(names) == 1 or name == pointed(request, "cohort")]
    labels["choose"] |= {"choices": names, **({"value": asked[0]} if asked else {})}
    labels["region"] |= {"choices": [(say(f"region_{region}"), region) for region in REGIONS]}
    labels["outcome"] |= {"choices": outcomes(say)}
    labels["your_rating"] |= {"choices": [(say(f"rating_{level}"), level) for level in LEVELS]}
    texts = [sentences_html([say("lead") if names else say("none")]), *(_title(say, key) for key in controls.titles)]
    return [*texts, *(gr.update(**values) for values in labels.values()), *(gr.update(value=say(key)) for key in controls.buttons)]


def _title(say: CohortWords, key: str) -> str:
    """A heading, with what has to be known of the part below it."""
    return heading_html(say(key)) + (sentences_html([say("compare_lead")]) if key == "compare_title" else "")


def chosen_updates(desk: CohortDesk, name: object, request: "gr.Request | None") -> Updates:
    """What `CohortControls.chosen` becomes when a cohort is chosen: its summary, an empty filter with its values, and its question."""
    import gradio as gr

    say = desk.say(request)
    if name is None:
        values, asked, summary = dict[str, list[str]](), Choices((), (), (), {}), ""
    else:
        values, asked, summary = _known(desk, name, request)
    columns = [(say(f"filter_{column}"), column) for column in COLUMNS if column in values]
    filters = [gr.update(choices=_named(values.get(key, []), key, say), value=[], visible=key in values) for key in CHOSEN]
    plots = [gr.update(value="hypothalamus"), gr.update(choices=columns, value=columns[0][1] if columns else None, visible=bool(columns))]
    again = asking(desk, request) if asked.groups or name is None else sentences_html([say("no_groups")])
    body = gr.update(visible=True if values else "hidden")
    return [body, summary, *filters, *no_filter()[len(CHOSEN) :], *plots, *_question(desk, name, asked, say, request), again, "", ""]


def _known(desk: CohortDesk, name: object, request: "gr.Request | None") -> tuple[dict[str, list[str]], Choices, str]:
    """Values of a cohort that filters have, what can be compared, and its summary."""
    try:
        view = desk.open(name, request)
        return {**values_of(view.scans), "rating": [*LEVELS, UNKNOWN]}, choices_of(view), desk.summary(name, request)
    except HypojaxError as error:
        return {}, Choices((), (), (), {}), problem_html(str(error))


def outcomes(say: CohortWords) -> list[tuple[str, str]]:
    """Volumes that can be compared: label and name."""
    several = [(say(f"outcome_{name}"), name) for name in ("usual", "subunits", "all")]
    return [*several, *((say(f"region_{region}"), region) for region in REGIONS)]


def _question(desk: CohortDesk, name: object, asked: Choices, say: CohortWords, request: "gr.Request | None") -> Updates:
    """The question that a study asks by itself."""
    import gradio as gr

    usual = asked.question
    groups, controls = desk.groups(name, usual.group, request) if usual.group else ([], "")
    covariates = [(say(f"covariate_{one}") if one in asked.usual else one, one) for one in asked.covariates]
    return [
        gr.update(value="usual"),
        gr.update(choices=list(asked.groups), value=usual.group or None),
        gr.update(choices=groups, value=controls or None),
        gr.update(choices=covariates, value=list(asked.usual)),
    ]


def _named(values: Sequence[str], key: str, say: CohortWords) -> list[tuple[str, str]]:
    """Label and name of values of a filter."""
    if key == "rating":
        return [(say(f"rating_{value}") if value else say("not_known"), value) for value in values]
    return [(say.label(value).replace("_", " ") if key == "flags" else say.label(value), value) for value in values]


def _choosing(desk: CohortDesk, controls: CohortControls) -> None:
    """Another cohort, or another filter."""
    import gradio as gr

    def chosen(request: gr.Request, name: object) -> Updates:
        changed = chosen_updates(desk, name, request)
        return [*changed, *shown_updates(desk, name, {}, ("hypothalamus", first_column(desk, name, request)), request)]

    def cleared(request: gr.Request, name: object, region: object, by: object) -> Updates:
        return [*no_filter(), *shown_updates(desk, name, {}, (region, by), request), asking(desk, request)]

    def filtered(request: gr.Request, name: object, *values: object) -> Updates:
        *given, region, by = values
        return [*shown_updates(desk, name, _filter(given), (region, by), request), asking(desk, request)]

    follow, everything = [*controls.shown, controls.comparison], [*controls.chosen, *controls.shown]
    gr.on([controls.cohort.change, controls.again.click], chosen, controls.cohort, everything, **QUIET_EVENT)
    controls.clear.click(cleared, [controls.cohort, controls.region, controls.by], [*controls.filters, *follow], **QUIET_EVENT)
    changes = [one.input for one in (*controls.filters, controls.region, controls.by)]
    gr.on(changes, filtered, controls.asked, follow, trigger_mode="always_last", **QUIET_EVENT)


def _comparing(desk: CohortDesk, controls: CohortControls) -> None:
    """Another question, and its answer."""
    import gradio as gr

    def grouped(request: gr.Request, name: object, column: object) -> Any:  # noqa: ANN401 - an update of Gradio
        groups, usual = desk.groups(name, column, request)
        return gr.update(choices=groups, value=usual or None)

    def compared(request: gr.Request, name: object, *values: object) -> str:
        given, question = values[: len(FILTERS)], values[len(FILTERS) :]
        return desk.compared(name, _filter(given), dict(zip(QUESTION, question, strict=True)), request)

    _, column, reference, _ = controls.question
    column.input(grouped, [controls.cohort, column], reference, **QUIET_EVENT)
    asked = [controls.cohort, *controls.filters, *controls.question]
    controls.compare.click(compared, asked, controls.comparison, queue=False, show_progress="minimal", api_visibility="private")


def _rating(desk: CohortDesk, controls: CohortControls) -> None:
    """A scan is looked at, and rated."""
    import gradio as gr

    def looked(request: gr.Request, name: object, scan: object) -> Updates:
        return [desk.scan(name, scan, request), gr.update(value=None), "", ""]

    def onward(request: gr.Request, name: object, scan: object, *values: object) -> Any:  # noqa: ANN401 - an update of Gradio
        scans = desk.shown_scans(name, _filter(values), request)
        place = scans.index(scan) + 1 if isinstance(scan, str) and scan in scans else 0
        return gr.update(value=scans[place] if place < len(scans) else None)

    def saved(request: gr.Request, name: object, scan: object, rating: object, comment: object) -> Updates:
        said = desk.rate(name, scan, rating, comment, request)
        return [said, desk.scan(name, scan, request)]

    after = [controls.page, controls.rating, controls.comment, controls.said]
    controls.pick.change(looked, [controls.cohort, controls.pick], after, **QUIET_EVENT)
    controls.onward.click(onward, [controls.cohort, controls.pick, *controls.filters], controls.pick, **QUIET_EVENT)
    asked = [controls.cohort, controls.pick, controls.rating, controls.comment]
    controls.save.click(saved, asked, [controls.said, controls.page], **QUIET_EVENT)


def shown_updates(
    desk: CohortDesk, name: object, given: dict[str, object], plots: tuple[object, object], request: "gr.Request | None"
) -> Updates:
    """What `CohortControls.shown` becomes."""
    import gradio as gr

    if not isinstance(name, str):
        return ["", "", gr.update(choices=[], value=None)]
    shown = desk.shown(name, given, plots, request)
    return [shown.numbers, shown.doubtful, gr.update(choices=shown.scans)]


def no_filter() -> Updates:
    """Empty components of the filter."""
    import gradio as gr

    return [*(gr.update(value=[]) for _ in CHOSEN), gr.update(value=None), gr.update(value=None), gr.update(value="")]


def asking(desk: CohortDesk, request: "gr.Request | None") -> str:
    """What stands where the comparison was, of scans that are no longer those shown."""
    return sentences_html([desk.say(request)("compare_again")])


def first_column(desk: CohortDesk, name: object, request: "gr.Request | None") -> str | None:
    """The first of `COLUMNS` that has several values in a cohort."""
    try:
        values = values_of(desk.open(name, request).scans)
    except HypojaxError:
        return None
    return next((column for column in COLUMNS if column in values), None)


def _filter(values: Sequence[object]) -> dict[str, object]:
    """A filter from the values of its components."""
    return dict(zip(FILTERS, values, strict=True))
