"""What keeps a Chromium from starting."""

from __future__ import annotations

from engine.errors import MooringError


class ChromiumError(MooringError):
    """The root of what keeps a Chromium from starting."""


class ChromiumMissing(ChromiumError):
    """There is no Chromium or Chrome to start; `looked_for` says what was tried."""

    def __init__(self, looked_for: tuple[str, ...]) -> None:
        super().__init__(
            f"no Chromium found ({', '.join(looked_for)}): install it (Debian, Ubuntu: "
            "apt-get install chromium) or set MOORING_BROWSER__EXECUTABLE to its path"
        )
        self.looked_for = looked_for


class ChromiumFailed(ChromiumError):
    """Chromium did not start; `output` is the end of what it wrote."""

    def __init__(self, cause: str, output: str) -> None:
        last = output.strip().rpartition("\n")[2]
        super().__init__(f"Chromium did not start: {cause}{f' ({last})' if last else ''}")
        self.cause = cause
        self.output = output
