"""Debug bundles, in real time and on a real disk."""

from __future__ import annotations

import io
import os
import re
import zipfile
from pathlib import Path

import pytest
import trio

from actors.browser.bundles import DebugBundles
from engine import SeededClock, SystemClock


@pytest.fixture
def bundles(tmp_path: Path) -> DebugBundles:
    return DebugBundles(tmp_path / "bundles", SystemClock())


def age(directory: Path, name: str, hours: float) -> None:
    path = directory / "bundles" / f"{name}.zip"
    at = path.stat().st_mtime - hours * 3600
    os.utime(path, (at, at))


async def write(bundles: DebugBundles, log: str = "opened\nsucceeded") -> str:
    return await bundles.write(png=b"\x89PNG", html="<p>", log=log)


async def test_a_bundle_is_a_zip_of_screenshot_html_and_log(bundles):
    name = await write(bundles)
    content = await bundles.read(name)
    assert content is not None
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {file: archive.read(file) for file in archive.namelist()}
    assert files == {
        "screenshot.png": b"\x89PNG",
        "page.html": b"<p>",
        "log.txt": b"opened\nsucceeded",
    }


async def test_a_bundle_holds_what_there_is(bundles):
    name = await bundles.write(png=None, html=None, log="Browser crashed")
    content = await bundles.read(name)
    assert content is not None
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["log.txt"]


async def test_names_are_a_hundred_and_twenty_eight_random_bits(bundles):
    names = {await write(bundles) for _ in range(20)}
    assert len(names) == 20
    assert all(re.fullmatch(r"[0-9a-f]{32}", name) for name in names)


async def test_a_bundle_is_for_its_owner_only(bundles, tmp_path):
    name = await write(bundles)
    assert (tmp_path / "bundles").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "bundles" / f"{name}.zip").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "name", ["", "x", "../secret", "/etc/passwd", "0" * 31, "0" * 33, "A" * 32, "0" * 32 + "\n"]
)
async def test_what_is_no_name_finds_nothing(bundles, tmp_path, name):
    (tmp_path / "secret.zip").write_bytes(b"secret")
    await write(bundles)
    assert await bundles.read(name) is None


async def test_a_bundle_is_kept_for_a_day_and_no_longer(bundles, tmp_path):
    old, young = await write(bundles), await write(bundles)
    age(tmp_path, old, 24.1)
    age(tmp_path, young, 23.9)
    assert await bundles.read(old) is None
    assert await bundles.read(young) is not None
    assert [path.stem for path in (tmp_path / "bundles").iterdir()] == [young]


async def test_a_sweep_removes_what_is_old_and_what_was_never_finished(bundles, tmp_path):
    name = await write(bundles)
    age(tmp_path, name, 25)
    unfinished = tmp_path / "bundles" / f"{'0' * 32}.part"
    unfinished.write_bytes(b"cut off")
    os.utime(unfinished, (0, 0))
    await bundles.sweep()
    assert list((tmp_path / "bundles").iterdir()) == []


async def test_the_oldest_go_when_there_are_too_many(bundles, tmp_path):
    names = []
    for number in range(203):
        names.append(await write(bundles))
        age(tmp_path, names[-1], 10 - number / 100)
    await bundles.sweep()
    assert {path.stem for path in (tmp_path / "bundles").iterdir()} == set(names[3:])


async def test_a_sweep_of_what_is_not_there_yet_is_fine(bundles):
    await bundles.sweep()
    assert await bundles.read("0" * 32) is None


async def test_many_bundles_at_once_disturb_each_other_not(bundles):
    async with trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(write, bundles)


async def test_a_disk_that_does_not_take_it_is_an_os_error_and_leaves_nothing(
    bundles, tmp_path, monkeypatch
):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    await write(bundles)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        await write(bundles)
    assert len(list((tmp_path / "bundles").iterdir())) == 1


async def test_the_clock_may_be_one_that_only_the_loop_can_read(tmp_path):
    bundles = DebugBundles(tmp_path, SeededClock(1))
    name = await write(bundles)
    assert await bundles.read(name) is not None
    await bundles.sweep()
