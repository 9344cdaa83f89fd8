"""Sending over real sockets: to receivers that misbehave, and never to where it must not."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
import trio

from actors.partner.webhooks import sender as module
from actors.partner.webhooks.addresses import IPAddress
from actors.partner.webhooks.resolver import SystemResolver
from actors.partner.webhooks.sender import MAX_EXCERPT_CHARS, Outgoing, Sender
from tests.actors.partner.webhooks.receiver import Act, Stream, answer, certificate, receiving

INSIDE = "the host leads to a private, loopback or link-local address"


class Names:
    """A resolver of our own: each look-up gets the next of the answers, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[IPAddress]:
        self.asked.append((host, port))
        await trio.lowlevel.checkpoint()
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [ipaddress.ip_address(text) for text in found]


@asynccontextmanager
async def sending(
    names: Names | None = None,
    *,
    allow_private: bool = True,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Sender]:
    resolve = names or SystemResolver()
    async with aclosing(Sender(allow_private=allow_private, resolve=resolve, tls=tls)) as sender:
        yield sender


def to(url: str) -> Outgoing:
    return Outgoing(url=url, headers={"webhook-id": "evt_1"}, body='{"zoë": 1}')


async def outcome_of(act: Act):
    async with receiving(act) as receiver, sending() as sender:
        with trio.fail_after(20):
            outcome = await sender(to(f"http://127.0.0.1:{receiver.port}/hooks?a=%2F"))
    return outcome, receiver


# -- what receivers do ------------------------------------------------------------------------


async def test_it_arrives_as_it_was_signed() -> None:
    outcome, receiver = await outcome_of(answer)
    assert (outcome.status, outcome.response, outcome.taken) == (200, "thanks", True)
    (got,) = receiver.got
    assert got.line == "POST /hooks?a=%2F HTTP/1.1"
    assert got.body == '{"zoë": 1}'.encode()
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert got.headers["webhook-id"] == "evt_1"
    assert got.headers["content-type"] == "application/json"


@pytest.mark.parametrize("status", [201, 204, 299])
async def test_every_2xx_is_taken(status: int) -> None:
    outcome, _ = await outcome_of(lambda stream: answer(stream, status, b""))
    assert outcome.taken


@pytest.mark.parametrize("status", [400, 404, 409, 429, 500, 503, 999])
async def test_every_other_status_is_not(status: int) -> None:
    outcome, _ = await outcome_of(lambda stream: answer(stream, status, b"no"))
    assert (outcome.status, outcome.error) == (status, f"answered {status}")
    assert outcome.response == "no"
    assert not outcome.final


async def test_gone_is_final() -> None:
    outcome, _ = await outcome_of(lambda stream: answer(stream, 410))
    assert (outcome.status, outcome.final) == (410, True)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(status: int) -> None:
    async with receiving() as inside:
        where = f"Location: http://127.0.0.1:{inside.port}/secret\r\n"
        outcome, receiver = await outcome_of(lambda it: answer(it, status, b"", where))
    assert outcome.error == f"answered {status}; redirects are not followed"
    assert (receiver.connections, inside.connections) == (1, 0)


@pytest.mark.parametrize(
    ("text", "seconds"), [("120", 120), ("-1", 0), ("soon", 0), ("9" * 50, 0), ("²", 0)]
)
async def test_a_pause_that_is_asked_for_is_heard(text: str, seconds: int) -> None:
    header = f"Retry-After: {text}\r\n"
    outcome, _ = await outcome_of(lambda stream: answer(stream, 429, b"", header))
    assert outcome.retry_after_s == seconds


