"""Make small wrong changes to the code, one at a time, and say which the tests of their room do not notice.

    python tests/mutants/run.py                    # all of changes.toml, each in a copy of the project; half an hour on two cores
    python tests/mutants/run.py --only icc slope   # those whose name contains one of these words

A change that no test notices survives; each survivor needs a test. Exit code: how many survived, or 255 where a change no longer
fits the code.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHANGES = Path(__file__).with_name("changes.toml")
NO_TEST_RAN = 5
LONGEST = 1800.0
"""Seconds that the tests of one change may take; one that makes them hang is noticed."""


@dataclass(frozen=True)
class Change:
    """One small wrong change.

    Parameters
    ----------
    name
        What is wrong with it, in words.
    file
        Where, from the root of the project.
    before, after
        The text to replace, which occurs once, and what takes its place.
    tests
        What is given to pytest: the tests of the room.
    """

    name: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]

    def apply(self, root: Path) -> None:
        """Make the change in a copy of the project."""
        path = root / self.file
        text = path.read_text()
        if text.count(self.before) != 1:
            raise LookupError(f"{self.name}: {self.before!r} occurs {text.count(self.before)} times in {self.file}")
        path.write_text(text.replace(self.before, self.after))


def read_changes() -> list[Change]:
    """All changes of the list."""
    listed = tomllib.loads(CHANGES.read_text())["change"]
    return [Change(**{**one, "tests": tuple(one["tests"])}) for one in listed]


def noticed(change: Change) -> bool:
    """Whether the tests of the room fail on a copy of the project with the change."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "project"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", "runs", "out"))
        if (shared := ROOT.parent / "shared").exists():
            (copy.parent / "shared").symlink_to(shared)
        change.apply(copy)
        options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", "not long and not root"]
        environment = {"PYTHONPATH": str(copy), "JAX_PLATFORMS": "cpu"}
        command = [sys.executable, "-m", "pytest", *options, *change.tests]
        try:
            ended = subprocess.run(
                command, cwd=copy, env=os.environ | environment, capture_output=True, text=True, timeout=LONGEST, check=False
            )
        except subprocess.TimeoutExpired:
            return True
        if ended.returncode == NO_TEST_RAN:
            raise LookupError(f"{change.name}: {change.tests} are no tests")
        return ended.returncode != 0


def main() -> int:
    """Try each change."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD")
    words = parser.parse_args().only
    chosen = [change for change in read_changes() if any(word in change.name for word in words)]
    survivors, misfits = [], []
    for change in chosen:
        try:
            found = noticed(change)
        except LookupError as error:
            misfits.append(str(error))
            print(f"no longer fits  {error}", flush=True)
            continue
        survivors += [] if found else [change.name]
        print(f"{'noticed' if found else 'SURVIVED'}  {change.name}  ({change.file})", flush=True)
    fitting = len(chosen) - len(misfits)
    print(f"{fitting} changes tried: {fitting - len(survivors)} noticed, {len(survivors)} survived; {len(misfits)} no longer fit")
    return 255 if misfits else len(survivors)


if __name__ == "__main__":
    sys.exit(main())
