"""How Chromium is started: for long lives, little memory, and pages that go on while hidden.

The figures are of Chromium 156, memory as PSS; `docs/adr/0002-driving-chromium.md` has the table.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - looked at, never written to
_SHARED_MEMORY_MIN_BYTES: Final = 512 * 1024 * 1024

_SWITCHES: Final = (
    "--remote-debugging-port=0",
    # No window of its own: 50 MB less, and it starts twice as fast.
    "--no-startup-window",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-pings",
    "--noerrdialogs",
    "--mute-audio",
    "--hide-scrollbars",
    "--password-store=basic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-field-trial-config",
    "--disable-print-preview",
    "--disable-search-engine-choice-screen",
    "--disable-sync",
    "--metrics-recording-only",
    "--disable-breakpad",
    # Every session's page goes on working while another one's is in front.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    # Pages that were left would be kept alive beside the one that is shown.
    "--disable-back-forward-cache",
    # Nobody is there to answer: windows are closed and counted by the driver, questions denied.
    "--disable-popup-blocking",
    "--deny-permission-prompts",
    "--disable-prompt-on-repost",
    "--disable-hang-monitor",
)

_FEATURES_OFF: Final = (
    # The address bar's drop-down is a page: 41 MB and 0.6 s of CPU for each context.
    "WebUIOmniboxPopup",
    "WebUIOmniboxAimPopup",
    # A renderer kept ready for the next page: 17 MB, and a third of the time to open a context.
    "SpareRendererForSitePerProcess",
    "OriginKeyedProcessesByDefault",
    "Prerender2",
    # A portal that has only http is asked for by http.
    "HttpsUpgrades",
    # They run scripts of their own in the page.
    "ReadAnythingOmniboxChip",
    "IPH_ReadingModePageActionLabel",
    "Translate",
    "AcceptCHFrame",
    "AutofillServerCommunication",
    "CertificateTransparencyComponentUpdater",
    "DialMediaRouteProvider",
    "GlobalMediaControls",
    "MediaRouter",
    "OptimizationHints",
    "PaintHolding",
)

# No switch says it: connections only to what a page really asks for, none ahead of it. Otherwise
# putting storage back into made-up documents would still knock at their servers.
PREFERENCES: Final = '{"net": {"network_prediction_options": 2}}'

_ENVIRONMENT: Final = frozenset(
    {
        "CHROME_DEVEL_SANDBOX",
        "DISPLAY",
        "FONTCONFIG_FILE",
        "FONTCONFIG_PATH",
        "LANG",
        "LANGUAGE",
        "LD_LIBRARY_PATH",
        "PATH",
        "TZ",
        "WAYLAND_DISPLAY",
        "XAUTHORITY",
        "XDG_DATA_DIRS",
        "XDG_RUNTIME_DIR",
        "ALL_PROXY",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
    }
)


def arguments(directory: Path, *, headless: bool, sandbox: bool) -> tuple[str, ...]:
    """Return Chromium's switches for a profile below `directory`. Looks at the file system."""
    return (
        *_SWITCHES,
        f"--disable-features={','.join(_FEATURES_OFF)}",
        f"--user-data-dir={directory / 'profile'}",
        *(("--headless=new",) if headless else ()),
        *(() if sandbox else ("--no-sandbox",)),
        *(() if _shared_memory_suffices() else ("--disable-dev-shm-usage",)),
    )


def environment(directory: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that Chromium gets: few, so that no secret of the server is among them.

    Its home and its temporary files are below `directory`, so that they go with it.
    """
    kept = {
        name: value
        for name, value in inherited.items()
        if name.upper() in _ENVIRONMENT or name.startswith("LC_")
    }
    return kept | {"HOME": str(directory / "home"), "TMPDIR": str(directory / "tmp")}


def _shared_memory_suffices() -> bool:
    # Containers often have 64 MB there, and a renderer that finds it full crashes.
    try:
        status = os.statvfs(_SHARED_MEMORY)
    except OSError:
        return False
    return status.f_bavail * status.f_frsize >= _SHARED_MEMORY_MIN_BYTES
