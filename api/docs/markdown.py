"""`docs/api.md`: the routes, errors and events in tables, made from the documents.

Laws of this file: pure. `python -m api.docs > docs/api.md` writes it; a test says when it is late.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from api.docs.documents import Documents
from api.docs.reading import Channel, Group, Reading, Told, make_reading

_HEAD = """\
# The API

Made by `python -m api.docs > docs/api.md` from the documents that a server gives: `/openapi.json`
(OpenAPI 3.1), `/asyncapi.json` (AsyncAPI 3.0), and `/docs` for reading, with every field and
example. What is guaranteed about streams is in [streams.md](streams.md), about webhooks in
[webhooks.md](webhooks.md); which credential is whose, in the [settings](settings.md) and in
[partners.md](partners.md); how a hosted session goes, in [hosted.md](hosted.md).
"""


def make_markdown(documents: Documents) -> str:
    """Return the page."""
    reading = make_reading(documents)
    return "\n".join(_lines(reading))


def _lines(reading: Reading) -> Iterator[str]:
    yield _HEAD
    for group in reading.groups:
        yield from _group(group)
    yield from _errors(reading)
    yield "## Live streams\n"
    for channel in reading.channels:
        yield from _channel(channel)
    yield "### How a stream ends\n"
    yield from _table(("close", "why, and what to do"), reading.close_codes)


def _group(group: Group) -> Iterator[str]:
    yield f"## {group.title}\n"
    yield f"{group.description}\n"
    rows = (
        (
            f"`{route.method} {route.path}`",
            f"{route.summary}.",
            route.credentials,
            ", ".join(one.status for one in (*route.answers, *route.errors)),
        )
        for route in group.routes
    )
    yield from _table(("route", "what it does", "needs", "statuses"), rows)


def _errors(reading: Reading) -> Iterator[str]:
    yield "## Errors\n"
    yield "By the name that the documents give each; its words are in their examples.\n"
    rows = {
        (error.status, name): (error.status, f"`{name}`", meaning)
        for group in reading.groups
        for route in group.routes
        for error in route.errors
        for name, meaning in _named(error)
    }
    yield from _table(("status", "error", "meaning"), (rows[key] for key in sorted(rows)))


def _named(error: Told) -> Iterator[tuple[str, str]]:
    return ((name, error.meanings[name]) for name, _ in error.examples)


def _channel(channel: Channel) -> Iterator[str]:
    yield f"### `{channel.address}`\n"
    yield f"{channel.title}. {channel.description}\n"
    rows = ((f"`{one.name}`", one.summary) for one in channel.sends)
    yield from _table(("what comes", "when"), rows)
    if channel.takes:
        said = ((f"`{one.name}`", one.summary) for one in channel.takes)
        yield from _table(("what a client may say", ""), said)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"
    yield ""
