"""Point 13: receipts that anybody can verify and nobody can make, and the keys behind them."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from trio.testing import MockClock

from actors.partner.hosted import Cancel, SigningKeys
from engine.clock import SeededClock
from engine.seal import KeyUnknown, MasterKey, Sealer
from engine.store import MemoryDisk, open_memory
from tests.actors.partner.hosted.sessions import (
    PRODUCTION,
    PUBLIC,
    SANDBOX,
    USER,
    World,
    sealer,
    world,
)

DOC = Path(__file__).parents[4] / "docs" / "hosted.md"


def unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def verified(receipt: str, jwks: Any) -> dict[str, Any]:
    """Verify a receipt with nothing but an Ed25519, as a partner could; see docs/hosted.md."""
    header, payload, signature = receipt.split(".")
    key_id = json.loads(unpadded(header))["kid"]
    [jwk] = [key for key in jwks if key["kid"] == key_id]
    key = Ed25519PublicKey.from_public_bytes(unpadded(jwk["x"]))
    key.verify(unpadded(signature), f"{header}.{payload}".encode())
    claims: dict[str, Any] = json.loads(unpadded(payload))
    return claims


async def ended(it: World, **fields: Any) -> tuple[str, str]:
    """Return the id and the receipt of a session that was cancelled."""
    session_id = await it.open_session(**fields)
    await it.desk.ask(session_id, Cancel(by="partner"))
    receipt = (await it.desk.results(USER, session_id)).receipt
    assert receipt is not None
    return session_id, receipt


async def test_a_receipt_says_what_happened_and_verifies_offline(
    autojump_clock: MockClock,
) -> None:
    async with world() as it:
        session_id, receipt = await ended(it)
        claims = verified(receipt, await it.desk.receipts.keys.public())
        now = int(it.clock.now().timestamp())
        assert len(claims.pop("jti")) == 32
        assert claims == {
            "iss": PUBLIC,
            "aud": "t1",
            "sub": session_id,
            "state": "cancelled",
            "env": "sandbox",
            "iat": now,
            "exp": now + 86_400,
        }
        header = json.loads(unpadded(receipt.split(".")[0]))
        assert (header["alg"], header["typ"]) == ("EdDSA", "receipt+jwt")


async def test_an_altered_receipt_does_not_verify(
    autojump_clock: MockClock,
) -> None:
    async with world() as it:
        _, receipt = await ended(it)
        jwks = await it.desk.receipts.keys.public()
        header, payload, signature = receipt.split(".")
        forged = json.loads(unpadded(payload)) | {"state": "completed"}
        text = base64.urlsafe_b64encode(json.dumps(forged).encode()).decode().rstrip("=")
        with pytest.raises(InvalidSignature):
            verified(f"{header}.{text}.{signature}", jwks)


async def test_each_environment_signs_with_a_key_of_its_own(
    autojump_clock: MockClock,
) -> None:
    async with world() as it:
        _, sandbox = await ended(it)
        keys = await it.desk.receipts.keys.public()
        assert [key["kid"].partition("-")[0] for key in keys] == ["sandbox", "production"]
        assert len({key["x"] for key in keys}) == 2
        assert set(keys[0]) == {"kty", "crv", "x", "kid", "use", "alg"}
        # A receipt of the sandbox passes for none of production, nor the other way round.
        _, production = await ended(it, principal=PRODUCTION)
        for receipt, own, other in ((sandbox, keys[0], keys[1]), (production, keys[1], keys[0])):
            assert verified(receipt, [own])["env"] == own["kid"].partition("-")[0]
            with pytest.raises(InvalidSignature):
                verified(receipt, [dict(other, kid=own["kid"])])


async def test_a_rotated_key_stays_public_for_as_long_as_its_receipts_live(
    autojump_clock: MockClock,
) -> None:
    async with world(every_s=600) as it:
        _, before = await ended(it)
        keys = it.desk.receipts.keys
        old = await keys.newest("sandbox")
        new = await keys.rotate("sandbox")
        assert new.key_id != old.key_id
        _, after = await ended(it)
        jwks = await keys.public()
        assert verified(before, jwks)["jti"] != verified(after, jwks)["jti"]
        await trio.sleep(86_400)
        assert old.key_id in {key["kid"] for key in await keys.public()}
        await trio.sleep(3_601)
        assert {key["kid"] for key in await keys.public() if key["kid"][0] == "s"} == {new.key_id}
        with pytest.raises(ValueError, match="not enough values"):
            verified(before, await keys.public())


async def test_a_key_that_another_server_has_made_is_soon_used(
    autojump_clock: MockClock,
) -> None:
    disk, clock = MemoryDisk(), SeededClock(1)
    async with open_memory(disk, clock=clock) as store:
        ours = SigningKeys(store, epoch=1, sealer=sealer(), clock=clock)
        theirs = SigningKeys(store, epoch=2, sealer=sealer(), clock=clock)  # started later
        firsts: list[str] = []

        async def look(keys: SigningKeys) -> None:
            firsts.append((await keys.newest("sandbox")).key_id)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look, ours)
            nursery.start_soon(look, theirs)
        assert len(set(firsts)) == 1
        rotated = await theirs.rotate("sandbox")
        await trio.sleep(11)
        assert (await ours.newest("sandbox")).key_id == rotated.key_id
        again = await ours.rotate("sandbox")
        await trio.sleep(11)
        assert (await theirs.newest("sandbox")).key_id == again.key_id


async def test_private_keys_are_sealed_and_open_only_under_the_master_key(
    autojump_clock: MockClock,
) -> None:
    disk, clock = MemoryDisk(), SeededClock(1)
    async with open_memory(disk, clock=clock) as store:
        keys = SigningKeys(store, epoch=1, sealer=sealer(), clock=clock)
        made = await keys.newest("production")
        secret = made.jwk.as_dict(private=True)["d"]
        async with store.export() as lines:
            dump = b"".join([line async for line in lines])
        for form in (secret.encode(), base64.b64encode(unpadded(secret)), unpadded(secret)):
            assert form not in dump
        assert secret not in repr(made)
        another = Sealer((MasterKey.generate(SeededClock(5)),), clock)
        with pytest.raises(KeyUnknown):
            await SigningKeys(store, epoch=1, sealer=another, clock=clock).newest("production")


async def test_a_receipt_is_for_the_end_and_for_nothing_before(
    autojump_clock: MockClock,
) -> None:
    async with world() as it:
        session_id = await it.open_session()
        assert (await it.desk.results(SANDBOX, session_id)).receipt is None
        await it.desk.ask(session_id, Cancel(by="partner"))
        first = (await it.desk.results(SANDBOX, session_id)).receipt
        await it.desk.receipts.keys.rotate("sandbox")
        second = (await it.desk.results(SANDBOX, session_id)).receipt
        assert first is not None
        assert second is not None
        assert first != second
        jwks = await it.desk.receipts.keys.public()
        assert verified(first, jwks) == verified(second, jwks)
        assert verified(first, jwks)["state"] == "cancelled"


async def test_the_lines_in_the_docs_verify_a_receipt_and_refuse_any_other(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    [snippet] = re.findall(r"^```python\n(.*?)^```", DOC.read_text(), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(snippet, names)
    async with world() as it:
        session_id, receipt = await ended(it)
        jwks = {"keys": await it.desk.receipts.keys.public()}
        now = it.clock.now().timestamp()
        monkeypatch.setattr("time.time", lambda: now)
        wanted = {
            "issuer": PUBLIC,
            "tenant_id": "t1",
            "environment": "sandbox",
            "session_id": session_id,
        }
        assert names["verify"](receipt, jwks, **wanted)["state"] == "cancelled"
        for name in wanted:
            with pytest.raises(ValueError, match="something else"):
                names["verify"](receipt, jwks, **wanted | {name: "another"})
        head, body, signature = receipt.split(".")
        for forged in (
            f"{head}.{body}.{signature[:-4]}AAAA",
            f"{head}.{body[:-4]}AAAA.{signature}",
        ):
            with pytest.raises(InvalidSignature):
                names["verify"](forged, jwks, **wanted)
        for header in ({"alg": "none"}, {"typ": "JWT"}, {"kid": "unknown"}):
            text = json.dumps(json.loads(unpadded(head)) | header).encode()
            other = base64.urlsafe_b64encode(text).decode().rstrip("=")
            with pytest.raises(ValueError, match=r"no receipt|unknown key"):
                names["verify"](f"{other}.{body}.{signature}", jwks, **wanted)
        now += 86_400
        with pytest.raises(ValueError, match="too old"):
            names["verify"](receipt, jwks, **wanted)
