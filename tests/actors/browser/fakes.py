"""What lies outside of the browser sessions, in memory, for tests in virtual time.

`Machine` stands for the computer that Chromiums run on, `Site` for the portal's servers. Both can
be told to be slow, to fail, to hang. They keep count of what must not happen: two tasks that use
one page at once are a violation. The page speaks the Protocols of `page.py`; `PaperPortal` is the
adapter that a real portal would have.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import ClassVar

import msgspec
import trio

from actors.browser.chromium import ChromiumFailed, ChromiumOptions
from actors.browser.errors import (
    AuthenticationFailed,
    BrowserSessionError,
    CaptchaFailed,
    LoginLost,
    PortalUnreachable,
)
from actors.browser.page import (
    BrowserGone,
    BrowserState,
    Cookie,
    NavigationFailed,
    Page,
    PageError,
    PageTimeout,
)
from actors.browser.portals.portal import CaptchaSolver, Credentials, operation

OPTIONS = ChromiumOptions(executable="/none", run_id="0123456789ab")
HOME = "https://portal.test/home"
LOGIN = "https://portal.test/login"


# -- the computer ----------------------------------------------------------------------------------


class Machine:
    """Where the Chromiums run. All times are seconds.

    Attributes:
        broken: launching fails.
        barren: Chromiums start, and open no context.
        deaf: nobody can connect.
        gone_pages: addresses that do not open any more.
        logout_pages: addresses that log out who opens them.
        violations: what must never happen, and did.
    """

    def __init__(self) -> None:
        self.launch_s = 0.5
        self.connect_s = 0.0
        self.open_s = 0.1
        self.close_s = 0.0
        self.save_s = 0.0
        self.broken = False
        self.barren = False
        self.deaf = False
        self.gone_pages: set[str] = set()
        self.logout_pages: set[str] = set()
        self.launches = 0
        self.launched_at: list[float] = []
        self.running: dict[str, FakeChromium] = {}
        self.violations: list[str] = []
        self._made = 0

    def heal(self) -> None:
        self.broken = self.barren = self.deaf = False

    @property
    def contexts(self) -> list[Profile]:
        """Every context that exists in a Chromium."""
        return [each for it in self.running.values() for each in it.profiles.values()]

    def profile_of(self, user: str = "driver-1") -> Profile:
        """The context in which a user has logged in."""
        return next(it for it in self.contexts if any(user in one.value for one in it.cookies))

    def chromium_of(self, context_id: str) -> FakeChromium:
        return next(it for it in self.running.values() if context_id in it.profiles)

    def next_id(self) -> str:
        self._made += 1
        return f"context-{self._made}"

    @asynccontextmanager
    async def launch(self, options: ChromiumOptions, /) -> AsyncIterator[FakeChromium]:
        """An `actors.browser.chromium_actor.Launcher`."""
        self.launches += 1
        self.launched_at.append(trio.current_time())
        endpoint = f"ws://127.0.0.1/{self.launches}"
        await trio.sleep(self.launch_s)
        if self.broken:
            raise ChromiumFailed("it ended with status 1", "no display")
        chromium = self.running[endpoint] = FakeChromium(self, endpoint)
        try:
            yield chromium
        finally:
            chromium.kill()

    @asynccontextmanager
    async def connect(self, endpoint: str) -> AsyncIterator[FakeBrowser]:
        """An `actors.browser.page.Connector`."""
        await trio.sleep(self.connect_s)
        chromium = self.running.get(endpoint)
        if chromium is None or self.deaf:
            raise BrowserGone("nothing listens there")
        browser = FakeBrowser(self, chromium)
        chromium.connections.append(browser)
        try:
            yield browser
        finally:
            browser.cut()


class Profile(msgspec.Struct):
    """A context as Chromium keeps it; lives on when a connection ends."""

    id: str
    url: str = "about:blank"
    cookies: tuple[Cookie, ...] = ()
    used_by: str | None = None
    broken: bool = False  # has no page any more
    hangs: bool = False  # its page opens nothing any more


class FakeChromium:
    """A process."""

    def __init__(self, machine: Machine, endpoint: str) -> None:
        self.endpoint = endpoint
        self.profiles: dict[str, Profile] = {}
        self.connections: list[FakeBrowser] = []
        self.frozen = False
        self._machine = machine
        self._ended = trio.Event()

    async def wait(self) -> int:
        await self._ended.wait()
        return -9

    def kill(self) -> None:
        self._machine.running.pop(self.endpoint, None)
        self.profiles.clear()
        self.drop()
        self._ended.set()

    def drop(self) -> None:
        """Cut every connection; the process and its contexts live on."""
        for connection in self.connections:
            connection.cut()
        self.connections.clear()


class FakeBrowser:
    """A connection: an `actors.browser.page.Browser`."""

    def __init__(self, machine: Machine, chromium: FakeChromium) -> None:
        self.machine = machine
        self.chromium = chromium
        self._gone = trio.Event()

    def cut(self) -> None:
        self._gone.set()

    async def take(self, seconds: float = 0.0) -> None:
        """Let a call last so long; one over a cut connection fails at once."""
        with trio.move_on_after(seconds):
            await self._gone.wait()
        await trio.lowlevel.checkpoint()
        if self._gone.is_set():
            raise BrowserGone("the connection is gone")

    async def open_context(self) -> FakeContext:
        await self.take(self.machine.open_s)
        if self.machine.barren:
            raise PageError("Failed to create browser context")
        profile = Profile(id=self.machine.next_id())
        self.chromium.profiles[profile.id] = profile
        # The answer is on its way: who is cut now never learns of the context.
        await self.take()
        return FakeContext(self, profile)

    async def adopt_context(self, context_id: str) -> FakeContext:
        await self.take()
        profile = self.chromium.profiles.get(context_id)
        if profile is None or profile.broken:
            raise BrowserGone("there is no such context, or it has no page any more")
        return FakeContext(self, profile)

    async def close_context(self, context_id: str) -> None:
        await self.take(self.machine.close_s)
        self.chromium.profiles.pop(context_id, None)

    async def context_ids(self) -> tuple[str, ...]:
        await self.take()
        return tuple(self.chromium.profiles)

    async def ping(self) -> None:
        if self.chromium.frozen:
            await self.take(5.0)
            raise PageTimeout("the answer to a ping", 5.0)
        await self.take()

    async def wait_gone(self) -> None:
        await self._gone.wait()


class FakeContext:
    """An `actors.browser.page.Context`."""

    popups_closed = 0
    dialogs_dismissed = 0

    def __init__(self, browser: FakeBrowser, profile: Profile) -> None:
        self.page = FakePage(browser, profile)
        self._browser = browser
        self._profile = profile

    @property
    def id(self) -> str:
        return self._profile.id

    async def save(self) -> BrowserState:
        with self.page.in_use("save"):
            # It does not learn of a cut before its last answer is due.
            await trio.sleep(self._browser.machine.save_s)
            await self._browser.take()
            return BrowserState(url=self._profile.url, cookies=self._profile.cookies)

    async def restore(self, state: BrowserState) -> None:
        with self.page.in_use("restore"):
            await self._browser.take()
            self._profile.cookies = state.cookies


class FakePage:
    """A tab. Its `Page` methods are those that a `PaperPortal` needs."""

    def __init__(self, browser: FakeBrowser, profile: Profile) -> None:
        self._browser = browser
        self._profile = profile
        self._journal: list[str] = []

    @property
    def url(self) -> str:
        return self._profile.url

    @property
    def journal(self) -> tuple[str, ...]:
        return tuple(self._journal)

    @property
    def cookies(self) -> tuple[Cookie, ...]:
        return self._profile.cookies

    @contextmanager
    def in_use(self, what: str) -> Iterator[None]:
        """Only one task may use a page at a time."""
        self._journal.append(what)
        if self._profile.used_by is not None:
            self._browser.machine.violations.append(f"{what} during {self._profile.used_by}")
        self._profile.used_by = what
        try:
            yield
        finally:
            self._profile.used_by = None

    def cut(self) -> None:
        """Lose the connection that this page is reached by, and no other."""
        self._browser = FakeBrowser(self._browser.machine, self._browser.chromium)
        self._browser.cut()

    async def stay(self, seconds: float) -> None:
        """Do something that takes so long."""
        with self.in_use("stay"):
            await self._browser.take(seconds)

    async def visit(self, url: str, site: Site) -> None:
        """Open a page of the site, as slowly as the site is."""
        with self.in_use(f"goto {url}"):
            hangs = site.hangs or self._profile.hangs
            await self._browser.take(math.inf if hangs else site.page_s)
            if site.down:
                raise NavigationFailed(url, "connection refused")
            self._profile.url = url

    async def goto(self, url: str, *, timeout_s: float) -> int:
        """Open a page that is not the portal adapter's business."""
        with self.in_use(f"goto {url}"):
            await self._browser.take()
            machine = self._browser.machine
            if url in machine.gone_pages:
                raise NavigationFailed(url, f"no answer within {timeout_s:g} s")
            if url in machine.logout_pages:
                self._profile.cookies = ()
            self._profile.url = url
            return 200

    async def receive(self, cookie: Cookie) -> None:
        with self.in_use("cookie"):
            await self._browser.take()
            self._profile.cookies = (cookie,)

    async def html(self) -> str:
        with self.in_use("html"):
            await self._browser.take()
            return f"<title>{self._profile.url}</title>"

    async def screenshot(self) -> bytes:
        with self.in_use("screenshot"):
            await self._browser.take()
            return b"\x89PNG"


