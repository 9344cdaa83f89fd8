from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from actors.browser import errors
from actors.browser.messages import CloseSession, GetSession, ListSessions, RunOperation
from actors.browser.portals.portal import Credentials
from actors.browser.settings import BrowserSettings
from api.browser.routes import browser_routes
from api.server.drain import Drain
from engine.errors import ActorCrashed, ActorStopped, AskTimeout, InboxFull
from tests.api.desk import MADE_AT, Desk
from tests.api.harness import CREDENTIALS, make_app, opened

SESSION = "session_1704623456_0"
BOOKING = {"session_id": SESSION, "container_id": "TRHU1866154"}


def raising(error: Exception) -> Any:
    async def behave(_: Any) -> None:
        raise error

    return behave


async def test_a_new_session_answers_as_the_contract_writes_it() -> None:
    async with opened() as door:
        answer = await door.client.post("/get_session", json=CREDENTIALS)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert list(answer.json().items()) == [
        ("success", True),
        ("session_id", SESSION),
        ("is_new", True),
        ("username", "driver-1"),
        ("created_at", "2024-01-07T12:34:56.789Z"),
        ("expires_at", None),
        ("message", "New persistent session created"),
    ]


async def test_a_session_that_is_there_is_reused() -> None:
    async with opened() as door:
        await door.client.post("/get_session", json=CREDENTIALS)
        answer = await door.client.post("/get_session", json=CREDENTIALS | {"anything": [1]})
    assert answer.json()["is_new"] is False
    assert answer.json()["message"] == "Using existing persistent session"


async def test_the_registry_is_asked_with_the_credentials_as_they_came() -> None:
    async with opened() as door:
        odd = {"username": " Ünïcode\t", "password": "  ", "captcha_api_key": "🔑"}
        await door.client.post("/get_session", json=odd)
        assert door.desk.registry.asked == [GetSession(credentials=Credentials(**odd))]


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ({}, "username, password, captcha_api_key"),
        ({"captcha_api_key": "k", "username": "u"}, "password"),
        ({"captcha_api_key": "", "username": "", "password": "p"}, "username, captcha_api_key"),
        ({"captcha_api_key": None, "username": "u", "password": "p"}, "captcha_api_key"),
        ({"Username": "u", "password": "p", "captcha_api_key": "k"}, "username"),
    ],
)
async def test_missing_and_empty_fields_are_named_in_the_contracts_order(
    body: dict[str, Any], missing: str
) -> None:
    async with opened() as door:
        answer = await door.client.post("/get_session", json=body)
        assert door.desk.registry.asked == []
    assert answer.status_code == 400
    assert answer.json() == {"success": False, "error": f"Missing required fields: {missing}"}


@pytest.mark.parametrize("name", ["username", "password", "captcha_api_key"])
@pytest.mark.parametrize("value", [1, 0, True, False, 1.5, [], ["x"], {}, {"a": 1}])
async def test_a_field_of_the_wrong_type_is_named(name: str, value: Any) -> None:
    async with opened() as door:
        answer = await door.client.post("/get_session", json=CREDENTIALS | {name: value})
        assert door.desk.registry.asked == []
    assert answer.status_code == 400
    assert answer.json()["error"] == f"Invalid field: {name}"


@pytest.mark.parametrize("value", ["a\0b", "\0", "x" * 1025])
async def test_a_nul_or_an_overlong_text_is_refused_without_repeating_it(value: str) -> None:
    async with opened() as door:
        answer = await door.client.post("/get_session", json=CREDENTIALS | {"password": value})
        assert door.desk.registry.asked == []
    assert answer.status_code == 400
    assert answer.json()["error"] == "Invalid field: password"
    assert value not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"null", b"[]", b'"text"', b"5", b"\xff\xfe", b"username=driver-1", b"{}{}"),
        *(b'{"username": "\\ud800"}', b'{"username": "\xed\xa0\x80"}', b'{"a": NaN}'),
        *(b'{"a": 1e999}', b'{"a": ' + b"9" * 5000 + b"}", b'{"a":' + b"[" * 100_000),
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
async def test_a_body_that_is_no_json_object_is_refused_in_the_contracts_shape(body: bytes) -> None:
    async with opened() as door:
        for path in ("/get_session", "/get_booking_number"):
            answer = await door.client.post(path, content=body)
            assert answer.status_code == 400
            assert answer.json()["success"] is False
            assert answer.json()["error"] == "Request body must be a JSON object"
        assert door.desk.registry.asked == []


