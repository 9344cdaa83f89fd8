from __future__ import annotations

import pytest
from werkzeug import exceptions

import engine.errors
from actors.browser import errors as browser
from api import errors
from api.errors import answer_to, is_unexpected
from engine.errors import ActorCrashed, CommitUnknown


def family(root: type[Exception]) -> list[type[Exception]]:
    found = [root]
    for kind in root.__subclasses__():
        found += family(kind)
    return found


def test_every_error_of_a_browser_session_has_a_status_of_its_own() -> None:
    kinds = family(browser.BrowserSessionError)
    ours = {kind for kind in kinds if kind.__module__ == browser.__name__}
    assert ours - errors._STATUS.keys() == set()


def test_every_way_an_ask_can_end_is_known() -> None:
    for root in (engine.errors.DeliveryError, engine.errors.AskError):
        for kind in family(root)[1:]:
            known = not is_unexpected(kind.__new__(kind))
            assert known or kind is engine.errors.ActorCrashed


def test_an_unexpected_error_shows_its_request_and_nothing_else() -> None:
    answer = answer_to(ValueError("inside"), request_id="abc")
    assert answer.status == 500
    assert answer.body == {
        "success": False,
        "error": "Internal server error",
        "request_id": "abc",
    }


def test_an_error_of_quarts_keeps_its_status_in_the_contracts_shape() -> None:
    answer = answer_to(exceptions.Gone("inside"), request_id="")
    assert (answer.status, answer.body) == (410, {"success": False, "error": "Gone"})


@pytest.mark.parametrize("kind", family(errors.RequestError))
def test_an_error_of_the_doors_own_is_the_callers_to_mend(kind: type[errors.RequestError]) -> None:
    assert not is_unexpected(kind.__new__(kind))


@pytest.mark.parametrize("path", ["/api/sessions/1", "/api/v1/sessions/create", "/sessions"])
def test_an_actor_that_ended_over_its_store_is_told_as_the_stores_failure(path: str) -> None:
    crash = ActorCrashed("conversation/1")
    crash.__cause__ = CommitUnknown("conversation/1", reason="the disk failed")
    answer = answer_to(crash, request_id="r", path=path)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert "disk" not in str(answer.body)
    assert not is_unexpected(crash)
    crash.__cause__ = ZeroDivisionError()
    assert answer_to(crash, request_id="r", path=path).status == 500
    assert is_unexpected(crash)
