"""The commands of the tutorial, and of pages that go on from it: run as a reader would, so that the pages show what they print."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

PAGES = ("tutorial", "how-to/other-tools")
"""Pages whose commands are run; those behind the first use what that one's commands made."""

BLOCK = re.compile(r"^```\{command\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COLUMNS = "100"
LONGEST = 1800
"""Seconds that a command may take on a busy machine."""

HOME = "/home/you"
"""What the page shows in the place of the folder that the commands ran in."""


def commands(page: Path) -> list[str]:
    """The commands of a page, in order."""
    return [found.strip() for found in BLOCK.findall(page.read_text(encoding="utf-8"))]


def run(page: Path, folder: Path, *, work: Path, first: bool = True) -> None:
    """Run the commands of a page in a folder, and keep what each prints: all that stand behind the first that is new.

    The ``first`` page begins with an empty folder; one behind it is run again where the first was.
    """
    wanted, record, made = commands(page), folder / "commands.json", work / "hypojax-demo"
    fresh = record.exists() and made.exists() and (first or record.stat().st_mtime > made.stat().st_mtime)
    before = json.loads(record.read_text(encoding="utf-8")) if fresh else []
    known = next(
        (number for number, pair in enumerate(zip(wanted, before, strict=False)) if pair[0] != pair[1]), min(len(wanted), len(before))
    )
    if known == 0:
        shutil.rmtree(folder, ignore_errors=True)
        if first:
            shutil.rmtree(made, ignore_errors=True)
        folder.mkdir(parents=True)
    for number, command in enumerate(wanted[known:], known):
        (folder / f"{number}.txt").write_text(printed(command, work=work), encoding="utf-8")
        record.write_text(json.dumps(wanted[: number + 1]), encoding="utf-8")


def printed(command: str, *, work: Path) -> str:
    """What a command prints, without colour and without the folder it ran in.

    Raises
    ------
    RuntimeError
        It failed.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    screen = {**os.environ, "PATH": path, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": COLUMNS, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=work,
        env=screen,
        timeout=LONGEST,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the tutorial's command `{command}` ended with exit code {done.returncode}:\n{done.stdout}")
    return done.stdout.replace(str(work.resolve()), HOME).replace(str(work), HOME).rstrip() + "\n"
