"""A receiver of webhooks on a real socket, HTTP/1.1 by hand, to misbehave byte by byte."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]
Act = Callable[[Stream], Awaitable[None]]


class Request:
    """What came, as it came."""

    def __init__(self, head: bytes, body: bytes) -> None:
        line, *lines = head.decode("latin1").split("\r\n")
        self.line = line
        self.headers = {
            name.lower(): value for name, value in (one.split(": ", 1) for one in lines)
        }
        self.body = body


class SocketReceiver:
    """Takes connections; `act` answers each request.

    Attributes:
        connections: how many have been opened, requests or not.
        server_names: what clients have named in their TLS handshakes.
    """

    def __init__(self, act: Act, tls: ssl.SSLContext | None) -> None:
        self.act = act
        self.got: list[Request] = []
        self.connections = 0
        self.server_names: list[str | None] = []
        self.port = 0
        self._tls = tls
        if tls is not None:
            tls.sni_callback = self._note_name

    def _note_name(self, _: object, name: str | None, __: object) -> None:
        self.server_names.append(name)

    async def serve(self, socket: trio.SocketStream) -> None:
        self.connections += 1
        stream: Stream = socket
        try:
            if self._tls is not None:
                stream = trio.SSLStream(socket, self._tls, server_side=True, https_compatible=True)
            self.got.append(await _read(stream))
            await self.act(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, EOFError):
            pass  # the client has had enough
        finally:
            await trio.aclose_forcefully(stream)


async def _read(stream: Stream) -> Request:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await _some(stream)
    head, _, body = data.partition(b"\r\n\r\n")
    request = Request(head, b"")
    while len(body) < int(request.headers.get("content-length", 0)):
        body += await _some(stream)
    request.body = body
    return request


async def _some(stream: Stream) -> bytes:
    data = await stream.receive_some()
    if not data:
        raise EOFError
    return bytes(data)


async def answer(
    stream: Stream, status: int = 200, body: bytes = b"thanks", headers: str = ""
) -> None:
    head = f"HTTP/1.1 {status} Status\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    await stream.send_all(head.encode() + body)


@asynccontextmanager
async def receiving(
    act: Act = answer, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[SocketReceiver]:
    """Receive on a free port of loopback for the length of a block."""
    receiver = SocketReceiver(act, tls)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            partial(trio.serve_tcp, receiver.serve, 0, host="127.0.0.1")
        )
        receiver.port = listeners[0].socket.getsockname()[1]
        yield receiver
        nursery.cancel_scope.cancel()


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's context with a certificate for `name`, and a client's that believes it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begun = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begun)
        .not_valid_after(begun + datetime.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    pem = made.public_bytes(serialization.Encoding.PEM)
    file.write_bytes(
        pem
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(file)
    client = ssl.create_default_context(cadata=pem.decode())
    return server, client
