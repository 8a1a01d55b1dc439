"""Group documents: the ``zarr.json`` of a Zarr v3 group in one canonical spelling, and sealed with its own digest.

A sealed document carries the SHA-256 of its canonical bytes (without the seal) among its attributes. Whoever reads it
spells it out again: any flipped bit gives a broken JSON, another digest or another spelling.
"""

import hashlib
import json
from collections.abc import Mapping
from math import isfinite
from pathlib import PurePath
from typing import Any, Final
from urllib.parse import quote

import numpy as np

from hypojax.storage import Location, Objects, digest, file_digest

NAME: Final = "zarr.json"
SEAL: Final = "document_sha256"
LONGEST: Final = 180
"""Characters of a key; file systems take 255 bytes a name, and temporary files add to it."""


class DamagedDocumentError(ValueError):
    """A document that is not what was written."""


def check_file(path: Location, expected: str | None) -> None:
    """Hold a file against its SHA-256.

    Raises
    ------
    DamagedDocumentError
        It is not what was written, or nothing says what that is.
    OSError
        It is missing or unreadable.
    """
    if expected is None:
        raise DamagedDocumentError(f"its ledger record has no {path.parent.parent.name}/{path.parent.name}/{path.name}")
    if file_digest(path) != expected:
        raise DamagedDocumentError(f"{path} is damaged: its SHA-256 is not the one in the ledger")


def plain(value: object) -> Any:  # noqa: ANN401  (any JSON value)
    """A value as JSON can hold it: NumPy scalars and arrays unwrapped, paths and codes as text, not finite as null.

    >>> plain({"a": np.float32(0.5), "b": (1, float("nan"))})
    {'a': 0.5, 'b': [1, None]}
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, str | PurePath):
        return str(value)
    return None if isinstance(value, float) and not isfinite(value) else value


def encode(document: Mapping[str, Any]) -> bytes:
    r"""The one spelling of a document.

    >>> encode({"b": 1, "a": "é"})
    b'{"b":1,"a":"\\u00e9"}\n'
    """
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def group_document(attributes: Mapping[str, Any], *, arrays: Objects | None = None) -> dict[str, Any]:
    """Document of a Zarr v3 group.

    Parameters
    ----------
    attributes
        The group's attributes.
    arrays
        Objects of the group, in the order in which arrays are to be shown: their metadata is copied into the document
        (consolidated as zarr-python does it), so that `xarray.open_zarr` opens the group at once, without a warning.
    """
    document: dict[str, Any] = {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)}
    if arrays is not None:
        metadata = {key.removesuffix(f"/{NAME}"): json.loads(arrays[key]) for key in arrays if key.endswith(f"/{NAME}")}
        document["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": metadata}
    return document


def refuse_other_versions(document: Mapping[str, Any]) -> None:
    """Refuse a group document that tells of arrays of another version of Zarr: in version 2 one may name a codec that unpickles.

    Raises
    ------
    DamagedDocumentError
        It does.
    """
    metadata = (document.get("consolidated_metadata") or {}).get("metadata") or {}
    if any(part.get("zarr_format") != 3 for part in metadata.values()):
        raise DamagedDocumentError("it tells of arrays of another version of Zarr, which no run writes and which could run code")


def seal(document: Mapping[str, Any]) -> bytes:
    """The document with its own digest among its attributes, spelled out.

    >>> unseal(seal(group_document({"a": 1})))["attributes"]["a"]
    1
    """
    attributes = {key: value for key, value in document["attributes"].items() if key != SEAL}
    bare = {**document, "attributes": attributes}
    return encode({**bare, "attributes": {**attributes, SEAL: digest(encode(bare))}})


def unseal(data: bytes) -> dict[str, Any]:
    """The sealed document behind these bytes.

    Raises
    ------
    DamagedDocumentError
        The bytes are not those that `seal` gave.
    """
    try:
        document: dict[str, Any] = json.loads(data)
        sealed = document["attributes"][SEAL]
        # The bytes without their seal, and not the document spelled anew: a run reads the records of every scan several times.
        before, found, after = data.partition(f'"{SEAL}":"{sealed}"'.encode())
        intact = bool(found) and digest(before.removesuffix(b",") + after) == sealed
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DamagedDocumentError(f"not a readable document ({error})") from error
    if not intact:
        raise DamagedDocumentError("its digest does not match")
    return document


def scan_key(scan: str) -> str:
    """Folder name for a scan id: percent-encoded, never hidden, never a name that Zarr reserves, never too long.

    Two ids never share a key. Ids are read back from the ledger, not decoded from the key.

    >>> scan_key("sub-01_ses-2")
    'sub-01_ses-2'
    >>> scan_key("site/a b")
    'site%2Fa%20b'
    >>> scan_key("..")
    '%2E.'
    """
    key = quote(scan, safe="", errors="surrogateescape")
    if key.startswith((".", "__")) or key == "zarr.json":
        key = f"%{ord(key[0]):02X}{key[1:]}"
    if len(key) > LONGEST:
        digest = hashlib.sha256(key.encode()).hexdigest()
        return f"{key[: LONGEST - 34]}%~{digest[:32]}"  # percent-encoding never gives "%~", so no other id meets this key
    return key or "%~"
