"""Another user of this machine tries to run code in a Dask scheduler: ``python stranger.py UID ADDRESS MARK``.

The code would make the file MARK. What is needed is imported before the rights are dropped, because this Python may lie in a home that
is closed to others. Exit code 0: the code ran; 7: the scheduler refused.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

from distributed import Client, Security

REFUSED = 7
NOBODY_LISTENS = "127.0.0.1:1"


def main(uid: int, address: str, mark: str) -> int:
    """Become that user and try; the exit code."""
    protocol = address.partition("://")[0]
    own = Security.temporary() if protocol == "tls" else None
    with suppress(OSError):  # once in vain, so that all is imported
        Client(f"{protocol}://{NOBODY_LISTENS}", security=own, timeout="1s", set_as_default=False)
    if uid != os.getuid():
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    try:
        with Client(address, security=own, timeout="5s", set_as_default=False) as client:
            client.run_on_scheduler(lambda: Path(mark).write_text("here"))
    except (OSError, TypeError) as error:
        print(f"refused: {type(error).__name__}: {error}")
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
