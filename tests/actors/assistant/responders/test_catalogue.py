from __future__ import annotations

from typing import Any

import pytest

from actors.assistant import AssistantSettings
from actors.assistant.responders import ResponderUnusable, check_responder, open_responder
from engine.clock import SeededClock

OPENAI = {
    "responder": "openai",
    "openai_url": "https://models.example/v1",
    "openai_model": "small",
}


def test_echo_needs_nothing_and_openai_a_server_and_a_model() -> None:
    check_responder(AssistantSettings())
    check_responder(AssistantSettings(**OPENAI))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"responder": "parrot"}, "responder is 'parrot'; there is echo or openai"),
        ({"openai_url": None}, "openai_url is missing"),
        ({"openai_model": None}, "openai_model is missing"),
        ({"openai_url": "models.example"}, "openai_url is not a plain http"),
        ({"openai_url": "ftp://models.example"}, "openai_url is not a plain http"),
        ({"openai_url": "https://"}, "openai_url is not a plain http"),
        ({"openai_url": "https://user:secret@models.example"}, "openai_url is not a plain http"),
        ({"openai_url": "https://models.example/v1?key=secret"}, "openai_url is not a plain http"),
        ({"openai_url": "https://models.example:port"}, "openai_url is not a plain http"),
        ({"openai_url": "https://models\n.example"}, "openai_url is not a plain http"),
    ],
)
async def test_a_responder_that_cannot_work_names_the_setting_that_is_wrong(
    wrong: dict[str, Any], message: str
) -> None:
    settings = AssistantSettings(**OPENAI | wrong)
    with pytest.raises(ResponderUnusable) as caught:
        check_responder(settings)
    assert str(caught.value).startswith(message)
    assert "secret" not in str(caught.value)
    with pytest.raises(ResponderUnusable):
        async with open_responder(settings, SeededClock()):
            pass
