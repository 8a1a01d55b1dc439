"""A cohort as lazy blocks of scans: preprocessing, networks and volumes on Dask, Dataset in, Dataset out, nothing computed until asked.

There are two ways through hypojax, and both call the same functions. Here every step is an xarray Dataset over ``scan`` that can be looked
at, changed and computed anywhere Dask runs. `hypojax.run` keeps an order of work of its own instead, because a ledger that resumes after
every fault, tries a crashed scan alone and keeps the device busy cannot be expressed as a graph that is drawn before the work begins.

A block reads the native voxels of its scans from the store where it is computed, so that nothing but small arrays moves between workers.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial
from os import cpu_count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dask.array as da
import numpy as np
import xarray as xr
from jaxtyping import Float32

from hypojax.execute.measured import measure_scan
from hypojax.execute.outcome import refusal
from hypojax.execute.output import STORE
from hypojax.execute.pipeline import Segments
from hypojax.grid import Grid
from hypojax.preprocessing.foreground import Prepared, prepared
from hypojax.preprocessing.scaling import intensities
from hypojax.reason import HypojaxError, Reason, RunError, visible
from hypojax.schema import (
    BOX_SHAPE,
    FLAGGED,
    HEAD_DIMS,
    HEAD_SHAPE,
    LABELS,
    MODEL_DIMS,
    REGIONS,
    SCAN,
    SCAN_DIRECTION,
    SCAN_REGION,
    TABLE,
    Variable,
)
from hypojax.storage import Place, locate
from hypojax.store import CohortStore
from hypojax.volumes import Measurement

if TYPE_CHECKING:
    from hypojax.segmenter.pose import PoseFound
    from hypojax.segmenter.segmenter import Segmentation

SOURCE: Final = Variable("store", SCAN, "str", "", "Store that holds the voxels of the scan")
HEAD_IMAGE: Final = Variable("head_image", (*SCAN, *HEAD_DIMS), "float32", "1", "What the head network sees: the scan at 2 mm, z-scored")
HEAD_AFFINE: Final = Variable("head_affine", (*SCAN, "world", "voxel"), "float64", "", "Voxel-to-world matrix of the head grid, mm, RAS+")
BRAIN_EXTRACTION: Final = Variable(
    "head_brain_extraction",
    (*SCAN, *HEAD_DIMS),
    "float32",
    "1",
    "Posterior of the cranium by the border of brain extraction, where it is known",
)
TO_TEMPLATE: Final = Variable(
    "to_template",
    (*SCAN, "world", "voxel"),
    "float64",
    "",
    "From the scan's world to that of the template, mm, RAS+; missing where not found",
)
RESIDUAL: Final = Variable("residual_mm", SCAN, "float64", "mm", "How far template coordinates lie from that affine, where they are known")
HEAD_POSTERIOR: Final = Variable("head_posterior", (*SCAN, *HEAD_DIMS), "float32", "1", "Posterior of the intracranial volume at 2 mm")
POSTERIOR: Final = Variable("posterior", (*SCAN, "label", *MODEL_DIMS), "float32", "1", "Posteriors of the ten subunits in a 1 mm box")
BOX_AFFINE: Final = Variable("box_affine", (*SCAN, "world", "voxel"), "float64", "", "Voxel-to-world matrix of the box, mm, RAS+")
LOCATED: Final = Variable("located", SCAN, "float64", "1", "Share of the place posterior within 12 mm of the place taken")
VIEWS: Final = Variable("views_mm3", (*SCAN, "view", "label"), "float32", "mm3", "Soft volume of every subunit as each network saw it")

SIZES: Final = {
    **dict(zip(HEAD_DIMS, HEAD_SHAPE, strict=True)), **dict(zip(MODEL_DIMS, BOX_SHAPE, strict=True)),
    "label": len(LABELS), "region": len(REGIONS), "direction": 3, "world": 4, "voxel": 4, "view": 10,
}  # fmt: skip
"""Length of every dimension of a block but ``scan``; an ensemble has ten views (five networks, each in the box and its mirror image)."""

OF_SCAN: Final = {
    "extracranial_signal", "icv_cut_off", "brain_mask_mm3", "brain_extraction_mm3", "head_scale", "pose_residual_mm", "t1w_probability",
}  # fmt: skip
REGIONAL: Final = tuple(variable for variable in TABLE if variable.dims == SCAN_REGION)
QUALITY: Final = tuple(
    v for v in TABLE if v not in REGIONAL and (v.name.startswith("quality_") or v.name in OF_SCAN or v.dims == SCAN_DIRECTION)
)
SEGMENTED: Final = (POSTERIOR, HEAD_POSTERIOR, BRAIN_EXTRACTION, BOX_AFFINE, HEAD_AFFINE, TO_TEMPLATE, RESIDUAL, LOCATED, VIEWS)

Row = Mapping[str, Any]


def preprocess_cohort(cohort: xr.Dataset, out: Place, *, batch: int = 4) -> xr.Dataset:
    """The heads of a cohort, lazily: what the head network sees of every scan, ``batch`` scans a block.

    Parameters
    ----------
    cohort
        Rows of `hypojax.open_cohort`, all or some.
    out
        The output folder that it was opened from, as workers see it.
    batch
        Scans in a block: what one worker reads and segments together.

    Returns
    -------
    The table of the cohort and ``head_image`` (scan, head_anterior, head_superior, head_right), a Dask array. A scan that cannot be
    used is NaN, with its ``reason`` and ``message``, when it is computed.

    Examples
    --------
    >>> heads = preprocess_cohort(hypojax.open_cohort("out"), "out")  # doctest: +SKIP
    """
    table = cohort[[name for name, values in cohort.data_vars.items() if not isinstance(values.data, da.Array)]]
    table = table.drop_vars([variable.name for variable in (*REGIONAL, *QUALITY)], errors="ignore").reset_coords("dataset")
    root = str(locate(out) / STORE)
    given = table.assign({SOURCE.name: (SCAN, np.full(table.sizes["scan"], root, object), SOURCE.attributes)})
    return Step(_heads, (HEAD_IMAGE,)).lazily(given.chunk(scan=batch))


def segment_cohort(
    heads: xr.Dataset, *, weights: Path | None = None, ensemble: bool = False, segmenter: Segments | None = None
) -> xr.Dataset:
    """Posteriors of a cohort, lazily: each block of heads in one batch, split over the devices of the process that computes it.

    Parameters
    ----------
    heads
        As `preprocess_cohort` gives them.
    weights, ensemble
        As `hypojax.RunSettings` has them; the networks are compiled once a process.
    segmenter
        A loaded network instead, where all is computed in this process.

    Returns
    -------
    The Dataset with ``posterior`` (scan, label, anterior, superior, right), ``head_posterior``, ``head_brain_extraction``,
    ``box_affine``, ``head_affine``, ``to_template``, ``residual_mm``, ``located`` and ``views_mm3`` in place of ``head_image``.
    """
    return Step(partial(_posteriors, networks=Networks(weights, ensemble, segmenter)), SEGMENTED, (HEAD_IMAGE,)).lazily(heads)


def measure_cohort(posteriors: xr.Dataset) -> xr.Dataset:
    """Volumes of a cohort, lazily: posteriors reduced to ``volume_mm3`` (scan, region), its uncertainty, flags and quality measures.

    Parameters
    ----------
    posteriors
        As `segment_cohort` gives them.

    Returns
    -------
    A table as `hypojax.open_cohort` gives it after `hypojax.run`, but for the flags that hold a scan against the others of its dataset.
    """
    step = Step(_volumes, (*REGIONAL, *QUALITY), (*SEGMENTED, SOURCE), {"region": np.array(REGIONS, object)})
    return step.lazily(posteriors).set_coords("dataset")


@dataclass(frozen=True)
class Networks:
    """Which networks a block is segmented by: loaded where it is computed."""

    weights: Path | None
    ensemble: bool
    given: Segments | None = None

    def load(self) -> Segments:
        """The networks of this process, loaded and compiled once."""
        from hypojax.segmenter.segmenter import Segmenter  # here, because JAX takes seconds to import

        return self.given or Segmenter.load(self.weights, ensemble=self.ensemble)


@lru_cache(maxsize=8)
def _opened(root: str) -> tuple[CohortStore, Mapping[str, str]]:
    """A store, and its scans by the names that they have in tables."""
    store = CohortStore.open(locate(root))
    return store, {visible(scan): scan for scan in store.index.ids}


class ScansInHand:
    """Scans that this process has read and prepared, until they are measured, so that no step of a block reads them again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[tuple[str, str], tuple[Prepared, int]] = {}

    def take(self, root: str, name: str, *, most: int) -> tuple[Prepared, int]:
        """A scan, prepared, and how many of its voxels are no numbers; the oldest are forgotten beyond ``most``."""
        with self._lock:
            found = self._held.get((root, name))
        if found is None:
            found = _prepared(root, name)
            with self._lock:
                self._held[root, name] = found
                for key in list(self._held)[:-most]:
                    del self._held[key]
        return found

    def drop(self, root: str, name: str) -> None:
        """Forget a scan."""
        with self._lock:
            self._held.pop((root, name), None)


