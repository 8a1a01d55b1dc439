"""What several test modules share: where the real scans lie."""

import os
from pathlib import Path

import pytest

os.environ["JAX_COMPILATION_CACHE_DIR"] = ""  # tests keep nothing in the home of whoever runs them, and find nothing there

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real scans, labels and tables beside the repository; a test that asks for it is skipped without."""
    if not SHARED.is_dir():
        pytest.skip("../shared/data is not here: put the real scans beside the repository to run this test")
    return SHARED
