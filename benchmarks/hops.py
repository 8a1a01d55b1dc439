"""How many functions of hypojax, in how many files, one scan enters on its way from its file to its record.

    python benchmarks/hops.py [SCAN.nii.gz] [--list]

One process, one network, two scans: the first warms everything up, and what the second enters is counted with `sys.setprofile`, in every
thread, from the moment the run is set up until the record of that scan is written. Comprehensions, lambdas and class bodies count with the
function they stand in. It prints the two figures, and with ``--list`` the functions by file.
"""

import argparse
import sys
import tempfile
import threading
from collections import defaultdict
from pathlib import Path
from types import FrameType

import hypojax
from hypojax.settings import RunSettings

PACKAGE = str(Path(hypojax.__file__).parent)


def counted(scan: Path) -> dict[str, set[str]]:
    """File → names of the functions that the second scan of a run entered."""
    from hypojax.execute.output import entries_of, open_for
    from hypojax.execute.pipeline import Pipeline
    from hypojax.scans import discover

    entered: dict[str, set[str]] = defaultdict(set)

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE) and not code.co_name.startswith("<"):
            entered[code.co_filename.removeprefix(PACKAGE + "/")].add(code.co_qualname)

    with tempfile.TemporaryDirectory() as folder:
        inputs = [Path(folder) / "in" / f"sub-0{number}_T1w.nii.gz" for number in (1, 2)]
        inputs[0].parent.mkdir()
        data = scan.read_bytes()
        inputs[0].write_bytes(data)
        inputs[1].write_bytes(data + b"")
        settings, out = RunSettings(), Path(folder) / "out"
        segmenter = hypojax.Segmenter.load()
        store = open_for(entries_of(discover([inputs[0].parent]).scans), out=out, settings=settings, network=segmenter)
        pipeline = Pipeline(store, out / "derivatives", segmenter)
        first, second = store.index.ids
        list(pipeline.results([first], settings=settings))
        threading.setprofile(note)
        sys.setprofile(note)
        try:
            [result] = pipeline.results([second], settings=settings)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
    assert result.status == "done", result
    return entered


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", nargs="?", type=Path, default=Path(PACKAGE) / "demonstration" / "colin27_T1w.nii.gz")
    parser.add_argument("--list", action="store_true", help="name the functions, by file")
    taken = parser.parse_args()
    entered = counted(taken.scan)
    for file in sorted(entered) if taken.list else ():
        print(f"{file} ({len(entered[file])}): {', '.join(sorted(entered[file]))}")
    print(f"{sum(map(len, entered.values()))} functions in {len(entered)} files")


if __name__ == "__main__":
    main()
