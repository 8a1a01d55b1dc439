"""The history of a run: one line of ``log.jsonl`` a saved state. It is the memory of early stopping, and what is plotted."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

LOG: Final = "log.jsonl"
"""Name of the log in the folder of a run."""

SCORE: Final = "score"
"""Name of the score that early stopping looks at; the higher the better."""


@dataclass(frozen=True)
class Entry:
    """One line of the log.

    Parameters
    ----------
    step
        Steps done.
    loss
        Mean over the steps since the line before.
    seconds_a_step
        Mean over this start of the run.
    scores
        Of the averaged weights on what is held out; empty where there was no validation.
    """

    step: int
    loss: float
    seconds_a_step: float
    scores: Mapping[str, float] = field(default_factory=dict)


def read_history(folder: Path) -> list[Entry]:
    """The lines of a log, up to the first that is not whole; none where there is no log.

    Scores that are text, as logs before this form have them, are left out.
    """
    path, entries = folder / LOG, []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            found = json.loads(line)
        except json.JSONDecodeError:
            break
        scores = found["scores"] if isinstance(found["scores"], dict) else {}
        entries.append(Entry(found["step"], found["loss"], found["seconds_a_step"], scores))
    return entries


def append(folder: Path, entry: Entry) -> None:
    """Add a line to the log."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOG).open("a", encoding="utf-8") as log:
        log.write(json.dumps(asdict(entry)) + "\n")


def cut(folder: Path, step: int) -> list[Entry]:
    """Take away lines beyond a step, which a run that goes on from there writes again; the lines that are left."""
    path = folder / LOG
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [entry for entry in read_history(folder) if entry.step <= step]
    if len(kept) < len(lines):
        temporary = path.with_suffix(".part")
        temporary.write_text("".join(line + "\n" for line in lines[: len(kept)]), encoding="utf-8")
        temporary.replace(path)
    return kept


def best(entries: Sequence[Entry]) -> Entry | None:
    """The first entry with the highest score; None where nothing was scored.

    Examples
    --------
    >>> best([Entry(1, 0.5, 1.0, {"score": 0.7}), Entry(2, 0.4, 1.0), Entry(3, 0.4, 1.0, {"score": 0.7})]).step
    1
    """
    scored = [entry for entry in entries if math.isfinite(entry.scores.get(SCORE, math.nan))]
    return max(scored, key=lambda entry: entry.scores[SCORE], default=None)


def exhausted(entries: Sequence[Entry], *, patience: int) -> bool:
    """Whether so many validations brought no better score (patience 0: never).

    Examples
    --------
    >>> entries = [Entry(step, 0.0, 1.0, {"score": score}) for step, score in enumerate([0.6, 0.8, 0.7, 0.8])]
    >>> exhausted(entries, patience=2), exhausted(entries, patience=3), exhausted(entries, patience=0)
    (True, False, False)
    """
    leader = best(entries)
    if not patience or leader is None:
        return False
    return sum(SCORE in entry.scores for entry in entries if entry.step > leader.step) >= patience
