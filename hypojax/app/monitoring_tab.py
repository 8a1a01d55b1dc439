"""The tab of monitoring: evaluations of a cohort over time, drift, and what to run where there is nothing yet."""

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from hypojax.app.cohort_desk import CohortDesk
from hypojax.app.cohort_figures import picture_html
from hypojax.app.cohort_parts import CohortWords, problem_html
from hypojax.app.monitoring_history import DriftFile, MonitoringHistory, evaluations_svg, history_of
from hypojax.app.page_parts import QUIET_EVENT, on_open
from hypojax.app.shown_html import heading_html, list_html, number_text, sentences_html, table_html
from hypojax.reason import HypojaxError

if TYPE_CHECKING:
    import gradio as gr

    from hypojax.app.page_layout import AppContext


def add_monitoring_tab(context: "AppContext") -> None:
    """Put the tab into the page that is being built."""
    import gradio as gr

    desk = CohortDesk(context)
    lead = gr.HTML(elem_id="monitoring-lead", elem_classes="house", apply_default_css=False, padding=False)
    cohort = gr.Dropdown([], value=None, elem_id="monitoring-choice")
    shown = gr.HTML(elem_id="monitoring-shown", elem_classes="house", apply_default_css=False, padding=False)

    def opened(request: gr.Request) -> list[Any]:
        say, names = desk.say(request, "monitoring"), desk.names(request)
        only = {"value": names[0][1]} if len(names) == 1 else {}
        text = say("lead") if names else desk.say(request)("none")
        return [sentences_html([text]), gr.update(label=say("choose"), choices=names, **only)]

    def chosen(request: gr.Request, name: object) -> str:
        return monitoring_html(desk, name, request) if name else ""

    on_open(opened, [lead, cohort])
    cohort.change(chosen, cohort, shown, **QUIET_EVENT)


def monitoring_html(desk: CohortDesk, name: object, request: "gr.Request | None") -> str:
    """What is known of a cohort over time, or why nothing is."""
    say = desk.say(request, "monitoring")
    try:
        found = history_of(desk.open(name, request))
    except HypojaxError as error:
        return problem_html(str(error))
    return Markup("").join([*_evaluations(found, say), *_halves(found, say), *_drift(found, say), sentences_html([say("english")])])


def _evaluations(found: MonitoringHistory, say: CohortWords) -> list[Markup]:
    """Recorded evaluations: sentences, a plot over time, and a table."""
    title = heading_html(say("evaluations"))
    if found.evaluations.empty:
        return [title, *_advice(say, "no_evaluations", "run_evaluate")]
    said = [
        heading_html(say(key)) + list_html(sentences, lang="en")
        for key, sentences in (("moved", found.changed), ("steady", found.steady))
        if sentences
    ]
    dates = found.evaluations["date"].nunique()
    picture = Markup('<figure id="monitoring-plot"><figcaption>{}</figcaption>{}</figure>').format(
        say("plot"), picture_html(evaluations_svg(found.evaluations, date=say("axis_date")), say("plot_words", n=dates))
    )
    header = [say(key) for key in ("date", "against", "region", "weights", "scans", "dice", "bias")]
    return [title, *said, picture, table_html(say("evaluations_table"), header, found.rows, name="monitoring-evaluations")]


def _halves(found: MonitoringHistory, say: CohortWords) -> list[Markup]:
    """Earlier against later scans."""
    title = heading_html(say("halves"))
    if found.halves is None:
        return [title, sentences_html([say("no_dates")])]
    return [title, sentences_html([found.halves.words], lang="en"), list_html(found.halves.said, lang="en")]


def _drift(found: MonitoringHistory, say: CohortWords) -> list[Markup]:
    """Results of ``hypojax drift`` that lie beside the cohort."""
    title = heading_html(say("drift"))
    if not found.drift:
        return [title, *_advice(say, "no_drift", "run_drift")]
    return [title, *(_drift_file(one, number, say) for number, one in enumerate(found.drift))]


def _drift_file(found: DriftFile, number: int, say: CohortWords) -> Markup:
    about = {"file": found.name, "date": f"{found.written:%Y-%m-%d}"}
    if found.moved.empty:
        return sentences_html([say("drift_none", **about)])
    rows = [(str(name), *(_value(value, say) for value in values)) for name, *values in found.moved.iloc[:, :3].to_numpy().tolist()]
    return table_html(say("drift_table", **about), [say("measure"), say("before"), say("now")], rows, name=f"monitoring-drift-{number}")


def _value(value: object, say: CohortWords) -> str:
    """A number with as many digits as it needs."""
    if not isinstance(value, int | float):
        return str(value)
    return number_text(float(value), 0 if abs(value) >= 100 else 3, language=say.language)


def _advice(say: CohortWords, why: str, command: str) -> list[Markup]:
    """That there is nothing yet, and what to run."""
    return [sentences_html([say(why)]), Markup("<pre><code>{}</code></pre>").format(say(command))]
