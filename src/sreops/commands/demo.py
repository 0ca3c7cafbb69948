"""demo: the whole loop in a small world on this machine, told in the terminal and watched on the page.

sreops runs unmodified as its own process; around it, in this process, the sandbox speaks the real protocols
of Loki, Prometheus, Grafana, GitLab and the Docker Engine on loopback.
"""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from sreops.app import packaged_runbooks
from sreops.commands.demo_acts import Act, Stage, acts, fall_ill
from sreops.errors import SettingsInvalid, SreopsError
from sreops.sandbox.world import World
from sreops.settings import load_settings

_READY_S = 30.0
_PACE = {
    "SREOPS_VERIFY__SETTLE_S": "2",
    "SREOPS_VERIFY__POLL_S": "1",
    "SREOPS_VERIFY__TIMEOUT_S": "40",
    "SREOPS_EVIDENCE__LOOKBACK_S": "1500",
    "SREOPS_LOG_LEVEL": "warning",
}


def run(*, stay: bool, model: bool, docker: bool, port: int) -> int:
    """Play it; exit status 0 when every promised step happened, else 1 with what was missing."""
    console = Console(highlight=False, soft_wrap=True)
    key = load_settings().llm_api_key
    if model and key is None:
        raise SettingsInvalid(["--model needs ANTHROPIC_API_KEY (or SREOPS_LLM__API_KEY) to be set"])
    if key is not None and not model:
        console.print("[dim]A model key is set: `--model` lets Claude analyse; the rules do so now.[/]")
    extra: dict[str, str] = {}
    if model and key is not None:
        extra["SREOPS_LLM__API_KEY"] = key.get_secret_value()
    return asyncio.run(_play(console, extra, stay=stay, docker=docker, port=port))


async def _play(console: Console, extra: Mapping[str, str], *, stay: bool, docker: bool, port: int) -> int:
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
        url = await stack.enter_async_context(_sreops(world, directory, extra, port))
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=10, trust_env=False))
        console.print(f"The page: [bold cyan]{url}/[/]\n")
        stage = Stage(world=world, console=console, client=client, url=url, hospital=hospital)
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


@contextlib.asynccontextmanager
async def _sreops(world: World, directory: Path, extra: Mapping[str, str], port: int) -> AsyncIterator[str]:
    """Start `python -m sreops` against the world, and end it afterwards."""
    runbooks = directory / "runbooks.yaml"
    # the shipped runbooks, with rates over ten seconds instead of a minute: the demo's Prometheus scrapes each second
    runbooks.write_text(packaged_runbooks().replace("[1m]", "[10s]"), encoding="utf-8")
    port = port or _free_port()
    kept = {name: value for name, value in _environment().items() if not name.startswith(("SREOPS_", "ANTHROPIC_"))}
    environment = {
        **kept,
        **_PACE,
        **world.settings(),
        "SREOPS_PORT": str(port),
        "SREOPS_DATA_DIR": str(directory / "data"),
        "SREOPS_RUNBOOKS": str(runbooks),
        "SREOPS_WEBHOOK__ANONYMOUS_AUTONOMOUS": "true",
        **extra,
    }
    log_path = directory / "sreops.log"
    with log_path.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sreops", cwd=directory, env=environment, stdout=output, stderr=output
        )
    try:
        await _ready(f"http://127.0.0.1:{port}", process, log_path)
        yield f"http://127.0.0.1:{port}"
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


def _free_port() -> int:
    import socket  # noqa: PLC0415  # only here

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _ready(url: str, process: asyncio.subprocess.Process, log_path: Path) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=2, trust_env=False) as client:
        for _ in range(int(_READY_S / 0.1)):
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get("/readyz")).status_code == 200:
                    return
            if process.returncode is not None:
                break
            await asyncio.sleep(0.1)
    said = await asyncio.to_thread(log_path.read_text, errors="replace")
    raise SreopsError(f"sreops did not become ready within {_READY_S:g} s; it said:\n{said[-3000:]}")


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
