"""Scans spoilt so that the intracranial volume suffers, by degrees, beside some that are sound: what its quality score must tell apart."""

from functools import partial

import numpy as np

from hypojax.grid import Affine, coronal_order, to_world, voxel_sizes
from pipelines.maintenance.perturb.brightness import noisy, powered
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
from pipelines.maintenance.perturb.geometry import Scan, Volume, thickened, turned
from pipelines.maintenance.perturb.head_damage import (
    coarse,
    dimmed,
    ghosted,
    left_out_slices,
    repeated_slices,
    stated_edges,
    wrapped,
)
from pipelines.maintenance.perturb.protocol import lain_anew
from pipelines.maintenance.perturb.refit import resampled
from pipelines.maintenance.perturb.undisturbed import Case, Undisturbed
from pipelines.maintenance.perturb.view import cropped

SESSIONS = range(100, 102)

OLD: tuple[float, float, float] = (2.0, 2.0, 2.0)
"""Voxel edges (mm) of sound scans that were resampled once, as shared collections of old people are."""


def cranium_cases(scan: Undisturbed) -> list[Case]:
    """Every kind of fault in several degrees."""
    return [*header_cases(scan), *acquisition_cases(scan), *view_cases(scan)]


def sound_cases() -> list[Case]:
    """The head lain otherwise with other noise, and the scan in coarser voxels: nothing is wrong with them."""
    lain = [Case(f"session {seed}", partial(lain_noisily, seed=seed), header=partial(lain_anew, seed=seed)) for seed in SESSIONS]
    return [*lain, Case("session in 2 mm", partial(resampled, sizes=OLD))]


def lain_noisily(volume: Volume, affine: Affine, *, seed: int) -> Scan:
    """Another tilt and place, told by the header alone, and other noise: a new session without new voxels, which take long to make."""
    return noisy(*lain_anew(volume, affine, seed=seed), share=0.03, seed=seed)


def header_cases(scan: Undisturbed) -> list[Case]:
    """Wrong voxel edges, and repeated or missing slices, which come to the same."""
    (anterior, superior, right), _ = coronal_order(scan.affine)
    axes = {"height": superior, "width": right, "length": anterior}
    factors = [("height", 1.5), ("height", 1.2), ("height", 0.8), ("height", 0.6), ("width", 1.4), ("width", 1.2), ("width", 0.8)]
    factors += [("length", 1.3), ("length", 1.1), ("length", 0.85), ("length", 0.7)]
    edges = np.where(np.arange(3) == superior, 1.5, voxel_sizes(scan.affine)).tolist()
    return [
        *(Case(f"header: {what} x {f:g}", partial(rescaled_header, factors=_at(axes[what], f))) for what, f in factors),
        *(Case(f"header: edges x {f:g}", partial(rescaled_header, factors=(f, f, f))) for f in (1.3, 0.75)),
        Case("header: all edges 1 mm", partial(stated_edges, edges=(1.0, 1.0, 1.0))),
        Case("header: slices of 1.5 mm", partial(stated_edges, edges=tuple(edges))),
        Case("header: upside down", partial(rescaled_header, factors=_at(superior, -1.0))),
        Case("header: turned by 90", partial(turned, degrees=(90.0, 0.0, 0.0))),
        Case("every 3. slice twice", partial(repeated_slices, axis=superior, every=3)),
        Case("every 4. slice left out", partial(left_out_slices, axis=superior, every=4)),
        Case("every 4. slice left out from front to back", partial(left_out_slices, axis=anterior, every=4)),
    ]


