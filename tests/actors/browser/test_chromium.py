"""The Chromium process: whatever happens, nothing is left of it."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest
import structlog
import trio

from actors.browser import chromium as chromium_module
from actors.browser import processes
from actors.browser.chromium import (
    Chromium,
    ChromiumFailed,
    ChromiumMissing,
    ChromiumOptions,
    find_executable,
    launch,
)
from actors.browser.leftovers import _directories, directory_prefix

OTHER_RUN_ID = f"{os.getpid():08x}0ff0"


def zombies() -> list[processes.Process]:
    """This process's own zombies."""
    return [each for each in processes._all() if each.state == "Z" and each.parent == os.getpid()]


@pytest.fixture(autouse=True)
def nothing_inherited() -> None:
    """Whoever has launched a Chromium inherits orphans: also those of servers that tests killed."""
    for orphan in zombies():
        os.waitpid(orphan.pid, os.WNOHANG)


def assert_nothing_left(pid: int, directory: Path) -> None:
    assert processes.find(str(directory), {pid}) == ()
    assert zombies() == []
    assert not directory.exists()


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "chromium"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


async def test_a_launched_chromium_listens_on_loopback_and_is_gone_afterwards(
    options: ChromiumOptions,
) -> None:
    async with launch(options) as chromium:
        assert chromium.endpoint.startswith("ws://127.0.0.1:")
        assert len(processes.find(str(chromium.profile_dir), {chromium.pid})) > 1
    assert_nothing_left(chromium.pid, chromium.profile_dir)


async def test_everything_it_writes_is_in_a_directory_that_only_its_user_may_enter(
    options: ChromiumOptions,
) -> None:
    async with launch(options) as chromium:
        assert chromium.profile_dir.name.startswith(f"mooring-chromium-{options.run_id}-")
        assert stat.S_IMODE(chromium.profile_dir.stat().st_mode) == 0o700
        assert list((chromium.profile_dir / "tmp").glob("org.chromium.*"))


async def test_it_is_alone_in_its_process_group(options: ChromiumOptions) -> None:
    async with launch(options) as chromium:
        assert os.getpgid(chromium.pid) == chromium.pid
        assert os.getsid(chromium.pid) == chromium.pid


async def test_no_secret_of_the_server_is_in_its_environment(
    options: ChromiumOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOORING_KEY", "do-not-tell")
    monkeypatch.setenv("DATABASE_URL", "do-not-tell-either")
    async with launch(options) as chromium:
        environment = environment_of(chromium.pid)
    assert b"do-not-tell" not in environment
    assert b"PATH=" in environment


async def test_wait_returns_when_it_was_killed_and_nothing_is_left(
    options: ChromiumOptions,
) -> None:
    async with launch(options) as chromium:
        os.kill(chromium.pid, signal.SIGKILL)
        assert await chromium.wait() == -signal.SIGKILL
    assert_nothing_left(chromium.pid, chromium.profile_dir)


async def test_kill_ends_it_at_once_and_may_be_repeated(options: ChromiumOptions) -> None:
    async with launch(options) as chromium:
        chromium.kill()
        assert await chromium.wait() == -signal.SIGKILL
        chromium.kill()
    assert_nothing_left(chromium.pid, chromium.profile_dir)


async def test_a_frozen_one_is_killed_without_waiting_long(options: ChromiumOptions) -> None:
    async with launch(options) as chromium:
        for each in processes.find(str(chromium.profile_dir), {chromium.pid}):
            os.kill(each.pid, signal.SIGSTOP)
    assert_nothing_left(chromium.pid, chromium.profile_dir)


async def test_an_error_in_the_body_leaves_as_it_was_raised_and_nothing_else_is_left(
    options: ChromiumOptions,
) -> None:
    launched: list[Chromium] = []

    async def fail() -> None:
        async with launch(options) as chromium:
            launched.append(chromium)
            raise LookupError("from the body")

    with pytest.raises(LookupError, match="from the body"):
        await fail()
    assert_nothing_left(launched[0].pid, launched[0].profile_dir)


async def test_nothing_is_left_of_a_body_that_was_cancelled(options: ChromiumOptions) -> None:
    with trio.CancelScope() as scope:
        async with launch(options) as chromium:
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert_nothing_left(chromium.pid, chromium.profile_dir)


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.05, 0.1])
async def test_nothing_is_left_of_a_start_that_was_cancelled(
    options: ChromiumOptions, after_s: float
) -> None:
    own = ChromiumOptions(executable=options.executable, run_id=OTHER_RUN_ID)
    with trio.move_on_after(after_s):
        async with launch(own):
            await trio.sleep_forever()
    assert processes.find(directory_prefix(OTHER_RUN_ID)) == ()
    assert zombies() == []
    assert _directories(directory_prefix(OTHER_RUN_ID)) == ()


