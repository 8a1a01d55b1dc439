"""Requests to a bucket: each is tried again for a while where it may help, and fails in the words of `hypojax.storage.refusal`.

Connections follow the environment as it is at the time: credentials, region, and ``AWS_ENDPOINT_URL`` for servers that speak S3.
"""

import errno
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, TypeVar

from hypojax.storage.refusal import ConflictError, diagnose, no_credentials

if TYPE_CHECKING:
    from obstore.store import ObjectStore

Result = TypeVar("Result")
Version = Mapping[str, str]
"""What tells one content of an object from the next: an entity tag, and a version where the service has one."""

SCHEMES: Final = ("s3", "gs", "az")
ENVIRONMENT: Final = ("AWS_", "GOOGLE_", "AZURE_")

THREADS: Final = 16
"""Requests at once: a request waits 10 to 100 ms and costs next to no processor time."""

RETRY_TIMEOUT: Final = 150.0
"""Seconds in which one request is tried again before the run ends: longer than a restart of a gateway."""

REQUEST_TIMEOUT: Final = 60.0
"""Seconds that one try may take; the largest objects are some tens of megabytes."""

CONNECT_TIMEOUT: Final = 5.0
"""Seconds in which a connection is made."""

FIRST, LONGEST = 0.1, 10.0
"""Seconds between tries: doubled from the first on, up to the longest."""

_retry_timeout = RETRY_TIMEOUT


def set_retry_timeout(seconds: float) -> None:
    """Try a request to a bucket again for at most so many seconds, in this process, from now on.

    Only a program sets this, never a library function: the setting is global.

    Parameters
    ----------
    seconds
        From the first try on; the last try may end later, by `REQUEST_TIMEOUT` at most. 0: never again.

    Examples
    --------
    >>> set_retry_timeout(30.0)
    >>> retry_timeout()
    30.0
    >>> set_retry_timeout(RETRY_TIMEOUT)
    """
    global _retry_timeout  # noqa: PLW0603 - a setting of the process, as its environment is
    _retry_timeout = seconds


def retry_timeout() -> float:
    """Seconds in which one request is tried again."""
    return _retry_timeout


@dataclass(frozen=True)
class Piece:
    """A piece of an object.

    Parameters
    ----------
    data
        Its bytes.
    size
        Bytes of the whole object.
    tag
        Entity tag of the object; empty where the service has none.
    """

    data: bytes
    size: int
    tag: str = ""


def read(bucket: str, key: str) -> tuple[bytes, Version]:
    """A whole object and its version."""
    import obstore

    def get() -> tuple[bytes, Version]:
        result = obstore.get(connection(bucket), key)
        return result.bytes().to_bytes(), _version(result.meta)

    return _tried(get, f"{bucket}/{key}")


def read_piece(bucket: str, key: str, *, start: int, count: int, tag: str = "") -> Piece:
    """At most ``count`` bytes from ``start`` on, of the object with this tag (any, where it is empty)."""
    import obstore

    def get() -> Piece:
        options: Any = {"range": (start, start + count), **({"if_match": tag} if tag else {})}
        try:
            result = obstore.get(connection(bucket), key, options=options)
        except obstore.exceptions.BaseError as error:
            if "status code: 416" in str(error):  # an empty object has no first byte
                return Piece(b"", size=start)
            raise
        return Piece(result.bytes().to_bytes(), size=result.meta["size"], tag=result.meta["e_tag"] or "")

    return _tried(get, f"{bucket}/{key}")


def write(bucket: str, key: str, data: bytes) -> None:
    """Put an object, whole or not at all."""
    import obstore

    # In several parts a broken-off upload leaves parts that are paid for and not seen.
    try:
        _tried(lambda: obstore.put(connection(bucket), key, data, use_multipart=False), f"{bucket}/{key}")
    except ConflictError as error:  # no condition was set
        raise OSError(errno.EIO, "the server refuses to replace it", f"{bucket}/{key}") from error


