"""Parts of the build: pages made from the program, the tutorial's commands, directives that show both, and a check of all links."""

from pathlib import Path

from sphinx.application import Sphinx

from site_pages import api_pages, help_pages, links, outside, reference_pages, tutorial_commands
from site_pages.directives import CommandDirective, MadeDirective

BEFORE_THE_GALLERY = 100
"""Examples use what the tutorial's commands make."""


def make_pages(app: Sphinx) -> None:
    """Make pages and outputs in ``docs/generated``."""
    folder = Path(app.srcdir) / "generated"
    folder.mkdir(exist_ok=True)
    help_pages.write(folder / "command-line")
    reference_pages.write(folder)
    api_pages.write(folder / "api")
    work = Path(app.srcdir).parent / "examples"
    for page in tutorial_commands.PAGES:
        tutorial_commands.run(
            Path(app.srcdir) / f"{page}.md", folder / "printed" / page, work=work, first=page == tutorial_commands.PAGES[0]
        )


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of all parts."""
    app.connect("builder-inited", make_pages, priority=BEFORE_THE_GALLERY)
    app.connect("source-read", outside.page_read)
    app.connect("include-read", outside.file_included)
    app.connect("build-finished", links.check)
    app.add_directive("command", CommandDirective)
    app.add_directive("made", MadeDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
