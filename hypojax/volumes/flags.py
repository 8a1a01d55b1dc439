"""Quality flags: every name, what it says, the limit it is raised at, and those that a scan gets from the others of its dataset.

A flag asks for a look at the scan; it removes nothing. What makes a volume missing is decided in `hypojax.volumes.measure`.

A wrong voxel size that a header states throughout cannot be known from one scan: a smaller head looks the same. Its neighbours know more.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float64

from hypojax.schema import LARGEST_POSE_RESIDUAL

LOWEST_SCORE: Final = 0.5
"""Of `quality_score`: good and bad results count alike in its fit, so that below one half bad is the likelier of the two."""

LOW: Final = f"quality_score below {LOWEST_SCORE}"

LOWEST_T1W: Final = 0.5
"""Of `t1w_probability`: below it another contrast is the likelier."""

LEAST_T1W: Final = 0.05
"""Of `t1w_probability`: below it a scan is not measured."""

LOWEST_CERTAINTY: Final = 0.70
"""Of `quality_certainty`; the automatic label maps of 42 scans lie between 0.86 and 0.90, networks early in training at 0.78."""

LOWEST_LOCATION: Final = 0.3
"""Of `quality_location`: below it the place posterior is spread over the head."""

LARGEST_ASYMMETRY: Final = 0.15
"""Of `quality_asymmetry` either way; those label maps lie between -0.05 and 0.08 with a standard deviation of 0.027."""

LOWEST_CONTRAST: Final = 2.0
"""Of `quality_contrast`, in standard deviations of the head's tissue; 39 real scans lie between 4.6 and 8.5."""

HIGHEST_NOISE: Final = 0.8
"""Of `quality_noise`, in standard deviations of the head's tissue. Scans in 1 mm voxels lie between 0.03 and 0.19; in 2 mm
voxels fine anatomy alone reads 0.4 to 0.6, and grey and white matter differ by about two."""

HIGHEST_SATURATION: Final = 0.005
"""Share of the cranium that has the highest value of the scan. Of 34 sound heads at most 0.00002 have. Where the brightest 0.5 % of
all voxels were cut to one value, 0.02 have, and the hypothalamus loses up to 2.4 %; where the brightest 3 % were, 0.17, and up to 8 %."""

THICKEST_VOXEL: Final = 2.0
"""Longest voxel edge, mm: beyond it the hypothalamus, 10 mm high, is fewer than five voxels along that axis."""

USUAL_HYPOTHALAMUS: Final = (300.0, 1500.0)
"""Soft volume, mm³; the label maps lie between 583 and 1167, and published protocols between 700 and 1500 on average."""

USUAL_ICV: Final = (1_000_000.0, 2_200_000.0)
"""Soft intracranial volume, mm³: adults of population studies, with a margin for small children and large heads."""

FLAGS: Final[dict[str, str]] = {
    "orientation_assumed": "the file does not say which way its axes run: left and right may be swapped",
    "orientation_conflict": "sform and qform of the file contradict each other (the sform counts): left and right may be swapped",
    "template_space": "the file says that it lies in a template's space: its volumes are those after registration, not of the head",
    "voxel_size_conflict": "the file gives two voxel sizes (see notes; the sform counts): volumes are wrong if the other is right",
    "noise_outside_head": "there was noise as bright as tissue outside the head, as in MP2RAGE, and it was removed: check the result",
    "not_t1w": f"it is likely no T1-weighted scan of a head: volumes are wrong then (t1w_probability below {LOWEST_T1W})",
    "poor_pose": f"how the head is turned was not found (pose_residual_mm above {LARGEST_POSE_RESIDUAL}, or no two looks agree)",
    "low_quality_hypothalamus": f"the hypothalamus is likely wrong: its size, shape or place is unlike sound ones ({LOW})",
    "low_quality_icv": f"the intracranial volume is likely wrong: its size, shape or outline is unlike sound ones ({LOW})",
    "uncertain": f"the posteriors of the hypothalamus are undecided (quality_certainty below {LOWEST_CERTAINTY})",
    "not_located": f"the head network is unsure where the hypothalamus lies (quality_location below {LOWEST_LOCATION})",
    "asymmetric": f"left and right hypothalamus differ by more than {LARGEST_ASYMMETRY:.0%} of their sum",
    "low_contrast": f"little contrast near the hypothalamus (quality_contrast below {LOWEST_CONTRAST})",
    "noisy": f"much noise near the hypothalamus (quality_noise above {HIGHEST_NOISE})",
    "saturated": f"brightness was cut off, inside the brain too (at more than {HIGHEST_SATURATION:.1%} of it): volumes may be too small",
    "thick_voxels": f"a voxel edge is longer than {THICKEST_VOXEL} mm",
    "skull_stripped": "no scalp round the brain: the intracranial volume is missing",
    "icv_cut_off": "the field of view cuts the intracranial volume: it is missing",
    "partly_blank": "a part of the head is blank, or without any signal: the intracranial volume is missing",
    "hypothalamus_cut_off": "the field of view cuts the hypothalamus: its volumes are missing",
    "blank_near_hypothalamus": "voxels in or next to the hypothalamus are blank: its volumes are missing",
    "nonfinite_near_hypothalamus": "voxels in or next to the hypothalamus are NaN or infinite: its volumes are missing",
    "one_side": "only one side of the hypothalamus was found",
    "unusual_hypothalamus": f"whole hypothalamus outside {USUAL_HYPOTHALAMUS[0]:.0f} to {USUAL_HYPOTHALAMUS[1]:.0f} mm3",
    "unusual_icv": f"intracranial volume outside {USUAL_ICV[0] / 1e6} to {USUAL_ICV[1] / 1e6} litres",
    "voxel_size_unlike_others": "the other scans of its dataset with the same matrix have another voxel size (see notes)",
    "icv_unlike_others": "its intracranial volume lies far from those of the other scans of its dataset (see notes)",
}
"""Name of a flag → what it says, in the order in which they are raised: file, background, result, other scans of the dataset."""


