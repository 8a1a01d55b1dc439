"""What makes the first scan of a process fast: compiled networks kept between processes, and imports without garbage collection.

The folder of compiled networks is one that nobody else can write to: what is in it is run as it is.
"""

import gc
import hashlib
import logging
import os
import platform
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

FOLDER: Final = "JAX_COMPILATION_CACHE_DIR"
LEAST_SECONDS: Final = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
"""JAX's own variables; it reads them when it is imported."""

WORTH: Final = "0.5"
"""Seconds of compiling from which on a network is kept; JAX's own bound is one second, which a fast machine stays below."""

PRIVATE: Final = 0o700
LOG: Final = logging.getLogger("hypojax")


def use_compile_cache() -> Path | None:
    """Have JAX keep what it compiles for the next process; `hypojax.Segmenter.load` and the command line call it.

    The folder is ``hypojax/`` and a name for this processor below ``XDG_CACHE_HOME`` (``~/.cache`` when that is not set). Where
    ``JAX_COMPILATION_CACHE_DIR`` is set already that folder is taken, if nobody else can write to it; set to nothing, it turns the
    cache off. A folder that a program has given to JAX itself (``jax_compilation_cache_dir``) stays.

    Returns
    -------
    The folder; None where there is none to trust, which costs the seconds that compiling takes and nothing else.

    Examples
    --------
    >>> use_compile_cache()  # doctest: +SKIP
    PosixPath('/home/me/.cache/hypojax/3f1c0a9be2d47c55')
    """
    jax = sys.modules.get("jax")  # once it is there, it looks at its own settings and not at the environment
    if jax and jax.config.jax_compilation_cache_dir:
        return Path(jax.config.jax_compilation_cache_dir)
    chosen = os.environ.get(FOLDER)
    if chosen == "" or (chosen and "://" in chosen):
        return Path(chosen) if chosen else None
    try:
        folder = private_folder(Path(chosen)) if chosen else private_folder(private_folder(_cache_home() / "hypojax") / processor())
    except (OSError, RuntimeError) as error:
        LOG.warning("compiled networks are not kept: %s", error)
        os.environ[FOLDER] = ""  # else JAX would run what lies there
        return None
    os.environ[FOLDER] = str(folder)
    unset = LEAST_SECONDS not in os.environ
    os.environ.setdefault(LEAST_SECONDS, WORTH)
    if jax:
        jax.config.update(FOLDER.lower(), str(folder))
        if unset:
            jax.config.update(LEAST_SECONDS.lower(), float(WORTH))
    return folder


@contextmanager
def collector_paused() -> Iterator[None]:
    """No garbage collection while the block runs: imports and tracing make objects that stay; to look through them takes a fifth longer."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def private_folder(folder: Path) -> Path:
    """The folder, made for its owner alone when it is not there.

    Raises
    ------
    PermissionError
        It belongs to someone else, you cannot write to it or others can, or it is a link.
    OSError
        It cannot be made.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=PRIVATE, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"{folder} is not a folder that only you can write to; chmod 700 it, or name another with {FOLDER}")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{folder} cannot be written to; name another with {FOLDER}")
    return folder


def processor() -> str:
    """A name for kinds of processor whose compiled code may differ: nodes of a cluster often share a home and not a processor.

    >>> len(processor())
    16
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    processor = {line for line in lines if line.startswith(("vendor_id", "model name", "flags", "Features", "CPU implementer", "CPU part"))}
    return hashlib.sha256("\n".join([platform.machine(), *sorted(processor)]).encode()).hexdigest()[:16]


def _cache_home() -> Path:
    """Where programs of this user keep what they can make again.

    Raises
    ------
    RuntimeError
        There is no such place: no home.
    """
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return named if named.is_absolute() else Path.home() / ".cache"