@pytest.mark.parametrize("content_type", [None, "application/json", "text/plain", "nonsense"])
async def test_json_is_taken_under_any_type_but_a_forms(content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    async with opened() as door:
        answer = await door.client.post(
            "/get_session", content=json.dumps(CREDENTIALS), headers=headers
        )
        form = await door.client.post(
            "/get_session",
            content=json.dumps(CREDENTIALS),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
    assert answer.status_code == 200
    assert form.status_code == 400
    assert form.json()["details"] == "Send it as Content-Type: application/json"


@pytest.mark.parametrize("size", [1025, 2_000_000])
async def test_a_body_over_the_limit_is_a_413_and_the_connection_is_left_in_order(
    size: int,
) -> None:
    async with opened(max_body_bytes=1024) as door:
        body = b'{"username": "' + b"x" * size + b'"}'
        answer = await door.client.post("/get_session", content=body[: 8 * 1024])
        assert answer.status_code == 413
        assert answer.json()["error"] == "Request body too large"
        assert (await door.client.get("/sessions")).status_code == 200
        assert not [ask for ask in door.desk.registry.asked if isinstance(ask, GetSession)]


async def test_a_body_that_is_announced_as_huge_is_refused_before_it_comes() -> None:
    async with opened(max_body_bytes=1024) as door:
        answer = await door.say(
            b"POST /get_session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n"
        )
    assert answer.startswith(b"HTTP/1.1 413")


async def test_a_body_that_never_ends_is_cut_off_once_it_is_far_too_large() -> None:
    async with opened(max_body_bytes=1024) as door:
        head = (
            b"POST /get_session HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"
        answer = await door.say(head + chunk * 9)
    assert answer.startswith(b"HTTP/1.1 413")


async def test_a_body_that_does_not_come_in_time_is_a_408() -> None:
    async with opened() as door:
        door.app.config["BODY_TIMEOUT"] = 0.05
        answer = await door.say(
            b"POST /get_session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
        )
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"Request body took too long" in answer


async def test_the_list_shows_what_the_registry_has() -> None:
    async with opened() as door:
        view = door.desk.registry.add("driver-1")
        door.desk.registry.sessions["x"] = msgspec.structs.replace(
            view, session_id="x", in_use=True, status="in_use", last_refresh=MADE_AT
        )
        answer = await door.client.get("/sessions")
    assert answer.json()["active_sessions"] == 2
    first, second = answer.json()["sessions"]
    assert list(first.items()) == [
        ("session_id", SESSION),
        ("username", "driver-1"),
        ("created_at", "2024-01-07T12:34:56.789Z"),
        ("last_used", "2024-01-07T12:34:56.789Z"),
        ("keep_alive", True),
        ("current_url", "https://portal.example/containers"),
        ("in_use", False),
        ("status", "live"),
        ("last_refresh", None),
    ]
    assert (second["in_use"], second["status"]) == (True, "in_use")
    assert second["last_refresh"] == "2024-01-07T12:34:56.789Z"


async def test_closing_a_session_says_so_once_and_then_knows_it_no_more() -> None:
    async with opened() as door:
        door.desk.registry.add("driver-1")
        first = await door.client.delete(f"/sessions/{SESSION}")
        second = await door.client.delete(f"/sessions/{SESSION}")
    assert first.status_code == 200
    assert first.json() == {"success": True, "message": f"Session {SESSION} closed"}
    assert second.status_code == 404
    assert second.json() == {"success": False, "error": "Session not found"}


@pytest.mark.parametrize(
    "error",
    [
        errors.CloseFailed(),
        AskTimeout("browser/registry", None),
        ActorCrashed("browser/registry"),
    ],
)
async def test_a_session_that_cannot_be_ended_is_a_500(error: Exception) -> None:
    async with opened() as door:
        door.desk.registry.behave[CloseSession] = raising(error)
        answer = await door.client.delete("/sessions/x")
    assert answer.status_code == 500
    assert answer.json() == {"success": False, "error": "Failed to close browser session"}


async def test_every_operation_of_the_portal_is_a_route() -> None:
    async with opened() as door:
        door.desk.registry.add("driver-1")
        booking = await door.client.post("/get_booking_number", json=BOOKING | {"debug": False})
        rested = await door.client.post("/rest", json={"session_id": SESSION, "seconds": 0})
    assert list(booking.json().items()) == [
        ("success", True),
        ("container_id", "TRHU1866154"),
        ("booking_number", "B1"),
        ("session_id", SESSION),
        ("is_new_session", False),
    ]
    assert rested.json()["seconds"] == 0


async def test_an_operation_is_asked_for_with_session_credentials_and_its_own_request() -> None:
    async with opened() as door:
        door.desk.registry.add("driver-1")
        await door.client.post("/get_booking_number", json=BOOKING | CREDENTIALS | {"depth": 2})
        (asked,) = door.desk.registry.asked
    assert isinstance(asked, RunOperation)
    assert (asked.name, asked.session_id) == ("get_booking_number", SESSION)
    assert asked.credentials == Credentials(**CREDENTIALS)
    assert (asked.request.container_id, asked.request.depth) == ("TRHU1866154", 2)
    assert asked.debug is False


async def test_an_operation_by_credentials_alone_makes_its_session() -> None:
    async with opened() as door:
        answer = await door.client.post(
            "/get_booking_number", json=CREDENTIALS | {"container_id": "A", "session_id": None}
        )
    assert answer.json()["is_new_session"] is True


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ({}, "session_id, container_id"),
        ({"container_id": "A"}, "session_id"),
        ({"container_id": "A", "session_id": ""}, "session_id"),
        ({"container_id": "A", "username": "u"}, "password, captcha_api_key"),
        ({"session_id": "s"}, "container_id"),
        ({"session_id": "s", "container_id": ""}, "container_id"),
        ({"session_id": "s", "container_id": None}, "container_id"),
    ],
)
async def test_an_operation_without_session_or_field_names_what_is_missing(
    body: dict[str, Any], missing: str
) -> None:
    async with opened() as door:
        answer = await door.client.post("/get_booking_number", json=body)
        assert door.desk.registry.asked == []
    assert answer.status_code == 400
    assert answer.json()["error"] == f"Missing required fields: {missing}"


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"container_id": 5}, "container_id"),
        ({"container_id": ["A"]}, "container_id"),
        ({"container_id": "A\0"}, "container_id"),
        ({"container_id": "A" * 21}, "container_id"),
        ({"depth": "2"}, "depth"),
        ({"debug": "yes"}, "debug"),
        ({"debug": 1}, "debug"),
        ({"session_id": 5}, "session_id"),
        ({"session_id": "x" * 2000}, "session_id"),
    ],
)
async def test_a_wrong_field_of_an_operation_is_named(change: dict[str, Any], name: str) -> None:
    async with opened() as door:
        answer = await door.client.post("/get_booking_number", json=BOOKING | change)
        assert door.desk.registry.asked == []
    assert answer.status_code == 400
    assert answer.json()["error"] == f"Invalid field: {name}"


