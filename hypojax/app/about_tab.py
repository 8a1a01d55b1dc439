"""The tab of what hypojax is: what it is not, its version and weights, how to cite and to install it, licences, and model cards."""

from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hypojax.app.page_parts import live_part, on_open, page_part
from hypojax.reason import RunError
from hypojax.release import STAGES, released_folder, weights_sha256

if TYPE_CHECKING:
    import gradio as gr

    from hypojax.app.page_layout import AppContext

CITATION: Final = "CITATION.cff"

LICENCES: Final = {"NiiVue": ("reporting", "static", "niivue.LICENSE"), "Colin27": ("demonstration", "COPYING")}
"""Licences of what comes with hypojax, and their files in it."""

COMMANDS: Final = "python -m pip install -e '.[app]'\nhypojax app"
"""How to install it and to open this page."""

MOST_AUTHORS: Final = 6
"""Authors of a paper that are named."""


def add_about_tab(context: "AppContext") -> None:
    """Put the tab into the page that is being built."""
    import gradio as gr

    page = live_part("about")

    def opened(request: gr.Request) -> str:
        return about_html(context, request)

    on_open(opened, [page])
    for name, card in model_cards(context.settings.weights).items():
        with gr.Accordion(name, open=False):
            gr.Markdown(card, elem_classes="house", latex_delimiters=[], padding=False)


def about_html(context: "AppContext", request: "gr.Request | None") -> str:
    """What is said of hypojax."""
    values = {
        "version": metadata.version("hypojax"),
        "weights": weights_of(context.settings.weights),
        "references": references(),
        "commands": COMMANDS,
        "licences": {name: files("hypojax").joinpath(*parts).read_text(encoding="utf-8") for name, parts in LICENCES.items()},
    }
    return page_part("about.html", context.words, context.words.language_of(request), values)


def weights_of(folder: Path | None) -> dict[str, str]:
    """Hashes of the networks that this server uses; none where they cannot be told."""
    try:
        return dict(weights_sha256(folder))
    except RunError:
        return {}


def model_cards(folder: Path | None) -> dict[str, str]:
    """Title → text (Markdown) of the cards in the folder of the weights; another folder may have none."""
    try:
        place = folder or released_folder()
        texts = [path.read_text(encoding="utf-8") for stage in STAGES if (path := place / f"{stage}.md").is_file()]
    except (RunError, OSError):
        return {}
    return {title.lstrip("# ").strip(): rest for title, _, rest in (text.partition("\n") for text in texts)}


def references() -> list[str]:
    """How to cite hypojax and the papers that it follows, from the file in which they are kept.

    >>> references()[0].startswith("The hypojax authors. hypojax: ")
    True
    """
    import yaml

    packed = Path(str(files("hypojax"))) / CITATION
    source = packed if packed.is_file() else packed.parents[1] / CITATION  # in a checkout it lies there
    if not source.is_file():
        return []
    found = yaml.safe_load(source.read_text(encoding="utf-8"))
    authors = ", ".join(author["name"] for author in found["authors"])
    return [f"{authors}. {found['title']}. Version {found['version']}.", *map(_reference, found["references"])]


def _reference(paper: dict[str, Any]) -> str:
    """One paper, as lists of references have it."""
    named = [f"{author['family-names']} {author['given-names'][0]}" for author in paper["authors"]]
    authors = ", ".join(named[:MOST_AUTHORS]) + (" et al" if len(named) > MOST_AUTHORS else "")
    pages = "–".join(str(paper[key]) for key in ("start", "end") if key in paper)
    return f"{authors}. {paper['title']}. {paper['journal']} {paper['year']};{paper['volume']}:{pages}. doi:{paper['doi']}"
