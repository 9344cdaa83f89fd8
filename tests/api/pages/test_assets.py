"""Static files: an address names what is in it, and nothing else has one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from quart_trio import QuartTrio

from api.pages.assets import Assets


@pytest.fixture(name="folder")
def a_folder(tmp_path: Path) -> Path:
    (tmp_path / "look.css").write_text("a { color: red; }")
    (tmp_path / "act.js").write_text("let it = 1;")
    (tmp_path / "notes.txt").write_text("not for the world")
    return tmp_path


def app_with(assets: Assets) -> QuartTrio:
    app = QuartTrio("assets", static_folder=None)
    app.register_blueprint(assets.routes())
    return app


async def test_a_file_may_be_kept_for_ever_since_its_address_names_its_content(
    folder: Path,
) -> None:
    assets = Assets({"area": folder})
    before = assets.url("area/look.css")
    digest = hashlib.sha256(b"a { color: red; }").hexdigest()
    assert before == f"/pages/area/look.{digest[:16]}.css"
    answer = await app_with(assets).test_client().get(before)
    assert await answer.get_data() == b"a { color: red; }"
    assert answer.headers["Content-Type"] == "text/css; charset=utf-8"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"

    (folder / "look.css").write_text("a { color: blue; }")
    assert Assets({"area": folder}).url("area/look.css") != before


@pytest.mark.parametrize(
    "path",
    [
        "/pages/area/look.css",
        "/pages/area/look.0000000000000000.css",
        "/pages/area/notes.txt",
        "/pages/area/..%2fassets.py",
        "/pages/area/../assets.py",
        "/pages/other/act.js",
    ],
)
async def test_there_is_no_address_for_anything_else(folder: Path, path: str) -> None:
    answer = await app_with(Assets({"area": folder})).test_client().get(path)
    assert answer.status_code == 404


def test_a_name_that_no_file_has_is_an_error(folder: Path) -> None:
    with pytest.raises(KeyError):
        Assets({"area": folder}).url("area/notes.txt")
