"""init: the settings and the contact point for a stack that is there already, and a test alert through all of it."""

import asyncio
import getpass
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from dotenv import dotenv_values

from sreops.commands.terminal import Terminal
from sreops.errors import SettingsInvalid
from sreops.settings import Settings, load_settings

ENV_FILE, CONTACT_POINT_FILE = Path(".env"), Path("sreops-contact-point.yaml")
_OURS = "# Made by `sreops init`"
_LOOK_EVERY_S, _ANSWER_S = 1.0, 10.0
_TICKS = {"up": "✓", "down": "✗", "not_configured": "-"}
_IN_COMPOSE = "docker compose -f deploy/compose.minimal.yaml --env-file .env up -d --build --wait"
_PLAIN = frozenset("._:/@%,*+-")


@dataclass(frozen=True)
class InitOptions:
    """What the command line says: addresses, the Compose network, and how long to wait for sreops (seconds)."""

    compose: str = ""
    url: str = ""
    from_grafana: str = ""
    loki: str = ""
    prometheus: str = ""
    grafana: str = ""
    docker: str = ""
    wait_s: float = 120.0


def run(wishes: InitOptions) -> int:
    """Write ``.env`` and the contact point, send the test alert; status 0 when every part answers, else 1."""
    terminal = Terminal()
    for name, given in (("--url", wishes.url), ("--from-grafana", wishes.from_grafana)):
        if given and (urlsplit(given).scheme not in ("http", "https") or not urlsplit(given).hostname):
            raise SettingsInvalid([f"{name}: write http://HOST:PORT or https://HOST"])
    there = _read(ENV_FILE)
    settings = _write_env(_wanted(wishes, there), there, terminal)
    ours = (wishes.url or f"http://127.0.0.1:{settings.port}").rstrip("/")
    theirs = (wishes.from_grafana or ("http://sreops:8080" if wishes.compose else ours)).rstrip("/")
    token = settings.webhook.token.get_secret_value() if settings.webhook.token else ""
    _write_contact_point(contact_point(f"{theirs}/alerts", token), terminal)
    for line in _click_path(f"{theirs}/alerts"):
        terminal.say(line)
    return asyncio.run(_through(ours, token, settings, wishes, terminal))


def _read(file: Path) -> dict[str, str]:
    try:
        return {name: value or "" for name, value in dotenv_values(file, encoding="utf-8").items()}
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsInvalid([f"{file}: can't be read: {exc}; write it as UTF-8 text, NAME=value a line"]) from exc


# --- .env


def _wanted(wishes: InitOptions, there: Mapping[str, str]) -> dict[str, str]:
    """Return what the file shall say besides what it says already."""
    asked = {
        "SREOPS_LOKI__URL": (wishes.loki, "Loki's address (http://loki:3100), or nothing"),
        "SREOPS_PROMETHEUS__URL": (wishes.prometheus, "Prometheus' address (http://prometheus:9090), or nothing"),
        "SREOPS_GRAFANA__URL": (wishes.grafana, "Grafana's address (http://grafana:3000), or nothing"),
        "SREOPS_GRAFANA__TOKEN": ("", "the token of a Grafana service account with role Viewer, or nothing"),
        "SREOPS_DOCKER__HOST": (wishes.docker, "the container engine (unix:///var/run/docker.sock), or nothing"),
    }
    wanted = {"SREOPS_WEBHOOK__TOKEN": secrets.token_hex(24), "SREOPS_API_TOKEN": secrets.token_hex(24)}
    if wishes.compose:
        del asked["SREOPS_DOCKER__HOST"]  # the Compose file says where its proxy is
        wanted["NETWORK"] = wishes.compose
    for name, (given, question) in asked.items():
        wanted[name] = given or ("" if there.get(name) or not sys.stdin.isatty() else _answer(question, name))
    return {name: value for name, value in wanted.items() if value and not there.get(name)}


def _answer(question: str, name: str) -> str:
    ask = getpass.getpass if name.endswith("TOKEN") else input
    return ask(f"{question}: ").strip()


def _write_env(wanted: Mapping[str, str], there: Mapping[str, str], terminal: Terminal) -> Settings:
    """Add what is missing, once it is known to be right; what is there stays as it is. Returns the settings."""
    before = ENV_FILE.read_text(encoding="utf-8") if ENV_FILE.exists() else f"{_OURS}; docs/settings.md lists more.\n"
    lines = [f"{name}={_quoted(name, value)}" for name, value in wanted.items()]
    handle, made = tempfile.mkstemp(dir=ENV_FILE.parent, prefix=".env.")  # mode 0600: it holds secrets
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write("\n".join([before.rstrip("\n"), *lines, ""]))
        settings = load_settings(_env_file=made)
        if lines:
            Path(made).replace(ENV_FILE)
    finally:
        Path(made).unlink(missing_ok=True)
    terminal.say(f"✓ {ENV_FILE}: " + (f"added {', '.join(wanted)}" if lines else "nothing was missing"))
    kept = [name for name in there if name.startswith("SREOPS_") or name == "NETWORK"]
    if kept:
        terminal.say(f"  kept as it was: {', '.join(kept)}")
    return settings


def _quoted(name: str, value: str) -> str:
    if all((char.isascii() and char.isalnum()) or char in _PLAIN for char in value):
        return value
    if "'" in value or not value.isprintable():
        raise SettingsInvalid([f"{name}: it holds a quote or a control character; write it into {ENV_FILE} yourself"])
    return f"'{value}'"  # as it is: nothing in it is a comment or a variable, for Compose neither


# --- Grafana


