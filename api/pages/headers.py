"""The headers of every page.

Laws of this file: nothing runs, loads or is sent but what this server hands out itself; no page of
ours is shown inside another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

_POLICY: Final = (
    ("default-src", "'none'"),
    ("script-src", "'self'"),
    ("style-src", "'self'"),
    ("connect-src", "'self'"),  # websockets of the same host and port count as 'self'
    ("img-src", "'self' data:"),
    # Chromium holds redirects after a POST to this as well. A page that leads elsewhere once its
    # form was taken redirects to a page of ours first, which navigates (a link, a refresh).
    ("form-action", "'self'"),
    ("frame-ancestors", "'none'"),
    ("base-uri", "'none'"),
)
_OFF: Final = ("camera", "display-capture", "geolocation", "microphone", "payment", "usb")


def page_headers(*, image_origins: Sequence[str] = ()) -> Mapping[str, str]:
    """Return the headers of a page.

    Args:
        image_origins: other origins that pictures of this page may come from. Each must be a whole
            origin, as `https://cdn.example`: it is put into the policy as it is.
    """
    policy = [f"{name} {what}" for name, what in _POLICY]
    if image_origins:
        policy = [
            f"{line} {' '.join(image_origins)}" if line.startswith("img-src") else line
            for line in policy
        ]
    return {
        # What a page shows is somebody's; neither a proxy nor the back button after logging out
        # shows it to the next person.
        "Cache-Control": "no-store",
        "Content-Security-Policy": "; ".join(policy),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": ", ".join(f"{feature}=()" for feature in _OFF),
        # Not no-referrer: under that one browsers say `Origin: null` of our own forms' posts.
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",  # for what is older than frame-ancestors
    }
