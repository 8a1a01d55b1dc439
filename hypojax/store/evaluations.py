"""The evaluation history of a store: one sealed record an evaluation, only ever added to.

Each record is an empty Zarr group of its own, as those of the ledger are, placed whole under a name that no other has:
a crash leaves nothing half written, and two who record at once do not meet.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from hypojax.reason import Reason, RunError
from hypojax.storage import Location, digest, place
from hypojax.store.index import read_index
from hypojax.store.sealed import NAME, SEAL, DamagedDocumentError, encode, group_document, plain, seal, unseal

EVALUATIONS: Final = "evaluations"


def append_evaluation(root: Location, record: Mapping[str, Any], *, date: str) -> str:
    """Add an evaluation to the history of the store at ``root``; the same record again adds nothing.

    Parameters
    ----------
    root
        Folder of the store.
    record
        What JSON can hold; not finite numbers become null.
    date
        When it was made, as ISO 8601 has it; records are read back in this order.

    Returns
    -------
    Name of the record.

    Raises
    ------
    RunError
        ``NOTHING_FOUND`` where there is no store; ``STORE_DAMAGED``, ``DISK_FULL`` or ``NOT_WRITABLE``.
    """
    read_index(root)
    document = seal(group_document(plain({**record, "date": date})))
    name = f"{''.join(sign for sign in date if sign.isalnum())}-{digest(document)[:16]}"
    place(root / EVALUATIONS / NAME, encode(group_document({})))
    place(root / EVALUATIONS / name / NAME, document)
    return name


def read_evaluations(root: Location) -> tuple[dict[str, Any], ...]:
    """All records of the store at ``root`` that hold, oldest first; `hypojax.store.damage` names those that do not.

    Raises
    ------
    RunError
        ``NOTHING_FOUND`` where there is no store; ``STORE_DAMAGED``.
    """
    read_index(root)
    found = [record for path in evaluation_paths(root) if isinstance(record := parse_evaluation(path), dict)]
    return tuple(sorted(found, key=lambda record: str(record.get("date", ""))))


def copy_evaluations(source: Location, target: Location, *, ids: Mapping[str, str]) -> int:
    """Add the history of one store to that of another; those that are there already stay.

    Parameters
    ----------
    source, target
        Folders of the stores.
    ids
        Id of every scan of the source → its id in the target. Where a record names a scan, it gets that id.

    Returns
    -------
    How many records were left behind: they name a scan that has another id now within a text, as in the name of a file, where that
    would make the text false.

    Raises
    ------
    RunError
        ``STORE_DAMAGED``: a record does not hold; as `append_evaluation`.
    """
    changed, left = {old: new for old, new in ids.items() if old != new}, 0
    for path in evaluation_paths(source):
        if isinstance(record := parse_evaluation(path), str):
            raise RunError(Reason.STORE_DAMAGED, f"{path} {record}")
        texts = [text for text in _texts(record) if text not in changed]
        if any(named(old).search(text.encode(errors="surrogateescape")) for old in changed for text in texts):
            left += 1
            continue
        about = {key: value for key, value in record.items() if key not in ("date", SEAL)}
        append_evaluation(target, _renamed(about, changed), date=record["date"])
    return left


def named(scan: str) -> "re.Pattern[bytes]":
    """What finds the id of a scan in the bytes of a document or text, but not as a part of a longer word or number."""
    return re.compile(rb"(?<![0-9A-Za-z])" + re.escape(json.dumps(scan)[1:-1].encode()) + rb"(?![0-9A-Za-z])")


def _texts(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    """All texts in a JSON value, keys of objects among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _renamed(value: Any, ids: Mapping[str, str]) -> Any:  # noqa: ANN401 - any JSON value
    """A JSON value in which texts that are ids are others."""
    if isinstance(value, str):
        return ids.get(value, value)
    if isinstance(value, Mapping):
        return {ids.get(key, key): _renamed(item, ids) for key, item in value.items()}
    return [_renamed(item, ids) for item in value] if isinstance(value, list) else value


def evaluation_paths(root: Location) -> tuple[Location, ...]:
    """Documents of the history, in order of their names."""
    return tuple(sorted((root / EVALUATIONS).glob(f"*/{NAME}")))


def parse_evaluation(path: Location) -> dict[str, Any] | str:
    """The record in a document, or what is wrong with it."""
    try:
        data = path.read_bytes()
        attributes: dict[str, Any] = unseal(data)["attributes"]
    except OSError as error:
        return f"cannot be read ({error.strerror}); check permissions and disk"
    except DamagedDocumentError as error:
        return f"is damaged: {error}; restore it from a copy, or delete it"
    if not path.parent.name.endswith(digest(data)[:16]):
        return "is the record of another evaluation; restore it from a copy, or delete it"
    return attributes