async def test_an_operation_on_a_session_that_has_gone_says_why() -> None:
    async with opened() as door:
        answer = await door.client.post("/get_booking_number", json=BOOKING)
    assert answer.status_code == 404
    assert answer.json() == {
        "success": False,
        "error": "Session not found or expired",
        "reason": "idle_timeout",
    }


async def test_a_debug_bundle_is_handed_out_under_the_public_url_and_fetched() -> None:
    async with opened() as door:
        door.desk.registry.add("driver-1")
        answer = await door.client.post("/get_booking_number", json=BOOKING | {"debug": True})
        url = answer.json()["debug_bundle_url"]
        assert url == "https://mooring.example/debug_bundles/bundle-1.zip"
        bundle = await door.client.get(url.removeprefix("https://mooring.example"))
    assert bundle.status_code == 200
    assert bundle.content == b"PK-zip"
    assert bundle.headers["content-type"] == "application/zip"
    assert bundle.headers["content-disposition"] == 'attachment; filename="bundle-1.zip"'


async def test_an_operation_that_failed_hands_out_its_debug_bundle_too() -> None:
    async with opened() as door:
        failed = errors.OperationFailed("no table", debug_bundle="bundle-1")
        door.desk.registry.behave[RunOperation] = raising(failed)
        answer = await door.client.post("/get_booking_number", json=BOOKING | {"debug": True})
    assert answer.status_code == 502
    assert answer.json() == {
        "success": False,
        "error": "Operation failed",
        "details": "no table",
        "debug_bundle_url": "https://mooring.example/debug_bundles/bundle-1.zip",
    }


