"""Users of the page and their passwords."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hypojax.app import accounts as module
from hypojax.app.accounts import COST, Accounts, PasswordHash, add_user, read_users
from hypojax.reason import RunError

PASSWORD = "correct horse battery"  # noqa: S105 - of users of tests


class Clock:
    """Seconds that pass when a test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Accounts:
    monkeypatch.setattr(module, "COST", 1024)
    add_user(tmp_path / "users", "anna", PASSWORD)
    return Accounts(tmp_path / "users", clock)


def test_a_file_of_users_is_for_its_owner_alone_and_holds_no_password(tmp_path: Path) -> None:
    file = tmp_path / "users"
    before = os.umask(0)
    try:
        assert add_user(file, "anna", PASSWORD)
        assert not add_user(file, "anna", PASSWORD + "!")
        assert add_user(file, "bert@lab", PASSWORD)
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["users"]
    assert PASSWORD not in file.read_text()
    users = read_users(file)
    assert list(users) == ["anna", "bert@lab"]
    assert users["anna"].fits(PASSWORD + "!")
    assert not users["anna"].fits(PASSWORD)
    assert users["anna"].cost == COST
    assert PasswordHash.read(str(users["anna"])) == users["anna"]


@pytest.mark.parametrize(
    ("name", "password"), [("", PASSWORD), ("a b", PASSWORD), ("a\nroot", PASSWORD), ("a" * 65, PASSWORD), ("anna", "short")]
)
def test_names_and_passwords_that_cannot_be_used_are_refused(tmp_path: Path, name: str, password: str) -> None:
    with pytest.raises(RunError):
        add_user(tmp_path / "users", name, password)
    assert not (tmp_path / "users").exists()


@pytest.mark.parametrize("text", ["anna", "anna scrypt$1$8$1$AA==$AA==", "anna md5$1", "anna scrypt$x$8$1$AA==$AA==", "a b c"])
def test_a_line_that_is_no_user_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "users").write_text("# users\n" + text)
    (tmp_path / "users").chmod(0o600)
    with pytest.raises(RunError, match="line 2"):
        Accounts(tmp_path / "users")


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o620])
def test_a_file_that_others_may_open_is_refused(accounts: Accounts, mode: int) -> None:
    accounts.file.chmod(mode)
    with pytest.raises(RunError, match="chmod 600"):
        Accounts(accounts.file)


def test_a_file_without_users_is_refused_with_the_command_that_adds_one(tmp_path: Path) -> None:
    (tmp_path / "users").touch(0o600)
    for file in (tmp_path / "users", tmp_path / "missing"):
        with pytest.raises(RunError, match="--add-user"):
            Accounts(file)


def test_the_fifth_wrong_password_lets_the_user_wait_a_minute_from_any_address(accounts: Accounts, clock: Clock) -> None:
    assert accounts.log_in("anna", PASSWORD, "10.0.0.1")
    for number in range(5):
        assert accounts.waiting("anna", "10.0.0.9") == 0
        assert not accounts.log_in("anna", "wrong", f"10.0.0.{number}")
    assert accounts.waiting("anna", "10.0.0.9") == 60
    assert not accounts.log_in("anna", PASSWORD, "10.0.0.9")
    clock.now += 59
    assert not accounts.log_in("anna", PASSWORD, "10.0.0.9")
    clock.now += 1
    assert accounts.log_in("anna", PASSWORD, "10.0.0.9")


def test_the_fifth_wrong_password_lets_the_address_wait_for_any_user(accounts: Accounts, clock: Clock) -> None:
    for number in range(5):
        assert not accounts.log_in(f"user{number}", "wrong", "10.0.0.1")
    assert not accounts.log_in("anna", PASSWORD, "10.0.0.1")
    assert accounts.log_in("anna", PASSWORD, "10.0.0.2")
    clock.now += 60
    assert accounts.log_in("anna", PASSWORD, "10.0.0.1")


def test_an_unknown_user_costs_one_password_as_well(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int, int]] = []
    real = module._scrypt

    def counted(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
        asked.append((cost, block, parallel))
        return real(password, salt, 1024, block, parallel)

    monkeypatch.setattr(module, "_scrypt", counted)
    assert not accounts.log_in("anna", "wrong", "10.0.0.1")
    assert not accounts.log_in("nobody", "wrong", "10.0.0.1")
    assert len(asked) == 2
    assert asked[1] == (COST, 8, 1)  # that of users whom `add_user` wrote


def test_a_new_password_and_a_deleted_line_hold_at_once(accounts: Accounts) -> None:
    mark = accounts.mark("anna")
    add_user(accounts.file, "anna", "another password")
    assert accounts.mark("anna") not in ("", mark)
    assert not accounts.log_in("anna", PASSWORD, "10.0.0.1")
    accounts.file.write_text("")
    assert accounts.mark("anna") == ""
    assert not accounts.log_in("anna", "another password", "10.0.0.1")
    accounts.file.unlink()
    assert accounts.mark("anna") == ""


def test_what_strangers_type_is_not_kept_without_end(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 10)
    monkeypatch.setattr(module, "_scrypt", lambda *_: b"")
    for number in range(20):
        accounts.log_in(f"user{number}", "wrong", f"10.0.0.{number}")
    assert len(accounts._wrong) == 10


def test_many_wrong_passwords_at_once_are_no_way_around_the_wait(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[str] = []

    def slow(_: PasswordHash, password: str) -> bool:
        computed.append(password)
        time.sleep(0.01)
        return False

    monkeypatch.setattr(PasswordHash, "fits", slow)
    with ThreadPoolExecutor(30) as threads:
        list(threads.map(lambda number: accounts.log_in("anna", str(number), f"10.0.0.{number}"), range(30)))
    assert module.WRONG <= len(computed) < module.WRONG + module.AT_ONCE
