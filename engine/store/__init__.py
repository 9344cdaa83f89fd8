"""The durable log: one ordered stream of events for each session, and what is found by."""

from engine.store._commit import CatalogueRow, Claim, Commit, Event, Snapshot
from engine.store._copy import CopyProgress, copy_store
from engine.store._group_commit import CommitLimits
from engine.store._memory_disk import MemoryDisk
from engine.store._postgres_url import PostgresUrl, is_postgres
from engine.store._protocol import (
    Alias,
    CheckReport,
    CommitDone,
    Due,
    Listed,
    Listing,
    ListQuery,
    Loaded,
    Page,
    Store,
    StoreStatistics,
    Tally,
    Transferred,
)
from engine.store._rules import milliseconds
from engine.store._sqlite_backup import backup_sqlite
from engine.store.memory import Faults, MemoryStore, open_memory
from engine.store.postgres import PostgresStore, open_postgres
from engine.store.sqlite import SqliteStore, open_sqlite

__all__ = [
    "Alias",
    "CatalogueRow",
    "CheckReport",
    "Claim",
    "Commit",
    "CommitDone",
    "CommitLimits",
    "CopyProgress",
    "Due",
    "Event",
    "Faults",
    "ListQuery",
    "Listed",
    "Listing",
    "Loaded",
    "MemoryDisk",
    "MemoryStore",
    "Page",
    "PostgresStore",
    "PostgresUrl",
    "Snapshot",
    "SqliteStore",
    "Store",
    "StoreStatistics",
    "Tally",
    "Transferred",
    "backup_sqlite",
    "copy_store",
    "is_postgres",
    "milliseconds",
    "open_memory",
    "open_postgres",
    "open_sqlite",
]
