"""Where the log is kept: the setting, or a SQLite file in the data directory."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

from engine.clock import Clock
from engine.store import PostgresUrl, Store, open_postgres, open_sqlite

DATABASE: Final = "mooring.db"


def open_store(
    where: str | None, *, data_dir: Path, clock: Clock
) -> AbstractAsyncContextManager[Store]:
    """Open the store for the length of a block.

    Args:
        where: `MOORING_STORE`, a PostgreSQL URL; None for the file in `data_dir`.

    Raises:
        StoreError: it cannot be opened.
    """
    if where is None:
        return open_sqlite(data_dir / DATABASE, clock=clock)
    return open_postgres(where, clock=clock)


def shown(where: str | None, data_dir: Path) -> str:
    """Return the name of a store as people may see it: without a password."""
    return str(data_dir / DATABASE) if where is None else repr(PostgresUrl(where))