IN_HAND: Final = ScansInHand()


def _prepared(root: str, name: str) -> tuple[Prepared, int]:
    """Read the native voxels of a scan and make them ready for the networks, as `hypojax.run` does."""
    store, scans = _opened(root)
    native = store.read_native(scans.get(name, name))
    return prepared(intensities(native.voxels, slope=native.slope, intercept=native.intercept), native.affine), native.nonfinite


@dataclass(frozen=True)
class Step:
    """One step of the pipeline: what it gives for a block of scans, and what becomes of the block's variables.

    Parameters
    ----------
    work
        Number of each scan of a block → its new values by variable, or the exception that it raised.
    made, dropped
        Variables that come and go.
    coords
        Coordinates that come.
    """

    work: Callable[[xr.Dataset], Mapping[int, Row | Exception]]
    made: Sequence[Variable]
    dropped: Sequence[Variable] = ()
    coords: Mapping[str, np.ndarray] = field(default_factory=dict)

    def lazily(self, given: xr.Dataset) -> xr.Dataset:
        """The step on a Dataset in chunks of scans."""
        empty = {made.name: (made.dims, _unread(made, given), made.attributes) for made in self.made}
        template = given.drop_vars([dropped.name for dropped in self.dropped]).assign(empty).assign_coords(self.coords)
        return given.map_blocks(_done, kwargs={"step": self}, template=template)

    def done(self, block: xr.Dataset) -> xr.Dataset:
        """The step on one block in memory: NaN or empty where a scan has failed, with the reason why."""
        changed = {name: block[name].values.copy() for name in ("status", "reason", "message", FLAGGED.name)}
        blank = {made.name: np.full(_shape(made, block), "" if made.dtype == "str" else np.nan, _dtype(made)) for made in self.made}
        for number, result in self.work(block).items():
            values = _failed(str(block["scan"].values[number]), result) if isinstance(result, Exception) else result
            for name, value in values.items():
                {**blank, **changed}[name][number] = value
        kept = block.drop_vars([dropped.name for dropped in self.dropped]).assign_coords(self.coords)
        made = {made.name: (made.dims, blank[made.name]) for made in self.made}
        return kept.assign({**made, **{name: kept[name].copy(data=values) for name, values in changed.items()}})


