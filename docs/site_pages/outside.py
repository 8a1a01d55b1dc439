"""Links between pages of the site and Markdown files elsewhere in the repository, some of which are pages of the site too.

On GitHub such links lead from file to file. On the site they must lead to the page that shows the file.
"""

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

SHOWN = {
    "CHANGELOG.md": "reference/changelog.md",
    "CONTRIBUTING.md": "reference/contributing.md",
    "checkpoints/box.md": "generated/card-box.md",
    "checkpoints/head.md": "generated/card-head.md",
    "cluster/README.md": "reference/clusters.md",
}
"""File of the repository → the page of the site that shows it."""

LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#|/)([^)#\s]+)")


def rewritten(text: str, *, written_in: Path, shown_in: Path, docs: Path) -> str:
    """The text with its links as the site needs them.

    Parameters
    ----------
    text
        Markdown.
    written_in, shown_in
        Folder of the file that has the links, and of the page that shows it.
    docs
        Folder of the pages.
    """

    def on_site(found: re.Match[str]) -> str:
        target = (written_in / found[1]).resolve()
        if not target.is_relative_to(docs.parent):
            return found[1]
        if page := SHOWN.get(target.relative_to(docs.parent).as_posix()):
            return f"/{page}"
        if target.is_relative_to(docs) and target.suffix == ".md":
            return f"/{target.relative_to(docs).as_posix()}"
        return Path(os.path.relpath(target, shown_in)).as_posix()

    return LINK.sub(on_site, text)


def page_read(app: Sphinx, docname: str, content: list[str]) -> None:
    """Rewrite the links of a page before it is parsed."""
    docs, path = Path(app.srcdir).resolve(), Path(app.env.doc2path(docname)).resolve()
    if path.suffix == ".md":
        content[0] = rewritten(content[0], written_in=path.parent, shown_in=path.parent, docs=docs)


def file_included(app: Sphinx, relative_path: Path, _parent_docname: str, content: list[str]) -> None:
    """Rewrite the links of a file that a page includes; MyST names that page without its folder."""
    docs, page = Path(app.srcdir).resolve(), Path(app.env.doc2path(app.env.docname)).resolve()
    path = (docs / relative_path).resolve()
    if path.suffix == ".md":
        content[0] = rewritten(content[0], written_in=path.parent, shown_in=page.parent, docs=docs)
