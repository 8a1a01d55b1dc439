"""What looks like BIDS and is not: said by name, since nothing else tells why a person is missing."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

SHOWN: Final = 2
"""Examples in a sentence."""

SUBJECT: Final = re.compile(r"sub-[a-zA-Z0-9+]+")
LIKE_SUBJECT: Final = re.compile(r"(sub|subj|subject)[-_ .]?[a-z0-9].*", re.IGNORECASE)
SESSION: Final = re.compile(r"ses-[a-zA-Z0-9+]+")
LIKE_SESSION: Final = re.compile(r"(ses|sess|session)[-_ .]?[a-z0-9].*", re.IGNORECASE)
LIKE_T1W: Final = re.compile(r"t1w?\d*(_?mprage)?|mprage|anat", re.IGNORECASE)
"""Last parts of names that somebody may have meant as ``T1w``."""


def like_subjects(names: Iterable[str]) -> list[str]:
    """Folders that look like those of subjects, and are not as BIDS has them.

    >>> like_subjects(["sub-01", "Sub-02", "sub_03", "SUB04", "subjects", "code"])
    ['Sub-02', 'sub_03', 'SUB04']
    """
    return [name for name in names if LIKE_SUBJECT.fullmatch(name) and not name.startswith("sub-") and _has_own_name(name)]


def like_sessions(names: Iterable[str]) -> list[str]:
    """The same of folders of sessions.

    >>> like_sessions(["ses-1", "Ses-1", "session2", "anat"])
    ['Ses-1', 'session2']
    """
    return [name for name in names if LIKE_SESSION.fullmatch(name) and not SESSION.fullmatch(name) and _has_own_name(name)]


def counted(names: Sequence[object], what: str, *, many: str = "") -> str:
    """How many, and the first two by name.

    >>> counted(["a"], "folder"), counted(["a", "b", "c"], "folder")
    ('1 folder (a)', '3 folders (a, b, …)')
    """
    shown = ", ".join(map(str, names[:SHOWN])) + (", …" if len(names) > SHOWN else "")
    return f"{len(names)} {what if len(names) == 1 else many or f'{what}s'} ({shown})"


def _has_own_name(name: str) -> bool:
    """Whether more than the word itself stands there: ``subjects`` and ``sessions`` are folders of many."""
    return name.lower() not in ("subj", "subs", "subject", "subjects", "sess", "session", "sessions")
