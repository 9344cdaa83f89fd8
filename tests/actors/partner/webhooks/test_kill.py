"""`kill -9` in the middle of delivering: what was handed over arrives, under the id that it has."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from tests.actors.partner.webhooks.notifier_to_kill import note
from tests.actors.partner.webhooks.receiver import SocketReceiver, Stream, answer, receiving

ROOT = Path(__file__).parents[4]
AT_ONCE = 10


@asynccontextmanager
async def notifying(folder: Path, port: int, first: int, number: int) -> AsyncIterator[list[str]]:
    """Run the process until the block ends, then kill it; yields what it handed over."""
    command = [sys.executable, "-m", "tests.actors.partner.webhooks.notifier_to_kill"]
    command += [str(folder), f"http://127.0.0.1:{port}/", str(first), str(number)]
    async with trio.open_nursery() as nursery:
        process = await nursery.start(
            partial(trio.run_process, command, cwd=ROOT, stdout=subprocess.PIPE, check=False)
        )
        text = b""
        with trio.fail_after(60):
            while text.count(b"\n") < number:
                text += await process.stdout.receive_some()
        yield text.decode().split()
        process.send_signal(signal.SIGKILL)


def ids(receiver: SocketReceiver) -> list[str]:
    return [request.headers["webhook-id"] for request in receiver.got]


async def _until(receiver: SocketReceiver, wanted: set[str]) -> None:
    with trio.fail_after(60):
        while not wanted <= set(ids(receiver)):
            await trio.sleep(0.05)


async def test_undelivered_webhooks_survive_a_kill_and_keep_their_ids(
    tmp_path: Path,
) -> None:
    hanging = True

    async def hang_first(stream: Stream) -> None:
        if hanging:
            await trio.sleep_forever()
        await answer(stream)

    of_all_rounds: set[str] = set()
    async with receiving(hang_first) as receiver:
        for round_ in range(3):
            hanging = True
            async with notifying(tmp_path, receiver.port, round_ * AT_ONCE, AT_ONCE) as handed:
                expected = {note(int(number)).event_id for number in handed}
            # From here on every request is answered: what hung before is not counted.
            hanging = False
            receiver.got.clear()
            async with notifying(tmp_path, receiver.port, 0, 0):
                await _until(receiver, expected)
            # One of an earlier round comes again where the kill came before its note was written.
            of_all_rounds |= expected
            assert expected <= set(ids(receiver)) <= of_all_rounds
            assert len(expected) == AT_ONCE
            for request in receiver.got:
                body = json.loads(request.body)
                number = int(body["data"]["session_id"][1:])
                assert body["id"] == request.headers["webhook-id"] == note(number).event_id
