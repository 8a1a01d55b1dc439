"""Settings: how and where a run is done, as arguments of the library, options of the command line and part of the record.

A frozen dataclass is read from a table of names and values, as TOML and JSON have them; an error names the key.
"""

import difflib
import os
import re
import tomllib
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from hypojax.reason import Reason, RunError, WrongTypeError

T = TypeVar("T")

WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", Path: "a path", types.NoneType: "nothing"}
"""What a value must be, for the reader of an error."""


@dataclass(frozen=True)
class RunSettings:
    """Settings of a run. Only the weights and ``ensemble`` change results; the others change speed, memory and what is written besides.

    Parameters
    ----------
    weights
        Folder of weights; default: the released weights, which come with hypojax.
    ensemble
        Use the mean of the five cross-validation networks instead of the default network. The uncertainty then includes the
        disagreement of the networks; it takes about twice the time. Each was trained on four fifths of the subjects, with fewer steps.
    batch
        Smallest number of scans segmented together; default: one for each device. Larger batches are faster on a GPU.
    read_ahead
        Smallest number of scans read while others are segmented; each takes the memory of its scaled voxels.
    threads
        Threads that read, and as many that write; default: chosen from the number of cores.
    memory
        Memory limit of one process, such as 16GB; a scan that needs more is refused from its header. Default: the memory of this
        machine, or the limit of its container or batch job.
    check
        First compare what is stored of finished scans with its checksums, and process damaged scans again.
    retry_failed
        Process scans again that failed before; by default they are skipped.
    recompute
        Process all named scans again, finished or not, and accept that weights or version differ from those of the cohort.
    recompute_changed
        Process scans again whose input file now holds another image than the measured one. Otherwise their rows stay as they are, and
        the run and the column `notes` say so.
    strict_tables
        Refuse a participants table with faults (a row with too few cells, a person listed twice, a scan without a row) before any
        scan is read. By default the faulty columns or rows are left out, and a note says so.
    exclude
        Text file of ids or files of scans to leave out, one per line: those that were removed, and whose files are still there.
    derivatives
        Also write BIDS derivatives: label maps in the space of each scan.

    Raises
    ------
    RunError
        ``USAGE``: a batch, a read-ahead or a number of threads below 1, or a memory that is no amount.

    Examples
    --------
    >>> RunSettings(batch=4).read_ahead
    1
    """

    weights: Path | None = None
    ensemble: bool = False
    batch: int | None = None
    read_ahead: int = 1
    threads: int | None = None
    memory: str | None = None
    check: bool = False
    retry_failed: bool = False
    recompute: bool = False
    recompute_changed: bool = False
    strict_tables: bool = False
    exclude: Path | None = None
    derivatives: bool = True

    def __post_init__(self) -> None:
        """Take a folder by its name as text too, and refuse numbers of scans and threads that are none."""
        object.__setattr__(self, "weights", _path(self.weights, "weights is a folder (text or pathlib.Path)"))
        object.__setattr__(self, "exclude", _path(self.exclude, "exclude is a text file (text or pathlib.Path)"))
        for name, value in (("batch", self.batch), ("read_ahead", self.read_ahead), ("threads", self.threads)):
            if value is not None and value < 1:
                option = "--" + name.replace("_", "-")
                raise RunError(Reason.USAGE, f"{name} is {value}, it must be 1 or more; leave {option} out, or give a larger number")
        bytes_of(self.memory)

    @property
    def memory_bytes(self) -> int | None:
        """Memory of one process, bytes; None where that of the machine counts."""
        return bytes_of(self.memory)


LEAST_MEMORY: Final = 1e6
"""Bytes; what is less was meant in another unit, and would make every scan fail."""


