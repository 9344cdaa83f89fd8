"""`docs/settings.md` and the settings say the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec

from api.config import FORMER_KEYS, Known, known_settings, load
from api.settings import Settings

DOC = (Path(__file__).parents[2] / "docs/settings.md").read_text()
ROWS = [row for row in DOC.splitlines() if row.startswith("| `MOORING_")]


def row_of(setting: Known) -> str:
    rows = [row for row in ROWS if f"`{setting.variable}`" in row.split("|")[1]]
    assert len(rows) == 1, f"{setting.variable} needs one row in docs/settings.md"
    return rows[0]


def default_of(setting: Known) -> object:
    value: object = Settings()
    for name in setting.path:
        value = getattr(value, name)
    return value


def test_every_setting_has_a_row_with_its_name_in_the_file() -> None:
    for setting in known_settings():
        assert f"`{setting.path[-1]}`" in row_of(setting).split("|")[4]


def test_every_row_is_about_settings_that_exist() -> None:
    known = {setting.variable for setting in known_settings()}
    former = {f"MOORING_{key.upper()}" for key in FORMER_KEYS}
    assert (
        set(re.findall(r"`(MOORING_[A-Z_]+)`", " ".join(row.split("|")[1] for row in ROWS)))
        == known
    )
    assert set(re.findall(r"MOORING_[A-Z_]*[A-Z]", DOC)) - known - former <= {
        "MOORING_BROWSER__CAPASITY"
    }


def test_every_default_is_the_one_in_its_row() -> None:
    for setting in known_settings():
        value, written = default_of(setting), row_of(setting).split("|")[2].strip().strip("`")
        if isinstance(value, bool):
            assert written == str(value).lower()
        elif isinstance(value, int | float):
            assert float(written) == value
        elif isinstance(value, str):
            assert written == value
        else:
            assert value in (None, (), {}, ("127.0.0.1:5010",))


def test_the_file_in_the_docs_starts(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", DOC, re.DOTALL)
    file = tmp_path / "mooring.toml"
    file.write_text(block.replace("…", ""))
    config = load(flags={}, environ={}, file=file)
    assert config.settings.browser.capacity == tomllib.loads(block)["browser"]["capacity"]
    assert msgspec.to_builtins(config.given)
