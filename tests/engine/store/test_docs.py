"""The store's page says what is so: its example runs, and it names every error and setting."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import engine.store
from engine import errors
from engine.store import CommitLimits, open_sqlite
from engine.store._sqlite_file import _PAGE_BYTES, _TIDY_PAGES
from engine.store._sqlite_schema import MIGRATIONS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "store.md").read_text()


def test_the_example_runs(tmp_path: Path) -> None:
    example = PAGE.partition("```python\n")[2].partition("```")[0]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stderr, done.stdout) == ("", "['session.created']\n['conversation/1']\n")


def test_every_error_of_the_store_is_explained() -> None:
    found = [one for one in vars(errors).values() if isinstance(one, type)]
    for error in found:
        if issubclass(error, errors.StoreError) and not error.__subclasses__():
            assert f"`{error.__name__}`" in PAGE, error


def test_the_figures_are_those_of_the_code() -> None:
    assert f"every {_TIDY_PAGES:,} pages of {_PAGE_BYTES // 1024} KiB" in PAGE
    assert f"stalls ({CommitLimits().stall_s:.0f} s)" in PAGE
    assert f"Schema version {len(MIGRATIONS)}," in PAGE


def test_the_public_door_is_sorted_and_whole() -> None:
    names = engine.store.__all__
    assert names == sorted(names)
    public = {name for name, value in vars(engine.store).items() if not name.startswith("_")}
    modules = {"memory", "postgres", "sqlite"}
    assert public - modules == set(names)
    assert open_sqlite.__doc__
