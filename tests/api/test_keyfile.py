"""The file that holds the master key."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.keyfile import KEY_FILE, KeyUnusable, master_keys, read_keys, write_keys
from engine.clock import SystemClock
from engine.seal import MasterKey


def test_the_first_start_makes_a_key_that_only_its_owner_may_read(tmp_path: Path) -> None:
    (made,) = master_keys((), tmp_path, SystemClock())
    file = tmp_path / KEY_FILE
    assert file.stat().st_mode & 0o777 == 0o600
    assert master_keys((), tmp_path, SystemClock()) == (made,)
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


def test_keys_that_are_given_need_no_file(tmp_path: Path) -> None:
    keys = tuple(MasterKey.generate(SystemClock()) for _ in range(2))
    assert master_keys([key.text for key in keys], tmp_path, SystemClock()) == keys
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    master_keys((), tmp_path, SystemClock())
    (tmp_path / KEY_FILE).chmod(0o640)
    with pytest.raises(KeyUnusable, match="chmod 600"):
        master_keys((), tmp_path, SystemClock())


@pytest.mark.parametrize("text", ["", "\n", "harbor-1\n", "\xff"])
def test_a_file_without_a_key_is_left_alone_and_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / KEY_FILE
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(KeyUnusable) as caught:
        master_keys((), tmp_path, SystemClock())
    assert file.read_text() == text
    assert "harbor" not in str(caught.value)


def test_the_newest_key_comes_first(tmp_path: Path) -> None:
    keys = tuple(MasterKey.generate(SystemClock()) for _ in range(3))
    write_keys(tmp_path / KEY_FILE, keys)
    assert read_keys(tmp_path / KEY_FILE) == keys