def _done(block: xr.Dataset, *, step: Step) -> xr.Dataset:
    """A step on a block: as an argument, the step is part of the name that Dask gives to the result."""
    return step.done(block)


def _shape(variable: Variable, given: xr.Dataset) -> tuple[int, ...]:
    """Lengths of the dimensions of a variable in a Dataset that may lack it."""
    return tuple(given.sizes[dim] if dim in given.sizes else SIZES[dim] for dim in variable.dims)


def _unread(variable: Variable, given: xr.Dataset) -> da.Array:
    """A placeholder for a variable before it is computed: an array in chunks of scans."""
    shape = _shape(variable, given)
    return da.empty(shape, chunks=(given.chunksizes["scan"], *shape[1:]), dtype=_dtype(variable))


def _dtype(variable: Variable) -> np.dtype[Any]:
    return np.dtype(object if variable.dtype == "str" else variable.dtype)


def _failed(scan: str, error: Exception) -> Row:
    """The row of a scan that cannot be used, in the words of a run."""
    refused = refusal(scan, error, seconds=0.0)
    return {"status": "failed", "reason": refused.reason, "message": refused.message}


def _each(block: xr.Dataset, step: Callable[[int, str, str], Any]) -> dict[int, Any]:
    """What a step gives for every scan of a block that has not failed, or the exception that it raised."""
    found: dict[int, Any] = {}
    rows = zip(block[SOURCE.name].values, block["scan"].values, block["status"].values, strict=True)
    for number, (root, name, status) in enumerate(rows):
        if status != "failed":
            try:
                found[number] = step(number, str(root), str(name))
            except RunError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one scan costs that scan alone, as in a run
                found[number] = error
    return found


def _take(block: xr.Dataset, root: str, name: str) -> tuple[Prepared, int]:
    """A scan of a block; as many are held as all threads of this process have in their blocks."""
    return IN_HAND.take(root, name, most=block.sizes["scan"] * (1 + (cpu_count() or 1)))


def _heads(block: xr.Dataset) -> Mapping[int, Row | Exception]:
    """What the head network sees of each scan."""
    return _each(block, lambda _, root, name: {HEAD_IMAGE.name: _take(block, root, name)[0].image})


def _posteriors(block: xr.Dataset, *, networks: Networks) -> Mapping[int, Row | Exception]:
    """What the networks say of each scan."""
    images = block[HEAD_IMAGE.name].values
    ready = _each(block, lambda number, root, name: replace(_take(block, root, name)[0], image=images[number]))
    failed = {number: item for number, item in ready.items() if isinstance(item, Exception)}
    return failed | _segmented(networks, {number: item for number, item in ready.items() if number not in failed})


