"""A PostgreSQL of our own: made, started, killed and started again, and gone with who asked for it.

`python -m tests.faults.private_postgres` is its guardian. It does what the lines on its standard
input say and takes everything away when that ends, which it also does when pytest is killed.
Should the guardian be killed, the kernel tells the server to end.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

USER: Final = "mooring"
# PostgreSQL does not run as root; Debian's package makes this user.
_UNPRIVILEGED: Final = "postgres"
_READY_S: Final = 60.0
_PR_SET_PDEATHSIG: Final = 1
_CONFIGURATION: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "log_min_messages": "fatal",
}


class PrivatePostgres:
    """A running server, on a port of its own that it keeps through all restarts.

    Anybody on this machine may connect to it as `USER`; who comes as `careful` needs a password.
    """

    def __init__(self, guardian: subprocess.Popen[str], port: int) -> None:
        self._guardian = guardian
        self.port = port

    def url(
        self, database: str = USER, *, user: str = USER, port: int | None = None, schema: str = ""
    ) -> str:
        """Return the URL of a database; by `port` one goes through a proxy."""
        end = f"?schema={schema}" if schema else ""
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/{database}{end}"

    def sql(self, text: str, *, database: str = USER) -> str:
        """Run a script and return what it prints. Blocks."""
        command = [_program("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", self.url(database)]
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def dump(self, database: str = USER) -> bytes:
        """Return what `pg_dump` writes of a database. Blocks."""
        command = [_program("pg_dump"), "-d", self.url(database)]
        return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout

    def kill(self) -> None:
        """Let the whole server be killed, as `kill -9` does."""
        self._ask("kill")

    def start(self) -> None:
        """Start it again, and return when it answers."""
        self._ask("start")

    def stop(self) -> None:
        """Stop it in order."""
        self._ask("stop")

    def _ask(self, command: str) -> None:
        assert self._guardian.stdin is not None
        assert self._guardian.stdout is not None
        self._guardian.stdin.write(f"{command}\n")
        self._guardian.stdin.flush()
        answer = self._guardian.stdout.readline().strip()
        assert answer == "done", answer


@contextlib.contextmanager
def private_postgres(*, durable: bool = False) -> Iterator[PrivatePostgres]:
    """Make a server and run it for the length of a block. Blocks for some seconds.

    Args:
        durable: whether it flushes to the disk, as one in earnest does; for tests that kill it.
    """
    command = [sys.executable, "-m", __spec__.name, *(["durable"] if durable else [])]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        start_new_session=True,  # a Ctrl-C is for pytest; the guardian ends after it
    ) as guardian:
        assert guardian.stdout is not None
        line = guardian.stdout.readline()
        assert line.startswith("ready "), f"no PostgreSQL: {line!r}"
        yield PrivatePostgres(guardian, int(line.split()[1]))


# -- the guardian ----------------------------------------------------------------------------------


class _Server:
    """The server's process; used by its guardian alone."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self._data = folder / "data"
        self._log = folder / "log"
        self._fsync = "on" if durable else "off"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    def make(self) -> None:
        """Make the cluster, with a collation in which letters do not sort by their codes."""
        version = int(_output(_program("postgres"), "--version").split()[2].partition(".")[0])
        locale = ["--locale-provider=icu", "--icu-locale=en"] if version >= 15 else []
        _run(
            _program("initdb"),
            *("-D", str(self._data), "-U", USER, "--auth=trust", "--no-sync"),
            *("--encoding=UTF8", "--locale=C.UTF-8", *locale),
        )
        rules = self._data / "pg_hba.conf"
        text = rules.read_text()
        rules.write_text(f"host all careful 127.0.0.1/32 scram-sha-256\n{text}")

    def start(self) -> None:
        configuration = {**_CONFIGURATION, "port": str(self.port), "fsync": self._fsync}
        options = [f"--{name}={value}" for name, value in configuration.items()]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [_program("postgres"), "-D", str(self._data), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_the_guardian,  # noqa: PLW1509 - it has no threads
                **_as_user(),
            )
        self._wait_ready()

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGINT)

    def _wait_ready(self) -> None:
        assert self._process is not None
        command = [_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        for _ in range(int(_READY_S / 0.02)):
            if self._process.poll() is not None:
                raise RuntimeError(self._log.read_text(errors="replace")[-2_000:])
            if subprocess.run(command, check=False).returncode == 0:
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.02)
        raise RuntimeError("it does not answer")

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if how is signal.SIGKILL:
            # Its children are in sessions of their own.
            for child in _descendants(process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        else:
            process.send_signal(how)
        process.wait()


def _guard(*, durable: bool) -> None:
    folder = Path(tempfile.mkdtemp(prefix="mooring-postgres-"))
    try:
        if owner := _as_user():
            os.chown(folder, owner["user"], owner["group"])
        server = _Server(folder, durable=durable)
        server.make()
        server.start()
        try:
            _prepare(server.port)
            print(f"ready {server.port}", flush=True)
            commands: dict[str, Callable[[], None]] = {
                "kill": server.kill,
                "start": server.start,
                "stop": server.stop,
            }
            for line in sys.stdin:
                commands[line.strip()]()
                print("done", flush=True)
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _prepare(port: int) -> None:
    database = f"postgresql://{USER}@127.0.0.1:{port}/postgres"
    _run(_program("psql"), "-Xq", "-d", database, "-c", f"CREATE DATABASE {USER}")


def _program(name: str) -> str:
    """Where the newest of the installed versions has a program of its own."""
    found = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"),
        key=lambda path: [int(part) for part in re.findall(r"\d+", str(path))],
    )
    where = str(found[-1]) if found else shutil.which(name)
    if where is None:
        raise RuntimeError(f"PostgreSQL's {name} is missing; Debian's package is postgresql")
    return where


def _as_user() -> dict[str, Any]:
    """How `subprocess` is told who runs the server's programs: ourselves, unless we are root."""
    if os.getuid() != 0:
        return {}
    entry = pwd.getpwnam(_UNPRIVILEGED)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _run(*command: str) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd="/", **_as_user()
    )
    if done.returncode != 0:
        raise RuntimeError(f"{Path(command[0]).name}: {done.stderr.strip()}")


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _end_with_the_guardian() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _descendants(pid: int) -> Sequence[int]:
    """The process, which is stopped so that it makes no more, and all its children."""
    os.kill(pid, signal.SIGSTOP)
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    _guard(durable="durable" in sys.argv[1:])
