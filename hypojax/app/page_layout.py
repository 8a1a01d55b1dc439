"""The page as a whole: its first line, its tabs, its look in light and dark, and its language."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from hypojax.app.about_tab import add_about_tab
from hypojax.app.app_settings import AppSettings
from hypojax.app.batch_tab import add_batch_tab
from hypojax.app.cohort_tab import add_cohort_tab
from hypojax.app.many_scans_tab import add_many_scans_tab
from hypojax.app.monitoring_tab import add_monitoring_tab
from hypojax.app.one_scan_tab import add_one_scan_tab
from hypojax.app.page_parts import QUIET_EVENT, live_part, page_part
from hypojax.app.scan_service import ScanService
from hypojax.app.segment_call import add_segment_call
from hypojax.app.upload_limits import UploadLimits
from hypojax.app.visits import Sessions
from hypojax.app.words import Words
from hypojax.pages.palette import css_properties
from hypojax.pages.rendering import TEMPLATES, inline_style
from hypojax.reporting.scan_page import FOLDERS

if TYPE_CHECKING:
    import gradio as gr

STYLE: Final = Path(__file__).parent / "static" / "app.css"
"""Style sheet of the page, after the palette of all pages."""

SCRIPT: Final = "app.js"
"""Script of the page, in the same folder; the server gives it out at ``/static``."""

TABS: Final = {
    "one_scan": add_one_scan_tab,
    "many_scans": add_many_scans_tab,
    "cohort": add_cohort_tab,
    "monitoring": add_monitoring_tab,
    "batch": add_batch_tab,
    "about": add_about_tab,
}
"""Tabs in their order: the id of a tab, which also names its label (``frame.ID``), and what fills it."""


@dataclass(frozen=True)
class AppContext:
    """What the tabs of the page share.

    Parameters
    ----------
    settings
        Options of ``hypojax app``.
    sessions
        From the request of a visitor to the folder of the visit.
    limits
        How much may be sent and kept.
    service
        Measures scans.
    words
        All texts.
    cohorts
        Cohorts that a visitor may open.
    batches
        Runs on the server.
    """

    settings: AppSettings
    sessions: Sessions
    limits: UploadLimits
    service: ScanService
    words: Words
    cohorts: Any
    batches: Any


def build_page(context: AppContext) -> "gr.Blocks":
    """The page, to be mounted with the options that `page_look` gives."""
    import gradio as gr

    words = context.words
    with gr.Blocks(title=words.text("frame.title"), analytics_enabled=False, fill_width=True) as page:
        first = live_part("first-line")
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap"):
            tabs = []
            for name, add in TABS.items():
                with gr.Tab(words.text(f"frame.{name}"), id=name, elem_id=f"tab-{name}") as tab:
                    add(context)
                tabs.append(tab)
        add_segment_call(context)

        def show(request: gr.Request) -> list[Any]:
            language = words.language_of(request)
            labels = [gr.Tab(label=words.text(f"frame.{name}", language)) for name in TABS]
            return [page_part("first_line.html", words, language, {}), *labels]

        page.load(show, None, [first, *tabs], **QUIET_EVENT)
    return page


def page_look(context: AppContext) -> dict[str, Any]:
    """Options of ``gradio.mount_gradio_app`` that give the page its style, its script and its languages."""
    import gradio as gr

    theme = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    script = Markup('<script src="{}"></script>').format(f"/static/{SCRIPT}")
    head = f"{inline_style(page_css())}{script}"
    return {"theme": theme, "head": head, "i18n": context.words.i18n()}


def page_css() -> str:
    """The palette of all pages, the style of reports for whatever stands in the class ``house``, and what only this page has."""
    house, scan, own = (path.read_text(encoding="utf-8") for path in (TEMPLATES / "house.css", FOLDERS[0] / "scan.css", STYLE))
    return f"{css_properties()}\n.house {{\n{house}\n{scan}\n}}\n{own}"