@pytest.mark.parametrize("name", ["gone", "..%2Fkey", "%00", "a.b", "x" * 200, "bundle-1.zip"])
async def test_no_other_file_comes_out_of_the_debug_bundles(name: str) -> None:
    async with opened() as door:
        answer = await door.client.get(f"/debug_bundles/{name}.zip")
    assert answer.status_code == 404
    assert answer.json()["success"] is False


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (errors.AuthenticationFailed(), 401, ("Authentication failed", "Invalid credentials")),
        (errors.PortalUnreachable("refused"), 502, ("Portal unreachable", "refused")),
        (errors.CaptchaFailed("no funds"), 502, ("Captcha could not be solved", "no funds")),
        (errors.LoginTimedOut(), 504, ("Login timed out", None)),
        (errors.CapacityExhausted(), 503, ("Failed to allocate session capacity", None)),
        (errors.SessionClosed(), 409, ("Session closed", None)),
        (errors.BrowserCrashed(), 503, ("Browser crashed", None)),
        (
            errors.BrowserUnavailable("no memory"),
            503,
            ("Browser could not be started", "no memory"),
        ),
        (errors.LoginLost(), 502, ("Login lost", None)),
        (errors.OperationTimedOut(), 504, ("Operation timed out", None)),
        (errors.NotAtPortal(), 404, ("Not found at the portal", None)),
        (ActorStopped("a/b", None), 503, ("Server is stopping", None)),
        (AskTimeout("a/b", None), 504, ("Timed out", None)),
        (InboxFull("a/b", None), 503, ("Server is busy", None)),
    ],
)
async def test_each_error_of_a_session_has_its_status_and_words(
    error: Exception, status: int, body: tuple[str, str | None]
) -> None:
    async with opened() as door:
        for kind in (GetSession, RunOperation):
            door.desk.registry.behave[kind] = raising(error)
        answers = [
            await door.client.post("/get_session", json=CREDENTIALS),
            await door.client.post("/get_booking_number", json=BOOKING),
        ]
    for answer in answers:
        assert answer.status_code == status
        assert (answer.json()["error"], answer.json().get("details")) == body
        assert ("retry-after" in answer.headers) == (status == 503)


