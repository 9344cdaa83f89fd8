from __future__ import annotations

import msgspec
import pytest

from actors.assistant import AssistantSettings


def test_the_defaults_are_the_contracts() -> None:
    settings = AssistantSettings()
    assert (settings.idle_timeout_s, settings.responder) == (1800, "echo")
    assert settings.resume_replies is False


@pytest.mark.parametrize(
    "given",
    [
        {"idle_timeout_s": 0},
        {"context_messages": 0},
        {"context_messages": 201},
        {"openai_key": "with space"},
        {"openai_key": "with newline\n"},
        {"openai_retries": 11},
        {"echo_pause_s": -1},
        {"system_prompts": {"general": "x" * 32_769}},
        {"unknown": 1},
    ],
)
def test_settings_that_break_their_bounds_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(given, AssistantSettings)


def test_no_repr_of_the_settings_shows_the_key() -> None:
    settings = AssistantSettings(openai_key="hunter2")
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.__rich_repr__())
