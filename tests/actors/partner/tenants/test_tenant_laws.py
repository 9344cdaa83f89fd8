"""The laws that `tenant` and `decision` open with, walked through random programs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any, get_args

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from actors.partner import CredentialsRefused, NotAllowed, NotFound, PartnerError
from actors.partner.tenants.commands import (
    AddUser,
    ChangeProfile,
    CloseBooks,
    Command,
    CreateTenant,
    GenerateKey,
    LimitWasTold,
    LogIn,
    LogOut,
    LogOutToken,
    NoteLimit,
    NoteWebhook,
    Refresh,
    ResetPassword,
    RevokeKey,
)
from actors.partner.tenants.decider import TenantDecider
from actors.partner.tenants.decision import (
    MAX_KEYS,
    MAX_LOGINS,
    TenantExists,
    decide,
    find_login,
    live_login,
)
from actors.partner.tenants.events import BOOKS_TYPES, TenantEvent, decode_event, type_of
from actors.partner.tenants.ledger import Books
from actors.partner.tenants.records import Login, WebhookDeed
from actors.partner.tenants.tenant import Tenant, evolve
from engine.clock import timestamp
from tests.actors.partner.tenants.world import key_of, user

NOW = datetime(2026, 1, 1, tzinfo=UTC)
_FEW = st.integers(0, 3)


def login_of(number: int, user_id: str, now: datetime, kind: Any = "api") -> Login:
    return Login(
        login_id=f"l{number}",
        user_id=user_id,
        kind=kind,
        locator=f"locator{number}",
        secret=f"secret{number}.0",
        created_at=timestamp(now),
        expires_at=timestamp(now + timedelta(hours=1)),
    )


class TenantMachine(RuleBasedStateMachine):
    """Everything that can be asked of a tenant, in any order."""

    @initialize()
    def begin(self) -> None:
        self.now = NOW
        self.state: Tenant | None = None
        self.log: list[TenantEvent] = []
        self.logins = 0
        self.secrets: dict[int, int] = {}  # how often each login's token was exchanged
        self.ended: set[int] = set()
        self.ask(CreateTenant(tenant_id="t1", user=user("u0"), by="u0"))

    def ask(self, command: Command) -> list[TenantEvent]:
        try:
            events = list(decide(self.state, command, self.now))
        except PartnerError:
            return []
        self.state = reduce(evolve, events, self.state)
        self.log += events
        return events

    @rule(number=_FEW, role=st.sampled_from(["owner", "member"]))
    def add_user(self, number: int, role: Any) -> None:
        assert self.state is not None
        if f"u{number}" not in self.state.users:
            self.ask(AddUser(user=user(f"u{number}", role=role), by="operator"))

    @rule(number=_FEW, password=st.sampled_from(["hash", "other hash"]))
    def log_in(self, number: int, password: str) -> None:
        assert self.state is not None
        known = self.state.users.get(f"u{number}")
        events = self.ask(
            LogIn(login=login_of(self.logins, f"u{number}", self.now), password=password)
        )
        assert bool(events) == (known is not None and known.password == password)
        if events:
            self.secrets[self.logins] = 0
        self.logins += 1

    @rule(number=st.integers(0, 30), old=st.booleans())
    def refresh(self, number: int, old: bool) -> None:
        assert self.state is not None
        exchanged = self.secrets.get(number, 0)
        shown = exchanged - 1 if old else exchanged
        at = timestamp(self.now)
        is_live = find_login(self.state, f"locator{number}", at) is not None
        events = self.ask(
            Refresh(
                locator=f"locator{number}",
                secret=f"secret{number}.{shown}",
                new_secret=f"secret{number}.{exchanged + 1}",
            )
        )
        expected = [] if not is_live else ["user.logged_out" if old else "user.refreshed"]
        assert [type_of(event) for event in events] == expected
        if events and not old:
            self.secrets[number] = exchanged + 1
        if events and old:
            self.ended.add(number)

    @rule(number=st.integers(0, 30), by_token=st.booleans())
    def log_out(self, number: int, by_token: bool) -> None:
        if number >= self.logins:
            return
        if by_token:
            self.ask(LogOutToken(locator=f"locator{number}", kind="api"))
        else:
            self.ask(LogOut(login_id=f"l{number}"))
        self.ended.add(number)

    @rule(number=_FEW, password=st.sampled_from(["hash", "other hash"]))
    def reset_password(self, number: int, password: str) -> None:
        assert self.state is not None
        events = self.ask(ResetPassword(user_id=f"u{number}", password=password, by="operator"))
        if events:
            assert not [it for it in self.state.logins.values() if it.user_id == f"u{number}"]

    @rule(number=st.integers(0, 200), by=_FEW)
    def generate_key(self, number: int, by: int) -> None:
        assert self.state is not None
        if f"key-{number}" not in self.state.keys:
            self.ask(GenerateKey(key=key_of(str(number), by=f"u{by}")))

    @rule(number=st.integers(0, 200), by=_FEW)
    def revoke_key(self, number: int, by: int) -> None:
        self.ask(RevokeKey(key_id=f"key-{number}", by=f"u{by}"))

    @rule(name=st.text(max_size=3), by=_FEW)
    def change_profile(self, name: str, by: int) -> None:
        self.ask(ChangeProfile(name=name, by=f"u{by}"))

    @rule(deed=st.sampled_from(get_args(WebhookDeed)), by=_FEW)
    def change_a_webhook(self, deed: WebhookDeed, by: int) -> None:
        assert self.state is not None
        note = NoteWebhook(deed=deed, webhook_id="w1", host="example.com", by=f"u{by}")
        events = self.ask(note)
        user = self.state.users.get(f"u{by}")
        assert bool(events) == (user is not None and user.role == "owner")
        assert [type_of(event) for event in events] in ([], [f"webhook.{deed}"])

    @rule(month=st.sampled_from(["2026-01", "2026-02"]), told=st.integers(0, 50))
    def reach_a_limit(self, month: str, told: int) -> None:
        limit = NoteLimit(
            notice="quota.warning", environment="sandbox", month=month, used=8, limit=10
        )
        self.ask(limit)
        assert self.ask(limit) == []
        self.ask(LimitWasTold(of_seq=told))

    @rule(through_ms=st.integers(0, 9), number=st.integers(0, 200))
    def close_books(self, through_ms: int, number: int) -> None:
        books = Books(through_ms=through_ms, days={1: {"sandbox": through_ms}})
        last_used = {f"key-{number}": timestamp(self.now)}
        self.ask(CloseBooks(books=books, last_used=last_used))

    @rule(minutes=st.sampled_from([1, 30, 61]))
    def wait(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    # -- what holds ----------------------------------------------------------------------------

    @invariant()
    def the_log_gives_the_same_state_again(self) -> None:
        assert reduce(evolve, self.log, None) == self.state

    @invariant()
    def the_log_without_earlier_books_says_the_same(self) -> None:
        newest = max((it.seq for it in self.log if type_of(it) in BOOKS_TYPES), default=0)
        kept = [it for it in self.log if type_of(it) not in BOOKS_TYPES or it.seq == newest]
        assert reduce(evolve, kept, None) == self.state

    @invariant()
    def a_snapshot_is_the_state(self) -> None:
        assert self.state is not None
        decider = TenantDecider()
        assert decider.restore(decider.snapshot(self.state)) == self.state

    @invariant()
    def what_is_stored_is_read_again(self) -> None:
        decider = TenantDecider()
        if self.log:
            stored = decider.encode(self.log[-1])
            assert stored.seq == len(self.log)
            assert decode_event(stored.body) == self.log[-1]

    @invariant()
    def what_has_ended_stays_ended(self) -> None:
        assert self.state is not None
        at = timestamp(self.now)
        assert not [it for it in self.ended if live_login(self.state, f"l{it}", at)]

    @invariant()
    def the_state_is_bounded(self) -> None:
        assert self.state is not None
        assert len(self.state.keys) <= MAX_KEYS
        for user_id in self.state.users:
            of_user = [it for it in self.state.logins.values() if it.user_id == user_id]
            assert len(of_user) <= MAX_LOGINS


TestTenantLaws = TenantMachine.TestCase
TestTenantLaws.settings = settings(max_examples=80, stateful_step_count=60, deadline=None)


def state_of(*commands: Command, now: datetime = NOW) -> Tenant:
    state: Tenant | None = None
    for command in (CreateTenant(tenant_id="t1", user=user("u1"), by="u1"), *commands):
        state = reduce(evolve, decide(state, command, now), state)
    assert state is not None
    return state


def test_only_an_owner_changes_keys_and_profile() -> None:
    state = state_of(AddUser(user=user("u2", role="member"), by="u1"))
    key = GenerateKey(key=key_of("d1"))
    state = reduce(evolve, decide(state, key, NOW), state)
    for command in (
        GenerateKey(key=key_of("d2", by="u2")),
        RevokeKey(key_id="key-d1", by="u2"),
        ChangeProfile(name="x", by="u2"),
    ):
        with pytest.raises(NotAllowed):
            decide(state, command, NOW)
    with pytest.raises(CredentialsRefused):
        decide(state, RevokeKey(key_id="key-d1", by="u3"), NOW)


def test_of_too_many_logins_the_oldest_one_ends() -> None:
    logins = [
        LogIn(login=login_of(number, "u1", NOW + timedelta(seconds=number)), password="hash")
        for number in range(MAX_LOGINS + 1)
    ]
    state = state_of(*logins)
    assert set(state.logins) == {f"l{number}" for number in range(1, MAX_LOGINS + 1)}


def test_a_login_ends_by_time_whatever_it_was_used_for_meanwhile() -> None:
    state = state_of(LogIn(login=login_of(1, "u1", NOW), password="hash"))
    over = NOW + timedelta(hours=1)
    last = over - timedelta(milliseconds=1)
    refresh = Refresh(locator="locator1", secret="secret1.0", new_secret="secret1.1")
    fresh = reduce(evolve, decide(state, refresh, last), state)
    for of_state in (state, fresh):
        assert live_login(of_state, "l1", timestamp(last))
        assert find_login(of_state, "locator1", timestamp(last))
        assert live_login(of_state, "l1", timestamp(over)) is None
        assert find_login(of_state, "locator1", timestamp(over)) is None
    with pytest.raises(CredentialsRefused):
        decide(state, refresh, over)


def test_a_password_that_is_reset_ends_that_persons_logins_and_nobody_elses() -> None:
    state = state_of(
        AddUser(user=user("u2"), by="u1"),
        LogIn(login=login_of(1, "u1", NOW), password="hash"),
        LogIn(login=login_of(2, "u1", NOW, "web"), password="hash"),
        LogIn(login=login_of(3, "u2", NOW), password="hash"),
        ResetPassword(user_id="u1", password="new hash", by="operator"),
    )
    assert set(state.logins) == {"l3"}


def test_a_password_that_is_reset_while_it_is_checked_logs_nobody_in() -> None:
    state = state_of(ResetPassword(user_id="u1", password="new hash", by="operator"))
    with pytest.raises(CredentialsRefused):
        decide(state, LogIn(login=login_of(1, "u1", NOW), password="hash"), NOW)


def test_a_cookie_is_not_exchanged() -> None:
    state = state_of(LogIn(login=login_of(1, "u1", NOW, "web"), password="hash"))
    refresh = Refresh(locator="locator1", secret="secret1.0", new_secret="x")
    with pytest.raises(CredentialsRefused):
        decide(state, refresh, NOW)


def test_nothing_happens_to_a_tenant_that_is_not_there_and_it_is_made_once() -> None:
    with pytest.raises(NotFound):
        decide(None, RevokeKey(key_id="x", by="u1"), NOW)
    with pytest.raises(CredentialsRefused):
        decide(None, Refresh(locator="x", secret="x", new_secret="y"), NOW)
    with pytest.raises(TenantExists):
        decide(state_of(), CreateTenant(tenant_id="t1", user=user("u1"), by="u1"), NOW)


def test_a_snapshot_of_another_form_is_none() -> None:
    assert TenantDecider().restore(b"\x92\x02\x80") is None
    assert TenantDecider().restore(b"") is None
