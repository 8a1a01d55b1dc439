"""What several test modules share: where the real scans lie, and a bucket on a server on the loopback."""

import os
import signal
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

hypothesis.settings.register_profile("any machine", deadline=None)  # no test depends on how busy the machine is
hypothesis.settings.load_profile("any machine")
os.environ["JAX_COMPILATION_CACHE_DIR"] = ""  # tests keep nothing in the home of whoever runs them, and find nothing there
if threading.current_thread() is threading.main_thread():
    # A job that a script starts with & ignores Ctrl-C, and so would the processes that tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
if TYPE_CHECKING:
    from s3_server import Bucket

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
NUMBERS = count()

PATIENCE = 8.0
"""Seconds that tests wait for a server: far more than one on the loopback needs, far less than a user has."""


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real scans, labels and tables beside the repository; a test that asks for it is skipped without."""
    if not SHARED.is_dir():
        pytest.skip("../shared/data is not here: put the real scans beside the repository to run this test")
    return SHARED


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Address of a server that speaks S3."""
    from s3_server import serving  # here, because the server takes a second to import

    with serving() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> "Iterator[Bucket]":
    """An empty bucket, and the environment that leads to it."""
    from s3_server import Bucket, environment

    from hypojax.storage import wait_at_most
    from hypojax.storage.patience import TOTAL

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in environment(s3_endpoint).items():
        monkeypatch.setenv(name, value)
    found = Bucket(f"bucket-{next(NUMBERS)}", s3_endpoint)
    found.client.create_bucket(Bucket=found.name)
    wait_at_most(PATIENCE)
    yield found
    wait_at_most(TOTAL)
