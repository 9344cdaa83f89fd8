"""Templates: what is put into one is text, and nothing in one breaks the policy of all pages."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from jinja2 import TemplateSyntaxError, UndefinedError

from api.pages import Pages, load_pages

ROOT = Path(__file__).parents[3] / "api"
TEMPLATES = sorted(
    path for path in ROOT.glob("*/templates/*.html") if path.parts[-3] not in {"demo", "chat"}
)
NASTY = "<script>alert('1')</script>\"&\N{RIGHT-TO-LEFT OVERRIDE}"


@pytest.fixture(name="area")
def an_area(tmp_path: Path) -> Path:
    area = tmp_path / "area"
    (area / "templates").mkdir(parents=True)
    (area / "static").mkdir()
    return area


def pages_with(area: Path, template: str) -> Pages:
    (area / "templates" / "one.html").write_text(template)
    return load_pages(area)


def test_whatever_is_put_into_a_template_is_text(area: Path) -> None:
    shown = pages_with(area, '<p title="{{ it }}">{{ it }}{{ it|text }}</p>').render(
        "area/one.html", it=NASTY
    )
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;") == 3
    assert re.fullmatch(r'<p title="[^"<>]*">[^<>]*<bdi>[^<>]*</bdi></p>', shown)


def test_a_long_text_can_be_shown_in_part(area: Path) -> None:
    shown = pages_with(area, "{{ it|text(5) }}").render("area/one.html", it="123456789")
    assert shown == "<bdi>12345…</bdi>"


def test_a_name_that_nobody_gave_is_an_error(area: Path) -> None:
    pages = pages_with(area, "{{ nobody }}")
    with pytest.raises(UndefinedError):
        pages.render("area/one.html")


def test_a_template_that_cannot_be_compiled_stops_the_start(area: Path) -> None:
    with pytest.raises(TemplateSyntaxError):
        pages_with(area, "{% if %}")


def test_nothing_is_read_once_the_pages_are_loaded(area: Path) -> None:
    pages = pages_with(area, "{{ it }}")
    (area / "templates" / "one.html").unlink()
    assert pages.render("area/one.html", it=1) == "1"


def test_times_are_utc_for_people_and_machines(area: Path) -> None:
    pages = pages_with(area, "{{ it|when }} {{ none|when }} {{ text|when }}")
    it = datetime(2026, 11, 5, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    shown = pages.render("area/one.html", it=it, none=None, text="2026-11-04T23:30:00.000Z")
    written = '<time datetime="2026-11-04T23:30:00.000Z">4 Nov 2026, 23:30 UTC</time>'
    assert shown == f"{written} never {written}"


async def test_a_page_has_the_headers_of_every_page(area: Path) -> None:
    pages = pages_with(area, "{{ it }}")
    response = pages.page("area/one.html", status=404, headers={"X-Of-Its-Own": "1"}, it=1)
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers["X-Of-Its-Own"] == "1"
    assert response.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: "/".join(path.parts[-3:]))
def test_no_template_has_anything_that_the_policy_would_block(template: Path) -> None:
    text = template.read_text()
    assert not re.search(r"<script(?![^>]* src=)", text), "scripts are files"
    assert not re.search(r"<style|\sstyle=", text), "styles are files"
    assert not re.search(r"\son[a-z]+=", text), "handlers are in scripts"
    assert not re.search(r"javascript:", text)
    assert not re.search(r"\|\s*safe|autoescape", text), "everything is text"
    assert not re.search(r"""(?:src|href|action)=["'](?:https?:)?//""", text), "no other host"


def test_a_link_that_leads_away_says_nothing_of_whence() -> None:
    texts = [template.read_text() for template in TEMPLATES]
    links = re.findall(r'<a [^>]*href="{{ [^}]*(?:way_back|_url) }}"[^>]*>', "".join(texts))
    assert len(links) == 3
    assert all("noreferrer" in link for link in links)


def test_every_template_that_is_a_page_extends_the_base() -> None:
    for template in TEMPLATES:
        if "<html" in template.read_text():
            assert template.name == "base.html"
