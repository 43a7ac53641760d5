"""Tokens in a keyring, and in the file where there is none."""

from __future__ import annotations

import importlib.machinery
import stat
import sys
import types
from pathlib import Path

import pytest
from saga_client import profiles

URL = "https://saga.example.com"


class Keyring(types.ModuleType):
    """The library ``keyring`` with one backend."""

    def __init__(self, *, priority: float = 5, is_locked: bool = False) -> None:
        super().__init__("keyring")
        self.__spec__ = importlib.machinery.ModuleSpec("keyring", None)
        self.priority, self.is_locked = priority, is_locked
        self.kept: dict[tuple[str, str], str] = {}

    def get_keyring(self) -> Keyring:
        return self

    def set_password(self, service: str, key: str, token: str) -> None:
        self._check()
        self.kept[service, key] = token

    def get_password(self, service: str, key: str) -> str | None:
        self._check()
        return self.kept.get((service, key))

    def delete_password(self, service: str, key: str) -> None:
        self._check()
        del self.kept[service, key]

    def _check(self) -> None:
        if self.is_locked:
            raise RuntimeError("locked")


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Keyring:
    for name in ("SAGA_URL", "SAGA_TOKEN", "SAGA_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    library = Keyring()
    monkeypatch.setitem(sys.modules, "keyring", library)
    return library


def stored(token: str = "s3cret", **options: bool) -> str:
    file = profiles.write("default", url=URL, token=token, may_use_keyring=True, **options)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    return file.read_text()


def test_token_is_in_the_keyring_and_not_in_the_file(keyring: Keyring):
    text = stored()

    assert "s3cret" not in text
    assert profiles.load().token == "s3cret"
    assert list(keyring.kept.values()) == ["s3cret"]


@pytest.mark.parametrize("change", [{"priority": 0.5}, {"is_locked": True}], ids=str)
def test_token_is_in_the_file_where_no_keyring_takes_it(keyring: Keyring, change: dict[str, float]):
    vars(keyring).update(change)

    assert "s3cret" in stored()
    assert profiles.load().token == "s3cret"


def test_token_is_in_the_file_without_the_library(
    keyring: Keyring, monkeypatch: pytest.MonkeyPatch
):
    keyring.__spec__ = None
    monkeypatch.delitem(sys.modules, "keyring")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    assert "s3cret" in stored()


def test_keyring_that_is_locked_says_what_to_do(keyring: Keyring):
    stored()
    keyring.is_locked = True

    with pytest.raises(ValueError, match="--no-keyring"):
        profiles.load()


def test_token_of_a_profile_goes_to_its_own_address_only(keyring: Keyring):
    stored()

    assert profiles.load(url="https://other.example.com").token is None


def test_token_that_moves_to_the_file_leaves_the_keyring(keyring: Keyring):
    stored()

    profiles.write("default", url=URL, token="other")

    assert keyring.kept == {}
    assert profiles.load().token == "other"