def bytes_of(text: str | None) -> int | None:
    """Bytes that a text such as ``16GB`` or ``16GiB`` names.

    >>> bytes_of("16GB"), bytes_of("1.5 GiB"), bytes_of(None)
    (16000000000, 1610612736, None)
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", text.strip(), re.IGNORECASE)
    size = float(found[1]) * (1024 if found[3] else 1000) ** " kmgt".index(found[2].lower() or " ") if found else 0
    if size < 1:
        raise RunError(Reason.USAGE, f"--memory {text} is not an amount of memory; give one such as 16GB")
    if size < LEAST_MEMORY:
        raise RunError(Reason.USAGE, f"--memory {text} is {size:,.0f} bytes, which no scan fits into; name the unit, as in 16GB")
    return int(size)


SHORTEST: Final = 10
"""Shortest walltime of a job, minutes: less is spent before the first scan and after the last."""

HERE: Final = "here"
KINDS: Final = (HERE, "local", "cuda", "slurm", "kubernetes")


@dataclass(frozen=True)
class ClusterSettings:
    """Where a run is done. The result is the same everywhere.

    Parameters
    ----------
    cluster
        `here`: in this process. `local`: in several processes of this machine. `cuda`: in one process a GPU of this machine.
        `slurm`, `kubernetes`: in jobs or pods, as --cluster-config says. Anything else is the address of a running Dask
        scheduler, such as tls://10.0.0.7:8786.
    workers
        Worker processes, jobs or pods; default: chosen from the machine, or from --cluster-config.
    cluster_config
        TOML file that describes a SLURM or Kubernetes cluster; `hypojax deploy example FOLDER` writes one to start from.
    dashboard
        Open Dask's dashboard on the loopback address of this machine (with `kubernetes`: of the scheduler's pod). Every user of that
        machine can see it, with the names of scans. It needs the package bokeh.

    Raises
    ------
    RunError
        ``USAGE``: an unknown kind, no workers, or a configuration or dashboard that is missing or of no use.

    Examples
    --------
    >>> ClusterSettings("local", workers=4).distributed
    True
    """

    cluster: str = HERE
    workers: int | None = None
    cluster_config: Path | None = None
    dashboard: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        object.__setattr__(self, "cluster_config", _path(self.cluster_config, "cluster_config is a TOML file (text or pathlib.Path)"))
        if self.cluster not in KINDS and "://" not in self.cluster:
            known = ", ".join(KINDS)
            raise RunError(Reason.USAGE, f"cluster is {self.cluster!r}; name one of {known}, or an address such as tls://10.0.0.7:8786")
        if self.workers is not None and self.workers < 1:
            raise RunError(Reason.USAGE, f"workers is {self.workers}, it must be 1 or more; leave --workers out, or give a larger number")
        described = self.cluster in ("slurm", "kubernetes")
        if described and self.cluster_config is None:
            raise RunError(
                Reason.USAGE, f"--cluster {self.cluster} needs --cluster-config FILE; to get an example: hypojax deploy example FOLDER"
            )
        if self.cluster_config is not None and not described:
            raise RunError(Reason.USAGE, f"--cluster-config has no effect with --cluster {self.cluster}; leave it out")
        if self.dashboard and self.cluster not in KINDS[1:]:
            raise RunError(Reason.USAGE, f"--dashboard has no effect with --cluster {self.cluster}; leave it out, or name another")

    @property
    def distributed(self) -> bool:
        """Whether scans are sent to other processes."""
        return self.cluster != HERE


def _path(value: object, taken: str) -> Path | None:
    """What was named as a path, as one."""
    if value is None or isinstance(value, (str, os.PathLike)):
        return None if value is None else Path(value)
    raise WrongTypeError(taken, value)


def read_toml(path: str | os.PathLike[str], parse: Callable[[dict[str, Any]], T], *, like: str) -> T:
    """Read a configuration file.

    Parameters
    ----------
    path
        A TOML file.
    parse
        Makes the configuration of the file's table; its errors name the key.
    like
        How to get an example, for errors.

    Raises
    ------
    RunError
        ``USAGE``: there is no such file, it is not TOML, or a key or value is wrong; file and key are named.
    """
    try:
        return parse(tomllib.loads(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise RunError(Reason.USAGE, f"{path} cannot be read ({error.strerror}); give a TOML file; {like}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RunError(Reason.USAGE, f"{path} is not TOML: {error}") from error
    except RunError as error:
        raise RunError(error.reason, f"{path}: {error}") from error


def build(kind: type[T], table: Mapping[str, Any], *, key: str = "", default: T | None = None) -> T:
    """Make a dataclass, and those inside it, from a table.

    Parameters
    ----------
    kind
        A dataclass whose fields are bool, int, float, str, Path, Literal, tuple, dict of str, dataclass, or one of these or None.
    table
        Names and values; what is left out keeps its default.
    key
        Where the table is from, for errors.
    default
        An instance whose values stand for what is left out; the defaults of ``kind`` when there is none.

    Raises
    ------
    RunError
        ``USAGE``: an unknown key, a value of another type, a missing key, or what the dataclass itself refuses.

    Examples
    --------
    >>> settings = build(RunSettings, {"batch": 4}, default=RunSettings(read_ahead=2))
    >>> settings.batch, settings.read_ahead
    (4, 2)
    """
    hints = get_type_hints(kind)
    for name in table:
        if name not in hints:
            near = difflib.get_close_matches(name, hints, n=1)
            known = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(hints)}"
            raise _refused(_joined(key, name), f"is not a setting; {known}")
    given = {}
    for spec in fields(kind):  # type: ignore[arg-type] # a dataclass, as the docstring asks
        before = getattr(default, spec.name) if default is not None else _own_default(spec)
        if spec.name in table:
            given[spec.name] = _value(hints[spec.name], table[spec.name], key=_joined(key, spec.name), default=before)
        elif before is MISSING:
            raise _refused(_joined(key, spec.name), "is missing")
    return kind(**given) if default is None else replace(default, **given)  # type: ignore[type-var]


def _value(hint: Any, value: Any, *, key: str, default: Any) -> Any:  # noqa: ANN401 - any value of a table
    """One value, checked and converted."""
    origin, choices = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value not in choices:
            raise _refused(key, f"is {value!r}, it must be {' or '.join(map(repr, choices))}")
        return value
    if origin in {Union, types.UnionType}:
        if value is None and types.NoneType in choices:
            return None
        return _value(next(choice for choice in choices if choice is not types.NoneType), value, key=key, default=default)
    if origin is tuple:
        return _tuple(choices, value, key=key)
    if origin is dict or is_dataclass(hint):
        return _table(hint, value, key=key, default=default)
    return _plain(hint, value, key=key)


def _table(hint: Any, value: object, *, key: str, default: Any) -> Any:  # noqa: ANN401 - a dataclass or dict
    """A table as a dataclass, or as a dict whose values are of one type."""
    if not isinstance(value, Mapping):
        raise _refused(key, f"is {value!r}, it must be a table: [{key}]")
    if get_origin(hint) is dict:
        kind = get_args(hint)[1]
        return {name: _value(kind, item, key=_joined(key, name), default=MISSING) for name, item in value.items()}
    return build(hint, value, key=key, default=None if default is MISSING else default)


def _tuple(choices: tuple[Any, ...], value: object, *, key: str) -> tuple[Any, ...]:
    """A list of values as a tuple, of a certain length or of any."""
    if not isinstance(value, list | tuple):
        raise _refused(key, f"is {value!r}, it must be a list")
    kinds = [choices[0]] * len(value) if choices[-1] is Ellipsis else list(choices)
    if len(kinds) != len(value):
        raise _refused(key, f"has {len(value)} value{'s' * (len(value) != 1)}, it must have {len(kinds)}")
    return tuple(
        _value(kind, item, key=f"{key}[{place}]", default=MISSING) for place, (kind, item) in enumerate(zip(kinds, value, strict=True))
    )


def _plain(hint: Any, value: object, *, key: str) -> object:  # noqa: ANN401 - of any type
    """A number, text or path; a whole number may stand for any number, true and false for none. Where anything may stand, as it is."""
    if hint is Any:
        return value
    wanted = {float: (int, float), Path: (str, Path)}.get(hint, hint)
    if not isinstance(value, wanted) or (isinstance(value, bool) and hint is not bool):
        raise _refused(key, f"is {value!r}, it must be {WORDS[hint]}")
    return hint(value)


def _own_default(spec: Any) -> Any:  # noqa: ANN401 - a field of any type
    """The default of a field; ``MISSING`` when it has none."""
    return spec.default if spec.default_factory is MISSING else spec.default_factory()


def _joined(key: str, name: str) -> str:
    """The key of a name inside a table."""
    return f"{key}.{name}" if key else name


def _refused(key: str, what: str) -> RunError:
    """An error that names the key."""
    return RunError(Reason.USAGE, f"{key} {what}")
