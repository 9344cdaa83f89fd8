"""Every end-to-end test starts from nothing and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running import chromium_directories, chromium_processes
from tests.leaks import reap_orphans


@pytest.fixture(autouse=True)
def no_orphan_is_left() -> Iterator[None]:
    yield
    reap_orphans()


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A server's data directory; no process and no profile of its Chromiums outlives the test."""
    directory = tmp_path / "data"
    yield directory
    assert chromium_processes(directory) == {}
    assert chromium_directories(directory) == []
