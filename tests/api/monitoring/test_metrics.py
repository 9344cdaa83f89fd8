"""`/metrics` of a server that runs: what is there, of which type, and that it moves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families as parse
from trio.testing import MockClock

from actors.assistant.family import ConversationStatistics
from actors.browser.statistics import BrowserStatistics
from api.monitoring.metrics import families
from api.monitoring.readings import Instruments
from api.monitoring.vitals import Vitals
from api.server.request_counts import RequestCounts
from engine.activation import ActivationStatistics
from engine.errors import ActorStopped
from engine.store import Store, open_memory
from engine.stream import StreamHub
from tests.api.desk import Desk
from tests.api.harness import ROOT, server
from tests.api.wire import lined

DOC = (ROOT / "docs/operations.md").read_text()
OPENING = {"businessId": "B1", "userId": "U1"}


class Idle:
    """Conversations of which there are none."""

    def statistics(self) -> ConversationStatistics:
        actors = ActivationStatistics(kind="conversation", in_memory=0, supervisors=())
        return ConversationStatistics(writing=0, work=(), actors=actors)


def instruments_on(store: Store) -> Instruments:
    return Instruments(
        browsers=Desk(),
        conversations=Idle(),
        store=store,
        hub=StreamHub(store, final=frozenset()),
        requests=RequestCounts(),
        vitals=Vitals(),
    )


async def names_and_types() -> Mapping[str, str]:
    async with open_memory() as store:
        found = families(await instruments_on(store).read())
        return {each.name: each.type for each in found}


async def test_a_store_that_is_away_does_not_keep_a_scrape_waiting(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_memory() as store:
        monkeypatch.setattr(store, "tally", trio.sleep_forever)
        began = trio.current_time()
        found = await instruments_on(store).read()
        assert found.tally is None
        assert trio.current_time() - began == 1


def shown(name: str, kind: str) -> str:
    """The name that a scrape shows, and that a person looks for."""
    return f"{name}_total" if kind == "counter" else name


async def test_the_documentation_lists_every_metric_with_its_type_and_no_other() -> None:
    rows = re.findall(r"^\| `(mooring_\w+)`[^|]*\| (\w+) \|", DOC, re.MULTILINE)
    found = await names_and_types()
    assert dict(rows) == {shown(name, kind): kind for name, kind in found.items()}
    assert len(rows) == len(found)


class Scrape(dict[str, float]):
    """Samples by name and labels, as `name{a="1"}`."""

    def __init__(self, text: str) -> None:
        self.types = {}
        for family in parse(text):
            self.types[family.name] = family.type
            for sample in family.samples:
                labels = ",".join(f'{key}="{it}"' for key, it in sorted(sample.labels.items()))
                self[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value


async def scrape(client: httpx.AsyncClient, url: str) -> Scrape:
    answer = await client.get(f"{url}/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return Scrape(answer.text)


async def test_what_a_server_does_shows_in_its_metrics(tmp_path: Path) -> None:
    env = {"MOORING_ASSISTANT__ECHO_PAUSE_S": "0.001"}
    async with server(tmp_path, env=env) as running:
        await running.wait_ready()
        (url,) = running.urls
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            before = await scrape(client, url)
            opened = await client.post(f"{url}/api/sessions", json=OPENING)
            session_id = opened.json()["sessionId"]
            stream = f"/api/sessions/{session_id}/stream?after=0"
            async with lined(running.port, stream) as line:
                posted = {"content": "hello harbour"}
                await client.post(f"{url}/api/sessions/{session_id}/messages", json=posted)
                await line.until("reply.completed")
                with trio.fail_after(40):
                    after = await scrape(client, url)
                    while not after["mooring_loop_delay_seconds_count"]:
                        after = await scrape(client, url)
    found = await names_and_types()
    assert {name: before.types[name] for name in found} == found
    assert after['mooring_reply_seconds_count{outcome="succeeded"}'] == 1
    assert after['mooring_sessions{kind="conversation",state="in_memory"}'] == 1
    assert after["mooring_stream_subscribers"] == 1
    assert after["mooring_streams_watched"] == 1
    commits = 'mooring_commits_total{outcome="committed"}'
    assert after[commits] - before[commits] >= 3
    assert after["mooring_events_total"] - before["mooring_events_total"] >= 4
    assert after["mooring_commit_batch_size_sum"] - before["mooring_commit_batch_size_sum"] >= 3
    assert after["mooring_commit_batch_seconds_sum"] > before["mooring_commit_batch_seconds_sum"]
    assert after['mooring_requests_total{method="POST",status="201"}'] == 2
    assert after["mooring_loop_delay_seconds_count"] >= 1
    assert after['mooring_actors{supervisor="conversation"}'] == 1
    assert after['mooring_sessions{kind="tenant",state="in_memory"}'] == 0
    assert after["process_open_fds"] > 0


async def test_histograms_are_cumulative_and_end_with_their_count(tmp_path: Path) -> None:
    async with server(tmp_path) as running:
        await running.wait_ready()
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            text = (await client.get(f"{running.urls[0]}/metrics")).text
    counts = re.findall(r'^mooring_commit_batch_size_bucket{le="([^"]+)"} (\S+)$', text, re.M)
    assert [float(bound) for bound, _ in counts] == sorted(float(bound) for bound, _ in counts)
    figures = [float(count) for _, count in counts]
    assert figures == sorted(figures)
    assert f"mooring_commit_batch_size_count {figures[-1]}" in text


async def test_with_tokens_set_metrics_are_for_operators_only(tmp_path: Path) -> None:
    async with server(tmp_path, env={"MOORING_OPERATOR_TOKENS": "s3cret-token"}) as running:
        await running.wait_ready()
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            url = f"{running.urls[0]}/metrics"
            refused = await client.get(url)
            answer = await client.get(url, headers={"Authorization": "Bearer s3cret-token"})
    assert refused.status_code == 401
    assert "mooring_" not in refused.text
    assert answer.status_code == 200


async def test_a_part_that_does_not_answer_is_left_out_and_the_rest_is_there() -> None:
    class Silent(Desk):
        async def statistics(self) -> BrowserStatistics:
            raise ActorStopped("registry/browser", None)

    async with open_memory() as store:
        instruments = Instruments(
            browsers=Silent(),
            conversations=Idle(),
            store=store,
            hub=StreamHub(store, final=frozenset()),
            requests=RequestCounts(),
            vitals=Vitals(),
        )
        found = {each.name: each for each in families(await instruments.read())}
    assert found["mooring_session_capacity"].samples == []
    assert len(found["mooring_commits"].samples) == 3
    assert found.keys() == (await names_and_types()).keys()
