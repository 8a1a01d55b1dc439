"""A model file, a store, a table or a scan from elsewhere never runs code, whichever reader meets it.

Each payload would make a file if it were unpickled; a reader may refuse it or read text, but the file must not be there afterwards.
"""

import hashlib
import json
import pickle
import shutil
import struct
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pyarrow as pa
import pytest
import zarr
from pyarrow import parquet
from sample_store import DONE, small_store

from hypojax.checkpoint import load_checkpoint
from hypojax.cohort import open_cohort
from hypojax.execute.deploy import read_config
from hypojax.reason import HypojaxError
from hypojax.release import SUMS
from hypojax.scans.reading import read
from hypojax.storage import digests, keys
from hypojax.store import CohortStore
from hypojax.store.arrays import open_scan_array, read_native
from hypojax.store.evaluations import append_evaluation, evaluation_paths, read_evaluations
from hypojax.store.root import OWN, _table_digest
from hypojax.store.sealed import NAME, seal
from hypojax.tables import read_table
from hypojax.training.examples import load_boxes, load_heads, load_maps
from hypojax.training.loop import load_tree
from hypojax.training.train_config import read_config as read_training

pytestmark = pytest.mark.floor


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.mark,)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """The file that must not be there at the end."""
    return tmp_path / "executed"


@pytest.fixture
def payload(mark: Path) -> bytes:
    """What makes the file when it is unpickled."""
    return pickle.dumps(Payload(mark))


def survives(mark: Path, reader: Callable[[], object]) -> None:
    """Read; a refusal must be a sentence of ours, and the code must not have run."""
    with suppress(HypojaxError):
        reader()
    assert not mark.exists()


def test_the_payload_is_a_real_one(mark: Path, payload: bytes) -> None:
    pickle.loads(payload)  # noqa: S301 - made here
    assert mark.exists()


def as_torch(path: Path, payload: bytes) -> None:
    """A model of PyTorch: a zip with a pickle inside."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", payload)


def as_safetensors(path: Path, payload: bytes) -> None:
    """A safetensors file whose header and voxels are the payload."""
    header = json.dumps({"__metadata__": {"hypojax": payload.decode("latin1")}, "a": {"dtype": "O", "shape": [1], "data_offsets": [0, 8]}})
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode() + payload)


FORGERIES: list[Callable[[Path, bytes], object]] = [lambda path, payload: path.write_bytes(payload), as_torch, as_safetensors]


@pytest.mark.parametrize("forge", FORGERIES, ids=["pickle", "torch", "safetensors"])
def test_weights_and_states_of_training(tmp_path: Path, mark: Path, payload: bytes, forge: Callable[[Path, bytes], object]) -> None:
    path = tmp_path / "box.safetensors"
    forge(path, payload)
    (tmp_path / SUMS).write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    survives(mark, lambda: load_checkpoint(path))
    survives(mark, lambda: load_tree(path, {"a": np.zeros(1)}))


@pytest.mark.parametrize("kind", ["objects", "pickle"])
def test_training_examples(tmp_path: Path, mark: Path, payload: bytes, kind: str) -> None:
    for name in ("boxes.npz", "maps.npz", "heads.npz"):
        if kind == "objects":
            np.savez(tmp_path / name, names=np.array([Payload(mark)], object))
        else:
            (tmp_path / name).write_bytes(payload)
    for reader in (lambda: load_boxes(tmp_path, whole_heads=0.5), lambda: load_maps(tmp_path), lambda: load_heads(tmp_path)):
        with pytest.raises(HypojaxError, match="holds no training examples"):
            reader()
        assert not mark.exists()


def test_parquet_tables(tmp_path: Path, mark: Path, payload: bytes) -> None:
    """An extension type of which pyarrow once unpickled the description (CVE-2023-47248), and pandas' own."""
    about = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": payload}
    fields = [pa.field("path", pa.string()), pa.field("age", pa.binary(), metadata=about)]
    table = pa.table([["a.nii"], [payload]], schema=pa.schema(fields, metadata={"pandas": payload, "PANDAS_ATTRS": payload}))
    parquet.write_table(table, tmp_path / "scans.parquet")
    survives(mark, lambda: read_table(tmp_path / "scans.parquet"))
    (tmp_path / "pickled.parquet").write_bytes(payload)
    survives(mark, lambda: read_table(tmp_path / "pickled.parquet"))


@pytest.mark.parametrize("suffix", [".tsv", ".csv"])
def test_tables_of_text_stay_text(tmp_path: Path, mark: Path, suffix: str) -> None:
    words = [f"__import__('pathlib').Path('{mark}').touch()", f"!!python/object/apply:os.system ['touch {mark}']", f"$(touch {mark})"]
    path = tmp_path / f"scans{suffix}"
    path.write_text("path\n" + "".join(f'"{word}"\n' if suffix == ".csv" else f"{word}\n" for word in words))
    assert [row["path"] for row in read_table(path, raw=("path",)).rows] == words
    assert not mark.exists()


