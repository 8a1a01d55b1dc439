"""`hypojax bids` as clusters start it: participants in processes of their own at one time into one OUT, one of them killed, then group."""

import json
from pathlib import Path

import pytest
from child import run_of
from standin import StandIn, write_phantom
from undisturbed import written

from hypojax import execute

RUNS = 4
"""Images of each person."""


@pytest.mark.slow
def test_participants_at_one_time_of_which_one_is_killed_make_the_cohort_of_an_undisturbed_run(tmp_path: Path) -> None:
    bids, out = tmp_path / "bids", tmp_path / "out"
    for image in (f"sub-{person}_run-{run}" for person in ("01", "02") for run in range(1, RUNS + 1)):
        write_phantom(bids / image[:6] / "anat" / f"{image}_T1w.nii.gz")
    (bids / "dataset_description.json").write_text(json.dumps({"Name": "two people", "BIDSVersion": "1.10.0"}))
    execute.run(bids, out=tmp_path / "whole", segmenter=StandIn())

    def participant(label: str, *, sleep: float = 0.0) -> list[object]:
        named = (bids, out, "participant", "--participant-label", label, "--skip-bids-validation")
        return ["--verb", "bids", "--sleep", sleep, *named]

    records = out / "cohort.zarr" / "ledger"
    with (
        run_of(*participant("01", sleep=1.0), log=tmp_path / "one.log") as one,
        run_of(*participant("02"), log=tmp_path / "two.log") as two,
    ):
        one.until(lambda: any(b'"status"' in path.read_bytes() for path in records.glob("sub-01*/zarr.json")))
        one.kill_all()
        assert two.end() == 0, two.said
    before = {path: path.read_bytes() for path in records.glob("*/zarr.json") if b'"status"' in path.read_bytes()}
    assert len(before) > RUNS  # where this process has to wait for a core, the killed one may even be through
    with run_of(*participant("sub-01"), log=tmp_path / "again.log") as again:
        assert again.end() == 0, again.said
    assert all(path.read_bytes() == data for path, data in before.items())
    execute.conclude_group(bids, out)
    assert rows(out) == rows(tmp_path / "whole")


def rows(out: Path) -> list[dict[str, str]]:
    """The table of a cohort in order of its scans, which stand in the order in which they joined."""
    return sorted(written(out)["volumes.tsv"], key=lambda row: (row["scan"], row["region"]))