def contact_point(url: str, token: str) -> str:
    """Return the provisioning file of a contact point (Grafana's documentation: alerting, file provisioning)."""
    return f"""\
{_OURS}. Copy it to Grafana's provisioning/alerting/ and restart Grafana. It holds a secret.
apiVersion: 1
contactPoints:
  - orgId: 1
    name: sreops
    receivers:
      - uid: sreops-webhook
        type: webhook
        disableResolveMessage: false # resolved notices stop work that is no longer wanted
        settings:
          url: {_literal(url)}
          httpMethod: POST
          authorization_scheme: Bearer
          authorization_credentials: {_literal(token)}
"""


def _literal(text: str) -> str:
    """Write a YAML string; Grafana expands ``$NAME`` in it unless the sign is doubled."""
    return "'" + text.replace("'", "''").replace("$", "$$") + "'"


def _write_contact_point(text: str, terminal: Terminal) -> None:
    file = CONTACT_POINT_FILE
    if file.exists() and not file.read_text(encoding="utf-8", errors="replace").startswith(_OURS):
        raise SettingsInvalid([f"{file} is there already, and sreops did not make it: move it away first"])
    handle, made = tempfile.mkstemp(dir=file.parent, prefix=".contact-point.")  # mode 0600: it holds the token
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
        Path(made).replace(file)
    finally:
        Path(made).unlink(missing_ok=True)
    terminal.say(f"✓ {file}: for Grafana's provisioning/alerting/. Or click:")


def _click_path(url: str) -> tuple[str, ...]:
    return (
        "    Alerting → Contact points → New contact point: name sreops, integration Webhook,",
        f"      URL {url}, HTTP method POST,",
        "      Optional Webhook settings → Authorization Header - Scheme: Bearer,",
        "      Authorization Header - Credentials: SREOPS_WEBHOOK__TOKEN of .env,",
        "      “Disable resolved message” stays off. Test. Save.",
        "    Alerting → Notification policies → Default policy → Edit: contact point sreops, group interval 1m",
        "      (Grafana does not repeat before that a webhook that failed).",
    )


# --- the test alert


def trial(now: datetime) -> dict[str, Any]:
    """Return what Grafana's test button sends: sreops opens no incident for it, and shows that it arrived."""
    alert = {
        "status": "firing",
        "labels": {"alertname": "TestAlert", "instance": "Grafana"},
        "annotations": {"summary": "sreops init: a test"},
        "startsAt": now.isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": "5e0b5c0de7e57000",
    }
    group = '{alertname="TestAlert", instance="Grafana"}'
    return {"version": "1", "status": "firing", "receiver": "sreops", "groupKey": group, "alerts": [alert]}


async def _through(url: str, token: str, settings: Settings, wishes: InitOptions, terminal: Terminal) -> int:
    start = _IN_COMPOSE if wishes.compose else "python -m sreops"
    async with httpx.AsyncClient(base_url=url, timeout=_ANSWER_S, trust_env=False) as client:
        if not await _answers(client, start, wishes.wait_s, terminal):
            terminal.say(f"✗ sreops does not answer at {url}: start it (`{start}`), then repeat this")
            return 1
        terminal.say(f"✓ sreops answers at {url}/")
        try:
            return await _sent(client, url, token, settings, terminal)
        except httpx.HTTPError as exc:
            terminal.say(f"✗ sreops at {url} stopped answering ({type(exc).__name__}): look at its log")
            return 1


async def _answers(client: httpx.AsyncClient, start: str, wait_s: float, terminal: Terminal) -> bool:
    deadline, told = time.monotonic() + wait_s, False
    while True:
        try:
            if (await client.get("/livez")).status_code == 200:
                return True
        except httpx.HTTPError:
            pass  # not yet: it is told below how to start it
        if time.monotonic() >= deadline:
            return False
        if not told:
            terminal.say(f"… start sreops in this folder, in another terminal: `{start}` (waiting {wait_s:g} s)")
            told = True
        await asyncio.sleep(_LOOK_EVERY_S)


async def _sent(client: httpx.AsyncClient, url: str, token: str, settings: Settings, terminal: Terminal) -> int:
    answer = await client.post("/alerts", json=trial(datetime.now(UTC)), headers={"Authorization": f"Bearer {token}"})
    if answer.status_code != 202:
        started = "it was started with other settings than this .env: restart it"
        terminal.say(
            f"✗ the test alert was answered with {answer.status_code}: "
            + (started if answer.status_code == 401 else answer.text[:300])
        )
        return 1
    terminal.say("✓ the test alert was taken, as Grafana would send it; a test opens no incident")
    api = settings.api_token.get_secret_value() if settings.api_token else ""
    checks = _checks(await client.get("/health", headers={"Authorization": f"Bearer {api}"}))
    if not checks:
        terminal.say("✗ its health tells no details: SREOPS_API_TOKEN is not the one that it was started with")
        return 1
    for name, check in checks.items():
        cure = check.get("cure") if check.get("status") != "up" else ""
        told = "; ".join(str(part) for part in (check.get("detail"), cure) if part)
        terminal.say(f"{_TICKS.get(str(check.get('status')), '?')} {name}: {told}")
    down = [name for name, check in checks.items() if check.get("status") == "down"]
    if down:
        terminal.say(f"not answering: {', '.join(down)}")
        return 1
    terminal.say(f"Ready. Press Test in Grafana: {url}/ is where it shows (sign in with SREOPS_API_TOKEN of .env).")
    return 0


def _checks(answer: httpx.Response) -> Mapping[str, Mapping[str, Any]]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    checks = body.get("checks") if isinstance(body, dict) else None
    return (
        {name: check for name, check in checks.items() if isinstance(check, dict)} if isinstance(checks, dict) else {}
    )
