"""The tab of many scans: they are sent, wait in a queue, and become a table, a zip and a cohort."""

from typing import TYPE_CHECKING, Any

from hypojax.app.job_status import is_open
from hypojax.app.many_scans_table import many_html, many_key
from hypojax.app.one_scan_tab import SECONDS
from hypojax.app.page_parts import QUIET_EVENT, live_part, on_open, sent
from hypojax.app.scan_upload import drop_html, sent_files, sent_id
from hypojax.reason import RunError

if TYPE_CHECKING:
    import gradio as gr

    from hypojax.app.page_layout import AppContext


def add_many_scans_tab(context: "AppContext") -> None:
    """Put the tab into the page that is being built."""
    import gradio as gr

    drop, table = live_part("many-drop"), live_part("many-table")
    key, timer = gr.State(""), gr.Timer(SECONDS, active=False)
    view = [table, key, timer]

    def opened(request: gr.Request) -> tuple[Any, ...]:
        drawn = drop_html(context.words, context.words.language_of(request), "many_scans", sample=False)
        return drawn, *many_view(context, request, "")

    def acted(event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
        return many_action(context, event, request)

    def ticked(before: str, request: gr.Request) -> tuple[Any, ...]:
        return many_view(context, request, before)

    on_open(opened, [drop, *view])
    gr.on([drop.submit, table.submit], acted, None, view, **QUIET_EVENT)
    timer.tick(ticked, key, view, trigger_mode="once", **QUIET_EVENT)


def many_action(context: "AppContext", event: "gr.EventData", request: "gr.Request") -> tuple[Any, ...]:
    """Do what a visitor asks for, ``send``, ``cancel`` or ``cancel_all``, and show all scans; anything else does nothing."""
    notice = ""
    try:
        session = context.sessions.of(request)
        match sent(event, "act"):
            case "send":
                context.service.submit(session, sent_files(event, session))
            case "cancel":
                context.service.cancel(session, sent_id(event))
            case "cancel_all":
                for job in context.service.jobs(session):
                    if is_open(job):
                        context.service.cancel(session, job.id)
    except RunError as error:
        notice = context.words.text("one_scan.not_taken", context.words.language_of(request), why=str(error))
    return many_view(context, request, "", notice)


def many_view(context: "AppContext", request: "gr.Request", before: str, notice: str = "") -> tuple[Any, ...]:
    """The table, what it shows as a key, and the timer; each left alone where it would stay the same."""
    import gradio as gr

    language = context.words.language_of(request)
    try:
        session = context.sessions.of(request)
    except RunError:
        notice = context.words.text("one_scan.wait", language)
        return many_html(context.words, language, (), None, notice), "", gr.Timer(active=False)
    jobs = context.service.jobs(session)
    key = many_key(jobs, language, notice)
    if key == before:
        return (gr.skip(),) * 3
    volumes = context.service.volumes(session)
    return many_html(context.words, language, jobs, volumes, notice), key, gr.Timer(active=any(map(is_open, jobs)))
