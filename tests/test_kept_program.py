"""Traced networks are kept for the next process, do bit for bit the same there, and count only if they are whole and meant."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from tiny_segmenter import BOX, HEAD, drawn

import hypojax
from hypojax.segmenter import kept_program as room
from hypojax.segmenter.devices import compiled
from hypojax.segmenter.kept_program import SOURCES, SUFFIX, kept_program

GIVEN = (np.arange(6, dtype=np.float32).reshape(2, 3), np.full(3, 0.7, np.float32))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(room, "folder", lambda: tmp_path)
    return tmp_path


@pytest.fixture
def traced() -> list[int]:
    """Grows by one whenever the program of `answer` is traced."""
    return []


def answer(traced: list[int], factor: float = 2.0, **facts: object) -> bytes:
    """What a new process gets of a kept program, as bytes."""

    def program(matrix: jax.Array, vector: jax.Array) -> jax.Array:
        traced.append(1)
        return factor * jnp.tanh(matrix @ vector)

    return np.asarray(jax.jit(kept_program(jax.jit(program), *GIVEN, **facts))(*GIVEN)).tobytes()


def test_the_next_process_does_not_trace_and_gets_the_same(folder: Path, traced: list[int]) -> None:
    first = answer(traced)
    assert len(traced) == 1
    (kept,) = folder.glob(f"*{SUFFIX}")
    assert answer(traced) == first
    assert len(traced) == 1
    assert list(folder.iterdir()) == [kept]


@pytest.mark.parametrize(
    "damage",
    [
        lambda found: b"",
        lambda found: found[:20],
        lambda found: found[: len(found) // 2],
        lambda found: found[:-1],
        lambda found: found[:100] + bytes([found[100] ^ 1]) + found[101:],
        lambda found: b"\0" * len(found),
    ],
)
def test_a_damaged_file_is_not_used_and_is_replaced(folder: Path, traced: list[int], damage: Callable[[bytes], bytes]) -> None:
    first = answer(traced)
    (kept,) = folder.glob(f"*{SUFFIX}")
    good = kept.read_bytes()
    kept.write_bytes(damage(good))
    assert answer(traced) == first
    assert len(traced) == 2
    assert kept.read_bytes()[:32] == room.digest_of(kept, kept.read_bytes()[32:])
    assert answer(traced) == first
    assert len(traced) == 2


def test_the_file_of_another_program_under_this_name_is_not_used(folder: Path, traced: list[int]) -> None:
    first = answer(traced)
    (kept,) = folder.glob(f"*{SUFFIX}")
    answer(traced, factor=3.0, network="another")
    (other,) = {*folder.glob(f"*{SUFFIX}")} - {kept}
    kept.write_bytes(other.read_bytes())
    assert answer(traced) == first


def test_what_decides_what_a_program_does_decides_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [room.key({}), room.key({"network": HEAD}), room.key({"network": BOX}), room.key({"arguments": [((2, 3), "float32")]})]
    with jax.enable_x64(True):
        names.append(room.key({}))
    for name, changed in {
        "sources": lambda: "others",
        "metadata.version": lambda _: "99",
        "jax.default_backend": lambda: "tpu",
        "jax.local_devices": lambda: 2 * jax.devices(),
    }.items():
        with monkeypatch.context() as patch:
            patch.setattr(f"hypojax.segmenter.kept_program.{name}", changed)
            names.append(room.key({}))
    assert len(set(names)) == len(names)
    assert room.key({}) == names[0]


def test_whatever_networks_are_made_of_belongs_to_the_sources() -> None:
    code = """
import json, sys
import hypojax.segmenter.forward
print(json.dumps([module.__file__ for name, module in sys.modules.items() if name.partition(".")[0] == "hypojax"]))
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    library = Path(hypojax.__file__).parent
    known = {path for pattern in SOURCES for path in library.glob(pattern)}
    assert {Path(file) for file in json.loads(shown)} <= known
    assert library / "unet.py" in known


SOLVE = """
import sys
from pathlib import Path
import jax, numpy as np
from hypojax.segmenter import kept_program as room
room.folder = lambda: Path(sys.argv[1])
def solve(matrix, vector):
    print("traced")
    return jax.numpy.linalg.solve(matrix, vector)
given = np.eye(3, dtype=np.float32) / 2, np.ones((3, 1), np.float32)
print(jax.jit(room.kept_program(jax.jit(solve), *given))(*given).ravel().tolist())
"""


@pytest.mark.floor
def test_a_new_process_can_solve_equations_by_a_kept_program(folder: Path) -> None:
    """As the pose of a head is found: versions of JAX end in a segmentation fault where nothing was traced before."""
    said = [
        subprocess.run([sys.executable, "-c", SOLVE, str(folder)], capture_output=True, text=True, check=True).stdout.splitlines()
        for _ in range(2)
    ]
    assert said == [["traced", "[2.0, 2.0, 2.0]"], ["[2.0, 2.0, 2.0]"]]


def test_gpus_trace(folder: Path, traced: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypojax.segmenter.kept_program.jax.default_backend", lambda: "gpu")
    assert answer(traced) == answer(traced)
    assert not [*folder.iterdir()]


def test_where_nothing_can_be_written_each_process_traces(folder: Path, traced: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    first = answer(traced)
    monkeypatch.setattr(room, "folder", lambda: folder / "nowhere")
    assert answer(traced) == first
    monkeypatch.setattr(room, "folder", lambda: None)
    assert answer(traced) == first
    assert len(traced) == 3


def test_without_the_package_that_writes_each_process_traces(folder: Path, traced: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    first = answer(traced)
    for name in [name for name in sys.modules if name.startswith(("flatbuffers", "jax._src.export.serialization"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    assert answer(traced) == first
    assert len(traced) == 2


def test_kept_networks_say_bit_for_bit_what_traced_ones_say(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    mesh, rng = Mesh(np.array(jax.local_devices()), ("scan",)), np.random.default_rng(4)
    for stage, checkpoint in (("head", drawn(HEAD, seed=0)), ("box", drawn(BOX, seed=1))):
        image, said = rng.normal(size=(len(mesh.devices), 16, 24, 16)).astype(np.float32), []
        for place, traces in ((None, True), (folder, True), (folder, False)):
            with monkeypatch.context() as patch:
                patch.setattr(room, "folder", lambda place=place: place)
                if not traces:
                    patch.delattr("hypojax.segmenter.forward.outputs_of")
                (forward,) = compiled([checkpoint], stage, mesh)
                said.append([np.asarray(output).tobytes() for output in forward(image)])
        assert said[0] == said[1] == said[2]
    assert len([*folder.glob(f"*{SUFFIX}")]) == 2