@pytest.mark.parametrize("reader", [read_config, read_training])
def test_configurations_are_data(tmp_path: Path, mark: Path, payload: bytes, reader: Callable[[Path], object]) -> None:
    path = tmp_path / "mine.toml"
    for content in (payload, f"name = !!python/object/apply:os.system ['touch {mark}']".encode(), f'out = "$(touch {mark})"'.encode()):
        path.write_bytes(content)
        survives(mark, lambda: reader(path))


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "scan.mgz", "scan.mgh"])
def test_images(tmp_path: Path, mark: Path, payload: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(payload)
    survives(mark, lambda: read("scan", tmp_path / name))


def test_recorded_evaluations(tmp_path: Path, mark: Path, payload: bytes) -> None:
    store = small_store(tmp_path / "cohort.zarr")
    append_evaluation(store.root, {"a": 1}, date="2026-01-01")
    for path in evaluation_paths(store.root):
        path.write_bytes(payload)
    survives(mark, lambda: read_evaluations(store.root))


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pickles of numcodecs are allowed, as before 0.16.6."""
    monkeypatch.setattr(numcodecs.pickles, "ALLOW_UNSAFE_PICKLE_DECODE", True, raising=False)


def pickled_array(folder: Path, mark: Path, *, keep: str = "") -> dict[str, Any]:
    """Put an array of Zarr version 2 that is unpickled when it is read in place of the one in a folder; its metadata.

    zarr-python refuses an array of pickles, but looks at the first codec of objects alone. numcodecs refuses them since 0.16.6, unless
    somebody has allowed them in this process, as `allowed` does here.
    """
    codecs = [{"id": "vlen-utf8"}, {"id": "pickle", "protocol": 5}]
    found = zarr.create_array(
        zarr.storage.MemoryStore(), shape=(1,), chunks=(1,), dtype="int8", zarr_format=2, filters=None, compressors=None
    ).metadata.to_dict()
    about = {**json.loads(json.dumps(found, default=str)), "dtype": "|O", "filters": codecs, "fill_value": ""}
    shutil.rmtree(folder)
    (folder / keep).mkdir(parents=True)
    (folder / ".zarray").write_text(json.dumps({key: value for key, value in about.items() if key != "attributes"}))
    (folder / ".zattrs").write_text('{"_ARRAY_DIMENSIONS": ["scan"]}')
    (folder / "0").write_bytes(numcodecs.Pickle().encode(np.array([Payload(mark)], object)))
    return {**about, "attributes": {"_ARRAY_DIMENSIONS": ["scan"]}}


@pytest.mark.skipif(int(zarr.__version__.split(".")[1]) > 1, reason="Zarr unpickles in 3.1 and no longer in 3.4")
@pytest.mark.usefixtures("allowed")
def test_zarr_alone_would_unpickle_it(tmp_path: Path, mark: Path) -> None:
    """The store below is a real danger: read without a word on the version, it runs code."""
    (tmp_path / "array").mkdir()
    pickled_array(tmp_path / "array", mark)
    with suppress(Exception):
        zarr.open_array(str(tmp_path / "array"), mode="r")[...]
    assert mark.exists()


@pytest.mark.parametrize("consolidated", [True, False])
@pytest.mark.usefixtures("allowed")
def test_the_table_of_a_store(tmp_path: Path, mark: Path, consolidated: bool) -> None:
    """Its seals and digests made anew, which everybody can: they tell damage, not who wrote it."""
    root = small_store(tmp_path / "cohort.zarr").root
    document = json.loads((root / NAME).read_bytes())
    metadata = document["consolidated_metadata"]["metadata"]
    for name in ("status", "path"):
        metadata[name] = pickled_array(root / name, mark)
    if not consolidated:
        metadata["status"] = metadata["path"] = {"zarr_format": 3, "node_type": "group", "attributes": {}}
    columns = [column for column in metadata if column not in OWN]
    found = {key: (root / key).read_bytes() for column in columns for key in sorted(f"{column}/{below}" for below in keys(root / column))}
    document["attributes"]["table_sha256"] = _table_digest(digests(found))
    (root / NAME).write_bytes(seal(document))
    for reader in (open_cohort, lambda path: CohortStore.open(path).verify(), lambda path: CohortStore.open(path).records()):
        harmless(mark, lambda reader=reader: reader(root))


@pytest.mark.usefixtures("allowed")
def test_the_arrays_of_a_scan(tmp_path: Path, mark: Path) -> None:
    store = small_store(tmp_path / "cohort.zarr")
    native = store.root / "native" / DONE
    pickled_array(native, mark, keep="c/0/0")
    (native / "c/0/0/0").write_bytes(b"")
    harmless(mark, lambda: read_native(store.root, DONE))
    harmless(mark, lambda: store.read_native(DONE))
    harmless(mark, lambda: open_scan_array(store.root, "native", DONE).load())


def harmless(mark: Path, reader: Callable[[], object]) -> None:
    """Read, and fail in whatever way: the code must not run."""
    with suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reader()
    assert not mark.exists()
