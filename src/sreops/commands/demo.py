"""demo: the whole loop in a small world on this machine, told in the terminal and watched on the page.

sreops runs unmodified as its own process; around it, in this process, the sandbox speaks the real protocols
of Loki, Prometheus, Grafana, GitLab and the Docker Engine on loopback.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from sreops.app import packaged_runbooks
from sreops.commands.demo_acts import APPROVE_AFTER_S, ROLL_BACK, Act, Stage, acts, fall_ill
from sreops.errors import SettingsInvalid, SreopsError
from sreops.sandbox.world import World
from sreops.settings import load_settings

_READY_S = 90.0  # its imports take seconds, and much longer on a busy machine (measured: 20 s at a load of 13)
_PACE = {
    "SREOPS_VERIFY__SETTLE_S": "2",
    "SREOPS_VERIFY__POLL_S": "1",
    "SREOPS_VERIFY__TIMEOUT_S": "40",
    "SREOPS_EVIDENCE__LOOKBACK_S": "1500",
    "SREOPS_LOG_LEVEL": "warning",
}


def run(*, stay: bool, model: bool, docker: bool, port: int, approve_after_s: float = APPROVE_AFTER_S) -> int:
    """Play it; exit status 0 when every promised step happened, else 1 with what was missing."""
    console = Console(highlight=False, soft_wrap=True)
    key = load_settings().llm_api_key
    if model and key is None:
        raise SettingsInvalid(["--model needs ANTHROPIC_API_KEY (or SREOPS_LLM__API_KEY) to be set"])
    if key is not None and not model:
        console.print("[dim]A model key is set: `--model` lets Claude analyse; the rules do so now.[/]")
    extra = {"SREOPS_PORT": str(free_port(port))}
    if model and key is not None:
        extra["SREOPS_LLM__API_KEY"] = key.get_secret_value()
    return asyncio.run(_play(console, extra, stay=stay, docker=docker, approve_after_s=approve_after_s))


async def _play(console: Console, extra: Mapping[str, str], *, stay: bool, docker: bool, approve_after_s: float) -> int:
    # a faster pulse than a real Prometheus has, so that a cure shows within seconds
    world = World(claude=False, scrape_interval_s=1.0, window="10s")
    fall_ill(world)
    console.print("[bold]sreops demo[/]: a small shop on this machine; its payments service leaks memory.")
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(world)
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sreops-demo-")))
        hospital = None
        if docker:
            from sreops.commands.demo_docker import hospital_for  # noqa: PLC0415  # needs an engine: only when asked for

            hospital = await stack.enter_async_context(hospital_for(world, console))
            extra = {**extra, "SREOPS_DOCKER__HOST": hospital.host}
        keys = Keys()
        url = await stack.enter_async_context(_sreops(world, directory, extra, keys))
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=url, headers=keys.of_people, timeout=10, trust_env=False)
        )
        console.print(f"The page: [bold cyan]{url}/[/], and its API token: [bold]{keys.api}[/]\n")
        stage = Stage(
            world=world,
            console=console,
            client=client,
            url=url,
            hospital=hospital,
            sender_headers=keys.of_senders,
            approve_after_s=approve_after_s,
        )
        telling = asyncio.create_task(stage.tell())
        try:
            played = await acts(stage, only_first=docker)
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        missing = _summary(console, played, url)
        if stay:
            console.print(f"\nThe page stays up at {url}/ until Ctrl-C.")
            await _until_told()
        return 1 if missing else 0


@dataclass(frozen=True)
class Keys:
    """The credentials of one demo: random, so that nobody else's sreops takes its alerts and approvals."""

    webhook: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    api: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def of_senders(self) -> Mapping[str, str]:
        """The headers that an alert comes with."""
        return {"Authorization": f"Bearer {self.webhook}"}

    @property
    def of_people(self) -> Mapping[str, str]:
        """The headers that the API is asked with."""
        return {"Authorization": f"Bearer {self.api}"}


def free_port(wanted: int) -> int:
    """Return the port, or any free one for 0; raises SettingsInvalid where somebody listens there already."""
    if not 0 <= wanted <= 65535:
        raise SettingsInvalid([f"--port {wanted}: a port is a number from 1 to 65535"])
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as exc:
            cure = "give another, or leave --port out for any free one"
            raise SettingsInvalid([f"--port {wanted}: can't listen there: {exc.strerror}; {cure}"]) from exc
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def _sreops(world: World, directory: Path, extra: Mapping[str, str], keys: Keys) -> AsyncIterator[str]:
    """Start `python -m sreops` against the world, and end it afterwards."""
    runbooks = directory / "runbooks.yaml"
    # the shipped runbooks, with rates over ten seconds instead of a minute: the demo's Prometheus scrapes each second
    runbooks.write_text((packaged_runbooks() + ROLL_BACK).replace("[1m]", "[10s]"), encoding="utf-8")
    kept = {name: value for name, value in _environment().items() if not name.startswith(("SREOPS_", "ANTHROPIC_"))}
    environment = {
        **kept,
        **_PACE,
        **world.settings(),
        "SREOPS_DATA_DIR": str(directory / "data"),
        "SREOPS_RUNBOOKS": str(runbooks),
        "SREOPS_WEBHOOK__TOKEN": keys.webhook,
        "SREOPS_API_TOKEN": keys.api,
        **extra,
    }
    url = f"http://127.0.0.1:{extra['SREOPS_PORT']}"
    log_path = directory / "sreops.log"
    with log_path.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sreops", cwd=directory, env=environment, stdout=output, stderr=output
        )
    try:
        await _ready(url, keys, process, log_path)
        yield url
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), 15)
            except TimeoutError:
                process.kill()
                await process.wait()


def _environment() -> dict[str, str]:
    return dict(os.environ)  # noqa: TID251  # handed on to the child process, nothing is read from it


async def _ready(url: str, keys: Keys, process: asyncio.subprocess.Process, log_path: Path) -> None:
    """Wait until ours answers; another one that took the port meanwhile does not know our token."""
    async with httpx.AsyncClient(base_url=url, timeout=2, trust_env=False) as client:
        for _ in range(int(_READY_S / 0.1)):
            with contextlib.suppress(httpx.HTTPError):
                ready = (await client.get("/readyz")).status_code == 200
                if ready and await is_ours(client, keys):
                    return
            if process.returncode is not None:
                break
            await asyncio.sleep(0.1)
    log_text = await asyncio.to_thread(log_path.read_text, errors="replace")
    raise SreopsError(f"sreops did not become ready within {_READY_S:g} s; it said:\n{log_text[-3000:]}")


async def is_ours(client: httpx.AsyncClient, keys: Keys) -> bool:
    """Say whether who listens takes our random token, and nobody without it."""
    known = await client.get("/api/incidents", headers=keys.of_people)
    stranger = await client.get("/api/incidents")
    return (known.status_code, stranger.status_code) == (200, 401)


def _summary(console: Console, played: list[Act], url: str) -> list[str]:
    table = Table(title="What happened", title_justify="left", show_lines=False)
    for column in ("incident", "cause", "what was done", "how it ended", "issue"):
        table.add_column(column, overflow="fold")
    for act in played:
        table.add_row(*act.row())
    console.print()
    console.print(table)
    missing = [f"{act.title}: {promise}" for act in played for promise in act.broken]
    if missing:
        console.print("[bold red]Not everything that was promised happened:[/]")
        for line in missing:
            console.print(f"  {line}", markup=False)
    else:
        console.print("[green]Every promised step happened.[/]", f"The page was {url}/")
    return missing


async def _until_told() -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, told.set)
    await told.wait()
