from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from api.demo.containers import CONTAINERS
from api.demo.memory import Memory
from api.demo.portal import make_portal
from engine.clock import SeededClock

from .conftest import Visitor


async def test_the_table_comes_in_pages_of_twenty_until_it_ends(visitor: Visitor) -> None:
    await visitor.log_in("driver-1", "harbor-1")
    ids: list[str] = []
    more = True
    while more:
        page = (await visitor.get(f"/api/containers?skip={len(ids)}")).json()
        assert len(page["rows"]) <= 20
        ids += [row["id"] for row in page["rows"]]
        more = page["more"]
    assert ids == [row.id for row in CONTAINERS]


@pytest.mark.parametrize("skip", ["-1", "x", "", "9" * 400])
async def test_a_strange_place_to_begin_is_no_error(visitor: Visitor, skip: str) -> None:
    await visitor.log_in("driver-1", "harbor-1")
    assert (await visitor.get(f"/api/containers?skip={skip}")).status_code == 200


@pytest.mark.parametrize(
    ("container_id", "shown"),
    [("TRHU1866154", "RICFEM857500"), ("MSCU5165756", None), ("OOLU3011480", "N/A")],
)
async def test_a_row_expands_to_its_booking(
    visitor: Visitor, container_id: str, shown: str | None
) -> None:
    await visitor.log_in("driver-1", "harbor-1")
    fields = dict((await visitor.get(f"/api/containers/{container_id}")).json()["fields"])
    assert fields.get("Booking #") == shown


@pytest.mark.parametrize("path", ["/api/containers", "/api/containers/X", "/api/appointments"])
async def test_rows_are_for_the_logged_in(visitor: Visitor, path: str) -> None:
    assert (await visitor.get(path)).status_code == 401


async def test_an_unknown_container_has_no_details(visitor: Visitor) -> None:
    await visitor.log_in("driver-1", "harbor-1")
    assert (await visitor.get("/api/containers/NOPE0000000")).status_code == 404


async def test_a_session_that_has_expired_is_led_to_the_login(visitor: Visitor) -> None:
    await visitor.log_in("driver-1", "harbor-1")
    await visitor.control(session_ttl_s=1e-9)
    assert (await visitor.get("/containers")).url.path == "/Account/Login"
    assert (await visitor.get("/api/containers")).status_code == 401


async def test_logout_all_ends_every_login_and_keeps_the_counts(
    visitor: Visitor, other_visitor: Visitor
) -> None:
    await visitor.log_in("driver-1", "harbor-1")
    await other_visitor.log_in("driver-2", "harbor-2")
    await visitor.control(logout_all=True)
    for one in (visitor, other_visitor):
        assert (await one.get("/containers", follow=False)).status_code == 302
    await visitor.log_in("driver-1", "harbor-1")
    assert (await visitor.control()).json()["logins"] == {"driver-2": 1, "driver-1": 2}


async def test_told_to_fail_every_page_answers_500_and_control_still_works(
    visitor: Visitor,
) -> None:
    assert (await visitor.control(fail=True)).json()["fail"] is True
    for path in ("/login", "/containers", "/api/containers", "/static/portal.css"):
        assert (await visitor.get(path)).status_code == 500
    assert (await visitor.get("/__control")).json()["fail"] is True
    await visitor.control(fail=False)
    assert (await visitor.get("/login")).status_code == 200


async def test_told_that_the_captcha_is_broken_it_takes_no_token(visitor: Visitor) -> None:
    await visitor.control(captcha_broken=True)
    assert (await visitor.log_in("driver-1", "harbor-1")).url.path == "/Account/Login"
    await visitor.control(captcha_broken=False)
    assert (await visitor.log_in("driver-1", "harbor-1")).url.path == "/containers"


async def test_control_answers_with_what_holds_now(visitor: Visitor) -> None:
    assert (await visitor.get("/__control")).json() == {
        "logins": {},
        "delay_s": 0.0,
        "fail": False,
        "captcha_broken": False,
        "session_ttl_s": 1200.0,
    }
    answer = await visitor.control(delay_s=0.001, somebody_elses_field=1)
    assert answer.status_code == 200
    assert answer.json()["delay_s"] == 0.001


@pytest.mark.parametrize(
    "change",
    [{"delay_s": "3"}, {"delay_s": -1}, {"delay_s": 1e9}, {"fail": "yes"}, {"session_ttl_s": 0}],
)
async def test_control_refuses_a_wrong_value_and_changes_nothing(
    visitor: Visitor, change: dict[str, object]
) -> None:
    before = (await visitor.get("/__control")).json()
    answer = await visitor.control(**change)
    assert answer.status_code == 400
    assert next(iter(change)) in answer.json()["error"]
    assert (await visitor.get("/__control")).json() == before


async def test_control_refuses_what_is_not_json_or_comes_from_another_site(
    visitor: Visitor,
) -> None:
    url = f"{visitor.urls.portal_url}/__control"
    assert (await visitor.http.post(url, content=b"{")).status_code == 400
    assert (await visitor.http.post(url, content=b"[]")).status_code == 400
    foreign = {"Origin": "https://evil.example"}
    assert (await visitor.http.post(url, json={"fail": True}, headers=foreign)).status_code == 403
    assert (await visitor.http.post(url, content=b"x" * 100_000)).status_code == 413
    assert (await visitor.get("/__control")).json()["fail"] is False


async def test_a_delay_slows_pages_and_neither_redirects_nor_control(
    autojump_clock: MockClock,
) -> None:
    app = make_portal("http://127.0.0.1:9", SeededClock(), Memory(None))
    client = app.test_client()
    begin = trio.current_time()
    assert (await client.post("/__control", json={"delay_s": 3.0})).status_code == 200
    assert (await client.get("/containers")).status_code == 302
    assert trio.current_time() == begin
    assert (await client.get("/notice")).status_code == 200
    assert trio.current_time() == pytest.approx(begin + 3.0)
