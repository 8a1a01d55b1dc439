"""What a script calls in place of the page: a file in, volumes out (``/segment`` of `gradio_client`).

from gradio_client import Client, handle_file

client = Client("http://127.0.0.1:7860")
found = client.predict(handle_file("sub-01_T1w.nii.gz"), api_name="/segment")
found["scans"][0]["volumes"]
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from hypojax.app.job_status import is_open
from hypojax.app.visitor_limits import OpenCalls, visitor_of
from hypojax.reason import RunError

if TYPE_CHECKING:
    import gradio as gr

    from hypojax.app.page_layout import AppContext
    from hypojax.app.scan_job import ScanJob
    from hypojax.app.visits import Session

PATIENCE: Final = 3600.0
"""Seconds that a call waits."""

PAUSE: Final = 0.5
"""Seconds between two looks at the scans of a call."""

CALLS, OF_ONE = 32, 8
"""Calls that wait at once, of all and of one visitor; one scan at a time is measured."""

WAITING: Final = OpenCalls(OF_ONE, f"{OF_ONE} calls of yours are waiting; call again when one has ended, or send a zip")


def add_segment_call(context: "AppContext") -> None:
    """Offer the call on the page that is being built; nothing of it is seen there."""
    import gradio as gr

    def segment(file: str, request: gr.Request) -> dict[str, Any]:
        return segmented(context, file, request)

    with gr.Row(visible=False):
        file, answer, run = gr.File(type="filepath"), gr.JSON(), gr.Button()
    file.example_payload = file.example_value = lambda: None  # Gradio's own is a file of another site
    run.click(segment, file, answer, api_name="segment", api_visibility="public", concurrency_limit=CALLS, show_progress="hidden")


def segmented(context: "AppContext", file: object, request: "gr.Request") -> dict[str, Any]:
    """Measure a file, and wait until that is done.

    Parameters
    ----------
    context
        Sessions and service.
    file
        Path of a file that the session sent.
    request
        Whose call it is.

    Returns
    -------
    ``scans``: for each scan of the file a table with ``name``, ``state`` (``done``, ``failed``, ``cancelled``), ``reason`` and ``message``
    where it failed, ``read``, ``seconds``, and what `ScanService.summary` says of a scan that is done: ``volumes`` (``region``,
    ``volume_mm3``, ``uncertainty_mm3`` …), ``flags``, ``doubts``, ``quality``.

    Raises
    ------
    gradio.Error
        The file is none of the session, or was not taken; it says why.
    """
    import gradio as gr

    try:
        session = context.sessions.of(request)
        with WAITING.held(visitor_of(session)):
            asked = {job.id for job in context.service.submit(session, [session.uploaded(str(file))])}
            return {"scans": [_told(context, session, job) for job in _ended(context, session, asked)]}
    except RunError as error:
        raise gr.Error(str(error), print_exception=False) from None


def _ended(context: "AppContext", session: "Session", asked: set[str]) -> "list[ScanJob]":
    """The scans of these jobs once nothing happens to them any more; a zip may turn out to hold several."""
    end = time.monotonic() + PATIENCE
    while True:
        found = [job for job in context.service.jobs(session) if asked & {job.id, job.origin}]
        if not any(map(is_open, found)) or time.monotonic() > end:
            return found
        session.touch()
        time.sleep(PAUSE)


def _told(context: "AppContext", session: "Session", job: "ScanJob") -> dict[str, Any]:
    """A scan as JSON has it."""
    summary: Mapping[str, Any] = context.service.summary(session, job.id) if job.state == "done" else {}
    own = {
        "name": job.name,
        "state": job.state,
        "reason": job.reason,
        "message": job.message,
        "read": dict(job.read),
        "seconds": job.seconds,
    }
    return {**summary, **own}
