"""The key of a scan: its id as one safe folder name of the store."""

import hashlib
from typing import Final
from urllib.parse import quote

LONGEST: Final = 180
"""Characters of a key; file systems take 255 bytes a name, and temporary files add to it."""


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
