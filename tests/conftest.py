"""What several test modules share: where the real scans lie, and a bucket on a server on the loopback."""

import atexit
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import first_calls
import hypothesis
import pytest
from browser_fixtures import browser, drawn_report, mark_browser_tests, page, watch  # noqa: F401 - fixtures are found by their names

first_calls.install()
hypothesis.settings.register_profile("any machine", deadline=None)  # no test depends on how busy the machine is
hypothesis.settings.load_profile("any machine")
COMPILED = "HYPOJAX_TESTS_COMPILED"
"""Folder where processes of the tests keep what they compiled for each other, half of their time; several runs share it by naming it."""

if COMPILED not in os.environ:
    # Made by the process that starts the others, which inherit its name; nothing is kept in the home of whoever runs the tests.
    os.environ[COMPILED] = tempfile.mkdtemp(prefix="hypojax-compiled-")
    atexit.register(shutil.rmtree, os.environ[COMPILED], ignore_errors=True)
os.environ["JAX_COMPILATION_CACHE_DIR"] = os.environ[COMPILED]
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
# Where the environment forbids it, hundreds of processes that tests start would each compile all modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
if threading.current_thread() is threading.main_thread():
    # A job that a script starts with & ignores Ctrl-C, and so would the processes that tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
if TYPE_CHECKING:
    from s3_server import Bucket

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
NUMBERS = count()

LONGEST = ("test_segment", "test_train", "test_train_run", "test_execute_cloud", "test_stopped_writers", "test_execute", "test_membership")
"""Modules that take a minute or more: they come first, so that no process still has one to do when the other has nothing left."""

PATIENCE = 8.0
"""Seconds that tests wait for a server: far more than one on the loopback needs, far less than a user has."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests of pages; the longest modules first."""
    mark_browser_tests(items)
    items.sort(key=lambda item: item.path.stem not in LONGEST)


def pytest_runtest_setup() -> None:
    """In each test the first calls of every function are checked."""
    first_calls.CALLS.clear()


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

    from hypojax.storage import set_retry_timeout
    from hypojax.storage.request import RETRY_TIMEOUT

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in environment(s3_endpoint).items():
        monkeypatch.setenv(name, value)
    found = Bucket(f"bucket-{next(NUMBERS)}", s3_endpoint)
    found.client.create_bucket(Bucket=found.name)
    set_retry_timeout(PATIENCE)
    yield found
    set_retry_timeout(RETRY_TIMEOUT)
