"""Where a PostgreSQL store is: a URL that can be shown without its password.

Laws of this file: pure; no text that it gives out, errors included, holds anything of a password.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

DEFAULT_SCHEMA: Final = "mooring"
_SCHEMES: Final = frozenset({"postgresql", "postgres"})
_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_DATABASE: Final = re.compile(r"/[^/@:?#]*")


class PostgresUrl:
    """`postgresql://user:password@host:port/database?schema=mooring`, taken apart.

    What else the query holds is the driver's (`sslmode`, `sslrootcert`, `host` for a socket).

    Raises:
        ValueError: it is none; the message says nothing of what it holds.
    """

    __slots__ = ("dsn", "schema", "shown", "user")

    def __init__(self, text: str) -> None:
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise ValueError("it is not a PostgreSQL URL") from None
        # A password with a slash, a question mark or a number sign in it ends up in these.
        if not is_postgres(text) or not _DATABASE.fullmatch(parts.path or "/") or parts.fragment:
            raise ValueError("it is not a PostgreSQL URL (a password may need percent-encoding)")
        query = dict(parse_qsl(parts.query))
        self.schema = query.pop("schema", DEFAULT_SCHEMA)
        if not _SCHEMA.fullmatch(self.schema) or self.schema.startswith("pg_"):
            raise ValueError("its schema is not a plain name in small letters")
        self.user = unquote(parts.username or "")
        self.dsn = urlunsplit(parts._replace(query=urlencode(query)))
        host = f"{parts.hostname or ''}" + (f":{port}" if port else "")
        self.shown = f"postgresql://{host}{parts.path}"

    def __repr__(self) -> str:
        return self.shown


def is_postgres(text: str) -> bool:
    """Return whether a store's name is meant as a PostgreSQL URL."""
    return text.partition("://")[0].lower() in _SCHEMES and "://" in text
