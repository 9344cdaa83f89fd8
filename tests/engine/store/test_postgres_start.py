"""Opening a PostgreSQL store: what is refused and in which words, and ten nodes at once."""

from __future__ import annotations

from unittest import mock

import pytest
import trio
import trio_asyncio

from engine.errors import StoreDamaged, StoreError, StoreTooNew
from engine.store import PostgresUrl, open_postgres
from engine.store._postgres_connection import Connection
from engine.store._postgres_schema import MIGRATIONS
from tests.engine.store.parts import PostgresBackend, commit
from tests.faults.private_postgres import PrivatePostgres
from tests.faults.proxy import open_proxy

SECRET = "hunter2-hunter2"


@pytest.fixture
def place(postgres: PrivatePostgres) -> PostgresBackend:
    return PostgresBackend(postgres)


@pytest.fixture
def careful(postgres: PrivatePostgres) -> PrivatePostgres:
    """The server, with a user who needs a password and may do nothing but connect."""
    postgres.sql(
        "DO $$ BEGIN CREATE ROLE careful LOGIN; EXCEPTION WHEN duplicate_object THEN END $$;"
        f"ALTER ROLE careful PASSWORD '{SECRET}'"
    )
    return postgres


async def _refused(url: str, *, patience_s: float = 0.3) -> StoreError:
    """Return the error of opening it: one line without a password."""
    with pytest.raises(StoreError) as caught:
        async with open_postgres(url, patience_s=patience_s):
            pass
    text = f"{caught.value} {caught.value!r}"
    assert "\n" not in text
    assert "hunter2" not in text
    return caught.value


async def test_a_wrong_password_is_said_to_be_one(careful: PrivatePostgres) -> None:
    error = await _refused(careful.url(user="careful:hunter2"))
    assert "wrong user or password" in str(error)
    assert f"127.0.0.1:{careful.port}/mooring" in str(error)


async def test_a_missing_database_is_named(postgres: PrivatePostgres) -> None:
    error = await _refused(postgres.url("nowhere"))
    assert "/nowhere: there is no such database" in str(error)


async def test_a_missing_right_is_named(careful: PrivatePostgres) -> None:
    error = await _refused(careful.url(user=f"careful:{SECRET}", schema="forbidden"))
    assert "permission denied for database mooring" in str(error)
    careful.sql("CREATE SCHEMA IF NOT EXISTS closed")
    error = await _refused(careful.url(user=f"careful:{SECRET}", schema="closed"))
    assert "permission denied for schema closed" in str(error)


async def test_a_database_that_lets_the_user_not_in_is_named(careful: PrivatePostgres) -> None:
    careful.sql("DROP DATABASE IF EXISTS forbidden", database="postgres")
    careful.sql("CREATE DATABASE forbidden", database="postgres")
    careful.sql("REVOKE ALL ON DATABASE forbidden FROM PUBLIC", database="postgres")
    error = await _refused(careful.url("forbidden", user=f"careful:{SECRET}"))
    assert 'permission denied for database "forbidden"' in str(error)


async def test_a_user_needs_no_more_than_a_schema_of_its_own(careful: PrivatePostgres) -> None:
    careful.sql("CREATE SCHEMA IF NOT EXISTS granted AUTHORIZATION careful")
    async with open_postgres(careful.url(user=f"careful:{SECRET}", schema="granted")) as store:
        await store.begin_epoch()
        await store.commit(commit())
        assert (await store.check()).problems == ()


async def test_a_server_that_is_too_old_is_refused(place: PostgresBackend) -> None:
    with mock.patch.object(Connection, "version", 12):
        error = await _refused(place.where)
    assert "the server is PostgreSQL 12; Mooring needs 13 or a newer one" in str(error)
    made = f"SELECT count(*) FROM pg_namespace WHERE nspname = '{place.schema}'"
    assert place.server.sql(made).strip() == "0"


async def test_nobody_listening_is_said_after_some_patience(postgres: PrivatePostgres) -> None:
    error = await _refused(postgres.url(port=1))
    assert "127.0.0.1:1/mooring" in str(error)


