from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from api.datadir import DataDirUnusable, hold_data_dir, node_name
from engine.clock import SystemClock


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_made_for_its_user_alone(tmp_path: Path) -> None:
    with hold_data_dir(tmp_path / "a" / "b") as path:
        assert path.is_absolute()
        assert mode(path) == 0o700
        assert mode(path / "server.lock") == 0o600


def test_a_second_server_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    with (
        hold_data_dir(tmp_path),
        pytest.raises(
            DataDirUnusable, match=rf"in use by another server \(process {os.getpid()}\)"
        ),
        hold_data_dir(tmp_path),
    ):
        pass


def test_it_is_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with hold_data_dir(tmp_path / "data"):
            pass


def test_the_lock_is_not_inherited_by_a_child_that_outlives_the_server(tmp_path: Path) -> None:
    with hold_data_dir(tmp_path / "data"):
        child = subprocess.Popen(
            [sys.executable, "-c", "print(flush=True); input()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            close_fds=False,
        )
        assert child.stdout is not None
        child.stdout.readline()  # it runs, and is no copy of this process any more
    try:
        with hold_data_dir(tmp_path / "data"):
            pass
    finally:
        child.communicate(b"\n")


def test_one_that_others_may_enter_is_made_private_when_it_is_ours_or_empty(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir(mode=0o755)
    with hold_data_dir(empty):
        assert mode(empty) == 0o700
    empty.chmod(0o755)
    with hold_data_dir(empty):
        assert mode(empty) == 0o700


def test_somebody_elses_directory_is_left_as_it_is(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    (home / "letter.txt").touch()
    with pytest.raises(DataDirUnusable, match="files that are not Mooring's"), hold_data_dir(home):
        pass
    assert mode(home) == 0o755
    assert [entry.name for entry in home.iterdir()] == ["letter.txt"]


def test_one_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "data"):
        with pytest.raises(DataDirUnusable, match="MOORING_DATA_DIR"), hold_data_dir(path):
            pass


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "server.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataDirUnusable), hold_data_dir(data):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_data_directory_is_one_node_however_often_it_is_started(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    name = node_name(one, SystemClock())
    assert node_name(one, SystemClock()) == name
    assert node_name(other, SystemClock()) != name
    (one / "node").write_text("")  # as a full disk may leave it
    assert len(node_name(one, SystemClock())) == 32
