"""The command line: a page a verb, made of the text that ``hypojax VERB --help`` prints."""

import contextlib
import io
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from site_pages.pages import code, table, write_page

WIDE = "2000"
"""Columns of the screen that the help is printed for: so wide that no sentence is broken."""

TITLE = re.compile(r"^ (?P<title>\S.*)$")
OPTION = re.compile(r"^ {2}(?P<name>\S.*?)(?: {2,}(?P<text>.*))?$")
EXIT = re.compile(r"Exit codes?: (.*)")


@dataclass
class Group:
    """A group of options of the help: its title, and name and text of each option."""

    title: str
    options: list[tuple[str, str]] = field(default_factory=list)
    intro: str = ""


@dataclass
class Help:
    """The parts of a help text."""

    usage: str
    prose: list[str]
    groups: list[Group]

    @property
    def exit_codes(self) -> str:
        """The sentence about exit codes; empty where there is none."""
        found = EXIT.search("\n".join(self.prose))
        return found[1] if found else ""


def help_text(arguments: list[str]) -> str:
    """What the command line prints for ``--help``."""
    from hypojax.cli import main

    screen = {**os.environ, "COLUMNS": WIDE, "NO_COLOR": "1", "TERM": "dumb"}
    with patch.dict(os.environ, screen), contextlib.redirect_stdout(io.StringIO()) as printed:
        code_ = main([*arguments, "--help"])
    if code_ or not printed.getvalue().strip():
        raise RuntimeError(f"hypojax {' '.join(arguments)} --help printed nothing, with exit code {code_}")
    return printed.getvalue()


def parse(text: str) -> Help:
    """The parts of a help text: usage, prose, and the groups of options, whose titles are underlined."""
    lines = [line.rstrip() for line in text.splitlines()]
    usage, prose, groups = "", [], list[Group]()
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("usage: "):
            usage = line.removeprefix("usage: ").strip()
        elif (found := TITLE.match(line)) and below.strip() and not below.strip(" ─-"):
            groups.append(Group(found["title"]))
        elif groups and line.strip(" ─-"):
            _add(groups[-1], line)
        elif not groups:
            prose.append(line.rstrip())
    if not usage or not groups:
        raise RuntimeError(f"this is no help text:\n{text}")
    return Help(usage, prose, groups)


def _add(group: Group, line: str) -> None:
    """One line of a group: an option, more text of the one before, or a sentence about all."""
    found = OPTION.match(line)
    if found and (found["name"].startswith("-") or group.title.startswith("positional")):
        group.options.append((found["name"], found["text"] or ""))
    elif group.options:
        name, before = group.options[-1]
        group.options[-1] = name, f"{before} {line.strip()}".strip()
    else:
        group.intro = f"{group.intro} {line.strip()}".strip()


def prose_of(lines: list[str]) -> str:
    """Prose as Markdown: lines that begin with ``$`` are examples."""
    parts, examples = list[str](), list[str]()
    for line in [*lines, ""]:
        if line.startswith("$ "):
            examples.append(line.removeprefix("$ "))
            continue
        if examples:
            parts.append("```\n" + "\n".join(examples) + "\n```")
            examples.clear()
        parts.append(_plain(line))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).strip()


def _plain(line: str) -> str:
    """A line of help in which Markdown changes nothing; code stays code."""
    pieces = re.split(r"(`[^`]*`)", line)
    return "".join(piece if piece.startswith("`") else re.sub(r"([*_<\[\]|$#])", r"\\\1", piece) for piece in pieces)


def page(verb: str, help_: Help) -> str:
    """The page of one verb."""
    parts = [f"(hypojax-{verb})=\n# hypojax {verb}", prose_of(help_.prose), f"## Usage\n\n```\n{help_.usage}\n```"]
    for group in help_.groups:
        options = [(name, text) for name, text in group.options if name != "-h, --help"]
        if options:
            rows = [[code(name.replace("{None}|", "")), _plain(text.replace("(default: None)", ""))] for name, text in options]
            parts += [f"### {group.title.capitalize()}", _plain(group.intro), table(["", ""], rows)]
    return "\n\n".join(filter(None, parts)) + "\n"


def write(folder: Path) -> None:
    """Write a page a verb, and the page that lists them."""
    from hypojax.cli.verbs import VERBS

    rows = []
    for verb in VERBS:
        parsed = parse(help_text([verb]))
        write_page(folder / f"{verb}.md", page(verb, parsed))
        rows.append([f"[hypojax {verb}](#hypojax-{verb})", _plain(next(filter(None, parsed.prose)))])
    listed = "\n".join(VERBS)
    text = f"(command-line)=\n# Command line\n\n{table(['', ''], rows)}\n\n```{{toctree}}\n:hidden:\n\n{listed}\n```\n"
    write_page(folder / "index.md", text)