async def test_of_a_flood_only_the_beginning_is_read() -> None:
    sent = []

    async def flood(stream: Stream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n")
        while True:
            await stream.send_all("é".encode() * 4_096)
            sent.append(8_192)

    outcome, _ = await outcome_of(flood)
    assert outcome.taken
    assert outcome.response == "é" * MAX_EXCERPT_CHARS
    assert sum(sent) < 50_000_000


async def test_a_flood_of_headers_is_cut() -> None:
    async def flood(stream: Stream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\n")
        while True:
            await stream.send_all(b"X-Flood: " + b"x" * 8_000 + b"\r\n")

    outcome, _ = await outcome_of(flood)
    assert not outcome.taken
    assert outcome.status is None


async def test_one_that_hangs_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEND_S", 0.3)

    async def hang(stream: Stream) -> None:
        await trio.sleep_forever()

    outcome, _ = await outcome_of(hang)
    assert (outcome.status, outcome.error) == (None, "no answer in time")
    assert outcome.duration_ms >= 300


async def test_a_trickle_does_not_lengthen_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEND_S", 0.4)

    async def trickle(stream: Stream) -> None:
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X" * 10_000:
            await stream.send_all(bytes([byte]))
            await trio.sleep(0.05)

    outcome, _ = await outcome_of(trickle)
    assert outcome.error == "no answer in time"


async def test_taken_is_taken_though_the_body_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BODY_S", 0.1)

    async def half(stream: Stream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await trio.sleep_forever()

    outcome, _ = await outcome_of(half)
    assert (outcome.taken, outcome.response) == (True, "half")


@pytest.mark.parametrize("data", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-L"])
async def test_what_is_no_answer_is_told_as_an_error(data: bytes) -> None:
    outcome, _ = await outcome_of(lambda stream: stream.send_all(data))
    assert outcome.status is None
    assert outcome.error


async def test_where_nobody_listens_it_says_so() -> None:
    async with receiving() as receiver:
        port = receiver.port
    async with sending() as sender:
        outcome = await sender(to(f"http://127.0.0.1:{port}/"))
    assert outcome.error is not None
    assert outcome.error.startswith("no connection")


async def test_a_compressed_answer_is_not_unpacked() -> None:
    bomb = b"\x1f\x8b" + b"\0" * 100
    header = "Content-Encoding: gzip\r\n"
    outcome, receiver = await outcome_of(lambda stream: answer(stream, 200, bomb, header))
    assert outcome.taken
    assert receiver.got[0].headers["accept-encoding"] == "identity"


# -- where it goes ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1", "0.0.0.0", "[::]"],
)
async def test_an_address_inside_is_never_connected_to(host: str) -> None:
    async with receiving() as receiver, sending(allow_private=False) as sender:
        outcome = await sender(to(f"https://{host}:{receiver.port}/"))
    assert outcome.error == INSIDE
    assert receiver.connections == 0


@pytest.mark.parametrize("host", ["127.1", "0x7f000001", "2130706433", "0177.0.0.1", "localhost"])
async def test_nor_is_one_that_the_system_makes_out_of_another_spelling(host: str) -> None:
    async with receiving() as receiver, sending(allow_private=False) as sender:
        outcome = await sender(to(f"https://{host}:{receiver.port}/"))
    assert outcome.error in {INSIDE, "the URL cannot be sent to"}
    assert receiver.connections == 0


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::ffff:127.0.0.1"],
        ["93.184.216.34", "127.0.0.1"],
        ["127.0.0.1", "93.184.216.34"],
        ["100.64.0.1"],
        ["fd00::1", "2606:4700::1111"],
    ],
)
async def test_a_name_with_one_address_inside_is_refused_whole(addresses: list[str]) -> None:
    async with receiving() as receiver, sending(Names(addresses), allow_private=False) as sender:
        outcome = await sender(to(f"https://hooks.example:{receiver.port}/"))
    assert outcome.error == INSIDE
    assert receiver.connections == 0


async def test_webhooks_go_where_was_checked_though_the_name_changes_after_the_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Rebinding: public when it is checked, and where the receiver is whenever it is asked again.
    names = Names(["127.0.0.2"], ["127.0.0.1"])
    monkeypatch.setattr(module, "is_public", lambda address: str(address) == "127.0.0.2")
    async with receiving() as receiver, sending(names, allow_private=False) as sender:
        outcome = await sender(to(f"https://hooks.example:{receiver.port}/"))
    assert (outcome.error or "").startswith("no connection")
    assert names.asked == [("hooks.example", receiver.port)]
    assert receiver.connections == 0


async def test_plain_http_needs_leave() -> None:
    names = Names(["93.184.216.34"])
    async with sending(names, allow_private=False) as sender:
        outcome = await sender(to("http://hooks.example/"))
    assert outcome.error == "the URL is not https"
    assert names.asked == []


async def test_the_certificate_is_the_names_though_the_connection_is_the_addresss(
    tmp_path: Path,
) -> None:
    server, client = certificate(tmp_path, "hooks.example")
    names = Names(["127.0.0.1"])
    async with receiving(tls=server) as receiver, sending(names, tls=client) as sender:
        outcome = await sender(to(f"https://hooks.example:{receiver.port}/x"))
        assert outcome.taken, outcome.error
        assert receiver.server_names == ["hooks.example"]
        assert receiver.got[0].headers["host"] == f"hooks.example:{receiver.port}"
        other = await sender(to(f"https://other.example:{receiver.port}/x"))
    assert not other.taken
    assert "certificate" in (other.error or "")
    assert len(receiver.got) == 1


async def test_no_connection_is_kept_for_the_next_name(tmp_path: Path) -> None:
    async def stay(stream: Stream) -> None:
        await answer(stream)
        while await stream.receive_some():
            await answer(stream)

    server, client = certificate(tmp_path, "hooks.example")
    names = Names(["127.0.0.1"])
    async with receiving(stay, tls=server) as receiver, sending(names, tls=client) as sender:
        for _ in range(3):
            assert (await sender(to(f"https://hooks.example:{receiver.port}/"))).taken
    assert receiver.connections == 3
    assert len(names.asked) == 3


async def test_the_next_address_is_tried_when_nobody_answers_at_the_first(tmp_path: Path) -> None:
    names = Names(["127.0.0.2", "127.0.0.1"])
    async with receiving() as receiver, sending(names) as sender:
        outcome = await sender(to(f"http://hooks.example:{receiver.port}/"))
    assert outcome.taken


async def test_a_connection_that_is_refused_is_told_in_the_words_of_the_system() -> None:
    with socket.socket() as taken:  # bound, so that nobody else listens there
        taken.bind(("127.0.0.1", 0))
        async with sending() as sender:
            outcome = await sender(to(f"http://127.0.0.1:{taken.getsockname()[1]}/"))
    assert outcome.error == "no connection: Connection refused"


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        outcome, _ = await outcome_of(answer)
    assert outcome.taken
    assert proxy.connections == 0


async def test_a_name_without_an_address_is_told_as_such() -> None:
    async def nobody(host: str, port: int) -> Sequence[IPAddress]:
        raise OSError("no such name")

    async def late(host: str, port: int) -> Sequence[IPAddress]:
        raise trio.TooSlowError

    for resolve, error in (
        (nobody, "the host's name has no address"),
        (late, "the host's name was not resolved in time"),
    ):
        async with aclosing(Sender(allow_private=False, resolve=resolve)) as sender:
            assert (await sender(to("https://hooks.example/"))).error == error