async def test_a_database_that_comes_up_a_little_later_is_waited_for(
    place: PostgresBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.store._postgres_pool._FIRST_S", 0.001)
    async with open_proxy(place.server.port) as proxy, trio.open_nursery() as nursery:
        await proxy.cut()
        opened = trio.Event()

        async def open_it() -> None:
            url = place.server.url(schema=place.schema, port=proxy.port)
            async with open_postgres(url) as store:
                await store.begin_epoch()
                opened.set()

        nursery.start_soon(open_it)
        while proxy.accepted < 3:
            await trio.sleep(0.001)
        assert not opened.is_set()
        proxy.resume()
        with trio.fail_after(20):
            await opened.wait()


async def test_another_programs_tables_are_left_alone(place: PostgresBackend) -> None:
    place.server.sql(f"CREATE SCHEMA {place.schema}; CREATE TABLE {place.schema}.streams (x int)")
    error = await _refused(place.where)
    assert isinstance(error, StoreDamaged)
    assert f"schema {place.schema} is another program's" in str(error)


async def test_a_newer_schema_is_left_alone(place: PostgresBackend) -> None:
    async with place.open():
        pass
    place.server.sql(f"UPDATE {place.schema}.meta SET number = 99 WHERE name = 'version'")
    error = await _refused(place.where)
    assert isinstance(error, StoreTooNew)
    assert (error.version, error.supported) == (99, len(MIGRATIONS))


async def test_a_database_of_another_encoding_is_refused(postgres: PrivatePostgres) -> None:
    postgres.sql(
        "CREATE DATABASE latin ENCODING LATIN1 LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0",
        database="postgres",
    )
    error = await _refused(postgres.url("latin"))
    assert "LATIN1" in str(error)


async def test_ten_nodes_may_start_at_once_on_an_empty_database(place: PostgresBackend) -> None:
    epochs: list[int] = []

    async def start(number: int) -> None:
        async with open_postgres(place.where) as store:
            epochs.append(await store.begin_epoch())
            await store.commit(commit(f"note/{number}"))

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(start, number)
    assert sorted(epochs) == [*range(1, 11)]
    async with place.open() as store:
        report = await store.check()
        assert (report.problems, report.streams) == ((), 10)


async def test_an_older_schema_is_brought_up_to_date_once_whoever_comes_first(
    place: PostgresBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place.open() as store:
        await store.commit(commit(epoch=0))
    newer = (*MIGRATIONS, "CREATE TABLE added (x int)")
    for name in ("migrate.__defaults__", "MIGRATIONS"):
        value = (newer,) if name.startswith("migrate") else newer
        monkeypatch.setattr(f"engine.store._postgres_schema.{name}", value)

    async def start() -> None:
        async with place.open() as store:
            assert await store.newest("note/1") == 1

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(start)
    assert place.server.sql(f"SELECT count(*) FROM {place.schema}.added").strip() == "0"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{SECRET}@h:99999/d",
        f"postgresql://u:a/{SECRET}@h/d",
        f"postgresql://u:a#{SECRET}@h/d",
        f"postgresql://u:a?{SECRET}@h/d",
        f"postgresql://u:1/{SECRET}@h/d",
        f"postgresql://u:{SECRET}@[h/d",
        f"postgresql://u:{SECRET}@h/d?schema=A",
        f"postgresql://u:{SECRET}@h/d?schema=pg_x",
        f"mysql://u:{SECRET}@h/d",
        "",
    ],
)
async def test_what_is_no_url_is_refused_without_being_repeated(url: str) -> None:
    await _refused(url)


def test_a_url_is_shown_without_its_password() -> None:
    url = PostgresUrl(f"postgres://ann:{SECRET}@db.example:6000/kept?sslmode=require&schema=mine")
    assert (repr(url), f"{url}") == ("postgresql://db.example:6000/kept",) * 2
    assert (url.schema, url.user) == ("mine", "ann")
    assert url.dsn == f"postgres://ann:{SECRET}@db.example:6000/kept?sslmode=require"


async def test_the_loop_that_is_open_is_used_and_an_error_of_the_block_comes_out_as_it_is(
    place: PostgresBackend,
) -> None:
    async with trio_asyncio.open_loop() as loop:
        async with open_postgres(place.where):
            assert trio_asyncio.current_loop.get() is loop
        with pytest.raises(ZeroDivisionError):
            async with open_postgres(place.where):
                raise ZeroDivisionError
