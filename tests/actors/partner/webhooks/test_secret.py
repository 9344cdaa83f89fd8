"""Point 16: signatures that the library of Standard Webhooks verifies, secrets that are sealed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from actors.partner.webhooks.secret import make_secret, open_secret, seal_secret, signed_headers
from engine.clock import SystemClock
from engine.seal import MasterKey, SealBroken, Sealer

CLOCK = SystemClock()
BODY = '{"id":"evt_1","type":"session.completed","data":{"user":"zoë \\u202e"}}'


def headers(secrets: list[str], body: str = BODY, at: datetime | None = None) -> dict[str, str]:
    return dict(signed_headers(secrets, event_id="evt_1", at=at or CLOCK.now(), body=body))


@given(st.text(max_size=200))
def test_a_receiver_verifies_what_was_signed(text: str) -> None:
    secret = make_secret(CLOCK)
    Webhook(secret).verify(text, headers([secret], text), json_parse=False)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "evt_2"},
        {"webhook-timestamp": str(int((CLOCK.now() - timedelta(seconds=60)).timestamp()))},
        {"webhook-signature": "v1,AAAA"},
    ],
)
def test_the_id_the_time_and_the_body_are_what_is_signed(change: dict[str, str]) -> None:
    secret = make_secret(CLOCK)
    good = headers([secret])
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY, good | change)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY + " ", good)


def test_during_a_rotation_either_secret_verifies_and_no_other() -> None:
    new, old, other = (make_secret(CLOCK) for _ in range(3))
    both = headers([new, old])
    for secret in (new, old):
        Webhook(secret).verify(BODY, both)
    with pytest.raises(WebhookVerificationError):
        Webhook(other).verify(BODY, both)


def test_the_signature_is_the_specifications() -> None:
    # From the specification's own example of a payload and its secret.
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    signed = signed_headers(
        [secret],
        event_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        at=datetime.fromtimestamp(1614265330, UTC),
        body='{"test": 2432232314}',
    )
    assert signed == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_secrets_are_long_differ_and_have_the_specifications_form() -> None:
    made = {make_secret(CLOCK) for _ in range(100)}
    assert len(made) == 100
    assert all(secret.startswith("whsec_") and len(secret) == 6 + 44 for secret in made)


def test_a_sealed_secret_opens_for_its_own_endpoint_only() -> None:
    sealer = Sealer((MasterKey.generate(CLOCK),), CLOCK)
    secret = make_secret(CLOCK)
    sealed = seal_secret(sealer, secret, endpoint_id="e1")
    assert secret.encode() not in sealed
    assert open_secret(sealer, sealed, endpoint_id="e1") == secret
    with pytest.raises(SealBroken):
        open_secret(sealer, sealed, endpoint_id="e2")
