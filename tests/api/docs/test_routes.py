"""The documents and the page as they are served: for everybody, with nothing from elsewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from api.docs import make_documents
from api.docs.reading import make_reading
from api.docs.routes import AREA
from api.pages import load_pages
from tests.api.desk import Desk
from tests.api.harness import server

DOCUMENTS = make_documents(Desk().operations, public_url="http://127.0.0.1:5010")


class Page(HTMLParser):
    """What a page has and loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.headings: list[tuple[int, str]] = []
        self.scripts = 0
        self._heading: list[str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.scripts += tag == "script"
        self.loads += [given[name] for name in ("src", "srcset") if name in given]
        if tag == "link":
            self.loads.append(given["href"])
        if tag == "a":
            self.links.append(given["href"])
        if "id" in given:
            self.ids.append(given["id"])
        assert not [name for name in given if name.startswith("on") or name == "style"]
        if re.fullmatch("h[1-6]", tag):
            self._heading = [tag]

    def handle_endtag(self, tag: str) -> None:
        if self._heading and tag == self._heading[0]:
            self.headings.append((int(tag[1]), "".join(self._heading[1:])))
            self._heading = None

    def handle_data(self, data: str) -> None:
        if self._heading:
            self._heading.append(data)


@pytest.mark.parametrize("env", [{}, {"MOORING_OPERATOR_TOKENS": "secret-token"}])
async def test_they_are_there_for_everybody_with_tokens_set_or_not(
    tmp_path: Path, env: dict[str, str]
) -> None:
    async with server(tmp_path, env=env) as running:
        await running.wait_ready()
        async with httpx.AsyncClient(
            base_url=running.urls[0], trust_env=False, timeout=40
        ) as client:
            for path in ("/openapi.json", "/asyncapi.json", "/docs", "/docs/docs.css"):
                answer = await client.get(path)
                assert answer.status_code == 200, path
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                seen = {"If-None-Match": answer.headers["ETag"]}
                again = await client.get(path, headers=seen)
                assert (again.status_code, again.content) == (304, b"")
            document = (await client.get("/openapi.json")).json()
            assert document["servers"] == [{"url": running.urls[0]}]
            for method in ("POST", "DELETE"):
                refused = await client.request(method, "/openapi.json")
                assert refused.status_code == 405


async def test_the_page_loads_nothing_from_elsewhere_and_needs_no_script(tmp_path: Path) -> None:
    async with server(tmp_path) as running:
        await running.wait_ready()
        async with httpx.AsyncClient(
            base_url=running.urls[0], trust_env=False, timeout=40
        ) as client:
            answer = await client.get("/docs")
            page = Page(answer.text)
            assert page.scripts == 0
            for url in page.loads:
                assert url.startswith(("/", "data:"))
                if url.startswith("/"):
                    assert (await client.get(url)).status_code == 200, url
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.fixture(scope="module")
def page() -> Page:
    text = load_pages(AREA).render("docs/docs.html", reading=make_reading(DOCUMENTS))
    return Page(text)


def test_every_route_and_stream_has_a_heading_that_leads_to_it(page: Page) -> None:
    headings = {text.strip() for _, text in page.headings}
    for path, entry in DOCUMENTS.openapi["paths"].items():
        for method, operation in entry.items():
            assert f"{method.upper()} {path}" in headings
            assert operation["operationId"] in page.ids
            assert f"#{operation['operationId']}" in page.links
    for channel in DOCUMENTS.asyncapi["channels"].values():
        assert channel["address"] in headings


def test_ids_are_unique_links_lead_somewhere_and_headings_skip_no_level(page: Page) -> None:
    assert len(set(page.ids)) == len(page.ids)
    for link in page.links:
        assert link.startswith("/") or link[1:] in page.ids, link
    level = 0
    for depth, text in page.headings:
        assert depth <= level + 1, text
        level = depth
    assert page.headings[0][0] == 1
