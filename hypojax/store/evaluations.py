"""The evaluation history of a store: one sealed record an evaluation, only ever added to.

Each record is an empty Zarr group of its own, as those of the ledger are, placed whole under a name that no other has:
a crash leaves nothing half written, and two who record at once do not meet.
"""

from collections.abc import Mapping
from typing import Any, Final

from hypojax.storage import Location, digest, place
from hypojax.store.index import read_index
from hypojax.store.sealed import NAME, DamagedDocumentError, encode, group_document, plain, seal, unseal

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