async def test_an_error_of_the_portals_own_keeps_its_words_and_fields() -> None:
    class ContainerNotFound(errors.NotAtPortal):
        error = "Container not found"

    async with opened() as door:
        gone = ContainerNotFound(container_id="MSCU0000000")
        door.desk.registry.behave[RunOperation] = raising(gone)
        answer = await door.client.post("/get_booking_number", json=BOOKING)
    assert answer.status_code == 404
    assert answer.json() == {
        "success": False,
        "error": "Container not found",
        "container_id": "MSCU0000000",
    }


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("secret inside"),
        ActorCrashed("browser/secret"),
        ExceptionGroup("secret", [KeyError("secret")]),
    ],
)
async def test_what_is_not_foreseen_is_a_500_that_gives_nothing_away(error: Exception) -> None:
    async with opened() as door:
        door.desk.registry.behave[GetSession] = raising(error)
        answer = await door.client.post("/get_session", json=CREDENTIALS)
        assert (await door.client.get("/sessions")).status_code == 200
    assert answer.status_code == 500
    assert answer.json() == {
        "success": False,
        "error": "Internal server error",
        "request_id": answer.headers["x-request-id"],
    }


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/get_session", "OPTIONS, POST"),
        ("PUT", "/get_session", "OPTIONS, POST"),
        ("POST", "/sessions", "GET, HEAD, OPTIONS"),
        ("GET", "/sessions/x", "DELETE, OPTIONS"),
        ("GET", "/get_booking_number", "OPTIONS, POST"),
        ("BREW", "/sessions", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_wrong_method_is_a_405_that_says_which_are_right(
    method: str, path: str, allow: str
) -> None:
    async with opened() as door:
        answer = await door.client.request(method, path)
    assert answer.status_code == 405
    assert answer.json() == {"success": False, "error": "Method not allowed"}
    assert answer.headers["allow"] == allow


@pytest.mark.parametrize(
    "path",
    ["/", "/nothing", "/sessions/", "/sessions//x", "/sessions/a/b", "/static/x", "/%2e./x"],
)
async def test_an_unknown_route_is_a_404_in_the_contracts_shape(path: str) -> None:
    async with opened() as door:
        answer = await door.client.get(f"http://127.0.0.1:{door.port}{path}")
    assert answer.status_code == 404
    assert answer.json() == {"success": False, "error": "Not found"}


@pytest.mark.parametrize("path", ["/get_session", "/rest"])
async def test_a_client_that_leaves_withdraws_its_ask(path: str) -> None:
    async with opened() as door:
        begun = trio.Event()

        async def wait(_: Any) -> None:
            begun.set()
            await trio.sleep_forever()

        door.desk.registry.behave = {GetSession: wait, RunOperation: wait}
        body = json.dumps(CREDENTIALS | {"seconds": 1}).encode()
        stream = await door.connect()
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        await stream.send_all(head.encode() + body)
        with trio.fail_after(40):
            await begun.wait()
            await stream.aclose()
            while not door.desk.registry.withdrawn:
                await trio.testing.wait_all_tasks_blocked(0.01)
    assert len(door.desk.registry.withdrawn) == 1


async def test_a_list_is_answered_while_a_login_runs() -> None:
    async with opened() as door, trio.open_nursery() as nursery:

        async def wait(_: Any) -> None:
            await trio.sleep_forever()

        door.desk.registry.behave[GetSession] = wait
        nursery.start_soon(lambda: door.client.post("/get_session", json=CREDENTIALS))
        while not door.desk.registry.asked:
            await trio.testing.wait_all_tasks_blocked(0.01)
        with trio.fail_after(40):
            assert (await door.client.get("/sessions")).status_code == 200
        nursery.cancel_scope.cancel()


async def test_an_ask_is_given_as_long_as_all_its_deadlines_together() -> None:
    waits: list[float] = []

    class Listening:
        async def ask(self, message: Any, *, timeout_s: float) -> Any:
            waits.append(timeout_s)
            raise AskTimeout("browser/registry", message)

    desk = Desk()
    desk.registry = Listening()  # type: ignore[assignment]
    limits = BrowserSettings(capacity_wait_s=1, login_timeout_s=20, operation_timeout_s=300)
    async with opened(desk=desk, browser=limits) as door:
        await door.client.post("/get_session", json=CREDENTIALS)
        await door.client.post("/get_booking_number", json=BOOKING)
    assert waits == [1 + 20 + 15, 1 + 20 + 15 + 2 * 300]


@pytest.mark.parametrize("name", ["get_session", "sessions", "Bad", "a/b", "", "1x"])
def test_an_operation_cannot_take_another_route_or_be_no_route(name: str) -> None:
    desk = Desk()
    desk.operations = {name: desk.operations["rest"]}
    with pytest.raises(ValueError, match="cannot be an operation's route"):
        browser_routes(desk, BrowserSettings(), "http://localhost")


async def test_health_says_how_full_it_is() -> None:
    async with opened() as door:
        door.desk.registry.add("driver-1")
        answer = await door.client.get("/health")
    assert answer.status_code == 200
    body = answer.json()
    assert body.pop("timestamp").endswith("Z")
    assert body == {
        "status": "healthy",
        "service": "Mooring",
        "active_sessions": 1,
        "max_sessions": 10,
        "session_capacity": "1/10",
    }


async def test_health_is_a_503_when_the_registry_does_not_answer() -> None:
    async with opened() as door:
        door.desk.registry.behave[ListSessions] = raising(ActorCrashed("browser/registry"))
        answer = await door.client.get("/health")
    assert answer.status_code == 503
    assert answer.json()["status"] == "unhealthy"


async def test_ready_is_a_503_while_there_is_no_browser() -> None:
    async with opened() as door:
        door.desk.is_ready = False
        answer = await door.client.get("/ready")
    assert (answer.status_code, answer.json()) == (503, {"status": "no browser"})


async def test_ready_follows_the_servers_life() -> None:
    drain = Drain()
    client = make_app(Desk(), drain).test_client()
    answers = []
    for step in (drain.serve, drain.begin, lambda: None):
        answers.append(await client.get("/ready", headers={"Host": "localhost"}))
        step()
    assert [answer.status_code for answer in answers] == [503, 200, 503]
    assert [(await answer.get_json())["status"] for answer in answers] == [
        "starting",
        "ready",
        "draining",
    ]
