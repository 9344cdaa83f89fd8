from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from actors.browser.portals.portal import Credentials
from api import log
from api.log import REDACTED, redact


def redacted(event: Mapping[str, Any]) -> Mapping[str, Any]:
    return redact(None, "info", dict(event))


@pytest.mark.parametrize(
    "name",
    [
        *(
            "password",
            "PASSWORD",
            "new_password",
            "passwd",
            "passphrase",
            "secret",
            "client_secret",
        ),
        *("token", "operator_tokens", "access_token", "Authorization", "authorisation", "cookie"),
        *(
            "Set-Cookie",
            "cookies",
            "api_key",
            "apiKey",
            "captcha_api_key",
            "clientKey",
            "captcha_key",
        ),
        *("credentials", "storage_state", "key"),
    ],
)
@pytest.mark.parametrize("value", ["hunter2", 12345, ["hunter2"], {"a": "hunter2"}, b"hunter2"])
def test_a_field_whose_name_looks_like_a_secret_is_dropped(name: str, value: Any) -> None:
    assert redacted({"event": "x", name: value}) == {"event": "x", name: REDACTED}
    assert redacted({"event": "x", "nested": [{name: value}]})["nested"] == [{name: REDACTED}]


def test_what_is_no_secret_stays_as_it_is() -> None:
    event = {"event": "x", "path": "/a", "ms": 1.5, "forced": False, "reason": None, "n": [1, "b"]}
    assert redacted(event) == event


@pytest.mark.parametrize(
    "text",
    [
        "login with password=hunter2",
        'body {"password": "hunter2", "a": 1}',
        "body {'captcha_api_key': 'hunter2'}",
        "clientKey: hunter2",
        "Authorization: Bearer hunter2",
        "authorization: Basic hunter2==",
        "Cookie: hunter2",
        "https://portal.example/?access_token=hunter2&x=1",
    ],
)
def test_a_secret_in_running_text_is_dropped(text: str) -> None:
    assert "hunter2" not in redacted({"event": text})["event"]
    assert (
        "hunter2" not in redacted({"event": "x", "exception": f"ValueError: {text}"})["exception"]
    )


def test_an_object_is_written_by_its_repr_which_hides_what_it_must() -> None:
    credentials = Credentials(username="driver-1", password="hunter2", captcha_api_key="hunter3")
    assert "hunter" not in str(redacted({"event": "x", "who": credentials}))
    assert "driver-1" in str(redacted({"event": "x", "who": credentials}))


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["event", "a", "password", "nested"]), _VALUES))
def test_whatever_is_logged_can_be_written(event: dict[str, Any]) -> None:
    assert msgspec.json.encode(redacted(event))


def test_our_own_logs_and_the_libraries_warnings_leave_by_one_door_as_json_lines() -> None:
    stream = io.StringIO()
    logging.captureWarnings(False)
    log.configure(stream)
    structlog.get_logger("mooring.browser").info("opened", session="s")
    structlog.get_logger("engine.supervisor").debug("too fine")
    logging.getLogger("httpx").info("HTTP Request: POST https://x")
    logging.getLogger("library").warning("went %s", "away")
    warnings.showwarning("old", UserWarning, "library.py", 1)
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in found[:2]] == ["opened", "went away"]
    assert [line["logger"] for line in found] == ["mooring.browser", "library", "py.warnings"]
    assert found[0]["session"] == "s"


def test_an_exception_is_one_line_without_the_values_of_its_frames() -> None:
    stream = io.StringIO()
    log.configure(stream)
    secret = "hunter" + str(2)  # so that it does not stand in the source, which is shown

    def fail(value: str) -> None:
        raise ValueError(f"{len(value)} letters, password={value}")

    try:
        fail(secret)
    except ValueError:
        structlog.get_logger("mooring").exception("failed")
        logging.getLogger("library").exception("failed too")
    assert len(stream.getvalue().splitlines()) == 2
    assert stream.getvalue().count("ValueError: 7 letters") == 2
    assert secret not in stream.getvalue()


def test_on_a_terminal_lines_are_key_value_with_no_control_characters() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    log.configure(stream)
    structlog.get_logger("mooring").info("request", path="/\x1b[31m\n")
    (line,) = stream.getvalue().splitlines()
    assert "event='request'" in line
    assert r"path='/\x1b[31m\n'" in line


def test_a_log_that_nobody_can_take_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(io.StringIO):
        def write(self, text: str, /) -> int:
            raise BrokenPipeError

    log.configure(Broken())
    structlog.get_logger("mooring").info("request")
    capsys.readouterr()
