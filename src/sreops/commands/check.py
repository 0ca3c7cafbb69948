"""check: every dependency: reachable, credentials, what is missing and how to fix it."""

import asyncio
from collections.abc import Awaitable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sreops.agent.context import Tools
from sreops.app import build_event_log, build_parts, open_store
from sreops.app.exposure import guard_exposure, weak_credentials
from sreops.commands.terminal import Terminal, shown
from sreops.errors import SreopsError
from sreops.ports import Health
from sreops.settings import Settings, load_settings, passed_over
from sreops.telemetry import configure_logging

_DEADLINE_S = 15.0
_LONGEST_LINE = 2000
_STYLE = {"up": "green", "down": "bold red", "not_configured": "yellow"}


def run() -> int:
    """Print a table; exit status 0 where everything that is configured answers, else 1."""
    settings = load_settings()
    configure_logging("error", settings.log_format)
    guard_exposure(settings)
    found = asyncio.run(_look(settings))
    terminal = Terminal(Console(highlight=False))
    table = Table(box=None, pad_edge=False)
    for column in ("part", "state", "what was found", "cure"):
        table.add_column(column, overflow="fold")
    for name, health in found.items():
        table.add_row(name, Text(health.status, _STYLE[health.status]), shown(health.detail), shown(health.cure))
    if not terminal.console.is_terminal:  # a pipe or a log: a line of each part, that can be searched and copied
        unbounded = terminal.console.options.update(max_width=_LONGEST_LINE)
        terminal.console.width = max(terminal.console.width, terminal.console.measure(table, options=unbounded).maximum)
    terminal.console.print(table)
    for sentence in (*passed_over(), *weak_credentials(settings)):
        terminal.say(f"warning: {sentence}")
    down = [name for name, health in found.items() if health.status == "down"]
    terminal.say(f"not answering: {', '.join(down)}" if down else "everything that is configured answers")
    return 1 if down else 0


async def _look(settings: Settings) -> dict[str, Health]:
    async with open_store(settings) as store:
        event_log = build_event_log(settings)
        await event_log.start()
        parts = build_parts(settings, store, event_log)
        try:
            checks = dict(parts.checks)
            if parts.notifier is not None:  # what was sent of late says nothing of a URL that was just corrected
                checks["notify"] = parts.notifier.health
            names = list(checks)
            answers = await asyncio.gather(*(_bounded(check()) for check in checks.values()))
            allowed = await _bounded(_allowed(parts.tools))
            acting = await _bounded(_acting(parts.tools))
        finally:
            for close in (*parts.closers, event_log.stop):
                await close()
    return {
        **dict(zip(names, answers, strict=True)),
        **({"actions": allowed} if parts.tools.containers is not None else {}),
        **({"gitlab actions": acting} if settings.gitlab.actions else {}),
        **parts.missing,
    }


async def _allowed(tools: Tools) -> Health:
    """Say which engine actions of the runbooks pass whatever stands before the engine; refused ones are no fault."""
    if tools.containers is None:
        return Health("not_configured")
    steps = [step for runbook in tools.runbooks for step in runbook.steps if step.action.on_engine]
    actions = sorted({step.action.value for step in steps})
    try:
        refused = await tools.containers.refused_actions(actions, timeout_s=tools.settings.docker.timeout_s)
    except SreopsError as exc:
        return Health("not_configured", f"can't be asked: {exc}")
    if not refused:
        return Health("up", f"nothing before the engine refuses {', '.join(actions) or 'anything'}")
    cure = "switch on what your runbooks need in the proxy (deploy/docker-proxy/haproxy.cfg says what each means)"
    return Health("not_configured", f"the proxy before the engine refuses {', '.join(refused)}", cure)


async def _acting(tools: Tools) -> Health:
    """Say whether GitLab lets the tokens of SREOPS_GITLAB__ACTIONS do what the settings allow."""
    if tools.pipelines is None:
        return Health("not_configured", "SREOPS_GITLAB__ACTIONS has no address to act on", "set SREOPS_GITLAB__URL")
    try:
        return await tools.pipelines.health(tools.clock.now(), timeout_s=_DEADLINE_S / 3)
    except SreopsError as exc:
        return Health("down", str(exc), exc.cure)


async def _bounded(check: Awaitable[Health]) -> Health:
    try:
        async with asyncio.timeout(_DEADLINE_S):
            return await check
    except TimeoutError:
        return Health("down", f"no answer within {_DEADLINE_S:g} s", "see whether it is overloaded or unreachable")
