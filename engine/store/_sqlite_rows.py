"""Many rows in few statements.

Each statement gives the interpreter lock up once and has to win it back, which beside a busy loop
takes longer than the statement. So rows go in by hundreds: 72 k events/s beside 64 busy askers,
where executemany, which gives the lock up for every row, reaches 22 k.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

# Few sizes, so that every statement is prepared once and kept.
_CHUNKS: Final = (256, 64, 16, 4, 1)


def put_rows(
    connection: sqlite3.Connection, statement: str, width: int, values: Sequence[Any]
) -> None:
    """Run `statement` (an INSERT up to VALUES) for `values`: rows of `width`, one after another."""
    for rows, chunk in chunks(values, width):
        connection.execute(_with_rows(statement, width, rows), chunk)


def select_in(connection: sqlite3.Connection, statement: str, keys: Sequence[Any]) -> Iterator[Any]:
    """Yield the rows of `statement` (a SELECT up to IN) for all of `keys`."""
    for rows, chunk in chunks(keys, 1):
        yield from connection.execute(_with_keys(statement, rows), chunk)


def change_in(connection: sqlite3.Connection, statement: str, keys: Sequence[Any]) -> int:
    """Run `statement` (a DELETE up to IN) for all of `keys`; return how many rows it changed."""
    changed = 0
    for rows, chunk in chunks(keys, 1):
        changed += connection.execute(_with_keys(statement, rows), chunk).rowcount
    return changed


def chunks(values: Sequence[Any], width: int) -> Iterator[tuple[int, Sequence[Any]]]:
    """Cut rows into pieces of the few sizes; yield each piece's number of rows, and its values."""
    start = 0
    for rows in _CHUNKS:
        step = rows * width
        while len(values) - start >= step:
            yield rows, values[start : start + step]
            start += step


@cache
def _with_rows(statement: str, width: int, rows: int) -> str:
    row = f"({', '.join('?' * width)})"
    return f"{statement} {', '.join([row] * rows)}"


@cache
def _with_keys(statement: str, keys: int) -> str:
    return f"{statement} ({', '.join('?' * keys)})"
