"""Places in buckets: their names are those of pathlib, a listing answers as the bucket does, what goes wrong is one sentence."""

import errno
import io
import os
import pickle
import sys
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from s3_server import SECRET, Bucket, Trouble, first, proxy

from hypojax.reason import Reason, RunError
from hypojax.scans.reading import take
from hypojax.storage import ConflictError, FencedPath, ObjectPath, beside, fenced, inside, listed, locate, names, set_retry_timeout
from hypojax.storage import request as requests
from hypojax.storage.bucket import ObjectFile
from hypojax.storage.refusal import diagnose

PART = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=6).filter(lambda text: text not in (".", ".."))
KEY = st.lists(PART, min_size=1, max_size=4).map("/".join)


@given(KEY, KEY)
def test_names_are_those_of_pathlib(key: str, below: str) -> None:
    place, twin = ObjectPath("s3://bucket", key), PurePosixPath("/") / key
    assert str(place / below) == f"s3://bucket{twin / below}"
    for found, expected in ((place, twin), (place / below, twin / below), (place.parent, twin.parent)):
        assert (found.name, found.suffix) == (expected.name, expected.suffix)
        assert found.parts[1:] == expected.parts[1:]
        assert [f"/{parent.key}" for parent in found.parents] == [str(parent) for parent in expected.parents]
    assert (place / below).relative_to(place) == (twin / below).relative_to(twin)
    assert inside(place / below, place)
    assert locate(str(place)) == place
    assert pickle.loads(pickle.dumps(place)) == place  # noqa: S301
    assert place.with_name("x").key == str(twin.with_name("x"))[1:]


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("s3://bucket", "s3://bucket"),
        ("gs://bucket/a//b/", "gs://bucket/a/b"),
        ("az://container/a/../b", "az://container/b"),
        (Path("s3://bucket/a"), "s3://bucket/a"),  # pathlib has folded the slashes
    ],
)
def test_urls(named: str | Path, expected: str) -> None:
    found = locate(named)
    assert isinstance(found, ObjectPath)
    assert str(found) == expected


@pytest.mark.parametrize("named", ["out", "/data/a:b", "./http:/x", "s3:bucket", "C:/data"])
def test_paths(named: str) -> None:
    assert locate(named) == Path(named)


@pytest.mark.parametrize("named", ["http://host/a", "s3://", "s3:///key", "file:///data"])
def test_other_urls_are_refused(named: str) -> None:
    with pytest.raises(RunError, match="s3://, gs:// or az://BUCKET/KEY") as caught:
        locate(named)
    assert caught.value.reason is Reason.USAGE


def test_what_a_table_names() -> None:
    table = locate("s3://bucket/tables")
    assert str(beside(table, "gs://other/a.nii")) == "gs://other/a.nii"
    assert beside(table, "/data/a.nii") == Path("/data/a.nii")
    assert beside(Path("tables"), "a.nii") == Path("tables/a.nii")
    assert beside(Path("tables"), "~/a.nii") == Path("~/a.nii").expanduser()
    assert not inside(Path("/data"), table)
    assert not inside(locate("s3://bucket/tables-2"), table)


def test_the_package_for_buckets_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypojax.storage.location.find_spec", lambda name: None)
    for name in [name for name in sys.modules if name.partition(".")[0] == "obstore"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(RunError, match=r"pip install 'hypojax\[cloud\]'"):
        locate("s3://bucket/out")


def test_reading_writing_listing_deleting(bucket: Bucket, tmp_path: Path) -> None:
    """The same files on a disk and in a bucket, odd names among them."""
    keys = ["a", "b/c", "b/d e", "b/é%2F~", "b/c.d/e", "b2/x", "b2/+&=?#", "b2/.hidden"]
    root = locate(bucket.url) / "top"
    assert isinstance(root, ObjectPath)
    assert not root.exists()
    for key in keys:
        (root / key).write_bytes(key.encode())
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(key.encode())
    assert bucket.snapshot("top/") == {key: key.encode() for key in keys}
    assert root.below() == sorted(keys)
    twins = listed(root)
    for folder in (".", "b", "b/c.d", "b2", "nowhere"):
        assert names(root / folder) == names(twins / folder) == names(tmp_path / folder)
    for key in (*keys, "b", "b/c.d", "nowhere", "b/nothing"):
        expected = [(tmp_path / key).is_file(), (tmp_path / key).is_dir(), (tmp_path / key).exists()]
        for place in (root / key, twins / key):
            assert [place.is_file(), place.is_dir(), place.exists()] == expected, key
    for pattern in ("*", "b*", "b/c*", "*/*", "b?/x", "*/c.d/e"):
        expected = [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.glob(pattern))]
        assert [str(path.relative_to(root)) for path in root.glob(pattern)] == expected
        assert [str(path.relative_to(root)) for path in twins.glob(pattern)] == expected
    assert (twins / ".." / "top" / "a").read_bytes() == b"a"
    (root / "a").unlink()
    (root / "a").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        (root / "a").unlink()
    root.delete_below(["b/c", "nowhere"])
    assert sorted(bucket.snapshot("top/")) == sorted(set(keys) - {"a", "b/c"})


