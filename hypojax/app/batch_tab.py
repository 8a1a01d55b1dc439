"""The tab of batches: a folder of the server is chosen and measured, and whoever opens the page later sees how far it is."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from hypojax.app.batch_refusal import BatchRefusedError
from hypojax.app.batch_run import BatchProgress
from hypojax.app.page_parts import QUIET_EVENT, live_part, on_open, page_part, sent
from hypojax.reason import HypojaxError

if TYPE_CHECKING:
    import gradio as gr

    from hypojax.app.batch_run import BatchRuns
    from hypojax.app.page_layout import AppContext
    from hypojax.app.words import Words

SECONDS: Final = 2.0
"""Between two looks at a batch that is at work."""

MOST_RUNS: Final = 20
MOST_FAILURES: Final = 10
"""Batches on the page, and failed scans of one."""

LONGEST: Final = 300
"""Characters of what a visitor writes; nobody needs more."""


def add_batch_tab(context: "AppContext") -> None:
    """Put the tab into the page that is being built."""
    import gradio as gr

    form, runs = live_part("batch-form"), live_part("batch-runs")
    key, timer = gr.State(""), gr.Timer(SECONDS, active=False)
    view = [runs, key, timer]

    def opened(request: gr.Request) -> tuple[Any, ...]:
        return form_html(context, request), *runs_view(context, request, "")

    def sent_form(event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
        return form_action(context, event, request), *runs_view(context, request, "")

    def acted(event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
        return runs_view(context, request, "", runs_action(context, event, request))

    def ticked(before: str, request: gr.Request) -> tuple[Any, ...]:
        return runs_view(context, request, before)

    on_open(opened, [form, *view])
    form.submit(sent_form, None, [form, *view], **QUIET_EVENT)
    runs.submit(acted, None, view, **QUIET_EVENT)
    timer.tick(ticked, key, view, trigger_mode="once", **QUIET_EVENT)


def form_action(context: "AppContext", event: "gr.EventData", request: "gr.Request") -> str:
    """Start a batch where a visitor asks for it, and show the form again, as she filled it in where something was wrong."""
    given = {name: _text(sent(event, name)) for name in ("act", "contains", "folder", "name")}
    fields = {name: given[name] for name in ("contains", "folder", "name")}
    if given["act"] != "start":
        return form_html(context, request, **fields)
    try:
        if not given["folder"]:
            raise BatchRefusedError("no_folder", "no folder is chosen; choose one of the list")
        context.batches.start(given["folder"], given["name"])
    except HypojaxError as error:
        return form_html(context, request, **fields, notice=refusal(context.words, context.words.language_of(request), error))
    return form_html(context, request)


def runs_action(context: "AppContext", event: "gr.EventData", request: "gr.Request") -> str:
    """Cancel or go on with a batch; gives what to say where that was refused. Anything else does nothing."""
    name, batches = _text(sent(event, "id")), context.batches
    try:
        match sent(event, "act"):
            case "cancel":
                batches.cancel(name)
            case "resume":
                batches.resume(name)
            case "retry":
                batches.resume(name, retry_failed=True)
    except HypojaxError as error:
        return refusal(context.words, context.words.language_of(request), error)
    return ""


def form_html(
    context: "AppContext", request: "gr.Request", *, contains: str = "", folder: str = "", name: str = "", notice: str = ""
) -> str:
    """The form with what was filled in."""
    found = context.batches.folders(contains)
    values = {"folders": found.names, "more": found.more, "contains": contains, "chosen": folder, "name": name}
    allowed = context.batches.allowed
    return page_part("batch_form.html", context.words, context.words.language_of(request), {**values, "allowed": allowed, "notice": notice})


def runs_view(context: "AppContext", request: "gr.Request", before: str, notice: str = "") -> tuple[Any, ...]:
    """All batches, what is shown as a key, and the timer; each left alone where it would stay the same."""
    import gradio as gr

    language, batches = context.words.language_of(request), context.batches
    names = batches.list()
    found = [progress for name in names[:MOST_RUNS] if (progress := _progress(batches, name)) is not None]
    runs = [{**vars(shortened(run)), **run_words(context.words, language, run), **may(batches, run)} for run in found]
    values = {"runs": runs, "hidden": len(names) - len(names[:MOST_RUNS]), "allowed": batches.allowed, "notice": notice}
    html = page_part("batch_runs.html", context.words, language, values)
    return (gr.skip(),) * 3 if html == before else (html, html, gr.Timer(active=any(run.active for run in found)))


def shortened(run: BatchProgress) -> BatchProgress:
    """The same batch with as many failures as are shown."""
    return replace(run, failures=run.failures[:MOST_FAILURES])


def run_words(words: "Words", language: str, run: BatchProgress) -> dict[str, Any]:
    """What is said of a batch, in a language."""
    state = words.text(f"batch.state.{run.state}", language)
    why = words.text("batch.ended_why", language, why=run.message) if run.message else words.text("batch.ended_silently", language)
    return {
        "news": words.text("batch.news", language, name=run.name, state=state),
        "left": time_left(words, language, run.seconds_left or 0.0),
        "why": why if run.message or (run.state == "stopped" and not run.cancelled) else "",
        "failures": [failure.message for failure in run.failures[:MOST_FAILURES]],
        "unlisted": len(run.failures) - len(run.failures[:MOST_FAILURES]),
    }


def may(batches: "BatchRuns", run: BatchProgress) -> dict[str, bool]:
    """What a visitor may do with a batch."""
    own = bool(run.folder) and not run.watched
    return {
        "may_cancel": own and run.state in ("starting", "running", "drawing"),
        "may_resume": own and run.state == "stopped",
        "may_retry": own and run.state == "finished" and run.failed > 0,
        "pages": batches.has_pages(run.name),
    }


def time_left(words: "Words", language: str, seconds: float) -> str:
    """A time that is left, in minutes or hours."""
    if seconds < 5400:
        return words.text("batch.minutes_left", language, minutes=max(1, round(seconds / 60)))
    return words.text("batch.hours_left", language, hours=round(seconds / 3600))


def refusal(words: "Words", language: str, error: HypojaxError) -> str:
    """Why something was refused, in a language; other errors are sentences in English."""
    if isinstance(error, BatchRefusedError):
        return words.text(f"batch.refused.{error.key}", language, **error.values)
    return words.text("batch.refused.failed", language, why=str(error))


def _progress(batches: "BatchRuns", name: str) -> BatchProgress | None:
    """How far a batch is; None where it was removed meanwhile."""
    try:
        return batches.progress(name)
    except BatchRefusedError:
        return None


def _text(value: object) -> str:
    """What a visitor wrote, cut to a sensible length; nothing where a stranger sent something else."""
    return value[:LONGEST] if isinstance(value, str) else ""
