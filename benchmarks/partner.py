"""Hosted sessions: creates beside a bare route, a page of a long list, first paint, a login flood.

Creates: `POST /api/v1/sessions/create` with an API key, limits raised, durable when it is answered,
beside a bare Quart-Trio route that decodes the same body and answers the same JSON. Rounds are
interleaved, each of the same number of requests, and medians are given.

Lists: a page of 50 of 100,000 sessions, over one connection, the time that the server itself takes
being less than what is shown. `GET /health` while passwords are guessed: see `login_flood`.
`python -m benchmarks partner`.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import trio
import trio_asyncio

from actors.partner.hosted import Hosted, Opening, State
from actors.partner.hosted.decider import row_of, stored
from actors.partner.hosted.events import decode_event, event_of, state_after
from actors.partner.hosted.opening import make_session
from api.keyfile import master_keys
from api.storage import DATABASE
from benchmarks.first_paint import FirstPaints, measure_first_paint
from benchmarks.hammer import Hammered, get, hammer, post
from benchmarks.login_flood import GUESSES_PER_S, Flood, measure_flood
from benchmarks.report import Table
from benchmarks.served import Served, served
from engine.clock import SystemClock
from engine.seal import Sealer
from engine.store import Commit, open_sqlite

_ROUNDS: Final = 5
_REQUESTS: Final = 3_000
_CONNECTIONS: Final = 32
_SESSIONS: Final = 100_000
_PAGE: Final = 50
_PAGES: Final = 300
_AT_ONCE: Final = 2_000
_PAGE_MS: Final = 15.0
_PAINT_MS: Final = 300.0
_HEALTH_MS: Final = 50.0
_RAISED: Final = {
    "mooring_partner__max_active": "1000000",
    "mooring_partner__rate_limit_per_minute": "10000000",
    "mooring_partner__monthly_quota": "1000000000",
}
_BODY: Final = msgspec.json.encode(
    {
        "return_url": "https://yourapp.com/callback",
        "metadata": {"user_id": "user-123", "transaction_id": "txn-456"},
    }
)
_PATH: Final = "/api/v1/sessions/create"
_BARE: Final = "bare Quart-Trio"


class Partner(msgspec.Struct, frozen=True):
    """Somebody with an account at a server."""

    tenant_id: str
    token: str
    key: str


def sign_up(server: Served) -> Partner:
    body = {"email": "ada@example.com", "password": "a long enough password"}
    with httpx.Client(base_url=f"{server.url}/api/v1", trust_env=False, timeout=60) as http:
        person = http.post("/auth/signup", json=body).raise_for_status().json()
        token = person["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        wanted = {"environment": "sandbox"}
        made = http.post("/api-keys/generate", json=wanted, headers=headers)
        key = made.raise_for_status().json()["api_key"]
    return Partner(person["user"]["tenant_id"], token, key)


def log_in(server: Served) -> str:
    body = {"email": "ada@example.com", "password": "a long enough password"}
    with httpx.Client(trust_env=False, timeout=60) as http:
        answer = http.post(f"{server.url}/api/v1/auth/login", json=body).raise_for_status()
    token: str = answer.json()["access_token"]
    return token


@contextmanager
def bare() -> Iterator[str]:
    """Serve the baseline for the length of a block; yields its host."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.bare_create"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip().partition("//")[2]
    finally:
        process.kill()
        process.wait()


def measure_creates() -> dict[str, dict[str, float]]:
    """Return creates a second, and their latency, of both sides."""
    found: dict[str, list[Hammered]] = {"Mooring": [], _BARE: []}
    with served(demo=False, environment=_RAISED) as server, bare() as bare_host:
        host = server.url.partition("//")[2]
        key = sign_up(server).key
        sides = {
            "Mooring": (host, post(host, _PATH, _BODY, Authorization=f"Bearer {key}")),
            _BARE: (bare_host, post(bare_host, _PATH, _BODY)),
        }
        for number in range(_ROUNDS + 1):
            for name, (where, request) in sides.items():
                done = hammer(
                    where, request, status=201, connections=_CONNECTIONS, requests=_REQUESTS
                )
                if number:  # the first round warms both up
                    found[name].append(done)
    rates = {name: statistics.median(one.per_s for one in runs) for name, runs in found.items()}
    p99 = {
        name: statistics.median(one.percentile_ms(0.99) for one in runs)
        for name, runs in found.items()
    }
    return {"creates a second": rates, "p99 in ms": p99}


