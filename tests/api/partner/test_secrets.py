"""What a copy of the database tells: no password, key or token, nor an address."""

from __future__ import annotations

import base64
from pathlib import Path

from tests.api.partner.partnering import PASSWORD, bearer, partnering, person


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())


async def test_a_copy_of_the_database_holds_no_secret_in_the_clear(tmp_path: Path) -> None:
    email = "ada.lovelace@example.com"
    async with partnering(tmp_path) as it:
        first = await it.sign_up(email)
        key = await it.generate_key(first)
        await it.get("/usage", bearer(key["api_key"]))
        second = person(await it.post("/auth/refresh", {"refresh_token": first.refresh_token}))
        wanted = {"return_url": "https://example.com/back", "metadata": {"user_id": "u-1"}}
        headers = bearer(key["api_key"]) | {"Idempotency-Key": "retry-key-1"}
        session = (await it.post("/sessions/create", wanted, headers)).json()
        hook = {"url": "https://example.com/hook"}
        webhook = (await it.post("/webhooks", hook, second.bearer)).json()
        await it.post(f"/sessions/{session['session_id']}/cancel", {}, second.bearer)
        cookie = await it.partner.accounts.log_in(email, PASSWORD, client="x", kind="web")
        async with it.house.store.export() as lines:
            exported = b"".join([line async for line in lines])
        files = everything_in(tmp_path)
        tokens = [first.refresh_token, second.refresh_token, cookie.token]
        secrets = [email, PASSWORD, key["api_key"], first.access_token, second.access_token]
        link = session["session_url"].rpartition("/s/")[2]
        assert len(link) >= 22
        secrets += [link, webhook["secret"], webhook["secret"].removeprefix("whsec_")]
        # A token's parts would be as good as the whole.
        parts = [token.partition("_")[2][24:] for token in tokens]
        raw = [base64.urlsafe_b64decode(token.partition("_")[2] + "==")[16:] for token in tokens]
        for where in (exported, files):
            for secret in [*secrets, *tokens, *parts]:
                assert secret.encode() not in where
            for piece in raw:
                for form in (piece[:16], piece[16:]):
                    assert form not in where
                    assert form.hex().encode() not in where
                    assert base64.b64encode(form)[:20] not in where
        # What may be there is there, so that the search has found the right place.
        assert b"argon2id" in exported
        assert session["session_id"].encode() in exported
        assert b"https://example.com/hook" in exported or webhook["id"].encode() in exported
