"""What became of a script: its value, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from actors.browser.driver.line import CommandRefused
from actors.browser.page import ScriptFailed

_TEXT_MAX_CHARS: Final = 300
# Chromium's words for: the document in which the script ran was left meanwhile.
_LEFT: Final = ("navigated or closed", "context was destroyed", "Cannot find", "was collected")


class Interrupted(ScriptFailed):
    """The document was left while the script ran in it."""


def as_script_failed(refused: CommandRefused) -> ScriptFailed:
    """Return the error of a script that Chromium did not run to its end."""
    left = any(words in refused.cause for words in _LEFT)
    return Interrupted(refused.cause) if left else ScriptFailed(refused.cause)


def value_of(answer: Mapping[str, Any]) -> Any:
    """Return the JSON value that a script gave.

    Raises:
        ScriptFailed: it threw; carries the first line of what it said.
    """
    details = answer.get("exceptionDetails")
    if details is None:
        return answer["result"].get("value")
    thrown = details.get("exception", {})
    text = thrown.get("description") or thrown.get("value") or details.get("text")
    raise ScriptFailed(str(text).partition("\n")[0][:_TEXT_MAX_CHARS])