def acquisition_cases(scan: Undisturbed) -> list[Case]:
    """Noise, motion, ghosts, wrap-around, blur and pieces exchanged."""
    (anterior, superior, right), _ = coronal_order(scan.affine)
    return [
        *(Case(f"noise {share:.0%}", partial(noisy, share=share, seed=0)) for share in (0.2, 0.6, 1.0)),
        *(Case(f"motion {mm:g} mm", partial(moved_during, axis=anterior, mm=mm, seed=1)) for mm in (3.0, 12.0, 25.0)),
        *(Case(f"motion {mm:g} mm upwards", partial(moved_during, axis=superior, mm=mm, seed=2)) for mm in (8.0, 20.0)),
        *(Case(f"folded by {share:.0%}", partial(folded, axis=anterior, share=share)) for share in (0.15, 0.25, 0.5)),
        *(Case(f"wrapped by {mm:g} mm", partial(wrapped, axis=anterior, mm=mm)) for mm in (30.0, 60.0)),
        Case("wrapped by 50 mm upwards", partial(wrapped, axis=superior, mm=50.0)),
        *(Case(f"ghost of {d:.0%}", partial(ghosted, axis=anterior, share=0.5, depth=d)) for d in (0.3, 0.8)),
        Case("ghost of 80% sideways", partial(ghosted, axis=right, share=0.3, depth=0.8)),
        *(Case(f"spike {share:.0%}", partial(spiked, share=share, cycles=(17, 11, 23))) for share in (0.6, 1.2)),
        *(Case(f"every {n}. slice lost", partial(lost_slices, axis=superior, every=n)) for n in (4, 2)),
        *(Case(f"blur {mm:g} mm", partial(smoothed, mm=mm)) for mm in (4.0, 10.0, 16.0)),
        *(Case(f"voxels of {mm:g} mm, noise {share:.0%}", partial(coarse, mm=mm, share=share)) for mm, share in ((4.0, 0.1), (8.0, 0.4))),
        Case("frequencies below 20%", partial(ringing, axis=anterior, kept=0.2)),
        *(Case(f"axial slices of {mm:g} mm", partial(thickened, axis=superior, mm=mm)) for mm in (5.0, 12.0)),
        Case("contrast inverted", inverted),
        Case("gamma 4", partial(powered, gamma=4.0)),
        Case("pieces of 20 mm mirrored", partial(mirrored_slabs, axis=anterior, across=right, mm=20.0)),
        Case("pieces of 6 mm turned over", partial(mirrored_slabs, axis=anterior, across=superior, mm=6.0)),
        Case("pieces of 30 mm turned over", partial(mirrored_slabs, axis=right, across=superior, mm=30.0)),
    ]


def view_cases(scan: Undisturbed) -> list[Case]:
    """Parts of the head without signal, or outside the field of view."""
    inside = to_world(scan.affine, np.argwhere(scan.intracranial))
    low, high = inside.min(axis=0), inside.max(axis=0)
    middle = inside.mean(axis=0)
    planes = {
        "right": (middle + np.array([10.0, 0.0, 0.0]), (1.0, 0.0, 0.0)), "front": (middle + np.array([0.0, 20.0, 0.0]), (0.0, 1.0, 0.0)),
        "top": (np.array([*middle[:2], high[2] - 35]), (0.0, 0.0, 1.0)),
        "back": (np.array([middle[0], low[1] + 40, middle[2]]), (0.0, -1.0, 0.0)),
    }  # fmt: skip
    dim = [("right", 20.0, 0.1), ("front", 20.0, 0.1), ("top", 0.0, 0.0), ("top", 15.0, 0.05), ("back", 15.0, 0.15), ("right", 0.0, 0.02)]
    cuts = [("above", 2, high[2] - 20), ("above", 2, high[2] - 50), ("in front", 1, high[1] - 25), ("right", 0, high[0] - 25)]
    vertex, forehead = (float(middle[0]), float(middle[1]), float(high[2])), (float(middle[0]), float(high[1]), float(middle[2] + 20))
    return [
        *(
            Case(
                f"signal {left:.0%} {side}, within {mm:g} mm",
                partial(dimmed, place=tuple(planes[side][0].tolist()), toward=planes[side][1], mm=mm, left=left),
            )
            for side, mm, left in dim
        ),
        *(
            Case(f"signal lost at the {where}, {mm:g} mm", partial(dropped_out, centre=centre, mm=mm, depth=1.0))
            for where, centre, mm in (("vertex", vertex, 20.0), ("vertex", vertex, 35.0), ("forehead", forehead, 25.0))
        ),
        *(Case(f"nothing {side} of {bound - high[axis]:.0f} mm", _cut(axis, float(bound))) for side, axis, bound in cuts),
    ]


def _at(axis: int, factor: float) -> tuple[float, float, float]:
    """A factor for one stored axis."""
    i, j, k = np.where(np.arange(3) == axis, factor, 1.0).tolist()
    return i, j, k


def _cut(axis: int, bound: float) -> partial:  # type: ignore[type-arg]
    """A field of view that ends at a coordinate of a world axis, mm."""
    x, y, z = np.where(np.arange(3) == axis, bound, np.inf).tolist()
    return partial(cropped, low=(-np.inf, -np.inf, -np.inf), high=(x, y, z))
