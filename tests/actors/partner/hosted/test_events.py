"""Events of hosted sessions: what the log keeps, and what leaves the server."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from actors.partner.hosted import (
    FINAL_TYPES,
    Begin,
    HostedEvent,
    decide,
    decode_event,
    encode_event,
    sent_to_tenant,
)
from actors.partner.hosted.decider import stored
from actors.partner.hosted.events import HostedEventType, event_of
from tests.actors.partner.hosted.sessions import NOW, new_session

# As a log of an earlier version has it: what was written once is read for ever.
KEPT = (
    b'{"type":"session.updated","seq":2,"at":"2026-01-01T00:00:00.000Z","data":{"session_id":'
    b'"95b8a2c3-5d8f-4f6e-9d1a-2b3c4d5e6f70","environment":"sandbox","state":"in_progress",'
    b'"flow":"consent","purpose":null,"return_url":"https://yourapp.com/callback","metadata":'
    b'{"visit":"a word of the partner\'s"},"progress":{"done":0,"of":1},"created_at":'
    b'"2026-01-01T00:00:00.000Z","updated_at":"2026-01-01T00:00:00.000Z","expires_at":'
    b'"2026-01-01T00:30:00.000Z","ended_at":null,"reason":null,"result":null},"visit":'
    b'{"tenant_id":"t1","receipt_id":"r1","browsers":["a"]}}'
)


def test_an_event_of_an_earlier_log_is_read_and_written_as_it_was() -> None:
    event = decode_event(KEPT)
    assert event.visit.browsers == ("a",)
    assert encode_event(event) == KEPT


def test_what_is_sent_of_an_event_is_the_event_without_the_visitors_side() -> None:
    event = stored(decode_event(KEPT))
    kept, sent = msgspec.json.decode(KEPT), msgspec.json.decode(sent_to_tenant(event))
    assert sent == {name: kept[name] for name in ("type", "seq", "at", "data")}
    assert sent["data"]["metadata"] == {"visit": "a word of the partner's"}


def test_every_event_is_sent_as_the_type_that_the_documents_describe() -> None:
    before = new_session()
    for event in (event_of(before), *decide(before, Begin(browser="a"), NOW)):
        sent = msgspec.json.decode(sent_to_tenant(stored(event)), type=HostedEvent)
        assert (sent.seq, sent.at, sent.data) == (event.seq, event.at, event.data)
        assert sent.__struct_config__.tag == event.type


def test_types_in_the_log_are_those_that_are_sent() -> None:
    tags = {kind.__struct_config__.tag for kind in get_args(HostedEvent)}
    assert set(get_args(HostedEventType)) == tags
    assert tags > FINAL_TYPES


def test_what_is_no_event_is_not_sent() -> None:
    event = stored(decode_event(KEPT))
    unknown = msgspec.structs.replace(event, body=KEPT.replace(b"session.updated", b"visit"))
    with pytest.raises(msgspec.ValidationError):
        sent_to_tenant(unknown)
