"""`mooring partner`: accounts of a server that does not run, and a session of one that does."""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, cast

import click
import httpx

from actors.partner.errors import PartnerError
from actors.partner.tenants.accounts import Account, Accounts
from actors.partner.tenants.family import open_tenants
from actors.partner.tenants.passwords import MIN_CHARS, open_passwords
from actors.partner.tenants.principal import Role
from actors.partner.tenants.records import QuotaReached
from api import log
from api.address import Address
from api.cli.options import config_file
from api.cli.signing import rotate_signing_key
from api.cli.store import or_exit
from api.config import Config, load
from api.datadir import hold_data_dir
from api.house import open_house
from api.keyfile import master_keys
from api.partner.terminal import qr_lines
from api.settings import Settings, StartError
from engine.clock import SystemClock
from engine.errors import MooringError
from engine.seal import Sealer

_TIMEOUT_S: Final = 30.0
_email = click.option("--email", required=True, metavar="ADDRESS", help="Whose account.")
_stdin = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input, up to its end."
)


@click.group()
def partner() -> None:
    """Make accounts for partners, and sessions to try things out.

    Exits with 0 when all is well, 2 when a setting is wrong, 1 when anything else is.
    """


partner.add_command(rotate_signing_key)


@partner.command("add-user")
@_email
@_stdin
@click.option("--tenant", metavar="ID", help="Join this tenant; without it, a new one is made.")
@click.option(
    "--role",
    type=click.Choice(["owner", "member"]),
    default="owner",
    show_default=True,
    help="A member may do everything but manage keys, webhooks and the profile.",
)
@config_file
def add_user(
    *, email: str, password_stdin: bool, tenant: str | None, role: str, file: Path | None
) -> None:
    """Make an account. The server must not run meanwhile; its password is asked for."""
    password = _password(from_stdin=password_stdin)

    async def work(accounts: Accounts) -> Account:
        return await accounts.add(email, password, tenant_id=tenant, role=cast("Role", role))

    account = _with_accounts(file, work)
    click.echo(f"user {account.user_id}")
    click.echo(f"tenant {account.tenant_id}")


@partner.command("reset-password")
@_email
@_stdin
@config_file
def reset_password(*, email: str, password_stdin: bool, file: Path | None) -> None:
    """Give an account a new password, and end its logins. The server must not run meanwhile."""
    password = _password(from_stdin=password_stdin)

    async def work(accounts: Accounts) -> Account:
        return await accounts.reset_password(email, password)

    account = _with_accounts(file, work)
    click.echo(f"user {account.user_id}")


@partner.command("create-session")
@click.option("--key", required=True, metavar="KEY", help="An API key; - reads it from stdin.")
@click.option("--return-url", required=True, metavar="URL", help="Where the visitor comes back to.")
@click.option("--user-id", metavar="ID", help="Your own name for the visitor.")
@click.option("--flow", metavar="NAME", help="What the visitor is to do; consent if not given.")
@click.option("--server", metavar="URL", help="The server; without it, the one of the settings.")
@config_file
def create_session(
    *,
    key: str,
    return_url: str,
    user_id: str | None,
    flow: str | None,
    server: str | None,
    file: Path | None,
) -> None:
    """Create a hosted session, and show its URL as a QR code to open it on a phone."""
    if key == "-":
        key = sys.stdin.readline().strip()
    body: dict[str, Any] = {"return_url": return_url}
    if user_id is not None:
        body["metadata"] = {"user_id": user_id}
    if flow is not None:
        body["flow"] = flow

    async def run() -> dict[str, Any]:
        config = load(flags={}, environ=os.environ, file=file)
        return await _create(server or _server_of(config), key, body)

    session = or_exit(run)
    click.echo(f"session  {session['session_id']}")
    click.echo(f"url      {session['session_url']}")
    click.echo(f"expires  {session['expires_at']}")
    click.echo()
    out = sys.stdout
    for line in qr_lines(session["session_url"], encoding=out.encoding, in_colour=out.isatty()):
        click.echo(line)


def _server_of(config: Config) -> str:
    """Return where a server with these settings is reached from this machine."""
    door = config.door
    if door.public_url is not None:
        return door.public_url
    address: Address = door.addresses[0]
    scheme = "http" if config.settings.tls_cert is None else "https"
    return f"{scheme}://{address}"


async def _create(server: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the session that the server has made.

    Raises:
        StartError: it has not, and says why.
    """
    url = f"{server.rstrip('/')}/api/v1/sessions/create"
    try:
        async with httpx.AsyncClient(
            trust_env=False, timeout=_TIMEOUT_S, verify=_trusted()
        ) as http:
            answer = await http.post(url, json=body, headers={"Authorization": f"Bearer {key}"})
        said: Any = answer.json()
    except httpx.InvalidURL:
        raise StartError(f"{server} is not a URL") from None
    except httpx.HTTPError as error:
        raise StartError(f"{server} does not answer: {_reason(error)}") from error
    except (UnicodeError, ValueError):
        raise StartError(f"{server} is not a Mooring, or {url} is not its address") from None
    if answer.status_code != 201 or not isinstance(said, dict):
        reason = said.get("detail", answer.reason_phrase) if isinstance(said, dict) else said
        raise StartError(f"{answer.status_code}: {reason}")
    return said


def _trusted() -> ssl.SSLContext:
    """Return who is believed: whom browsers believe, and whom this machine or SSL_CERT_FILE does.

    A server that a phone on the desk is to reach has a certificate that nobody else knows.
    """
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context


def _reason(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message}); see SSL_CERT_FILE"
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__


def _password(*, from_stdin: bool) -> str:
    """Return the password that a person types twice, or a program writes once."""
    if from_stdin:
        return sys.stdin.read().rstrip("\r\n")
    hint = f"Password (at least {MIN_CHARS} characters)"
    return str(click.prompt(hint, hide_input=True, confirmation_prompt=True, err=True))


def _with_accounts(file: Path | None, work: Callable[[Accounts], Awaitable[Account]]) -> Account:
    """Run `work` on the accounts of the settings' data; errors end the program."""

    async def run() -> Account:
        log.configure()
        settings = load(flags={}, environ=os.environ, file=file).settings
        with hold_data_dir(Path(settings.data_dir)) as data_dir:
            async with _accounts(settings, data_dir) as accounts:
                return await work(accounts)

    return or_exit(run)


@asynccontextmanager
async def _accounts(settings: Settings, data_dir: Path) -> AsyncIterator[Accounts]:
    clock = SystemClock()
    sealer = Sealer(master_keys(settings.key, data_dir, clock), clock)

    async def later(tenant_id: str, reached: QuotaReached) -> None:
        raise MooringError("the server tells")

    try:
        async with (
            open_passwords(clock) as passwords,
            open_house(settings, data_dir=data_dir, sealer=sealer, clock=clock) as house,
            open_tenants(
                settings.partner,
                log=house.log,
                waker=house.waker,
                sealer=sealer,
                clock=clock,
                tell=later,
            ) as tenants,
        ):
            yield Accounts(tenants, passwords=passwords, clock=clock)
    except* PartnerError as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise StartError(str(error)) from None
