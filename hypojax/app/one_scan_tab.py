"""The tab of one scan: it is sent, followed through the queue, and shown with pictures, volumes and quality in words."""

from typing import TYPE_CHECKING, Any, Final, TypedDict

from hypojax.app.job_status import is_open, status_html, status_key
from hypojax.app.page_parts import QUIET_EVENT, live_part, on_open, pointed, sent
from hypojax.app.scan_result import result_html
from hypojax.app.scan_upload import drop_html, sent_files, sent_id
from hypojax.reason import RunError

if TYPE_CHECKING:
    import gradio as gr

    from hypojax.app.page_layout import AppContext
    from hypojax.app.scan_job import ScanJob
    from hypojax.app.visits import Session

SECONDS: Final = 1.0
"""Between two looks at a scan that is not done."""


class Shown(TypedDict):
    """What one open page shows: the scan that was chosen (empty: the last one), and keys of its status and of its result."""

    chosen: str
    status: str
    result: str


def nothing_shown() -> Shown:
    """What a page shows that was just opened."""
    return {"chosen": "", "status": "", "result": ""}


def add_one_scan_tab(context: "AppContext") -> None:
    """Put the tab into the page that is being built."""
    import gradio as gr

    drop, status, result = live_part("one-drop"), live_part("one-status"), live_part("one-result")
    shown, timer = gr.State(nothing_shown()), gr.Timer(SECONDS, active=False)
    view = [status, result, shown, timer]

    def opened(now: Shown, request: gr.Request) -> tuple[Any, ...]:
        drawn = drop_html(context.words, context.words.language_of(request), "one_scan", sample=True)
        return drawn, *one_view(context, request, {**nothing_shown(), "chosen": pointed(request, "scan") or now["chosen"]})

    def acted(now: Shown, event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
        return one_action(context, event, now, request)

    def ticked(now: Shown, request: gr.Request) -> tuple[Any, ...]:
        return one_view(context, request, now)

    on_open(opened, [drop, *view], shown)
    gr.on([drop.submit, status.submit], acted, shown, view, **QUIET_EVENT)
    timer.tick(ticked, shown, view, trigger_mode="once", **QUIET_EVENT)


def one_action(context: "AppContext", event: "gr.EventData", now: Shown, request: "gr.Request") -> tuple[Any, ...]:
    """Do what a visitor asks for, ``send``, ``sample``, ``choose`` or ``cancel``, and show the scan; anything else does nothing."""
    notice, chosen = "", now["chosen"]
    try:
        session = context.sessions.of(request)
        match sent(event, "act"):
            case "send":
                chosen = first_id(context.service.submit(session, sent_files(event, session)))
            case "sample":
                chosen = first_id(context.service.submit(session, [], sample=True))
            case "choose":
                chosen = sent_id(event)
            case "cancel":
                context.service.cancel(session, sent_id(event))
    except RunError as error:
        notice = context.words.text("one_scan.not_taken", context.words.language_of(request), why=str(error))
    return one_view(context, request, {**now, "chosen": chosen}, notice)


def first_id(jobs: "tuple[ScanJob, ...]") -> str:
    """Id of the first of some scans; empty without any."""
    return jobs[0].id if jobs else ""


def one_view(context: "AppContext", request: "gr.Request", now: Shown, notice: str = "") -> tuple[Any, ...]:
    """The status, the result, what is shown then, and the timer; each left alone where it would stay the same."""
    import gradio as gr

    language = context.words.language_of(request)
    try:
        session = context.sessions.of(request)
    except RunError:
        ended = status_html(context.words, language, (), None, context.words.text("one_scan.wait", language))
        return ended, "", nothing_shown(), gr.Timer(active=False)
    jobs = context.service.jobs(session)
    job = next((one for one in jobs if one.id == now["chosen"]), jobs[-1] if jobs else None)
    key = status_key(job, language, jobs, notice)
    if key == now["status"]:
        return (gr.skip(),) * 4
    result_key = f"{job.id}/{language}" if job and job.state == "done" else "none"
    result = gr.skip() if result_key == now["result"] else _result(context, session, job, language)
    after: Shown = {"chosen": now["chosen"], "status": key, "result": result_key}
    return status_html(context.words, language, jobs, job, notice), result, after, gr.Timer(active=bool(job and is_open(job)))


def _result(context: "AppContext", session: "Session", job: "ScanJob | None", language: str) -> str:
    """The result of a scan; empty where there is none yet."""
    if job is None or job.state != "done":
        return ""
    summary, sections = context.service.summary(session, job.id), context.service.sections(session, job.id)
    return result_html(context.words, language, job, summary, sections)
