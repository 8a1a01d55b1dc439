"""What the other scans of a dataset say about one: a voxel size, or an intracranial volume, that it alone has.

A wrong voxel size that a header states throughout cannot be known from one scan: a smaller head looks the same. Its neighbours know more.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float64

LEAST_OTHERS: Final = 5
"""Other scans of the dataset with the same matrix, from which on they say something of a voxel size."""

AGREEING: Final = 0.8
"""Share of them that must have one voxel size."""

SAME_EDGE: Final = 0.01
"""Share by which edges of one protocol differ: scanners and converters round less."""

OTHER_EDGE: Final = 0.03
"""Share by which an edge is another one; 3 % of each edge are 9 % of a volume."""

LEAST_HEADS: Final = 20
"""Other heads from which on they say something of an intracranial volume."""

FAR: Final = 3.5
"""Robust standard deviations from their median: one healthy head of two thousand."""

ROBUST: Final = 1.4826
"""Standard deviation over median absolute deviation of normal values."""


def size_note(edges: Float64[np.ndarray, "3"], others: Float64[np.ndarray, "n 3"]) -> str:
    """A sentence where a voxel size (edges, mm) is unlike that of other scans of the same dataset and matrix; empty otherwise.

    >>> size_note(np.full(3, 0.9), np.ones((9, 3)))
    'its voxels are 0.9 × 0.9 × 0.9 mm, those of 9 of 9 other scans of its dataset with the same matrix 1 × 1 × 1 mm; check its header'
    """
    if len(others) < LEAST_OTHERS:
        return ""
    usual = np.median(others, axis=0)
    agreeing = int((np.abs(others / usual - 1).max(axis=1) <= SAME_EDGE).sum())
    if agreeing < AGREEING * len(others) or np.abs(edges / usual - 1).max() <= OTHER_EDGE:
        return ""
    own, theirs = (" × ".join(f"{edge:.4g}" for edge in sizes) + " mm" for sizes in (edges, usual))
    those = f"those of {agreeing} of {len(others)} other scans of its dataset with the same matrix"
    return f"its voxels are {own}, {those} {theirs}; check its header"


def icv_note(icv: float | np.float64, others: Float64[np.ndarray, "n"]) -> str:
    """A sentence where an intracranial volume (mm³) lies far from those of the other scans of its dataset; empty otherwise.

    >>> icv_note(0.9e6, np.linspace(1.3e6, 1.7e6, 30))
    'its intracranial volume is 900 ml, 3.9 robust standard deviations from the median of its dataset, 1500 ml; check its header and mask'
    """
    if len(others) < LEAST_HEADS:
        return ""
    middle = float(np.median(others))
    spread = ROBUST * float(np.median(np.abs(others - middle)))
    if not abs(icv - middle) > FAR * spread > 0:
        return ""
    away = f"{abs(icv - middle) / spread:.1f} robust standard deviations from the median of its dataset, {middle / 1000:.0f} ml"
    return f"its intracranial volume is {icv / 1000:.0f} ml, {away}; check its header and mask"


def peer_notes(rows: Sequence[Mapping[str, Any]], *, datasets: Sequence[str]) -> list[dict[str, str]]:
    """Flag → sentence for every row of a cohort, from the other finished rows of its dataset.

    Parameters
    ----------
    rows
        With ``status``, ``voxel_size_mm``, ``matrix`` and ``volume_mm3`` (its first value is that of the head), each None where missing.
    datasets
        Of each row.

    Returns
    -------
    ``voxel_size_unlike_others`` and ``icv_unlike_others`` where they hold.
    """
    notes: list[dict[str, str]] = [{} for _ in rows]
    done = [number for number, row in enumerate(rows) if row.get("status") == "done"]
    sizes = {number: _numbers(rows[number].get("voxel_size_mm"), 3) for number in done if rows[number].get("matrix")}
    for members in _groups(sizes, [(datasets[number], tuple(rows[number]["matrix"])) for number in sizes]):
        edges = np.array([sizes[number] for number in members])
        apart = np.abs(edges / np.median(edges, axis=0) - 1).max(axis=1) > OTHER_EDGE
        if apart.mean() <= 1 - AGREEING:
            _add(notes, members, apart, flag="voxel_size_unlike_others", note=partial(_said, size_note, edges))
    heads = {number: _numbers(rows[number].get("volume_mm3"), 1) for number in done}
    for members in _groups(heads, [(datasets[number],) for number in heads]):
        volumes = np.array([heads[number][0] for number in members])
        distance = np.abs(volumes - np.median(volumes))
        far = distance > 0.8 * FAR * ROBUST * np.median(distance)  # others without the scan itself lie a little otherwise
        _add(notes, members, far, flag="icv_unlike_others", note=partial(_said, icv_note, volumes))
    return notes


def _groups(known: Mapping[int, Sequence[float]], keys: Sequence[tuple[Any, ...]]) -> list[list[int]]:
    """Rows with finite numbers, by what they have in common."""
    found: dict[tuple[Any, ...], list[int]] = {}
    for (number, values), key in zip(known.items(), keys, strict=True):
        if np.isfinite(values).all():
            found.setdefault(key, []).append(number)
    return list(found.values())


def _add(
    notes: list[dict[str, str]], members: Sequence[int], asked: Bool[np.ndarray, "n"], *, flag: str, note: Callable[[int], str]
) -> None:
    """Add the sentences that members of a group get, of those asked about: a few, since each is held against all."""
    for place in np.flatnonzero(asked).tolist():
        if said := note(place):
            notes[members[place]][flag] = said


def _said(note: Callable[..., str], values: Float64[np.ndarray, "n *m"], place: int) -> str:
    """The sentence on one value, held against the others."""
    return note(values[place], np.delete(values, place, axis=0))


def _numbers(values: Sequence[float | None] | None, count: int) -> list[float]:
    """The first numbers; NaN where there are none."""
    return [np.nan if value is None else float(value) for value in list(values or (None,) * count)[:count]]
