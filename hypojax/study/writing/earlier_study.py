"""Files that an earlier study left in the same folder: none of them stays beside a page that it does not belong to."""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

from hypojax.reason import Reason, RunError, visible
from hypojax.storage import place
from hypojax.study.study_settings import StudySettings

RECORD: Final = "study.json"
"""What was asked, with which versions, and which files were written."""

OURS: Final = re.compile(r"(figures/)?[a-z_]+\.(tsv|nc|svg|png|md|html)")
"""Names of files of a study; nothing else is ever taken away."""


def refuse_file(folder: Path) -> None:
    """Refuse a folder that is a file, before minutes are spent on what could not be written.

    Raises
    ------
    RunError
        ``NOT_WRITABLE``: it, or a folder above it, is a file.
    """
    above = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    if above.is_file():
        raise RunError(Reason.NOT_WRITABLE, f"--out {visible(str(folder))}: {visible(str(above))} is a file; name a folder")


def replace_earlier(
    folder: Path, written: Sequence[Path], settings: StudySettings, versions: dict[str, str], *, answers: Sequence[str] = ()
) -> tuple[Path, tuple[str, ...]]:
    """Take away what an earlier study wrote and this one did not, and write the record of this one.

    Parameters
    ----------
    folder
        Of the study.
    written
        Files of this study in it.
    settings, versions, answers
        For the record; pages that show a study read its answers there.

    Returns
    -------
    The record, and a sentence on what was taken away.
    """
    names = [path.relative_to(folder).as_posix() for path in written]
    gone = [name for name in _earlier(folder) if name not in names and (folder / name).is_file()]
    for name in gone:
        (folder / name).unlink(missing_ok=True)
    content = {"settings": asdict(settings), "software": versions, "answers": list(answers), "files": sorted(names)}
    place(folder / RECORD, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
    said = (f"files of an earlier study in {visible(str(folder))} that this one does not have were removed: {', '.join(gone)}",)
    return folder / RECORD, said if gone else ()


def _earlier(folder: Path) -> list[str]:
    """Files that the record of an earlier study names."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        names = json.loads((folder / RECORD).read_text(encoding="utf-8"))["files"]
        return sorted(name for name in names if OURS.fullmatch(name))
    return []