def test_more_objects_than_one_answer_holds(bucket: Bucket) -> None:
    root = locate(bucket.url) / "many"
    keys = [f"{number % 7}/{number:04}" for number in range(1100)]
    bucket.fill(f"many/{key}" for key in keys)
    assert isinstance(root, ObjectPath)
    assert root.below() == sorted(keys)
    root.delete_below(keys)
    assert not root.is_dir()


def test_an_object_as_a_file(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces smaller than the object, sought here and there, give the bytes of the file; an object replaced meanwhile is noticed."""
    data = bytes(range(256)) * 10
    bucket.put("file", data)
    monkeypatch.setattr("hypojax.storage.bucket.PIECE", 100)
    with ObjectFile(bucket.url, "file") as file, io.BytesIO(data) as twin:
        for place, count in ((0, 2), (0, 250), (99, 3), (2559, 5), (2560, 1), (5000, 1), (10, 2550)):
            assert file.seek(place) == twin.seek(place)
            assert take(file, count) == twin.read(count)
        assert file.seek(-7, io.SEEK_END) == len(data) - 7
        assert file.read() == data[-7:]
        file.seek(0)
        bucket.put("file", data[::-1])
        with pytest.raises(ConflictError, match=f"{bucket.url}/file was written by somebody else"):
            file.read()
    bucket.put("empty", b"")
    assert ObjectFile(bucket.url, "empty").size == 0


def test_swapping_is_for_one_only(bucket: Bucket) -> None:
    place = locate(f"{bucket.url}/x")
    assert isinstance(place, ObjectPath)
    before = place.swap(b"1", seen=None)
    assert place.swap(b"2", seen=None) is None
    after = place.swap(b"3", seen=before)
    assert place.swap(b"4", seen=before) is None
    assert place.read_version() == (b"3", after)
    assert place.swap(b"3", seen=before) == after  # one's own write, whose answer was lost
    bucket.delete("x")
    assert place.swap(b"5", seen=after) is None


def test_writes_that_race_are_tried_again(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that sees two at once refuses one with 409; nothing is lost by that, and no condition is taken for broken."""
    trouble = Trouble(lambda method, _path, before: "409 ConditionalRequestConflict" if method == "PUT" and before < 2 else "pass")
    with proxy(bucket.endpoint, trouble) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        assert requests.exchange(bucket.url, "a", b"1", seen=None)
        requests.write(bucket.url, "b", b"2")
    assert (bucket.get("a"), bucket.get("b"), trouble.done.total()) == (b"1", b"2", 6)


@dataclass
class Lost:
    """A fence that falls after so many questions."""

    stands: int

    def check(self) -> None:
        self.stands -= 1
        if self.stands < 0:
            raise RunError(Reason.BUSY, "another run took over")


def test_behind_a_fence_nothing_is_written_that_came_too_late(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither once the fence fell, nor over what another wrote between the question and the put."""
    place = fenced(locate(f"{bucket.url}/a"), Lost(2))
    assert isinstance(place, FencedPath)
    assert (place / "b").parent.fence == Lost(2)
    (place / "b").write_bytes(b"mine")
    swap = ObjectPath.swap

    def late(path: ObjectPath, data: bytes, *, seen: object) -> object:
        bucket.put("a/b", b"theirs")
        return swap(path, data, seen=seen)  # type: ignore[arg-type]

    monkeypatch.setattr(ObjectPath, "swap", late)
    for write in (lambda: (place / "b").write_bytes(b"late"), lambda: place.write_all({"b": b"late"}), lambda: place.delete_below(["b"])):
        with pytest.raises(RunError, match="another run took over"):
            write()
        assert bucket.get("a/b") == b"theirs"


def test_an_object_that_others_write_all_the_time_is_said(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    place = fenced(locate(f"{bucket.url}/a"), Lost(10**6))
    monkeypatch.setattr("hypojax.storage.fence.LONGEST", 0.0)
    bucket.put("a", b"theirs")
    with proxy(bucket.endpoint, Trouble(lambda method, *_: "412 PreconditionFailed" if method == "PUT" else "pass")) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(RunError, match=r"is written by somebody else at the same time.*; let one program alone write there") as caught:
            place.write_bytes(b"mine")
    assert caught.value.reason is Reason.BUSY


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        ("AccessDenied", PermissionError, "a and 1 more"),
        ("InternalError", RunError, "a and 1 more cannot be reached: the server answers Int"),
    ],
)
def test_some_objects_of_many_that_are_not_deleted_are_said(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, code: str, kind: type[Exception], said: str
) -> None:
    answer = (
        f"<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b</Key><Code>{code}</Code><Message>no</Message></Error></DeleteResult>"
    )
    trouble = Trouble(lambda method, *_: "200" if method == "POST" else "pass", answer=answer)
    with proxy(bucket.endpoint, trouble) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        set_retry_timeout(0.3)
        with pytest.raises(kind, match=said):
            requests.delete(bucket.url, ["a", "b"])


@pytest.mark.parametrize("what", ["503", "500", "429", "drop_request", "drop_answer", "slow"])
def test_what_passes_is_waited_for(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """The first two tries of every request fail, and nobody sees it."""
    trouble, data = Trouble(first(what, times=2)), os.urandom(200_000)
    with proxy(bucket.endpoint, trouble) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        place = locate(f"{bucket.url}/a/x")
        assert isinstance(place, ObjectPath)
        place.write_bytes(data)
        assert place.read_bytes() == place.open().read() == data
        assert place.parent.names() == ([], ["x"])
        assert place.parent.below() == ["x"]
        assert place.is_file()
        place.unlink(missing_ok=True)
    assert trouble.done[what] >= 6
    assert bucket.snapshot() == {}


@pytest.mark.parametrize(
    ("what", "kind", "said"),
    [
        ("403 AccessDenied", PermissionError, "Permission denied"),
        ("403 InvalidAccessKeyId", RunError, "does not accept the credentials .InvalidAccessKeyId.; renew them"),
        ("403 SignatureDoesNotMatch", RunError, "does not accept the credentials"),
        ("400 ExpiredToken", RunError, "does not accept the credentials .ExpiredToken."),
        ("401 Unauthorized", RunError, "does not accept the credentials"),
        ("301 PermanentRedirect", RunError, "another region; set AWS_REGION"),
        ("404 NoSuchBucket", RunError, "there is no such bucket"),
        ("400 InvalidRequest", OSError, "the server refuses the request .InvalidRequest."),
    ],
)
def test_what_does_not_pass_is_refused_at_once(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, what: str, kind: type[Exception], said: str
) -> None:
    """One request, one sentence, no secret in it."""
    trouble = Trouble(lambda *_: what)
    with proxy(bucket.endpoint, trouble) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        for number, ask in enumerate(
            (lambda place: place.read_bytes(), lambda place: place.write_bytes(b"1"), lambda place: place.below()), 1
        ):
            with pytest.raises(kind, match=said) as caught:
                ask(ObjectPath(bucket.url, "sub-01"))
            assert trouble.done.total() == number
            assert caught.value.__suppress_context__
            shown = str(caught.value)
            assert f"{bucket.url}/sub-01" in shown
            assert len(shown.splitlines()) == 1
            assert not any(word in shown for word in (SECRET, "test-key", "127.0.0.1", "Debug"))


def test_a_missing_bucket(bucket: Bucket) -> None:
    for ask in (
        lambda place: place.read_bytes(),
        lambda place: place.write_bytes(b"1"),
        lambda place: place.below(),
        lambda place: place.names(),
    ):
        with pytest.raises(RunError, match="no such bucket") as caught:
            ask(ObjectPath("s3://nobody-made-this", "x"))
        assert caught.value.reason is Reason.NO_ACCESS


def test_a_server_that_stays_away(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens; or an answer never changes: one sentence, after the time that was allowed and not much later."""
    set_retry_timeout(1.0)
    trouble = Trouble(lambda *_: "503")
    with proxy(bucket.endpoint, trouble) as endpoint:
        for address, said in (("http://127.0.0.1:9", "no connection can be made"), (endpoint, "the server answers 503")):
            monkeypatch.setenv("AWS_ENDPOINT_URL", address)
            start = time.monotonic()
            with pytest.raises(RunError, match=f"{bucket.url}/x cannot be reached: {said}; check the network") as caught:
                ObjectPath(bucket.url, "x").read_bytes()
            assert caught.value.reason is Reason.UNREACHABLE
            assert 0.3 < time.monotonic() - start < 10
    assert trouble.done["503"] > 2


def test_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the environment and no profile: said at once."""
    pytest.importorskip("boto3")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(RunError, match="no credentials were found; set the usual variables"):
        ObjectPath("s3://bucket", "x").read_bytes()


def test_a_profile_is_used(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keys from a file of profiles, as other programs take them."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    (tmp_path / "credentials").write_text("[lab]\naws_access_key_id = of-the-lab\naws_secret_access_key = secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_PROFILE", "lab")
    ObjectPath(bucket.url, "x").write_bytes(b"1")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(RunError, match="no credentials were found"):
        ObjectPath(bucket.url, "x").read_bytes()
    monkeypatch.delenv("AWS_PROFILE")
    assert bucket.get("x") == b"1"


@pytest.mark.parametrize(
    ("message", "kind", "code"),
    [
        ("status code: 404 <Error><Code>ContainerNotFound</Code>", RunError, None),
        ('status code: 403 {"error": "AuthorizationFailure"}', PermissionError, errno.EACCES),
        ("Error performing token request: Error performing GET http://metadata.google.internal/x", RunError, None),
        ("status code: 416 Range", OSError, errno.EIO),
    ],
)
def test_other_services(message: str, kind: type[Exception], code: int | None) -> None:
    """Words of Azure and Google, which no server here speaks."""
    fault = diagnose(Exception(message), "az://container/key")
    assert isinstance(fault.error, kind)
    assert getattr(fault.error, "errno", None) == code
    assert not fault.passing
