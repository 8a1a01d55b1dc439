"""Pairs of predicted and reference label maps: every reference has one, also where there is nothing to compare it with."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hypojax.cohort.derivatives import scan_stem
from hypojax.evaluation.maps import HYPOTHALAMUS, INTRACRANIAL, STRUCTURES, LabelMap, find_maps, scan_of
from hypojax.reason import Reason, RunError
from hypojax.scans.bids_tables import Datasets
from hypojax.tables import SESSION_NAMES, SUBJECT_NAMES, People, Value, find_column, merged, read_table, refuse

SHORT: Final = ("subject", "session", "run")
"""Entities that are enough where nothing else tells scans apart."""

Names = Callable[[LabelMap], frozenset[str]]

IDS: Final = ("scan", "scanid", *SUBJECT_NAMES)
"""Columns that may name the scan or subject of a row, first choice first."""


@dataclass(frozen=True)
class Pair:
    """A reference and the prediction that belongs to it.

    Parameters
    ----------
    scan
        Row of the evaluation.
    reference
        What it should look like.
    predicted
        What it was found to look like; None where there is no prediction, or more than one.
    reason, message
        Why there is none.
    """

    scan: str
    reference: LabelMap
    predicted: LabelMap | None
    reason: Reason = Reason.NONE
    message: str = ""


@dataclass(frozen=True)
class Pairing:
    """All pairs of two places.

    Parameters
    ----------
    pairs
        One for every reference, in the order of scans.
    unused
        How many predictions have no reference.
    left_out
        Structures that have references but not a single prediction.
    """

    pairs: tuple[Pair, ...]
    unused: int
    left_out: tuple[str, ...] = ()


def find_pairs(predicted: Path, reference: Path, *, structure: str | None = None, known: Datasets | None = None) -> Pairing:
    """Find label maps at two places and pair them.

    Two single files are a pair whatever their names. Otherwise names decide: dataset and scan, then the scan alone, then the name
    that a hypojax derivative of it has, then subject, session and run; a name that fits several maps makes no pair.

    Parameters
    ----------
    predicted, reference
        Places as `hypojax.evaluation.maps.find_maps` takes them.
    structure
        Compare only this one of `STRUCTURES`, and take all images for label maps of it.
    known
        Tables of datasets, each read once and kept here.

    Raises
    ------
    RunError
        ``NOTHING_FOUND``, ``DUPLICATE_SCAN`` where two references are of one scan, or as `find_maps` does.
    """
    found, wanted = (find_maps(place, structure=structure, known=known) for place in (predicted, reference))
    if predicted.is_file() and reference.is_file():
        kind = INTRACRANIAL if INTRACRANIAL in (found[0].structure, wanted[0].structure) else HYPOTHALAMUS
        return Pairing((Pair(wanted[0].scan, replace(wanted[0], structure=kind), replace(found[0], structure=kind)),), unused=0)
    kinds = [kind for kind in STRUCTURES if any(one.structure == kind for one in found)]
    asked = [one for one in wanted if one.structure in kinds]
    if not asked:
        seen = ", ".join(f"{len(maps)} in {place}" for maps, place in ((found, predicted), (wanted, reference)))
        message = f"no label maps to compare (found: {seen}); name folders of label maps of one kind, or say which with --structure"
        raise RunError(Reason.NOTHING_FOUND, message)
    _refuse_duplicates(asked)
    rows, pairs = _row_names(asked), []
    for kind in kinds:
        pairs += match([one for one in found if one.structure == kind], [one for one in asked if one.structure == kind])
    named = sorted((replace(pair, scan=rows[pair.reference.dataset, pair.reference.scan]) for pair in pairs), key=lambda pair: pair.scan)
    left_out = tuple(kind for kind in STRUCTURES if kind not in kinds and any(one.structure == kind for one in wanted))
    compared = {one.structure for one in asked}
    used = {id(pair.predicted) for pair in named}
    unused = sum(one.structure in compared and id(one) not in used for one in found)
    return Pairing(tuple(named), unused=unused, left_out=left_out)


def match(predicted: Sequence[LabelMap], reference: Sequence[LabelMap]) -> list[Pair]:
    """Pair label maps of one structure by name, the fullest name first.

    >>> one = LabelMap("sub-01", "icv", Path("a.nii"), "here")
    >>> [pair.predicted is not None for pair in match([one], [replace(one, dataset="there"), replace(one, scan="sub-02")])]
    [True, False]
    """
    pairs: dict[int, Pair] = {}
    free, open_ = list(predicted), list(reference)
    for names in (_full, _scan, _derived, _short):
        made = _by_name(free, open_, names, strict=any(pair.predicted and pair.reference.dataset for pair in pairs.values()))
        pairs |= made
        taken = {id(pair.predicted) for pair in made.values()}
        free, open_ = [one for one in free if id(one) not in taken], [one for one in open_ if id(one) not in made]
    pairs |= {id(one): _unpaired(one) for one in open_}
    return [pairs[id(one)] for one in reference]


class ParticipantsTable:
    """A table of participants or scans.

    Parameters
    ----------
    path
        The table (tsv, csv, parquet): a column of scan ids or participants, perhaps one of sessions, and any others.
    pairs
        The scans that will be asked for.
    strict
        Whether to refuse a table with a fault.

    Attributes
    ----------
    notes
        Notes on the table, one sentence each.

    Raises
    ------
    RunError
        ``USAGE``: no column names scans or subjects, or with ``strict`` the table has a fault.
    """

    def __init__(self, path: Path, pairs: Sequence[Pair] = (), *, strict: bool = False) -> None:
        table = read_table(path)
        column, session = find_column(table.names, IDS), find_column(table.names, SESSION_NAMES)
        if column is None:
            columns = ", ".join(table.names) or "none"
            raise RunError(Reason.USAGE, f"table {path} has no column participant_id or scan (columns: {columns}); rename that of ids")
        self._session = session
        self._people = People(table, column, prefix="sub-", session=session)
        wanted = [self._name(pair) for pair in pairs]
        matched = self._people.match(wanted)
        without = [name for name in wanted if not self._people.knows(name)]
        unmatched = [self._people.unmatched(without, asked=wanted, total=len(wanted))] if without else []
        refuse([*table.faults, *self._people.faults, *unmatched], strict=strict)
        self.notes = (*table.faults, *table.notes, *self._people.faults, *matched, *unmatched)

    def columns(self, pair: Pair) -> Mapping[str, Value]:
        """What the table says of a scan; nothing where it does not know it."""
        row = self._people.row(self._name(pair), pair.reference.entities.get("session", ""))
        return {column: value for column, value in row.items() if column != self._session}

    def _name(self, pair: Pair) -> str:
        """The name by which the table may know a scan."""
        subject = pair.reference.entities.get("subject", "")
        return next((name for name in (pair.scan, pair.reference.scan, subject) if name and self._people.knows(name)), subject or pair.scan)


def columns_of(pairs: Sequence[Pair], table: ParticipantsTable | None) -> dict[str, Value]:
    """All that is known of one scan, the given table last, so that it wins; its dataset too, where nothing else says it."""
    known: dict[str, Value] = {}
    for pair in pairs:
        dataset = pair.reference.dataset or (pair.predicted.dataset if pair.predicted else "")
        own = {"dataset": dataset} if dataset else {}
        known = merged(known, own, pair.predicted.columns if pair.predicted else {}, pair.reference.columns)
        known = merged(known, table.columns(pair) if table else {})
    return known


def _by_name(predicted: Sequence[LabelMap], reference: Sequence[LabelMap], names: Names, *, strict: bool) -> dict[int, Pair]:
    """Pairs that one kind of name makes, by the reference; a name that several maps share makes a failure.

    Where some pairs were made by the name of a dataset, these names mean something (``strict``): others must not contradict.
    """
    pairs: dict[int, Pair] = {}
    taken: set[int] = set()
    theirs = _index(predicted, names)
    for name, wanted in _index(reference, names).items():
        found = theirs.get(name, [])
        if strict:
            wanted_in = {one.dataset for one in wanted}
            found = [one for one in found if not one.dataset or wanted_in & {"", one.dataset}]
        if len(found) == len(wanted) == 1:
            if id(found[0]) not in taken:
                pairs[id(wanted[0])] = Pair(wanted[0].scan, wanted[0], found[0])
                taken.add(id(found[0]))
        elif found:
            pairs |= {id(one): _ambiguous(one, found, wanted) for one in wanted if id(one) not in pairs}
    return pairs


def _index(maps: Iterable[LabelMap], names: Names) -> dict[str, list[LabelMap]]:
    index: dict[str, list[LabelMap]] = {}
    for one in maps:
        for name in sorted(names(one)):
            index.setdefault(name, []).append(one)
    return index


def _full(one: LabelMap) -> frozenset[str]:
    return frozenset({f"{one.dataset}/{one.scan}"})


def _scan(one: LabelMap) -> frozenset[str]:
    return frozenset({one.scan})


def _derived(one: LabelMap) -> frozenset[str]:
    """The scan, and the names that hypojax derivatives of it have, which BIDS does not let keep every id."""
    ids = (one.scan, f"{one.dataset}_{one.scan}", one.key or one.scan)
    return frozenset({one.scan, *(scan_stem(scan).rpartition("/")[2] for scan in ids)})


def _short(one: LabelMap) -> frozenset[str]:
    """Subject, session and run; nothing where the name is none of BIDS."""
    name = scan_of({key: value for key, value in one.entities.items() if key in SHORT})
    return frozenset({name} - {""})


def _unpaired(one: LabelMap) -> Pair:
    message = f"scan {one.scan!r}: no prediction for {one.place}; check the names of both, or leave the reference out"
    return Pair(one.scan, one, None, Reason.NO_PREDICTION, message)


def _ambiguous(one: LabelMap, found: Sequence[LabelMap], wanted: Sequence[LabelMap]) -> Pair:
    """A reference that could be paired in several ways."""
    listed = ", ".join(other.place for other in found[:3]), ", ".join(other.place for other in wanted[:3])
    message = f"scan {one.scan!r}: {listed[0]} could be the prediction for {listed[1]}; give folders whose names match one to one"
    return Pair(one.scan, one, None, Reason.AMBIGUOUS_PAIR, message)


def _refuse_duplicates(wanted: Sequence[LabelMap]) -> None:
    """Refuse two references of one scan and structure, since nothing says which is right."""
    first: dict[tuple[str, str, str], LabelMap] = {}
    for one in wanted:
        other = first.setdefault((one.dataset, one.scan, one.structure), one)
        if other is not one:
            message = f"two references are of scan {one.scan!r}: {other.place} and {one.place}; keep one, or say which with --structure"
            raise RunError(Reason.DUPLICATE_SCAN, message)


def _row_names(wanted: Sequence[LabelMap]) -> Mapping[tuple[str, str], str]:
    """Dataset and scan → row: the scan, with its dataset before it where several datasets have a scan of that name."""
    owners = Counter(scan for _, scan in {(one.dataset, one.scan) for one in wanted})
    return {(one.dataset, one.scan): one.scan if owners[one.scan] == 1 else f"{one.dataset}_{one.scan}" for one in wanted}