async def test_one_that_ends_instead_of_listening_fails_with_what_it_said(
    tmp_path: Path,
) -> None:
    failing = script(tmp_path, "echo cannot open display >&2; exit 7")
    with pytest.raises(ChromiumFailed, match=r"status 7 \(cannot open display\)") as caught:
        async with launch(ChromiumOptions(executable=failing, run_id=OTHER_RUN_ID)):
            pytest.fail("it does not listen")
    assert caught.value.output == "cannot open display\n"


async def test_one_that_does_not_listen_in_time_fails_and_is_ended(tmp_path: Path) -> None:
    silent = script(tmp_path, "exec sleep 1000")
    with pytest.raises(ChromiumFailed, match=r"did not listen within 0\.1 s"):
        async with launch(
            ChromiumOptions(executable=silent, run_id=OTHER_RUN_ID), start_timeout_s=0.1
        ):
            pytest.fail("it does not listen")
    assert zombies() == []


async def test_an_address_that_others_could_reach_is_not_taken(tmp_path: Path) -> None:
    public = script(tmp_path, "echo DevTools listening on ws://0.0.0.0:1/devtools/browser/x >&2")
    with pytest.raises(ChromiumFailed):
        async with launch(ChromiumOptions(executable=public, run_id=OTHER_RUN_ID)):
            pytest.fail("it listens for everybody")


async def test_what_it_says_is_read_on_so_that_it_never_blocks(
    options: ChromiumOptions, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    talking = script(
        tmp_path,
        "echo DevTools listening on ws://127.0.0.1:1/devtools/browser/x >&2\n"
        f"head -c 1000000 /dev/zero >&2\ntouch {said}\nexec sleep 1000",
    )
    async with launch(ChromiumOptions(executable=talking, run_id=OTHER_RUN_ID)) as chromium:
        with trio.fail_after(40):
            while not said.exists():
                await trio.sleep(0.01)
        assert len(chromium._output.tail) == 8192


async def test_without_a_usable_sandbox_it_starts_without_and_says_so_once(
    options: ChromiumOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chromium_module, "_sandbox", chromium_module._Sandbox())
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    wary = script(
        tmp_path,
        'case "$*" in *--no-sandbox*) ;; *) echo "No usable sandbox!" >&2; exit 1;; esac\n'
        f'exec {options.executable} "$@"',
    )
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            async with launch(ChromiumOptions(executable=wary, run_id=options.run_id)):
                pass
    told = [each for each in logs if each["event"] == "chromium_runs_without_sandbox"]
    assert [each["reason"] for each in told] == ["No usable sandbox"]


async def test_another_failure_is_not_taken_for_a_missing_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chromium_module, "_sandbox", chromium_module._Sandbox())
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    tries = tmp_path / "tries"
    failing = script(tmp_path, f'echo "$*" >> {tries}; exit 1')
    with pytest.raises(ChromiumFailed):
        async with launch(ChromiumOptions(executable=failing, run_id=OTHER_RUN_ID)):
            pytest.fail("it does not listen")
    assert "--no-sandbox" not in tries.read_text()


async def test_root_runs_it_without_its_sandbox_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chromium_module, "_sandbox", chromium_module._Sandbox())
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    tries = tmp_path / "tries"
    failing = script(tmp_path, f'echo "$*" >> {tries}; exit 1')
    with pytest.raises(ChromiumFailed):
        async with launch(ChromiumOptions(executable=failing, run_id=OTHER_RUN_ID)):
            pytest.fail("it does not listen")
    assert tries.read_text().count("\n") == 1
    assert "--no-sandbox" in tries.read_text()


async def test_an_executable_that_was_named_is_found_or_missing(
    tmp_path: Path, executable: str
) -> None:
    assert await find_executable(executable) == executable
    with pytest.raises(ChromiumMissing, match="nowhere/chromium"):
        await find_executable(str(tmp_path / "nowhere" / "chromium"))


async def test_without_any_chromium_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ChromiumMissing, match="apt-get install chromium") as caught:
        await find_executable(None)
    assert "\n" not in str(caught.value)


async def test_chrome_is_taken_where_there_is_no_chromium(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    chrome = tmp_path / "google-chrome"
    chrome.write_text("")
    chrome.chmod(0o755)
    assert await find_executable(None) == str(chrome)
