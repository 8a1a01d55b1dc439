"""Settings of the page in the browser: options of ``hypojax app``."""

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from hypojax.reason import Reason, RunError
from hypojax.settings import bytes_of

FIRST_PORT: Final = 7860
"""Where the search for a free port begins."""


@dataclass(frozen=True)
class AppSettings:
    """Settings of the page in the browser.

    Parameters
    ----------
    host
        Address to serve at. Any but one of this machine (127.0.0.1, ::1, localhost) demands --auth-file.
    port
        Port to serve at; the next free one where it is taken. Default: 7860.
    browser
        Open the page in the browser of this machine.
    auth_file
        File of users and the hashes of their passwords; `--add-user NAME` writes one. Whoever opens the page must log in then.
    cohorts
        Folder of cohorts (folders that `hypojax run` wrote) to show in the tab Cohort. Nothing outside it is shown.
    inputs
        Folder of scans; folders in it may be chosen in the tab Batch and run on this machine. Nothing outside it is read.
    norms
        File of norms (`hypojax norms`) to show each scan against.
    max_upload
        Most bytes that one session may upload and keep, such as 500MB.
    max_disk
        Most bytes that all sessions together may take on the disk, such as 20GB.
    weights
        Folder of weights; default: the released weights, which come with hypojax.
    proxy
        Address of a proxy in front of this server, the only one whose word is taken for the address of a visitor and for TLS
        (`X-Forwarded-For`, `X-Forwarded-Proto`); `*` trusts whoever connects.
    host_name
        Names that the page is reached by, such as brain.example.org; others are refused. Default: the names of this machine.

    Raises
    ------
    RunError
        ``USAGE``: a port or an amount that cannot be.

    Examples
    --------
    >>> AppSettings(max_upload="2GB").upload_bytes
    2000000000
    >>> AppSettings(host="0.0.0.0").is_local
    False
    """

    host: str = "127.0.0.1"
    port: int = 0
    browser: bool = True
    auth_file: Path | None = None
    cohorts: Path | None = None
    inputs: Path | None = None
    norms: Path | None = None
    max_upload: str = "500MB"
    max_disk: str = "20GB"
    weights: Path | None = None
    proxy: str = ""
    host_name: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a port or an amount that cannot be."""
        if not 0 <= self.port <= 65535:
            raise RunError(Reason.USAGE, f"--port is {self.port}, it must be between 1 and 65535; leave it out to take {FIRST_PORT}")
        for option, amount in (("--max-upload", self.max_upload), ("--max-disk", self.max_disk)):
            try:
                bytes_of(amount)
            except RunError:
                raise RunError(Reason.USAGE, f"{option} {amount} is not an amount of bytes; give one such as 500MB") from None

    @property
    def upload_bytes(self) -> int:
        """Most bytes that one session may upload and keep."""
        return bytes_of(self.max_upload) or 0

    @property
    def disk_bytes(self) -> int:
        """Most bytes that all sessions may take together."""
        return bytes_of(self.max_disk) or 0

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the address."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"
