"""Whether a folder is a valid BIDS dataset: asked of the BIDS validator where it is installed, else a short check of our own."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any, Final

from hypojax.reason import Reason, RunError, visible

VALIDATORS: Final = ("bids-validator-deno", "bids-validator")
"""Names of the program, the newer first; the older one has no option that we give, and is then not asked."""

OPTIONS: Final = ("--format", "json", "--ignoreWarnings", "--ignoreNiftiHeaders")
"""Headers are read by hypojax itself, which says more of them."""

REQUIRED: Final = ("Name", "BIDSVersion")
"""What ``dataset_description.json`` must say."""

T1W: Final = ("sub-*/anat/*_T1w.nii", "sub-*/anat/*_T1w.nii.gz", "sub-*/ses-*/anat/*_T1w.nii", "sub-*/ses-*/anat/*_T1w.nii.gz")
FIRST: Final = 3
"""Errors that a sentence names."""

SKIP: Final = "correct it, or give --skip-bids-validation to go on all the same"


def check_dataset(root: Path, *, say: Callable[[str], None]) -> None:
    """Refuse a folder that is no valid BIDS dataset. Nothing is asked of the network.

    Parameters
    ----------
    root
        The folder.
    say
        Called with what was checked.

    Raises
    ------
    RunError
        ``USAGE``, with the first errors.
    """
    if not root.is_dir():
        raise RunError(Reason.USAGE, f"{root} is not a folder; name the BIDS dataset as INPUT")
    errors = _validated(root)
    if errors is None:
        errors = found_by_us(root)
        how = "it has a dataset_description.json and a T1w image"
        asked = f"{how}; the whole of BIDS is checked where bids-validator-deno is installed (python -m pip install bids-validator-deno)"
    else:
        asked = "the BIDS validator found no error"
    if errors:
        shown = "; ".join(errors[:FIRST]) + (f"; and {len(errors) - FIRST} more" if len(errors) > FIRST else "")
        raise RunError(Reason.USAGE, f"{root} is not a valid BIDS dataset: {shown}; {SKIP}")
    say(f"{root}: {asked}")


def found_by_us(root: Path) -> list[str]:
    """What a dataset lacks that hypojax needs, a sentence each.

    >>> found_by_us(Path("/nowhere"))
    ['dataset_description.json is missing', 'there is no T1w image (sub-01/anat/sub-01_T1w.nii.gz)']
    """
    errors = []
    try:
        description = json.loads((root / "dataset_description.json").read_bytes())
        lacking = [name for name in REQUIRED if not (isinstance(description, dict) and description.get(name))]
        errors += [f"dataset_description.json does not say {' and '.join(lacking)}"] if lacking else []
    except FileNotFoundError:
        errors.append("dataset_description.json is missing")
    except (OSError, ValueError) as error:
        errors.append(f"dataset_description.json cannot be read ({error})")
    if next(chain.from_iterable(root.glob(pattern) for pattern in T1W), None) is None:
        errors.append("there is no T1w image (sub-01/anat/sub-01_T1w.nii.gz)")
    return errors


def _validated(root: Path) -> list[str] | None:
    """Errors that the BIDS validator found; None where there is none, or it gave no answer."""
    program = _validator()
    if program is None:
        return None
    done = subprocess.run([program, str(root.resolve()), *OPTIONS], capture_output=True, check=False)  # noqa: S603 - found by its name
    try:
        issues = json.loads(done.stdout)["issues"]["issues"]
        return [_sentence(issue) for issue in issues if issue["severity"] == "error"]
    except (ValueError, KeyError, TypeError):
        return None


def _validator() -> str | None:
    """The program: in the environment of this Python, else where the shell finds it."""
    beside = str(Path(sys.executable).parent)
    return next((found for name in VALIDATORS for path in (beside, None) if (found := shutil.which(name, path=path))), None)


def _sentence(issue: dict[str, Any]) -> str:
    """One error of the validator.

    >>> _sentence({"code": "NOT_INCLUDED", "location": "/sub-01/x.txt"})
    'NOT_INCLUDED (/sub-01/x.txt)'
    """
    where = issue.get("location")
    return visible(f"{issue['code']} ({where})" if where else str(issue["code"]))
