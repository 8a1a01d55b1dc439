"""The page as a whole: its first line, its tabs, its look in light and dark, and its language."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from hypojax.app.about_tab import add_about_tab
from hypojax.app.batch_tab import add_batch_tab
from hypojax.app.cohort_tab import add_cohort_tab
from hypojax.app.many_scans_tab import add_many_scans_tab
from hypojax.app.monitoring_tab import add_monitoring_tab
from hypojax.app.one_scan_tab import add_one_scan_tab
from hypojax.app.words import Words
from hypojax.pages.palette import css_properties

if TYPE_CHECKING:
    import gradio as gr

STYLE: Final = Path(__file__).parent / "static" / "app.css"
"""Style sheet of the page, after the palette of all pages."""

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
    service
        Measures scans.
    words
        All texts.
    cohorts
        Cohorts that a visitor may open.
    batches
        Runs on the server.
    """

    settings: Any
    sessions: Any
    service: Any
    words: Words
    cohorts: Any
    batches: Any


def build_page(context: AppContext) -> "gr.Blocks":
    """The page, to be mounted with the options that `page_look` gives."""
    import gradio as gr

    label = context.words.i18n()
    with gr.Blocks(title=context.words.text("frame.title"), analytics_enabled=False, fill_width=True) as page:
        first = gr.HTML(elem_id="first-line", padding=False)
        with gr.Tabs(elem_id="tabs"):
            for name, add in TABS.items():
                with gr.Tab(label(f"frame.{name}"), id=name, elem_id=f"tab-{name}"):
                    add(context)

        def show(request: gr.Request) -> str:
            return first_line(context.words, context.words.language_of(request))

        page.load(show, None, first, queue=False, show_progress="hidden", api_visibility="private")
    return page


def first_line(words: Words, language: str) -> Markup:
    """Where scans go, how long they stay, and what this is not."""
    return Markup('<p class="first-line" lang="{}">{}</p>').format(language, words.text("frame.first_line", language))


def page_look(context: AppContext) -> dict[str, Any]:
    """Options of ``gradio.mount_gradio_app`` that give the page its style and its languages."""
    import gradio as gr

    theme = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    css = css_properties() + STYLE.read_text(encoding="utf-8")
    return {"theme": theme, "css": css, "i18n": context.words.i18n()}
