"""Scans spoilt by degrees, from harmless to hopeless: what a quality score must tell apart."""

from functools import partial

import numpy as np

from hypojax.grid import Affine, coronal_order
from pipelines.maintenance.perturb.brightness import noisy, powered, saturated
from pipelines.maintenance.perturb.broken import (
    dropped_out,
    folded,
    inverted,
    lost_slices,
    mirrored_slabs,
    moved_during,
    rescaled_header,
    ringing,
    smoothed,
    spiked,
)
from pipelines.maintenance.perturb.geometry import Triple, thickened, turned
from pipelines.maintenance.perturb.protocol import another_session, lain_anew
from pipelines.maintenance.perturb.undisturbed import Case, Change, Undisturbed
from pipelines.maintenance.perturb.view import cropped

SESSIONS = 4
"""Ordinary new sessions among the spoilt scans, so that a score does not mistake what is usual for what is broken."""


def spoilt_cases(scan: Undisturbed) -> list[Case]:
    """Every kind of fault in several degrees, and a few ordinary sessions."""
    spoilt = [*acquisition_cases(scan.affine), *resolution_cases(scan.affine), *brightness_cases(scan), *geometry_cases(scan)]
    return [*ordinary_cases(), *spoilt]


def ordinary_cases() -> list[Case]:
    """New sessions with the same head."""
    seeds = range(100, 100 + SESSIONS)
    return [Case(f"session {seed}", partial(another_session, seed=seed), header=partial(lain_anew, seed=seed)) for seed in seeds]


def acquisition_cases(affine: Affine) -> list[Case]:
    """Noise, motion, wrap-around, spikes, lost slices."""
    (anterior, superior, _), _ = coronal_order(affine)
    return [
        *(Case(f"noise {share:.0%}", partial(noisy, share=share, seed=0)) for share in (0.1, 0.2, 0.35, 0.6)),
        *(Case(f"motion {mm:g} mm", partial(moved_during, axis=anterior, mm=mm, seed=1)) for mm in (1.0, 3.0, 6.0, 12.0)),
        *(Case(f"motion {mm:g} mm upwards", partial(moved_during, axis=superior, mm=mm, seed=2)) for mm in (3.0, 8.0)),
        *(Case(f"folded by {share:.0%}", partial(folded, axis=anterior, share=share)) for share in (0.25, 0.5)),
        *(Case(f"spike {share:.0%}", partial(spiked, share=share, cycles=(17, 11, 23))) for share in (0.2, 0.6, 1.2)),
        *(Case(f"every {n}. slice lost", partial(lost_slices, axis=superior, every=n)) for n in (4, 2)),
    ]


def resolution_cases(affine: Affine) -> list[Case]:
    """Blur, ringing, thick slices."""
    (anterior, superior, right), _ = coronal_order(affine)
    axes = {"axial": superior, "coronal": anterior, "sagittal": right}
    thick = [("axial", 3.0), ("axial", 6.0), ("axial", 10.0), ("coronal", 6.0), ("sagittal", 6.0)]
    return [
        *(Case(f"blur {mm:g} mm", partial(smoothed, mm=mm)) for mm in (2.0, 4.0, 6.0, 10.0)),
        *(Case(f"frequencies below {kept:.0%}", partial(ringing, axis=anterior, kept=kept)) for kept in (0.6, 0.35, 0.2)),
        *(Case(f"{plane} slices of {mm:g} mm", partial(thickened, axis=axes[plane], mm=mm)) for plane, mm in thick),
    ]


def brightness_cases(scan: Undisturbed) -> list[Case]:
    """Contrast of another kind, signal lost near the sella."""
    x, y, z = scan.centre
    lost = [("hypothalamus", scan.centre, 6.0, 0.5), ("hypothalamus", scan.centre, 8.0, 0.9), ("sella", (x, y + 5, z - 14), 8.0, 1.0)]
    lost += [("sella", (x, y + 5, z - 14), 14.0, 1.0), ("one side", (x + 8, y, z), 6.0, 0.9)]
    return [
        Case("contrast inverted", inverted),
        *(Case(f"gamma {gamma:g}", partial(powered, gamma=gamma)) for gamma in (0.3, 2.0, 4.0)),
        *(Case(f"saturated at {over:g} of the brain", partial(saturated, level=over * scan.vessels)) for over in (0.8, 0.5)),
        *(
            Case(f"signal lost at the {place}, {mm:g} mm, {depth:.0%}", partial(dropped_out, centre=centre, mm=mm, depth=depth))
            for place, centre, mm, depth in lost
        ),
    ]


def geometry_cases(scan: Undisturbed) -> list[Case]:
    """Wrong headers, pieces exchanged, the hypothalamus at the border of the field of view or beyond it."""
    (anterior, superior, right), _ = coronal_order(scan.affine)
    headers = {
        "height x 1.5": _at(superior, 1.5),
        "height x 0.6": _at(superior, 0.6),
        "width x 1.4": _at(right, 1.4),
        "length x 0.7": _at(anterior, 0.7),
        "edges x 1.3": (1.3, 1.3, 1.3),
        "upside down": _at(superior, -1.0),
        "back to front": _at(anterior, -1.0),
    }
    turns: dict[str, Triple] = {"40": (40.0, 0.0, 0.0), "-60": (-60.0, 0.0, 0.0), "90": (90.0, 0.0, 0.0), "180": (0.0, 180.0, 0.0)}
    cuts = [("below", 2, margin) for margin in (-12.0, -4.0, 0.0, 8.0)] + [("behind", 1, 0.0), ("left", 0, 0.0)]
    return [
        *(Case(f"header: {what}", partial(rescaled_header, factors=factors)) for what, factors in headers.items()),
        *(Case(f"header: turned by {what}", partial(turned, degrees=degrees)) for what, degrees in turns.items()),
        *(Case(f"nothing {side} {margin:+g} mm", _cut(scan, axis, margin)) for side, axis, margin in cuts),
        Case("pieces of 20 mm mirrored", partial(mirrored_slabs, axis=anterior, across=right, mm=20.0)),
        Case("pieces of 6 mm turned over", partial(mirrored_slabs, axis=anterior, across=superior, mm=6.0)),
    ]


def _at(axis: int, factor: float) -> Triple:
    """A factor for one stored axis."""
    i, j, k = np.where(np.arange(3) == axis, factor, 1.0).tolist()
    return i, j, k


def _cut(scan: Undisturbed, axis: int, margin: float) -> Change:
    """A field of view that begins ``margin`` mm beyond the middle of the hypothalamus along a world axis."""
    x, y, z = np.where(np.arange(3) == axis, np.array(scan.centre) + margin, -np.inf).tolist()
    return partial(cropped, low=(x, y, z), high=(np.inf, np.inf, np.inf))