# -- the portal ------------------------------------------------------------------------------------


class Site:
    """The portal's servers. All times are seconds.

    Attributes:
        page_s: how long each page takes.
        down, hangs: it refuses, or never answers.
        scripts_fail: its pages load, and their scripts throw.
        captcha_fails: the solver gives no token.
        logins: by user name, also those that were refused.
        begun, ended: names of the operations, in order.
    """

    def __init__(self) -> None:
        self.page_s = 1.0
        self.down = False
        self.hangs = False
        self.scripts_fail = False
        self.captcha_fails = False
        self.passwords: dict[str, str] = {}  # where they differ from harbor-<n>
        self.captcha_keys: list[str] = []  # that captchas were solved with
        self.logins: Counter[str] = Counter()
        self.refreshes = 0
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.cookies: dict[str, str] = {}  # of those who are logged in

    def heal(self) -> None:
        self.down = self.hangs = self.scripts_fail = self.captcha_fails = False

    def log_all_out(self) -> None:
        self.cookies.clear()

    def accepts(self, credentials: Credentials) -> bool:
        usual = credentials.username.replace("driver", "harbor")
        return credentials.password == self.passwords.get(credentials.username, usual)


class FakeCaptcha:
    def __init__(self, site: Site, api_key: str) -> None:
        self._site = site
        self._api_key = api_key

    async def solve(self, *, site_key: str, page_url: str) -> str:
        self._site.captcha_keys.append(self._api_key)
        await trio.sleep(1.0)
        if self._site.captcha_fails:
            raise CaptchaFailed("ERROR_ZERO_BALANCE")
        return "token"


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation is to do: take a while, and then fail or not."""

    name: str = "task"
    seconds: float = 0.0
    error: BrowserSessionError | PageError | RuntimeError | None = None


class TaskDone(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    user: str


class PaperPortal:
    """An adapter to a `Site`: an `actors.browser.portals.portal.Portal` with one operation."""

    name: ClassVar[str] = "paper"

    def __init__(self, site: Site) -> None:
        self._site = site

    @property
    def home_url(self) -> str:
        return HOME

    async def login(self, page: Page, credentials: Credentials, captcha: CaptchaSolver) -> None:
        assert isinstance(page, FakePage)
        site = self._site
        try:
            await page.visit(LOGIN, site)
        except NavigationFailed as error:
            raise PortalUnreachable(str(error)) from error
        await captcha.solve(site_key="key", page_url=LOGIN)
        site.logins[credentials.username] += 1
        if not site.accepts(credentials):
            raise AuthenticationFailed
        secret = f"{credentials.username}:{site.logins.total()}"
        await page.receive(Cookie(name="login", value=secret, domain="portal.test"))
        site.cookies[secret] = credentials.username
        await page.visit(HOME, site)

    async def is_logged_in(self, page: Page) -> bool:
        assert isinstance(page, FakePage)
        await page.stay(0.0)
        if self._site.scripts_fail:
            raise PageError("the page's script threw")
        return self._user(page) is not None

    async def refresh(self, page: Page) -> None:
        assert isinstance(page, FakePage)
        self._site.refreshes += 1
        try:
            await page.visit(HOME, self._site)
        except NavigationFailed as error:
            raise PortalUnreachable(str(error)) from error

    @operation("do_task", request=Task, answer=TaskDone)
    async def do_task(self, page: Page, request: Task) -> TaskDone:
        """Take a while, and then fail or not."""
        assert isinstance(page, FakePage)
        self._site.begun.append(request.name)
        await page.stay(request.seconds)
        if request.error is not None:
            raise request.error
        user = self._user(page)
        if user is None:
            raise LoginLost
        self._site.ended.append(request.name)
        return TaskDone(name=request.name, user=user)

    def _user(self, page: FakePage) -> str | None:
        users = (self._site.cookies.get(cookie.value) for cookie in page.cookies)
        return next((user for user in users if user is not None), None)
