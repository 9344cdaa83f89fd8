"""The whole way of a hosted session, with a real server, real Chromiums, curl, and a partner's
server that verifies everything offline."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL
from typing import Any
from urllib.parse import parse_qs, urlsplit

import h11
import httpx
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook

from tests.api.harness import server
from tests.e2e.browsing import Browsing, browsing

ENV = {"MOORING_PARTNER__WEBHOOK_ALLOW_PRIVATE": "true"}
# The line of the contract's document, as printed, but for the port and the key.
SEEDS_CURL = """\
curl -X POST {url}/api/v1/sessions/create \\
  -H "Authorization: Bearer {key}" \\
  -H "Content-Type: application/json" \\
  -d '{{
    "return_url": "https://yourapp.com/callback",
    "metadata": {{
      "user_id": "user-123",
      "transaction_id": "txn-456"
    }}
  }}'
"""
CREATE = """\
curl -sS -X POST {url}/api/v1/sessions/create \\
  -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \\
  -d '{{"return_url": "{back}", "purpose": "Share your address", "metadata": {{"user_id": "ada"}}}}'
"""


class Partner:
    """A partner's server: takes webhooks, and its visitors when they come back."""

    def __init__(self) -> None:
        self.url = ""
        self.webhooks: list[tuple[dict[str, str], bytes]] = []
        self.returns: list[dict[str, str]] = []

    async def serve(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER)
        body = b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some())
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            else:
                break
        self._take(request, body)
        response = h11.Response(
            status_code=200, headers=[("Content-Type", "text/html"), ("Connection", "close")]
        )
        for part in (response, h11.Data(b"<h1>Welcome back</h1>"), h11.EndOfMessage()):
            await stream.send_all(connection.send(part) or b"")

    def _take(self, request: h11.Request, body: bytes) -> None:
        target = urlsplit(request.target.decode())
        if target.path == "/hook":
            headers = {name.decode(): value.decode() for name, value in request.headers}
            self.webhooks.append((headers, body))
        elif target.path == "/done":
            self.returns.append({name: it[0] for name, it in parse_qs(target.query).items()})


@asynccontextmanager
async def partner_server() -> AsyncIterator[Partner]:
    partner = Partner()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, partner.serve, 0)
        partner.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        yield partner
        nursery.cancel_scope.cancel()


async def curl(line: str) -> dict[str, Any]:
    """Run a line of shell, as a person does who has copied it."""
    done = await trio.run_process(["sh", "-c", line], capture_stdout=True, stderr=DEVNULL)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def verified(receipt: str, jwks: dict[str, Any]) -> dict[str, Any]:
    """Return a receipt's claims once its signature is found good, with nothing but an Ed25519."""
    header, payload, signature = receipt.split(".")
    key_id = json.loads(unpadded(header))["kid"]
    (jwk,) = [key for key in jwks["keys"] if key["kid"] == key_id]
    key = Ed25519PublicKey.from_public_bytes(unpadded(jwk["x"]))
    key.verify(unpadded(signature), f"{header}.{payload}".encode())
    claims: dict[str, Any] = json.loads(unpadded(payload))
    return claims


async def until(condition: Any) -> None:
    with trio.fail_after(40):
        while not condition():
            await trio.sleep(0.02)


async def sign_up(tab: Browsing) -> None:
    await tab.open("/dashboard")
    await tab.click("main .aside a")
    await tab.until_at("/dashboard/signup")
    await tab.fill("#email", "ada@harbour.example")
    await tab.fill("#password", "correct horse battery")
    await tab.click("main button")
    await tab.see("Make your first session")


async def secret_from(tab: Browsing, path: str, **fields: str) -> str:
    """Fill in the dialog of a page, and return the secret that is shown this once."""
    await tab.open(path)
    await tab.click("modal-link a")
    for name, text in fields.items():
        await tab.until("id => document.querySelector(`dialog #${id}`)", name, what=name)
        await tab.fill(f"dialog #{name}", text)
    await tab.click("dialog button[type=submit]")
    await tab.until("() => document.querySelector('dialog #secret')", what="the secret")
    return await tab.text("dialog #secret")


async def test_from_signing_up_to_a_receipt_that_verifies(tmp_path: Path) -> None:
    async with partner_server() as partner, server(tmp_path, env=ENV) as running:
        await running.wait_ready()
        url = running.urls[0]
        async with browsing(url) as tab:
            await sign_up(tab)
            secret = await secret_from(tab, "/dashboard/webhooks", url=f"{partner.url}/hook")
            key = await secret_from(tab, "/dashboard/keys", name="Checkout server")
            assert key.startswith("vp_sandbox_")

            await tab.open("/dashboard")
            await tab.until("() => document.querySelector('live-stream').dataset.state === 'live'")
            await curl(SEEDS_CURL.format(url=url, key=key))
            made = await curl(CREATE.format(url=url, key=key, back=f"{partner.url}/done?order=7"))
            session_id = made["session_id"]
            assert made["state"] == "pending"
            row = "id => document.getElementById(`row-${id}`)"
            await tab.until(row, session_id, what="the session on the overview")

            visitor = await tab.somebody_else()
            await visitor.open(made["session_url"])
            await visitor.see("Share your address")
            await visitor.click("main form button")
            await visitor.until("() => document.querySelector('.choices button')", what="a choice")
            await visitor.click(".choices button")
            await until(lambda: partner.returns)
            (back,) = partner.returns
            assert back["order"] == "7"
            assert (back["session_id"], back["state"]) == (session_id, "completed")

            # From here on the partner needs nothing of the server but its public keys.
            async with httpx.AsyncClient(trust_env=False, timeout=40) as http:
                jwks = (await http.get(f"{url}/.well-known/jwks.json")).json()
                bearer = {"Authorization": f"Bearer {key}"}
                session = (
                    await http.get(f"{url}/api/v1/sessions/{session_id}", headers=bearer)
                ).json()
            claims = verified(back["receipt"], jwks)
            assert claims["sub"] == session_id
            assert (claims["state"], claims["env"], claims["iss"]) == ("completed", "sandbox", url)

            await until(lambda: partner.webhooks)
            headers, body = partner.webhooks[0]
            told = Webhook(secret).verify(body, headers)
            assert told["type"] == "session.completed"
            assert told["data"] == session

            await tab.until(
                f"id => ({row})(id).closest('tr').innerText.includes('Completed')",
                session_id,
                what="its end on the overview",
            )
            figures = await tab.text(".figures")
            assert "Sandbox\n2\nof 100" in figures
            assert "Completed\n1\n" in figures
            await tab.open(f"/dashboard/sessions/{session_id}")
            assert "Completed" in await tab.text(".timeline li:last-child")
            assert claims["aud"] in await tenant_id_of(tab)
            await tab.open("/dashboard/webhooks")
            await tab.click("main li a")
            await tab.see("Attempts")
            attempts = await tab.text("[aria-labelledby=attempts-name]")
            assert "session.completed" in attempts
            assert "Delivered" in attempts
            await tab.open("/dashboard/keys")
            assert "never" not in await tab.text("main table")


async def tenant_id_of(tab: Browsing) -> str:
    await tab.open("/dashboard/profile")
    return await tab.text("#tenant-id")
