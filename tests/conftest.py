"""What several test modules share: where the real scans lie."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real scans, labels and tables beside the repository; a test that asks for it is skipped without."""
    if not SHARED.is_dir():
        pytest.skip("../shared/data is not here: put the real scans beside the repository to run this test")
    return SHARED
