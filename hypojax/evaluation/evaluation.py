"""The evaluation: scores of every pair as one Dataset over scans and regions; a pair that failed keeps its row."""

import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
import xarray as xr

from hypojax import cohort
from hypojax.evaluation.archive import write_evaluation
from hypojax.evaluation.maps import IDENTITY, INTRACRANIAL, load
from hypojax.evaluation.pairs import Pair, Pairing, ParticipantsTable, columns_of, find_pairs
from hypojax.evaluation.scores import METRICS, ROWS, Scores, score_mask, score_pair
from hypojax.evaluation.summary import summarise
from hypojax.reason import HypojaxError, Reason, RunError, visible
from hypojax.scans.bids_tables import Datasets
from hypojax.schema import DATASET, PARTS, REGIONS, SCAN_REGION, Variable
from hypojax.storage import Disk, on_disk
from hypojax.store import ScanEntry

LOGGER: Final = logging.getLogger(__name__)

COMMENT: Final = (
    "Predictions on another grid were brought to that of the reference by nearest neighbour; volumes are counted on each map's own grid. "
    "Distances are between the middles of voxel faces, weighted by area."
)


@dataclass(frozen=True)
class ScanScores:
    """The result for one scan.

    Parameters
    ----------
    scan
        Row of the evaluation.
    scores
        Region → numbers.
    missing
        Region → why it has none; regions in neither were not asked for.
    reason, message
        Of a failure; empty where all went well.
    paths
        Predicted and reference label maps.
    seconds
        Time it took.
    """

    scan: str
    scores: Mapping[str, Scores] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    message: str = ""
    paths: tuple[str, str] = ("", "")
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether a region that has a reference could not be scored."""
        return bool(self.reason)

    @property
    def status(self) -> str:
        """``done`` or ``failed``."""
        return "failed" if self.failed else "done"

    def why_missing(self, region: str) -> str:
        """Why a region has no numbers; empty where it has them."""
        return self.missing.get(region, "" if region in self.scores else str(Reason.NO_REFERENCE))


@runtime_checkable
class EvaluationCallback(Protocol):
    """What `evaluate` calls as it goes on."""

    def started(self, *, total: int, kept: int) -> None:
        """So many scans will be scored; none was scored before."""

    def finished(self, result: ScanScores) -> None:
        """One scan is scored, or failed."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` gives.

    Parameters
    ----------
    scores
        Dataset over ``scan`` and ``region``, as `compare` gives it.
    summary
        Dataset over ``stratum``, ``region`` and ``metric``, as `hypojax.evaluation.summarise` gives it.
    paths
        Files that were written.
    """

    scores: xr.Dataset
    summary: xr.Dataset
    paths: tuple[Path, ...] = ()

    @property
    def failed(self) -> int:
        """Scans with a reference that could not be scored."""
        return int((self.scores["status"] == "failed").sum())

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out or interpreted, one sentence each."""
        about = self.scores.attrs
        unused, without = about["unused_predictions"], about["structures_without_predictions"]
        found = [f"predictions without a reference: {unused}"] if unused != "0" else []
        found += [f"references of {without} were left out: there are no predictions of it"] if without != "none" else []
        return (*found, *([about["tables"]] if "tables" in about else []))


def evaluate(
    predicted: Disk,
    reference: Disk,
    *,
    out: Disk | None = None,
    participants: Disk | None = None,
    by: Sequence[str] = (),
    structure: str | None = None,
    strict_tables: bool = False,
    callback: EvaluationCallback | None = None,
) -> Evaluation:
    """Score label maps against a reference, sum the scores up, and write both where asked: what ``hypojax evaluate`` does.

    `hypojax.evaluation.record` adds the summary to the history of evaluations in a cohort.

    Parameters
    ----------
    predicted, reference
        Output folder of `hypojax run`, BIDS derivatives, a folder with images at any depth, or one image.
    out
        Folder for the files of `hypojax.evaluation.write_evaluation`; nothing is written when left out.
    participants
        Table with age, sex and other columns of the scans.
    by
        Columns to stratify the summary by.
    structure
        ``hypothalamus`` or ``icv``, where file names do not tell.
    strict_tables
        Whether to refuse a table with a fault instead of leaving out the values concerned.
    callback
        Is called for every scan.

    Raises
    ------
    RunError
        There is nothing to compare, or a file cannot be written. A label map that cannot be used is a row with a reason.
    """
    scores = compare(predicted, reference, participants=participants, structure=structure, strict_tables=strict_tables, callback=callback)
    summary = summarise(scores, by=by)
    paths = () if out is None else write_evaluation(scores, summary, out)
    return Evaluation(scores, summary, paths)


