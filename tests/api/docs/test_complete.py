"""Nothing is missing: every route, error, event type and setting is in the documents or `docs/`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from actors.assistant.events import ConversationEvent
from actors.browser.journal_messages import EVENT_TYPES as BROWSER_EVENT_TYPES
from actors.partner.hosted import State
from actors.partner.hosted.events import HostedEvent
from actors.partner.hosted.flows import FLOWS
from actors.partner.webhooks import EVENT_TYPES as WEBHOOK_EVENT_TYPES
from api import errors as door
from api.app import SHOWN_HEADERS
from api.config import known_settings
from api.docs import make_documents
from api.docs.__main__ import text as api_page
from api.docs.errors import OF_PAGES, SAMPLES
from api.docs.hosted import TAG as HOSTED
from api.house import FINAL_EVENTS
from engine.errors import StoreError, StoreUnavailable
from tests.api.desk import Desk
from tests.api.docs.composed import composed

DOCS = Path(__file__).parents[3] / "docs"
DOCUMENTS = make_documents(Desk().operations, public_url="http://127.0.0.1:5010")
OPENAPI, ASYNCAPI = DOCUMENTS.openapi, DOCUMENTS.asyncapi

# Pages for people, and what they load: HTML is no API.
PAGES = re.compile(r"/(chat|dashboard|docs|pages|s)(/.*)?")
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}
# Roots of which nothing but their branches is raised; what has the same words as another.
ROOTS = {"RequestError", "ConversationError", "PartnerError", "LimitReached", "NotFound"}
SAME_AS: dict[str, type[Exception]] = {
    "ActorStopped": door.ServerStopping,
    "SupervisorStopping": door.ServerStopping,
    "StoreError": StoreUnavailable,
    "SessionNotFound": door.OperationSessionGone,
}


def shown_errors() -> set[str]:
    return {
        name
        for entry in OPENAPI["paths"].values()
        for operation in entry.values()
        for response in operation["responses"].values()
        for name in response.get("content", {}).get("application/json", {}).get("examples", ())
    }


async def test_every_route_is_described_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = {
        (method.upper(), path) for path, entry in OPENAPI["paths"].items() for method in entry
    }
    streams = {channel["address"] for channel in ASYNCAPI["channels"].values()}
    served: set[tuple[str, str]] = set()
    async with composed(tmp_path, monkeypatch) as app:
        for rule in app.url_map.iter_rules():
            path = re.sub(r"<(?:\w+(?:\(.*?\))?:)?(\w+)>", r"{\1}", rule.rule)
            if PAGES.fullmatch(path):
                continue
            if rule.websocket:
                assert path in streams, f"{path} is a stream that /asyncapi.json does not have"
                streams.discard(path)
            else:
                served |= {(method, path) for method in rule.methods & METHODS}
    assert served == described
    assert streams == set()


def test_every_error_that_a_caller_can_be_told_is_shown_by_some_route() -> None:
    shown = shown_errors()
    for kind in door._STATUS:
        name = SAME_AS.get(kind.__name__, kind).__name__
        if kind not in OF_PAGES and kind.__name__ not in ROOTS:
            assert name in shown, f"{kind.__name__} is in no answer of /openapi.json"


def test_every_error_has_a_sample_and_a_meaning() -> None:
    for kind in door._STATUS:
        if kind not in OF_PAGES and kind.__name__ not in ROOTS - {"RequestError"}:
            assert any(issubclass(sample, kind) for sample in SAMPLES), kind
    for kind in SAMPLES:
        assert (kind.__doc__ or "").strip(), kind
        assert isinstance(SAMPLES[kind], Exception)
    assert StoreError in door._STATUS


def types_of(channel: str) -> set[str]:
    return set(ASYNCAPI["channels"][channel]["messages"])


def tags(union: Any) -> set[str]:
    return {str(kind.__struct_config__.tag) for kind in get_args(union)}


def test_every_event_type_is_in_its_stream() -> None:
    around = {"ready", "beyond_newest"}
    assert types_of("browser_session") == set(BROWSER_EVENT_TYPES) | around
    assert types_of("hosted_session") == tags(HostedEvent) | around
    own = {"ack", "refused", "message", "cancel"}
    assert types_of("conversation") == tags(ConversationEvent) | around | own
    final = {name for it in ASYNCAPI["channels"].values() for name in it["x-final-events"]}
    assert final == set(FINAL_EVENTS)


def test_the_page_in_docs_is_what_the_documents_say() -> None:
    written = (DOCS / "api.md").read_text()
    assert written == api_page(), "write it anew: python -m api.docs > docs/api.md"


def test_docs_name_every_route_error_event_and_setting() -> None:
    api = (DOCS / "api.md").read_text()
    everything = "".join(page.read_text() for page in DOCS.glob("*.md"))
    for path, entry in OPENAPI["paths"].items():
        if path not in {"/rest"}:  # an operation of the portal on paper
            for method in entry:
                assert f"`{method.upper()} {path}`" in api
    guide = (DOCS / "hosted.md").read_text()
    for state in State:
        assert f"| `{state}` |" in guide
    for flow in FLOWS:
        assert f"| `{flow}` |" in guide
    for path, entry in OPENAPI["paths"].items():
        if any(HOSTED in operation["tags"] for operation in entry.values()):
            assert path.replace("{session_id}", "$ID") in guide
    for name in shown_errors():
        assert f"`{name}`" in api
    for channel in ASYNCAPI["channels"]:
        for name in types_of(channel):
            assert f"`{name}`" in api
    for name in WEBHOOK_EVENT_TYPES:
        assert f"`{name}`" in (DOCS / "webhooks.md").read_text()
    for setting in known_settings():
        assert f"`{setting.variable}`" in everything


def test_pages_of_other_origins_may_read_every_header_that_is_described() -> None:
    described = {
        name
        for entry in OPENAPI["paths"].values()
        for operation in entry.values()
        for response in operation["responses"].values()
        for name in response.get("headers", ())
    }
    # Those that any page may read (Fetch, "CORS-safelisted response-header name"), or none.
    anyway = {"Cache-Control", "Content-Type", "Set-Cookie"}
    assert described - anyway == set(SHOWN_HEADERS.split(", "))
