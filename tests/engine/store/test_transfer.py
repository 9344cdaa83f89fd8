"""Export and import: JSON lines that are whole or are refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import pytest

from engine.errors import ImportRefused
from engine.store import Claim, Event, ListQuery, Snapshot, Store, Transferred
from tests.engine.store.parts import Backend, Lines, commit, dump, events, row


async def fill(store: Store) -> None:
    """Something of everything."""
    await store.commit(commit("note/1", count=5, row=row(tags={"t": "ü"}, summary=b"\xff\x00")))
    await store.commit(
        commit("note/1", seq=5, snapshot=Snapshot(seq=4, body=b"state"), row=row(due_at_ms=3))
    )
    binary = Event(seq=1, type="blob", at_ms=1, body=b"\xff\xfe\x00")
    words = Event(seq=2, type="words", at_ms=2, body='{"text":"grün\\n"}'.encode())
    await store.commit(commit("note/2", events=(binary, words)))
    claims = [Claim(alias="a", payload=b"\x00p", expires_at_ms=10_000), Claim(alias="b")]
    await store.commit(commit("hosted/3", claims=claims))
    await store.commit(commit("hosted/4", count=0, row=row()))
    await store.commit(commit("hosted/5", count=9))
    await store.prune("hosted/5", types=frozenset({"note"}), after=2, through=8)


async def test_an_import_makes_the_same_store_again(backend: Backend, store: Store) -> None:
    await fill(store)
    lines = await dump(store)
    for stream in ("note/1", "note/2", "hosted/3", "hosted/4", "hosted/5"):
        await store.erase(stream, epoch=1)
    done = await store.import_lines(Lines(lines))
    assert done == Transferred(streams=5, events=6 + 2 + 1 + 3, aliases=2)
    assert await dump(store) == lines
    assert len((await store.list_rows(ListQuery(kind="note", owner="ann"))).entries) == 1
    await store.commit(commit("hosted/5", seq=9))
    await store.commit(commit("note/new"))


async def test_an_export_reads_as_text(store: Store) -> None:
    await fill(store)
    records = [json.loads(line) for line in await dump(store)]
    assert records[0] == {"record": "store", "format": 1, "epoch": 1}
    assert {"record": "event", "seq": 2, "type": "words", "at_ms": 2}.items() <= next(
        record for record in records if record.get("type") == "words"
    ).items()
    assert "grün" in next(record for record in records if record.get("type") == "words")["text"]
    assert records[-1]["record"] == "end"


async def test_the_epoch_of_an_import_is_never_begun_again(store: Store) -> None:
    await store.begin_epoch()
    await store.commit(commit(epoch=2))
    lines = await dump(store)
    await store.erase("note/1", epoch=2)
    head = json.loads(lines[0]) | {"epoch": 7}
    await store.import_lines(Lines(_sealed([json.dumps(head).encode() + b"\n", *lines[1:-1]])))
    assert await store.begin_epoch() == 8


async def test_an_import_brings_in_nothing_that_is_there_already(store: Store) -> None:
    await store.commit(commit())
    lines = await dump(store)
    with pytest.raises(ImportRefused, match="not empty"):
        await store.import_lines(Lines(lines))
    assert await dump(store) == lines


def _sealed(lines: Sequence[bytes]) -> Sequence[bytes]:
    """Give lines the end that fits them, as somebody would who edits an export."""
    kinds = [json.loads(line).get("record") for line in lines]
    end = {
        "record": "end",
        "streams": kinds.count("stream"),
        "events": kinds.count("event"),
        "aliases": kinds.count("alias"),
        "sha256": hashlib.sha256(b"".join(lines)).hexdigest(),
    }
    return [*lines, json.dumps(end).encode() + b"\n"]


async def test_an_export_that_is_cut_short_brings_in_nothing(backend: Backend) -> None:
    async with backend.open() as store:
        await store.begin_epoch()
        await fill(store)
        lines = await dump(store)
        for name in ("note/1", "note/2", "hosted/3", "hosted/4", "hosted/5"):
            await store.erase(name, epoch=1)
        empty = await dump(store)
        for count in range(len(lines)):
            with pytest.raises(ImportRefused):
                await store.import_lines(Lines(lines[:count]))
            assert await dump(store) == empty
        assert (await store.check()).problems == ()


async def test_an_altered_line_is_noticed(store: Store) -> None:
    await fill(store)
    lines = await dump(store)
    for name in ("note/1", "note/2", "hosted/3", "hosted/4", "hosted/5"):
        await store.erase(name, epoch=1)
    for number, line in enumerate(lines):
        altered = [*lines]
        altered[number] = line.replace(b"1", b"2", 1) if b"1" in line else b" " + line
        with pytest.raises(ImportRefused):
            await store.import_lines(Lines(altered))


STREAM = b'{"record":"stream","stream":"note/1","epoch":1,"seq":2}\n'
EVENT_1 = b'{"record":"event","seq":1,"type":"a","at_ms":0,"text":""}\n'
EVENT_2 = b'{"record":"event","seq":2,"type":"a","at_ms":0,"text":""}\n'
ALIAS = b'{"record":"alias","claim":{"alias":"a"}}\n'
HEAD = b'{"record":"store","format":1,"epoch":1}\n'
WRONG: dict[str, tuple[Sequence[bytes], str]] = {
    "no head": ((STREAM, EVENT_2), "line 1: the first line"),
    "two heads": ((HEAD, HEAD), "line 2: the first line"),
    "another format": ((HEAD.replace(b"1", b"9", 1), STREAM, EVENT_2), "format 9"),
    "an event of nothing": ((HEAD, EVENT_1), "line 2: event 1 is out of order"),
    "an alias of nothing": ((HEAD, ALIAS), "no stream has begun"),
    "events in disorder": ((HEAD, STREAM, EVENT_2, EVENT_1), "line 4: event 1 is out of order"),
    "an event twice": ((HEAD, STREAM, EVENT_1, EVENT_1, EVENT_2), "out of order"),
    "the newest event missing": ((HEAD, STREAM, EVENT_1), "lost its newest event"),
    "a stream twice": ((HEAD, STREAM, EVENT_2, STREAM, EVENT_2), "twice"),
    "an alias twice": ((HEAD, STREAM, ALIAS, ALIAS, EVENT_2), "twice"),
    "a newer epoch": ((HEAD, STREAM.replace(b'h":1', b'h":2'), EVENT_2), "epoch is newer"),
    "a made-up stream": ((HEAD, STREAM.replace(b"note/1", b"note 1"), EVENT_2), "not a kind/id"),
    "an event of no type": (
        (HEAD, STREAM, EVENT_2.replace(b'"a"', b'""')),
        "no usable type",
    ),
    "an unknown record": ((HEAD, b'{"record":"other"}\n'), "line 2: not a record"),
    "an unknown field": ((HEAD, STREAM.replace(b"}", b',"x":1}'), EVENT_2), "not a record"),
    "something after the end": ((*_sealed([HEAD]), ALIAS), "follows the end"),
    "no object": ((b"1\n",), "line 1: not a record"),
}


@pytest.mark.parametrize(("lines", "reason"), WRONG.values(), ids=WRONG)
async def test_what_breaks_a_rule_is_refused_with_its_line(
    store: Store, lines: Sequence[bytes], reason: str
) -> None:
    try:
        lines = _sealed(lines)
    except AttributeError:
        lines = [*lines]
    with pytest.raises(ImportRefused, match=reason):
        await store.import_lines(Lines(lines))
    assert (await store.check()).streams == 0


@pytest.mark.parametrize("garbage", [b"", b"\xff\xfe", b"{", b"SQLite format 3\x00", b"[]" * 99])
async def test_garbage_is_refused(store: Store, garbage: bytes) -> None:
    with pytest.raises(ImportRefused, match="line 1: not a record"):
        await store.import_lines(Lines([garbage]))


async def test_the_last_line_may_lack_its_line_feed(store: Store) -> None:
    await store.commit(commit())
    lines = await dump(store)
    await store.erase("note/1", epoch=1)
    await store.import_lines(Lines([line.rstrip(b"\n") for line in lines]))
    assert (await store.read("note/1")).events == events(1)
