"""Directives of pages: a command with what it printed, and a picture that a command made."""

import shutil
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from site_pages.tutorial_commands import commands


class CommandDirective(SphinxDirective):
    """A command of a page, and what it printed when the site was built."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """One block: the command behind ``$``, then its output."""
        command = "\n".join(self.content).strip()
        source, folder = Path(self.env.srcdir), Path(self.env.srcdir) / "generated" / "printed" / self.env.docname
        number = commands(source / f"{self.env.docname}.md").index(command)
        text = f"$ {command}\n{(folder / f'{number}.txt').read_text(encoding='utf-8')}".rstrip()
        return [nodes.literal_block(text, text, language="console", classes=["command"])]


class MadeDirective(SphinxDirective):
    """A picture that the tutorial's commands made; the argument is its path in their folder."""

    required_arguments = 1
    option_spec = {"alt": directives.unchanged_required}  # noqa: RUF012 - the name is that of docutils

    def run(self) -> list[nodes.Node]:
        """The picture, copied into the site's sources."""
        work, folder = Path(self.env.srcdir).parent / "examples", Path(self.env.srcdir) / "generated" / "pictures"
        made = work / self.arguments[0]
        if not made.is_file():
            raise ExtensionError(f"{self.env.docname}: no command has made {made}")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made, folder / made.name)
        image = nodes.image(uri=f"/generated/pictures/{made.name}", alt=self.options["alt"], classes=["made"])
        return [image]
