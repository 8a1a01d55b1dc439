"""How many functions of hypojax, in how many files, one scan enters on its way from its file to its record.

    python benchmarks/hops.py [SCAN.nii.gz] [--run] [--list]

One process, one network, two scans: the first warms everything up, and what the second enters is counted with `sys.setprofile`, in every
thread, from the moment the run is set up until the record of that scan is written. With ``--run`` it is all that the command
``hypojax run`` enters for a folder of one scan: options, discovery, locks, loading of the networks, and the tables at the end.
Comprehensions, lambdas and class bodies count with the function they stand in. It prints the two figures, and with ``--list`` the functions
by file.
"""

import argparse
import inspect
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import hypojax
from hypojax.demonstration import sample_scan

PACKAGE = str(Path(hypojax.__file__).parent)

Entered = dict[str, set[str]]
"""File → names of the functions of it that were entered."""


@contextmanager
def counting() -> Iterator[Entered]:
    """Count what this thread and those that it starts enter."""
    entered: Entered = defaultdict(set)

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        inner = code.co_name.startswith("<") or not code.co_flags & inspect.CO_OPTIMIZED  # modules, lambdas, class bodies
        if event == "call" and code.co_filename.startswith(PACKAGE) and not inner:
            entered[code.co_filename.removeprefix(PACKAGE + "/")].add(code.co_qualname)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield entered
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def of_a_scan(inputs: Path, out: Path) -> Entered:
    """What the second of two scans enters."""
    from hypojax.execute.output import entries_of, open_for
    from hypojax.execute.pipeline import Pipeline
    from hypojax.scans import discover
    from hypojax.settings import RunSettings

    settings, segmenter = RunSettings(), hypojax.Segmenter.load()
    store = open_for(entries_of(discover([inputs]).scans), out=out, settings=settings, network=segmenter)
    pipeline = Pipeline(store, out / "derivatives", segmenter)
    first, second = store.index.ids
    list(pipeline.results([first], settings=settings))
    with counting() as entered:
        (result,) = pipeline.results([second], settings=settings)
    assert result.status == "done", result
    return entered


def of_a_run(inputs: Path, out: Path) -> Entered:
    """What the command enters for a folder of one scan."""
    with counting() as entered:
        from hypojax.cli import main as command

        with suppress(SystemExit):
            command(["run", str(inputs), str(out)])
    assert hypojax.open_cohort(out).status.item() == "done"
    return entered


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", nargs="?", type=Path, help="the sample scan when left out")
    parser.add_argument("--run", action="store_true", help="count a whole run of one scan, set-up included")
    parser.add_argument("--list", action="store_true", help="name the functions, by file")
    taken = parser.parse_args()
    data = (taken.scan or sample_scan()).read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        inputs, out = Path(folder) / "in", Path(folder) / "out"
        inputs.mkdir()
        for number in (1,) if taken.run else (1, 2):
            (inputs / f"sub-0{number}_T1w.nii.gz").write_bytes(data)
        entered = of_a_run(inputs, out) if taken.run else of_a_scan(inputs, out)
    for file in sorted(entered) if taken.list else ():
        print(f"{file} ({len(entered[file])}): {', '.join(sorted(entered[file]))}")
    print(f"{sum(map(len, entered.values()))} functions in {len(entered)} files")


if __name__ == "__main__":
    main()
