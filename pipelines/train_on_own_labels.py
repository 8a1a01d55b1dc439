"""Train the hypothalamus network on your own scans and label maps, and see how it does on people whom it never saw.

    python pipelines/train_on_own_labels.py scans.tsv runs/mine
    python pipelines/train_on_own_labels.py scans.tsv runs/mine --steps 500 --fold 0     # a first look

SCANS has a row a scan: ``name`` (of the subject), ``image``, ``labels`` (files; 1–5 left, 6–10 right) and, where known, ``mask``, ``age``,
``sex``, ``dataset``. It trains a network a fold and one on all subjects, as the released ones were: about half an hour each on one core.
After an interruption the same command continues where it stopped. `log.png` of each run shows loss and held-out Dice. Then
``hypojax run --weights OUT/weights`` segments with the network of all subjects.
"""

import argparse
import sys
from pathlib import Path

import hypojax


def main(scans: Path, out: Path, *, steps: int | None, fold: int | None) -> None:
    """Make examples, train, print held-out scores."""
    examples = out / "examples"
    if not (examples / "folds.tsv").exists():
        hypojax.write_examples(scans, examples)
    results = hypojax.train("box", examples=examples, out=out, steps=steps, fold=fold, every_fold=fold is None)
    if fold is None and results[-1].finished:
        results = (*results, *hypojax.train("box", examples=examples, out=out, steps=steps))
    print(*results, sep="\n")
    if not results[-1].finished:
        sys.exit("interrupted and saved: run the same command again to continue")
    if fold is None:
        print("weights:", hypojax.training.write_weights(out / "weights", box=out / "all"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train the hypothalamus network on your own label maps.")
    parser.add_argument("scans", type=Path, help="table with name, image, labels")
    parser.add_argument("out", type=Path, help="folder of examples and runs")
    parser.add_argument("--steps", type=int, help="optimiser steps, instead of 2400")
    parser.add_argument("--fold", type=int, help="only this fold")
    try:
        main(**vars(parser.parse_args()))
    except hypojax.HypojaxError as error:
        sys.exit(str(error))
