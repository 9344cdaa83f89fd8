"""The tables of a SQLite store, as a list of migrations: version n is what n of them make.

Why it looks like this (measured with 256 streams at a time, one event and one summary each):
- Events are only ever appended, so a batch of 256 touches some fifteen pages of them. An index by
  stream and sequence would touch one page for each stream: 50 k events/s instead of 158 k. So new
  entries go into a small index of their own, `event_tail` (some twenty pages), and are moved to
  `event_index` in runs, in order. For each stream, everything in the tail is newer than everything
  in the index.
- A stream's newest sequence is that of its newest event, which is never removed; it is written
  nowhere else.
- What changes with every commit (`summaries`) is apart from what lists are sorted and filtered by.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

APPLICATION_ID: Final = 0x4D6F6F72  # "Moor"

_VERSION_1: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO meta VALUES ('epoch', 0), ('cursor_key', randomblob(32));

-- A stream; owner, status, created_at_ms and tags are all null until it has a catalogue row.
CREATE TABLE streams (
    no INTEGER PRIMARY KEY,
    stream TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    owner TEXT,
    status TEXT,
    created_at_ms INTEGER,
    due_at_ms INTEGER,
    tags TEXT
);
CREATE INDEX streams_by_kind ON streams (kind, created_at_ms, stream) WHERE owner IS NOT NULL;
CREATE INDEX streams_by_kind_status
    ON streams (kind, status, created_at_ms, stream) WHERE owner IS NOT NULL;
CREATE INDEX streams_by_owner
    ON streams (kind, owner, created_at_ms, stream) WHERE owner IS NOT NULL;
CREATE INDEX streams_by_owner_status
    ON streams (kind, owner, status, created_at_ms, stream) WHERE owner IS NOT NULL;
CREATE INDEX streams_by_due ON streams (due_at_ms, stream) WHERE due_at_ms IS NOT NULL;

CREATE TABLE summaries (no INTEGER PRIMARY KEY, updated_at_ms INTEGER NOT NULL, summary BLOB);

-- Kind, status, creation and stream are copies: a list by tag is read from one index.
CREATE TABLE tags (
    no INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    stream TEXT NOT NULL,
    PRIMARY KEY (no, name)
) WITHOUT ROWID;
CREATE INDEX tags_by_value ON tags (kind, name, value, created_at_ms, stream);
CREATE INDEX tags_by_value_status ON tags (kind, name, value, status, created_at_ms, stream);

CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    type TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE TABLE event_index (
    no INTEGER NOT NULL, seq INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (no, seq)
) WITHOUT ROWID;
CREATE TABLE event_tail (
    no INTEGER NOT NULL, seq INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (no, seq)
) WITHOUT ROWID;

-- Where each stream is, 0 before its first event; and all entries.
CREATE VIEW places AS SELECT no, coalesce(
    (SELECT max(seq) FROM event_tail t WHERE t.no = s.no),
    (SELECT max(seq) FROM event_index i WHERE i.no = s.no), 0) AS newest FROM streams s;
CREATE VIEW entries AS
    SELECT no, seq, id FROM event_index UNION ALL SELECT no, seq, id FROM event_tail;

CREATE TABLE snapshots (no INTEGER PRIMARY KEY, seq INTEGER NOT NULL, body BLOB NOT NULL);

CREATE TABLE aliases (
    alias TEXT PRIMARY KEY, no INTEGER NOT NULL, payload BLOB NOT NULL, expires_at_ms INTEGER
) WITHOUT ROWID;
CREATE INDEX aliases_by_stream ON aliases (no);
CREATE INDEX aliases_by_expiry ON aliases (expires_at_ms) WHERE expires_at_ms IS NOT NULL;

-- Streams whose erasure has begun: out of reach, their events not yet all removed.
CREATE TABLE graves (no INTEGER PRIMARY KEY);
"""

MIGRATIONS: Final[Sequence[str]] = (_VERSION_1,)


def migrate(connection: sqlite3.Connection, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Bring the database to the newest version, each step whole or not at all."""
    for version in range(version_of(connection), len(migrations)):
        connection.executescript(
            f"BEGIN IMMEDIATE; {migrations[version]}"
            f"PRAGMA application_id = {APPLICATION_ID};"
            f"PRAGMA user_version = {version + 1}; COMMIT;"
        )


def version_of(connection: sqlite3.Connection) -> int:
    """Return how many migrations the database has seen."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