async def _fill(data_dir: Path, tenant_id: str) -> None:
    """Write sessions that have ended, as a server leaves them."""
    clock = SystemClock()
    sealer = Sealer(master_keys((), data_dir, clock), clock)
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=_SESSIONS / 100)  # noqa: TID251
    async with open_sqlite(data_dir / DATABASE, clock=clock) as store:
        epoch = await store.begin_epoch()

        async def write(number: int) -> None:
            at = began + timedelta(milliseconds=10 * number)
            await store.commit(_ended(tenant_id, at, epoch, clock, sealer), timeout_s=60)

        for first in range(0, _SESSIONS, _AT_ONCE):
            async with trio.open_nursery() as nursery:
                for number in range(first, first + _AT_ONCE):
                    nursery.start_soon(write, number)


def _ended(tenant_id: str, at: datetime, epoch: int, clock: SystemClock, sealer: Sealer) -> Commit:
    made = make_session(
        Opening(environment="sandbox", return_url="https://yourapp.com/callback"),
        tenant_id=tenant_id,
        created_at=at,
        ttl_s=1800,
        public_url="http://127.0.0.1:5010",
        epoch=epoch,
        clock=clock,
        sealer=sealer,
    )
    begun = state_after(decode_event(made.commit.events[0].body))
    session = msgspec.structs.replace(
        begun.session, state=State.CANCELLED, reason="by_partner", ended_at=begun.session.created_at
    )
    state = Hosted(session=session, visit=begun.visit, seq=2)
    return msgspec.structs.replace(
        made.commit,
        events=(*made.commit.events, stored(event_of(state))),
        row=row_of(state, is_handed_over=True),
    )


def measure_lists() -> dict[str, dict[str, float]]:
    """Return how long a page of 50 of 100,000 sessions takes, first page and a far one."""
    rows: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="mooring-bench-") as directory:
        env = _RAISED | {"mooring_data_dir": directory}
        with served(demo=False, environment=env) as server:
            partner = sign_up(server)
        trio.run(_fill, Path(directory), partner.tenant_id)
        with served(demo=False, environment=env) as server:
            host, headers = (
                server.url.partition("//")[2],
                {"Authorization": f"Bearer {log_in(server)}"},
            )
            with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as http:
                page: dict[str, Any] = {}
                for _ in range(100):
                    cursor = f"&cursor={page['next_cursor']}" if page else ""
                    path = f"/api/v1/sessions?limit=100{cursor}"
                    page = http.get(path, headers=headers).raise_for_status().json()
            paths = {
                "the newest": f"limit={_PAGE}",
                "behind 10,000": f"limit={_PAGE}&cursor={page['next_cursor']}",
                "of one state": f"limit={_PAGE}&state=cancelled",
                "of an environment with none": f"limit={_PAGE}&environment=production",
            }
            for name, query in paths.items():
                request = get(host, f"/api/v1/sessions?{query}", **headers)
                done = hammer(host, request, status=200, connections=1, requests=_PAGES)
                rows[name] = {
                    "p50": done.percentile_ms(0.5),
                    "p99": done.percentile_ms(0.99),
                    "to be reached": _PAGE_MS,
                }
    return rows


def measure_paints() -> dict[str, dict[str, float]]:
    """Return when the dashboard is painted first, in a Chromium that has been there or has not."""

    async def run(url: str) -> FirstPaints:
        async with trio_asyncio.open_loop():
            return await measure_first_paint(url)

    with served(demo=False, environment=_RAISED) as server:
        found = trio.run(run, server.url)
    sides = {"nowhere yet": found.cold, "there before": found.warm}
    return {
        f"has been {name}": {
            "p50": statistics.median(times),
            "worst": max(times),
            "to be reached": _PAINT_MS,
        }
        for name, times in sides.items()
    }


def measure_guesses() -> Flood:
    with served(demo=False, environment=_RAISED) as server:
        return measure_flood(server.url.partition("//")[2])


def measure() -> list[Table]:
    creates = measure_creates()
    lists = measure_lists()
    paints = measure_paints()
    flood = measure_guesses()
    return [
        Table(
            title="POST /api/v1/sessions/create, durable",
            unit="requests/s",
            rows={"creates a second": creates["creates a second"]},
            subject="Mooring",
            reach={"creates a second": {_BARE: 0.5}},
        ),
        Table(
            title=f"the same under {_CONNECTIONS} connections",
            unit="ms",
            rows={"p99": creates["p99 in ms"]},
        ),
        Table(
            title=f"GET /api/v1/sessions, a page of {_PAGE} of {_SESSIONS:,}, at the client",
            unit="ms",
            rows=lists,
        ),
        Table(
            title="first paint of /dashboard in Chromium that",
            unit="ms",
            rows=paints,
        ),
        Table(
            title="login flood: GET /health",
            unit="ms",
            rows=flood.rows(_HEALTH_MS),
        ),
        Table(
            title=f"how {GUESSES_PER_S} wrong logins a second were answered",
            unit="in all",
            rows={str(status): {"answers": count} for status, count in flood.statuses.items()},
        ),
    ]
