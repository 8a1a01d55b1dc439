"""Who is a case and who a control: by the usual names of controls, or as the user says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from hypojax.reason import Reason, RunError, visible
from hypojax.tables import plain

CONTROL_NAMES: Final = frozenset(
    (
        *("control", "controls", "ctrl", "ctrls", "ctl", "ctr", "con", "cont", "cn", "hc", "hcs", "nc", "hv", "healthy", "normal", "norm"),
        *("healthycontrol", "healthycontrols", "healthyvolunteer", "healthyvolunteers", "healthysubject", "healthysubjects"),
        *("healthyparticipant", "normalcontrol", "normalcontrols", "typicallydeveloping", "td", "cognitivelynormal", "unaffected"),
        *("noncase", "nonpatient", "referencegroup", "comparison", "elderlycontrol", "matchedcontrol", "volunteer", "volunteers"),
    )
)
"""Usual names of controls, as `hypojax.tables.plain` spells them."""

CONTROLS: Final = "controls"
"""Name of all that are no cases, where they have several."""


@dataclass(frozen=True)
class Grouping:
    """Groups to compare.

    Parameters
    ----------
    groups
        Group of each scan; all groups of controls are one where cases are named.
    reference
        The controls; None where they are not known.
    problem
        Why there is nothing to compare, with the next step; empty where there is.
    notes
        What was decided, one sentence each.
    """

    groups: pd.Series
    reference: str | None
    problem: str = ""
    notes: tuple[str, ...] = ()


def grouping_of(groups: pd.Series, column: str, cases: Sequence[str] = ()) -> Grouping:
    """Which group is that of the controls.

    Parameters
    ----------
    groups
        Group of each scan, missing where it has none.
    column
        The column that they come from, for messages.
    cases
        Groups that are cases, all others being controls; without any, the group with a usual name of controls is theirs.

    Raises
    ------
    RunError
        ``USAGE``: nobody is of a group that was named.

    Examples
    --------
    >>> grouping_of(pd.Series(["AD", "HC", "MCI"]), "dx").reference
    'HC'
    >>> grouping_of(pd.Series(["a", "b"]), "dx").problem
    "which group of column 'dx' is that of the controls? It has a (1), b (1); name the others with --cases"
    """
    counts = groups.value_counts()
    have = ", ".join(f"{visible(str(name))} ({counts[name]})" for name in sorted(counts.index, key=str.casefold))
    named = f"column {visible(column)!r}"
    if cases:
        return _with_cases(groups, column, cases, have)
    if len(counts) < 2:
        who = f"has no value in {named}" if not len(counts) else f"is {visible(str(counts.index[0]))!r} in {named}"
        everybody = "nobody" if not len(counts) else f"each of {counts.iloc[0]} scans"
        who = who.replace("has no", "has a")
        gone = f" ({groups.isna().sum()} more are empty or NA there)" if groups.isna().any() and len(counts) else ""
        return Grouping(
            groups, None, f"{everybody} {who}{gone}: a comparison needs two groups; add the others, or name another column with --group"
        )
    controls = [str(name) for name in counts.index if plain(str(name)) in CONTROL_NAMES]
    if len(controls) == 1:
        return Grouping(groups, controls[0], notes=(f"controls are those with {visible(controls[0])!r} in {named}: {have}",))
    if not controls:
        return Grouping(groups, None, f"which group of {named} is that of the controls? It has {have}; name the others with --cases")
    both = " and ".join(map(repr, sorted(controls)))
    return Grouping(groups, None, f"{both} of {named} both have names of controls ({have}); name the cases with --cases")


def _with_cases(groups: pd.Series, column: str, cases: Sequence[str], have: str) -> Grouping:
    """Cases as named, everybody else a control."""
    folded = {str(name).casefold(): str(name) for name in groups.dropna().unique()}
    if absent := [case for case in cases if case.casefold() not in folded]:
        raise RunError(Reason.USAGE, f"nobody is {visible(absent[0])!r} in column {visible(column)!r}; it has {have or 'no values'}")
    named = {folded[case.casefold()] for case in cases}
    others = sorted(set(folded.values()) - named, key=str.casefold)
    if not others:
        problem = f"all groups of column {visible(column)!r} are cases ({have}): nobody is left as a control; name fewer with --cases"
        return Grouping(groups, None, problem)
    if len(others) == 1:
        return Grouping(groups, others[0], notes=(f"controls are those with {visible(others[0])!r} in column {visible(column)!r}: {have}",))
    label = CONTROLS if CONTROLS not in named else "all others"
    said = f"controls are all that are not {', '.join(sorted(named))} in column {visible(column)!r}: {have}"
    return Grouping(groups.where(groups.isna() | groups.isin(named), label), label, notes=(said,))