def exchange(bucket: str, key: str, data: bytes, *, seen: Version | None) -> Version:
    """Put an object only where it still is as it was ``seen`` (None: not there).

    Raises
    ------
    ConflictError
        It is another one. So it may be said of one's own write, too, whose answer was lost and which was tried again.
    """
    import obstore

    mode: Any = dict(seen) if seen else "create"
    try:
        put = _tried(lambda: obstore.put(connection(bucket), key, data, mode=mode, use_multipart=False), f"{bucket}/{key}")
    except FileNotFoundError as error:  # how S3 says that an object that was seen is gone
        raise ConflictError(f"{bucket}/{key} was deleted by somebody else") from error
    return _version(put)


def version(bucket: str, key: str) -> Version | None:
    """The version of an object as it is now; None where there is none."""
    import obstore

    try:
        return _version(_tried(lambda: obstore.head(connection(bucket), key), f"{bucket}/{key}"))
    except FileNotFoundError:
        return None


def versions_below(bucket: str, key: str) -> dict[str, Version]:
    """Key, relative to ``key``, of every object below it → its version."""
    import obstore

    below = f"{key}/" if key else ""

    def collect() -> dict[str, Version]:
        pages = obstore.list(connection(bucket), prefix=key or None)
        return {meta["path"].removeprefix(below): _version(meta) for page in pages for meta in page}

    return _tried(collect, f"{bucket}/{key}")


def delete(bucket: str, keys: Sequence[str]) -> None:
    """Delete objects; those that are not there are none the less gone."""
    import obstore

    if keys:
        others = f" and {len(keys) - 1} more" if len(keys) > 1 else ""  # a server can delete some and not others
        _tried(lambda: obstore.delete(connection(bucket), list(keys)), f"{bucket}/{keys[0]}{others}")


def is_object(bucket: str, key: str) -> bool:
    """Whether there is an object under exactly this key."""
    import obstore

    try:
        _tried(lambda: obstore.head(connection(bucket), key), f"{bucket}/{key}")
    except FileNotFoundError:
        return False
    return True


def size_and_time(bucket: str, key: str) -> tuple[int, float]:
    """Bytes of an object and time of its last change (seconds since 1970); `FileNotFoundError` where there is none."""
    import obstore

    return _size_and_time(_tried(lambda: obstore.head(connection(bucket), key), f"{bucket}/{key}"))


def keys_below(bucket: str, key: str, *, most: int | None = None) -> list[str]:
    """Keys of the objects below ``key``, relative to it, in order; ``most`` of them, whichever come first."""
    return sorted(sizes_below(bucket, key, most=most))


def sizes_below(bucket: str, key: str, *, most: int | None = None) -> dict[str, tuple[int, float]]:
    """Key, relative to ``key``, of the objects below it → bytes and time of the last change (seconds since 1970); ``most`` of them."""
    import obstore

    below = f"{key}/" if key else ""

    def collect() -> dict[str, tuple[int, float]]:
        found: dict[str, tuple[int, float]] = {}
        for page in obstore.list(connection(bucket), prefix=key or None):
            for meta in page:
                if meta["path"] != key:  # consoles make an empty object that stands for a folder
                    found[meta["path"].removeprefix(below)] = _size_and_time(meta)
            if most is not None and len(found) >= most:
                break
        return dict(list(found.items())[:most])

    return _tried(collect, f"{bucket}/{key}")


def names_in(bucket: str, key: str) -> tuple[list[str], list[str]]:
    """Names of the folders and of the objects directly below ``key``, each in order."""
    import obstore

    found = _tried(lambda: obstore.list_with_delimiter(connection(bucket), prefix=key or None), f"{bucket}/{key}")
    folders = {path.rpartition("/")[2] for path in found["common_prefixes"]}
    objects = {meta["path"].rpartition("/")[2] for meta in found["objects"] if meta["path"] != key}
    return sorted(folders), sorted(objects)


