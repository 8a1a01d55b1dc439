"""A frozen dataclass from a table of names and values, as TOML and JSON have them; what is wrong is said of the key it stands at."""

import difflib
import os
import tomllib
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from hypojax.reason import Reason, RunError

T = TypeVar("T")

WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", Path: "a path", types.NoneType: "nothing"}
"""What a value must be, for the reader of an error."""


def read_toml(path: str | os.PathLike[str], parse: Callable[[dict[str, Any]], T], *, like: str) -> T:
    """Read a configuration file.

    Parameters
    ----------
    path
        A TOML file.
    parse
        Makes the configuration of the file's table; its errors name the key.
    like
        A file that shows what is wanted, for errors.

    Raises
    ------
    RunError
        ``USAGE``: there is no such file, it is not TOML, or a key or value is wrong; file and key are named.
    """
    try:
        return parse(tomllib.loads(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise RunError(Reason.USAGE, f"{path} cannot be read ({error.strerror}); give a TOML file such as {like}") from error
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
        Where the table stands, for errors.
    default
        An instance whose values stand for what is left out; the defaults of ``kind`` when there is none.

    Raises
    ------
    RunError
        ``USAGE``: an unknown key, a value of another type, a missing key, or what the dataclass itself refuses.

    Examples
    --------
    >>> from hypojax.settings import RunSettings
    >>> settings = build(RunSettings, {"batch": 4}, default=RunSettings(read_ahead=2))
    >>> settings.batch, settings.read_ahead
    (4, 2)
    """
    hints = get_type_hints(kind)
    for name in table:
        if name not in hints:
            near = difflib.get_close_matches(name, hints, n=1)
            raise _refused(
                _joined(key, name), f"is no setting; did you mean {near[0]!r}?" if near else f"is no setting; there are {', '.join(hints)}"
            )
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
        raise _refused(key, f"has {len(value)} values, it must have {len(kinds)}")
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