def image_flags(quality: Mapping[str, float], *, saturated: float = 0.0, longest_edge: float) -> tuple[str, ...]:
    """Flags that quality measures raise, in the order of `FLAGS`.

    ``saturated`` is the share of the cranium that has the highest value of the scan, ``longest_edge`` of a voxel in mm, to a micrometre.

    >>> good = {"quality_location": 0.9, "quality_certainty": 0.9, "quality_asymmetry": 0.0, "quality_contrast": 3.0, "quality_noise": 0.1}
    >>> image_flags(good, longest_edge=1.0), image_flags(good | {"quality_certainty": 0.6}, longest_edge=1.0)
    ((), ('uncertain',))
    """
    raised = {
        "uncertain": quality["quality_certainty"] < LOWEST_CERTAINTY,
        "not_located": quality["quality_location"] < LOWEST_LOCATION,
        "asymmetric": abs(quality["quality_asymmetry"]) > LARGEST_ASYMMETRY,
        "low_contrast": quality["quality_contrast"] < LOWEST_CONTRAST,
        "noisy": quality["quality_noise"] > HIGHEST_NOISE,
        "saturated": saturated > HIGHEST_SATURATION,
        "thick_voxels": round(longest_edge, 3) > THICKEST_VOXEL,
    }
    return tuple(name for name, is_raised in raised.items() if is_raised)


def score_flags(scores: Mapping[str, float]) -> tuple[str, ...]:
    """Flags that quality scores of structures raise.

    >>> score_flags({"hypothalamus": 0.499, "icv": 0.5})
    ('low_quality_hypothalamus',)
    """
    return tuple(f"low_quality_{region}" for region, score in scores.items() if score < LOWEST_SCORE)


def volume_flags(volumes: Mapping[str, float]) -> tuple[str, ...]:
    """Flags that soft volumes (region → mm³, missing regions left out) raise.

    >>> volume_flags({"icv": 1.4e6, "hypothalamus": 90.0})
    ('unusual_hypothalamus',)
    """
    usual = {"hypothalamus": USUAL_HYPOTHALAMUS, "icv": USUAL_ICV}
    return tuple(f"unusual_{region}" for region, (low, high) in usual.items() if region in volumes and not low <= volumes[region] <= high)


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
    'its intracranial volume is 900 mL, 3.9 robust standard deviations from the median of its dataset, 1500 mL; check its header and mask'
    """
    if len(others) < LEAST_HEADS:
        return ""
    middle = float(np.median(others))
    spread = ROBUST * float(np.median(np.abs(others - middle)))
    if not abs(icv - middle) > FAR * spread > 0:
        return ""
    away = f"{abs(icv - middle) / spread:.1f} robust standard deviations from the median of its dataset, {middle / 1000:.0f} mL"
    return f"its intracranial volume is {icv / 1000:.0f} mL, {away}; check its header and mask"


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
