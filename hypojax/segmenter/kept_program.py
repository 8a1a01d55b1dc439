"""Networks as they were traced, kept for the next process: to trace and lower them takes longer than to segment a scan.

What is kept is StableHLO (`jax.export`), the same for every processor; machine code stays with JAX, in a folder for each processor. A file
counts if it is whole and was made from the very same sources, versions, settings, shapes and devices; else the network is traced as if
there were none. GPUs and TPUs always trace: there nobody has tried it.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import jax
from jax import export
from jax.stages import Wrapped

SUFFIX: Final = ".stablehlo"
DIGEST: Final = hashlib.sha256().digest_size
SOURCES: Final = ("*.py", "segmenter/*.py")
"""In the library: what networks are made of, and a little more."""

MAKERS: Final = ("jax", "jaxlib", "flax", "numpy")
LOG: Final = logging.getLogger("hypojax")

Program = Callable[..., Any]


def kept_program(run: Wrapped, *arguments: Any, **facts: object) -> Program:  # noqa: ANN401 (trees of arrays)
    """What a jitted function does with arguments of these shapes: read from the folder of compiled networks, or traced and written there.

    Parameters
    ----------
    run
        Made by `jax.jit`.
    arguments
        What it will be called with; their shapes and dtypes count, not their values.
    facts
        What else decides what it does, such as a network's configuration, as text that differs where they differ.

    Returns
    -------
    What does the same, to be given to `jax.jit`; ``run`` itself where nothing is kept.
    """
    place = folder()
    if place is None or jax.default_backend() != "cpu":
        return run
    path = place / f"{key({**facts, 'arguments': jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), arguments)})}{SUFFIX}"
    load_lapack()
    try:
        return export.deserialize(bytearray(read(path) or written(path, run, arguments))).call
    except (ImportError, NotImplementedError, ValueError) as error:  # no flatbuffers; something in it that no version promises to know
        LOG.debug("%s is traced in each process", path, exc_info=error)
        return run


@cache
def load_lapack() -> None:
    """Have JAX load what solves equations: tracing does so, and JAX 0.8 crashes where a kept program meets it not loaded."""
    jax.jit(jax.lax.linalg.lu).lower(jax.ShapeDtypeStruct((1, 1), "float32"))


def folder() -> Path | None:
    """Where JAX keeps what it compiles (`hypojax.segmenter.compile_cache`); None where it keeps nothing, or not on a disk."""
    found = jax.config.values["jax_compilation_cache_dir"]
    return None if not found or "://" in found else Path(found)


def key(facts: Mapping[str, object]) -> str:
    """A name for all that a traced program depends on."""
    settings = {name: str(getattr(jax.config, name, value)) for name, value in jax.config.values.items() if "cache" not in name}
    devices = jax.local_devices()
    known = {
        "sources": sources(),
        "versions": {name: metadata.version(name) for name in MAKERS},
        "settings": settings,
        "devices": [jax.default_backend(), len(devices), devices[0].platform],
        "facts": {name: str(value) for name, value in facts.items()},
    }
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


@cache
def sources() -> str:
    """SHA-256 of the source files of `SOURCES`: versions under development share a number."""
    library, digest = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(path for pattern in SOURCES for path in library.glob(pattern)):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def read(path: Path) -> bytes | None:
    """What was written under this name; None where there is nothing, or it is not whole or was made under another name."""
    try:
        found = path.read_bytes()
    except OSError:
        return None
    digest, stored = found[:DIGEST], found[DIGEST:]
    return stored if digest == digest_of(path, stored) else None


def written(path: Path, run: Wrapped, arguments: tuple[Any, ...]) -> bytes:
    """Trace for these arguments and write the result under this name; a folder that takes nothing costs the next process the same again.

    Raises
    ------
    ValueError, NotImplementedError
        It cannot be kept.
    ImportError
        Nor can anything else: `jax.export` writes with a package that is not there.
    """
    stored = bytes(export.export(run)(*arguments).serialize())
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(digest_of(path, stored) + stored)
        part.replace(path)
    except OSError as error:
        LOG.debug("%s", path, exc_info=error)
    return stored


def digest_of(path: Path, stored: bytes) -> bytes:
    """SHA-256 of a file's name and content."""
    return hashlib.sha256(path.name.encode() + stored).digest()