def compare(
    predicted: Disk,
    reference: Disk,
    *,
    participants: Disk | None = None,
    structure: str | None = None,
    strict_tables: bool = False,
    callback: EvaluationCallback | None = None,
) -> xr.Dataset:
    """Score all label maps at one place against those at another.

    Parameters
    ----------
    predicted, reference
        Output folder of `hypojax run`, BIDS derivatives, a folder with images at any depth, or one image.
    participants
        Table with age, sex and other columns of the scans.
    structure
        ``hypothalamus`` or ``icv``, where file names do not tell.
    strict_tables
        Whether to refuse a table with a fault instead of leaving out the values concerned.
    callback
        Is called for every scan.

    Returns
    -------
    Dataset over ``scan`` and ``region``: `METRICS` and `ROWS`, with entities and participants columns as coordinates.

    Raises
    ------
    RunError
        There is nothing to compare. A file that cannot be used is a row with a reason.
    """
    predicted, reference, datasets = on_disk(predicted), on_disk(reference), Datasets(strict=strict_tables)
    pairing = find_pairs(predicted, reference, structure=structure, known=datasets)
    table = ParticipantsTable(on_disk(participants), pairing.pairs, strict=strict_tables) if participants else None
    scans = {scan: tuple(pairs) for scan, pairs in groupby(pairing.pairs, key=lambda pair: pair.scan)}
    if callback:
        callback.started(total=len(scans), kept=0)
    results = []
    for scan, pairs in scans.items():
        results.append(score_scan(scan, pairs))
        if callback:
            callback.finished(results[-1])
    dataset = tabulate(results, [_entry(scan, pairs, table) for scan, pairs in scans.items()])
    counts = {"unused_predictions": str(pairing.unused), "structures_without_predictions": " ".join(pairing.left_out) or "none"}
    places = {"predicted": visible(str(predicted.absolute())), "reference": visible(str(reference.absolute()))}
    notes = (*datasets.notes(), *(table.notes if table else ()))
    return dataset.assign_attrs(**places, **counts, **provenance(pairing), **({"tables": "; ".join(notes)} if notes else {}))


def score_scan(scan: str, pairs: Sequence[Pair]) -> ScanScores:
    """Score the pairs of one scan, at most one a structure; never raises for what is wrong with a file."""
    start = time.monotonic()
    scores: dict[str, Scores] = {}
    missing: dict[str, str] = {}
    problems = []
    for pair in pairs:
        found, without, problem = _score(pair)
        scores |= found
        missing |= dict.fromkeys(regions_of(pair), without)
        problems += [problem] if problem else []
    reason, message = problems[0] if problems else ("", "")
    paths = "; ".join(pair.predicted.place for pair in pairs if pair.predicted), "; ".join(pair.reference.place for pair in pairs)
    return ScanScores(scan, scores, missing, reason, message, paths, time.monotonic() - start)


def regions_of(pair: Pair) -> tuple[str, ...]:
    """Regions that a pair covers."""
    return ("icv",) if pair.reference.structure == INTRACRANIAL else tuple(PARTS)


def tabulate(results: Sequence[ScanScores], entries: Sequence[ScanEntry]) -> xr.Dataset:
    """Scores of scans as a Dataset; regions that no scan has a reference for are left out.

    Parameters
    ----------
    results
        Scores of each scan, in any order.
    entries
        What is known of the same scans: entities and participants columns.

    Examples
    --------
    >>> entry = ScanEntry(scan="sub-01", path="", entities={}, columns={"age": 31})
    >>> table = tabulate([ScanScores("sub-01", missing={"icv": "no_prediction"}, reason="no_prediction")], [entry])
    >>> table.status.values.tolist(), table.region.values.tolist(), table.age.values.tolist()
    (['failed'], ['icv'], [31])
    """
    ordered = sorted(results, key=lambda result: result.scan)
    asked = [region for region in REGIONS if any(region in {*result.scores, *result.missing} for result in ordered)]
    known = cohort.build([], sorted(entries, key=lambda entry: entry["scan"]))
    index = {"scan": known["scan"].variable, "region": xr.Variable("region", np.array(asked, object), known["region"].attrs)}
    taken = {variable.name for variable in (*METRICS, *ROWS)}
    columns = (DATASET.name, *cohort.people(known))
    named = {f"{name}_participant" if name in taken else name: known[name].variable for name in columns}
    variables = {variable.name: _variable(variable, ordered, asked) for variable in (*METRICS, *ROWS)}
    return xr.Dataset(variables, coords={**index, **named}, attrs={"title": "Label maps against a reference", "comment": COMMENT})


