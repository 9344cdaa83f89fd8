"""Pages: templates, compiled before the doors open, and answers made from them.

Laws of this file: whatever is put into a template is text, in every template. Nothing is read or
compiled while a request waits. A name that a template uses and nobody gave is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import BaseLoader, Environment, FileSystemLoader, PrefixLoader, StrictUndefined
from markupsafe import Markup, escape
from quart import Blueprint, Response
from quart_trio.wrappers import TrioResponse

from api.pages.assets import Assets
from api.pages.bidi import balanced
from api.pages.headers import page_headers
from engine.clock import timestamp

_HERE: Final = Path(__file__).parent
_HTML: Final = "text/html; charset=utf-8"


class Pages:
    """Makes pages. Rendering is pure and takes a millisecond or two: what a page is given must be
    bounded."""

    def __init__(self, environment: Environment, assets: Assets) -> None:
        self._environment = environment
        self._assets = assets

    def render(self, template: str, /, **values: Any) -> str:
        """Return a template's text, for instance of `dashboard/overview.html`."""
        return self._environment.get_template(template).render(values)

    def page(
        self,
        template: str,
        /,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: Any,
    ) -> Response:
        """Return a page as an answer, with the headers of every page and `headers` over them."""
        body = self.render(template, **values)
        all_headers = {**page_headers(), **(headers or {})}
        return TrioResponse(body, status=status, headers=all_headers, content_type=_HTML)

    def routes(self) -> Blueprint:
        """Return the route of the static files."""
        return self._assets.routes()


def load_pages(*areas: Path) -> Pages:
    """Read and compile everything that the areas have; call it before the doors open.

    Args:
        areas: packages with `templates/` and `static/`, besides this one. A package's name is the
            prefix of its templates and files.
    """
    folders = {area.name: area for area in (_HERE, *areas)}
    assets = Assets({name: folder / "static" for name, folder in folders.items()})
    loader = PrefixLoader(
        {name: FileSystemLoader(folder / "templates") for name, folder in folders.items()}
    )
    environment = _environment(loader)
    environment.globals["asset"] = assets.url
    for name in environment.list_templates():
        environment.get_template(name)  # from here on it is in the cache, which has no bound
    return Pages(environment, assets)


def _environment(loader: BaseLoader) -> Environment:
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
    environment.filters |= {"text": isolated, "when": moment, "seconds": seconds}
    return environment


def isolated(value: object, longest: int | None = None) -> Markup:
    """Return somebody's text so that it stays in its place: its direction, and any mark that turns
    the direction around, end with it.

    Args:
        longest: show at most so many characters of it.
    """
    whole = str(value)
    shown = whole if longest is None or len(whole) <= longest else f"{whole[:longest]}…"
    return Markup("<bdi>{}</bdi>").format(balanced(shown))


def moment(value: datetime | str | None, absent: str = "never") -> Markup:
    """Return a time for people, in UTC, which machines can read as well."""
    if value is None:
        return escape(absent)
    utc = _time(value).astimezone(UTC)
    text = f"{utc.day} {utc:%b %Y, %H:%M} UTC"
    return Markup('<time datetime="{}">{}</time>').format(timestamp(utc), text)


def seconds(value: datetime | str) -> float:
    """Return a time as seconds since 1970, for scripts."""
    return _time(value).timestamp()


def _time(value: datetime | str) -> datetime:
    """Return a time, which may be written as Mooring writes it everywhere."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value
