"""Which columns of a wide table are volumes of which regions, in our spelling and in those of other tools."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from hypojax.reason import Reason, RunError, visible
from hypojax.schema import PARTS, REGIONS, SUBUNITS
from hypojax.study.formulas.terms import VOLUME
from hypojax.study.people.columns import ICV_NAMES, close_names
from hypojax.tables import plain

WHOLES: Final = ("hypothalamus", "hypothalamus_left", "hypothalamus_right")

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "hypothalamus": WHOLES,
    "subunits": tuple(name for name in REGIONS if name not in (*WHOLES, "icv")),
}
"""What can be asked for by one word → its regions; ``all`` is every region."""

UNITS: Final = {"mm3": "mm3", "cm3": "cm3", "cc": "cm3", "ml": "mL"}
"""End of a column's name → unit of its volumes."""

AROUND: Final = re.compile(r"^(volumeof|volume|vol)|(volume|vol|volumes)?(mm3|cm3|ml|cc)?$")
"""What may be before or behind the name of a region, as `hypojax.tables.plain` spells it."""

SIDES: Final = {"left": ("left", "l", "lh"), "right": ("right", "r", "rh")}

UNCERTAINTY: Final = ("uncertaintymm3", "uncertainty", "se", "standarderror")


def _spellings() -> dict[str, str]:
    """Spelling of a region → the region."""
    found = {plain(name): name for name in REGIONS} | dict.fromkeys(ICV_NAMES, "icv")
    for side, words in SIDES.items():
        for word in words:
            whole = f"hypothalamus_{side}"
            found |= dict.fromkeys((f"{word}hypothalamus", f"hypothalamus{word}", f"whole{word}", f"{word}whole"), whole)
            for unit in SUBUNITS:
                one, two = unit.split("_") if "_" in unit else (unit, "")
                orders = (f"{one}{two}", f"{two}{one}")
                found |= {spelled: f"{side}_{unit}" for order in orders for spelled in (f"{word}{order}", f"{order}{word}")}
    return found | dict.fromkeys(("wholehypothalamus", "totalhypothalamus", "hypothalamustotal", "hypothalamuswhole"), "hypothalamus")


SPELLINGS: Final = _spellings()


def region_of(column: str) -> str | None:
    """The region whose volume a column of this name has; None for another column.

    >>> [region_of(name) for name in ("hypothalamus_mm3", "left tubular inferior", "whole right", "eTIV", "age")]
    ['hypothalamus', 'left_inferior_tubular', 'hypothalamus_right', 'icv', None]
    """
    name = plain(column)
    return SPELLINGS.get(name) or SPELLINGS.get(AROUND.sub("", name))


def unit_of(column: str) -> str:
    """Unit that the name of a column says; empty where it says none.

    >>> unit_of("hypothalamus_mm3"), unit_of("icv (mL)"), unit_of("hypothalamus")
    ('mm3', 'mL', '')
    """
    return next((unit for end, unit in UNITS.items() if plain(column).endswith(end)), "")


def region_columns(columns: Iterable[object], asked: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Region → its column: known regions in whatever spelling, and columns that were asked for by their own names.

    Returns
    -------
    The columns, and a note for each region that several columns may be.
    """
    found: dict[str, str] = {}
    notes = []
    names = [str(name) for name in columns]
    for name in names:
        region = region_of(name)
        if region is None or name in asked:
            continue
        if region in found:
            better, worse = (name, found[region]) if plain(name) == plain(region) != plain(found[region]) else (found[region], name)
            found[region] = better
            notes.append(f"{region}: column {visible(better)!r} was taken, not {visible(worse)!r}")
        else:
            found[region] = name
    ordered = {region: found[region] for region in REGIONS if region in found}
    known = set(names)
    return ordered | {name: name for name in asked if name in known}, notes


def uncertainty_columns(columns: Iterable[object], regions: Iterable[str]) -> dict[str, str]:
    """Region → the column of the standard uncertainty of its volumes.

    >>> uncertainty_columns(["hypothalamus_uncertainty", "icv"], ["hypothalamus", "icv"])
    {'hypothalamus': 'hypothalamus_uncertainty'}
    """
    spelled = {plain(str(name)): str(name) for name in columns}
    ends = [(region, f"{plain(region)}{end}") for region in regions for end in reversed(UNCERTAINTY)]
    return {region: spelled[name] for region, name in ends if name in spelled}


def asked_names(region: Sequence[str], outcome: str | None) -> tuple[str, ...]:
    """What is asked for: the outcome of a formula where that is one region, else the settings' regions.

    >>> asked_names(("hypothalamus", "icv"), "thalamus"), asked_names(("subunits",), "volume")
    (('thalamus',), ('subunits',))
    """
    return tuple(region) if outcome in (None, VOLUME) else (str(outcome),)


def asked_regions(asked: Sequence[str], available: Sequence[str], *, is_one: bool, is_default: bool) -> tuple[list[str], list[str]]:
    """Regions that are analysed, in order, and notes.

    Parameters
    ----------
    asked
        Regions, ``hypothalamus`` (whole, left, right), ``subunits``, ``all``, or columns.
    available
        Regions of the table.
    is_one
        Whether the formula names one region, so that ``hypothalamus`` is the whole alone.
    is_default
        Whether nobody asked for them, so that one that is missing is left out and said.

    Raises
    ------
    RunError
        ``USAGE``: a region is not there.
    """
    chosen: list[str] = []
    notes = []
    known_regions = set(available)
    for name in asked:
        wanted = [name] if is_one else list(available) if name == "all" else list(GROUPS.get(name, (_known(name, available),)))
        there = [region for region in wanted if region in known_regions]
        if there:
            chosen += there
        elif is_default:
            notes.append(f"region {name}: no column has its volume, so it is not analysed")
        else:
            raise RunError(Reason.USAGE, f"region {visible(name)!r} has no column of volumes; {close_names(name, available)}")
    if not chosen:
        known = ", ".join(map(visible, list(available)[:12])) or "no column that is known as a region"
        raise RunError(Reason.USAGE, f"no volumes of the hypothalamus were found ({known}); name the columns of volumes with --region")
    return list(dict.fromkeys(chosen)), notes


def with_wholes(found: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Wholes that have no column, and the regions whose sum they are, where all of these have one.

    >>> with_wholes({"hypothalamus_left": "L", "hypothalamus_right": "R"})
    {'hypothalamus': ('hypothalamus_left', 'hypothalamus_right')}
    """
    parts = {side: tuple(f"{side.split('_')[1]}_{unit}" for unit in SUBUNITS) for side in WHOLES[1:]}
    sums = {side: names for side, names in parts.items() if side not in found and all(name in found for name in names)}
    if "hypothalamus" not in found and all(side in found or side in sums for side in WHOLES[1:]):
        sums["hypothalamus"] = WHOLES[1:]
    assert all(name in PARTS for name in sums)  # noqa: S101
    return sums


def _known(name: str, available: Sequence[str]) -> str:
    """A region in another spelling."""
    same = [region for region in available if plain(region) == plain(name)]
    return name if name in same or not same else same[0] if len(same) == 1 else region_of(name) or name