def provenance(pairing: Pairing) -> dict[str, str]:
    """What made the predictions: version and weights as the store of their run has them, or as BIDS derivatives say."""
    for pair in pairing.pairs:
        if pair.predicted and pair.predicted.store:
            settings = pair.predicted.store.index.settings
            return {key: str(value) for key, value in settings.items()}
        if pair.predicted:
            return _generated_by(pair.predicted.path)
    return {}


def _score(pair: Pair) -> tuple[Mapping[str, Scores], str, tuple[str, str] | None]:
    """Numbers of one pair's regions, or why they have none, and the failure."""
    if pair.predicted is None:
        return {}, str(pair.reason), (str(pair.reason), pair.message)
    without = Reason.NO_REFERENCE
    try:
        wanted = load(pair.reference)
        without = Reason.NO_PREDICTION
        found = load(pair.predicted)
        if pair.reference.structure == INTRACRANIAL:
            masks = found.voxels > 0, wanted.voxels > 0
            return {"icv": score_mask(*masks, affine=wanted.affine, predicted_affine=found.affine)}, "", None
        return score_pair(found.voxels, wanted.voxels, affine=wanted.affine, predicted_affine=found.affine), "", None
    except RunError:
        raise
    except HypojaxError as error:
        return {}, _missing(without, error.reason), (str(error.reason), str(error))
    except Exception as error:  # one pair of thousands; --debug shows where
        LOGGER.debug("scan %r", pair.scan, exc_info=True)
        message = f"scan {pair.scan!r}: unexpected {type(error).__name__}: {error}; run again with --debug for details and report them"
        return {}, _missing(without, Reason.UNEXPECTED), (str(Reason.UNEXPECTED), message)


def _missing(without: Reason, reason: Reason) -> str:
    """Why regions have no numbers: a reference that cannot be used is no failure of the prediction."""
    return str(Reason.NO_REFERENCE if without is Reason.NO_REFERENCE else reason)


def _entry(scan: str, pairs: Sequence[Pair], table: ParticipantsTable | None) -> ScanEntry:
    named = {**(pairs[0].predicted.entities if pairs[0].predicted else {}), **pairs[0].reference.entities}
    return ScanEntry(
        scan=scan,
        path="",
        entities={key: value for key, value in named.items() if key in IDENTITY},
        columns=columns_of(pairs, table),
    )


def _variable(variable: Variable, results: Sequence[ScanScores], regions: Sequence[str]) -> xr.Variable:
    """One variable, as `hypojax.evaluation.scores` declares it."""
    values: Any
    if variable.name == "missing_reason":
        values = [[result.why_missing(region) for region in regions] for result in results]
    elif variable.dims == SCAN_REGION:
        values = [[result.scores.get(region, {}).get(variable.name, np.nan) for region in regions] for result in results]
    elif variable.name.endswith("_path"):
        values = [visible(result.paths[variable.name == "reference_path"]) for result in results]
    else:
        values = [getattr(result, variable.name) for result in results]
        values = [visible(value) if isinstance(value, str) else value for value in values]
    dtype = object if variable.dtype == "str" else variable.dtype
    sizes = (len(results), len(regions)) if variable.dims == SCAN_REGION else (len(results),)
    return xr.Variable(variable.dims, np.array(values, dtype).reshape(sizes), variable.attributes)


def _generated_by(path: Path) -> dict[str, str]:
    """Name and version of what wrote BIDS derivatives, from the description nearest above a file; nothing where there is none."""
    for folder in path.parents:
        description = folder / "dataset_description.json"
        if description.is_file():
            return _generators(description)
    return {}


def _generators(description: Path) -> dict[str, str]:
    """Generators in a dataset's description; nothing where it is not what BIDS says it should be."""
    try:
        listed: Iterable[Mapping[str, Any]] = json.loads(description.read_text())["GeneratedBy"]
        return {str(one["Name"]): str(one.get("Version", "")) for one in listed}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