def connection(bucket: str) -> "ObjectStore":
    """The connection to a bucket (``s3://name``) under the environment as it is now.

    Raises
    ------
    RunError
        ``NO_ACCESS``: there are no credentials.
    """
    return _connected(bucket, _environment(), retry_timeout())


def connection_below(bucket: str, key: str) -> "ObjectStore":
    """A connection of its own that begins below a key, for readers that ask by themselves (Zarr).

    It tries again as the others do, and has none of this room's words for what goes wrong.
    """
    return _connect(bucket, dict(_environment()), retry_timeout(), prefix=key or None)


def _environment() -> tuple[tuple[str, str], ...]:
    """What the environment says of buckets."""
    return tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith(ENVIRONMENT)))


@cache
def _connected(bucket: str, environment: tuple[tuple[str, str], ...], seconds: float) -> "ObjectStore":
    """One connection a bucket and environment; it holds a pool of sockets."""
    return _connect(bucket, dict(environment), seconds, prefix=None)


def _connect(bucket: str, environment: Mapping[str, str], seconds: float, *, prefix: str | None) -> "ObjectStore":
    """A new connection."""
    from obstore.store import AzureStore, GCSStore, S3Store

    scheme, _, name = bucket.partition("://")
    common: dict[str, Any] = {"prefix": prefix, "client_options": _client_options(environment), "retry_config": _retry_config(seconds)}
    if scheme == "s3":
        return S3Store(name, credential_provider=_profile(bucket, environment), **common)
    return GCSStore(name, **common) if scheme == "gs" else AzureStore(name, **common)


def _client_options(environment: Mapping[str, str]) -> dict[str, Any]:
    """Times and protocol; without TLS only where the endpoint says so itself."""
    plain = any(environment.get(name, "").startswith("http://") for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"))
    return {"timeout": timedelta(seconds=REQUEST_TIMEOUT), "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT), "allow_http": plain}


def _retry_config(seconds: float) -> dict[str, Any]:
    """The library tries again by itself what is safe to send twice; `_tried` does so for the rest."""
    backoff = {"init_backoff": timedelta(seconds=FIRST), "max_backoff": timedelta(seconds=LONGEST), "base": 2}
    return {"max_retries": 1000 if seconds else 0, "retry_timeout": timedelta(seconds=seconds), "backoff": backoff}


def _profile(bucket: str, environment: Mapping[str, str]) -> Any:  # noqa: ANN401  (boto3 comes without types)
    """Credentials of a profile in ``~/.aws``, or of the machine, where boto3 is installed and the environment has none; else None."""
    own = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_SKIP_SIGNATURE")
    if any(name in environment for name in own) or find_spec("boto3") is None:
        return None
    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        return Boto3CredentialProvider()
    except Exception as error:  # none found, or a profile that is not there: boto3 has looked everywhere
        raise no_credentials(bucket) from error


def _tried(request: Callable[[], Result], where: str) -> Result:
    """The result of a request, tried again while what is wrong may pass and the retry timeout is not over."""
    import obstore

    deadline, wait = time.monotonic() + retry_timeout(), FIRST
    while True:
        try:
            return request()
        except (obstore.exceptions.BaseError, OSError, ValueError) as error:
            fault = diagnose(error, where)
            if not fault.passing or time.monotonic() + wait > deadline:
                raise fault.error from None  # the library's own words can hold addresses and headers
        time.sleep(wait)
        wait = min(2 * wait, LONGEST)


def _size_and_time(meta: Any) -> tuple[int, float]:  # noqa: ANN401  (as `_version`)
    """Bytes and time in whole seconds: listings of some services have fractions, answers on one object never."""
    return meta["size"], float(int(meta["last_modified"].timestamp()))


def _version(meta: Any) -> Version:  # noqa: ANN401  (a typed dict that obstore has for checkers only)
    """The version of an object in what a service says of it."""
    return {name: meta[name] for name in ("e_tag", "version") if meta.get(name)}
