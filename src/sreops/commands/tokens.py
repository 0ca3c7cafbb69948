"""tokens create, list, revoke; sessions end: who is let in, by who may run commands where sreops runs."""

import argparse
import asyncio
import getpass
import secrets
from datetime import timedelta

from sreops.app import open_store
from sreops.app.store import steady_clock
from sreops.commands.terminal import Terminal
from sreops.domain.records.api_token import MAX_DAYS, NAME, ApiToken, key_of, new_secret
from sreops.domain.records.person import Role
from sreops.errors import SettingsInvalid
from sreops.settings import load_settings


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked for."""
    if arguments.command == "sessions":
        return end_sessions(arguments.account)
    if arguments.what == "list":
        return listed()
    if arguments.what == "revoke":
        return revoke(arguments.token_id)
    return create(arguments.name, role=arguments.role, days=arguments.days, account=arguments.account)


def create(name: str, *, role: str, days: int, account: str) -> int:
    """Make a token and print it; exit status 0. Raises SettingsInvalid for a bad name or number of days."""
    if not NAME.fullmatch(name):
        raise SettingsInvalid([f"tokens create: {name!r}: a name has up to 63 of A-Z a-z 0-9 . _ -"])
    if not 1 <= days <= MAX_DAYS:
        raise SettingsInvalid([f"tokens create: --days {days}: from 1 to {MAX_DAYS}"])
    return asyncio.run(_create(name, Role(role), days, account))


def listed() -> int:
    """Print all tokens, without what opens anything; exit status 0."""
    return asyncio.run(_listed())


def revoke(token_id: str) -> int:
    """End a token at once; exit status 0, 1 where there is none."""
    return asyncio.run(_revoke(token_id))


def end_sessions(account: str) -> int:
    """Sign an account out everywhere; exit status 0, 1 where it was signed in nowhere."""
    return asyncio.run(_end_sessions(account))


async def _create(name: str, role: Role, days: int, account: str) -> int:
    async with open_store(load_settings()) as store:
        now = (await steady_clock(store)).now()
        secret = new_secret()
        token = ApiToken(secrets.token_hex(6), name, account, role, _who(), now, now + timedelta(days=days))
        await store.add_api_token(key_of(secret), token)
    terminal = Terminal()
    terminal.say(f"{token.signature}, role {role}, until {token.expires_at:%Y-%m-%d %H:%M} UTC. It is shown only now:")
    terminal.say(secret)
    return 0


async def _listed() -> int:
    async with open_store(load_settings()) as store:
        now = (await steady_clock(store)).now()
        tokens = await store.api_tokens()
    terminal = Terminal()
    for token in tokens:
        state = "revoked" if token.revoked_at else "valid" if token.valid(now) else "expired"
        until = (token.revoked_at or token.expires_at).strftime("%Y-%m-%d %H:%M")
        terminal.say(
            f"{token.token_id}  {state:<7}  {until}  {token.role:<8}  {token.signature}  by {token.created_by}"
        )
    terminal.say(f"{len(tokens)} tokens")
    return 0


async def _revoke(token_id: str) -> int:
    async with open_store(load_settings()) as store:
        token = await store.revoke_api_token(token_id, by=_who(), now=(await steady_clock(store)).now())
    Terminal().say(f"{token.signature} is revoked")
    return 0


async def _end_sessions(account: str) -> int:
    async with open_store(load_settings()) as store:
        ended = await store.end_sessions_of(account, by=_who(), now=(await steady_clock(store)).now())
    Terminal().say(f"{account}: {ended} sessions ended")
    return 0 if ended else 1


def _who() -> str:
    return f"command line of {getpass.getuser()}"
