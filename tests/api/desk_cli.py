"""`mooring`, with the desk of `tests.api.desk` in place of real browsers."""

from __future__ import annotations

from api.cli import main as command
from tests.api.desk import open_desk

if __name__ == "__main__":
    command.open_browser_sessions = open_desk  # type: ignore[assignment]
    command.main()