def _segmented(networks: Networks, scans: Mapping[int, Prepared]) -> "dict[int, Row | Exception]":
    """Segment scans together; when that fails, each alone."""
    try:
        found = networks.load().segment_batch(list(scans.values())) if scans else []
    except RunError:
        raise
    except Exception as error:  # noqa: BLE001 - the same
        if len(scans) == 1:
            return dict.fromkeys(scans, error)
        return {number: row for n, scan in scans.items() for number, row in _segmented(networks, {n: scan}).items()}
    return {number: _row_of(one) for number, one in zip(scans, found, strict=True)}


def _row_of(found: "Segmentation") -> Row:
    """What the Dataset holds of a segmentation."""
    views = np.full((SIZES["view"], SIZES["label"]), np.nan, np.float32)
    views[: len(found.views)] = found.views
    return {
        POSTERIOR.name: found.subunits / np.float32(255), HEAD_POSTERIOR.name: found.intracranial / np.float32(255),
        BOX_AFFINE.name: found.box_grid.affine, HEAD_AFFINE.name: found.head_grid.affine,
        LOCATED.name: found.located, VIEWS.name: views, **_posed(found),
    }  # fmt: skip


def _posed(found: "Segmentation") -> Row:
    """What only a network that knows the template says."""
    if found.pose is None or found.brain_extraction is None:
        return {}
    pose = {} if found.pose.pose is None else {TO_TEMPLATE.name: found.pose.pose.to_template}
    return {BRAIN_EXTRACTION.name: found.brain_extraction / np.float32(255), RESIDUAL.name: found.pose.residual_mm, **pose}


def _found(to_template: np.ndarray, residual: float) -> "PoseFound | None":
    """The pose that `_posed` made these numbers of."""
    from hypojax.segmenter.pose import PoseFound, pose_of  # here, because JAX takes seconds to import

    if np.isnan(residual):
        return None
    return PoseFound(pose_of(to_template), float(residual))


def _volumes(block: xr.Dataset) -> Mapping[int, Row | Exception]:
    """The volumes of each scan."""
    return _each(block, lambda number, root, name: _measured(block, number, root, name))


def _measured(block: xr.Dataset, number: int, root: str, name: str) -> Row:
    """The row of one scan, from its posteriors and its voxels."""
    from hypojax.segmenter.segmenter import Segmentation

    scan, nonfinite = _take(block, root, name)
    one = {variable.name: block[variable.name].values[number] for variable in SEGMENTED}
    if np.isnan(one[LOCATED.name]):
        raise HypojaxError(Reason.USAGE, "its posteriors are missing; give measure_cohort what segment_cohort gave")
    extraction = one[BRAIN_EXTRACTION.name]
    segmentation = Segmentation(
        head_grid=Grid(HEAD_SHAPE, one[HEAD_AFFINE.name]),
        intracranial=_quantised(one[HEAD_POSTERIOR.name]),
        box_grid=Grid(BOX_SHAPE, one[BOX_AFFINE.name]),
        subunits=_quantised(one[POSTERIOR.name]),
        statistics=scan.head.statistics,
        located=float(one[LOCATED.name]),
        views=one[VIEWS.name][~np.isnan(one[VIEWS.name]).all(axis=1)],
        head_image=scan.image,
        box_image=np.zeros(BOX_SHAPE, np.float32),  # measuring does not look at it
        flags=scan.flags,
        brain_extraction=None if np.isnan(extraction).any() else _quantised(extraction),
        pose=_found(one[TO_TEMPLATE.name], float(one[RESIDUAL.name])),
    )
    measured = measure_scan(scan.volume, scan.affine, segmentation, nonfinite=nonfinite)
    IN_HAND.drop(root, name)
    return _row(measured, flagged=block[FLAGGED.name].values[number], flags=block["flag"].values)


def _row(measured: Measurement, *, flagged: np.ndarray, flags: np.ndarray) -> Row:
    """Volumes, quality and flags of a scan as the table has them."""
    regions = [asdict(found) for found in measured.volumes.values()]
    volumes = {v.name: [str(entry[v.name]) if v.dtype == "str" else entry[v.name] for entry in regions] for v in REGIONAL}
    known = {**measured.quality, **measured.pose}
    quality = {v.name: known.get(v.name, np.nan) for v in QUALITY}
    return {**volumes, **quality, FLAGGED.name: flagged | np.isin(flags, list(measured.flags)), "status": "done"}


def _quantised(posterior: Float32[np.ndarray, "*n"]) -> np.ndarray:
    """Posterior × 255, as the networks gave it."""
    return np.round(posterior * 255).astype(np.uint8)
