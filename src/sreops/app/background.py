"""Where the process's tasks are built and run: those of the worker, and of the spool."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Final

from sreops.adapters.database.data_size import used_bytes
from sreops.adapters.database.opening import ProcessDatabase
from sreops.adapters.event_log.embedded import EmbeddedEventLog
from sreops.agent.graph import build_graph
from sreops.agent.runner import Runner
from sreops.app.assembly import Check
from sreops.app.process import Running
from sreops.app.runbooks import configured_text
from sreops.domain.alerts.routing import ALERT_TOPICS, INFO
from sreops.domain.incidents.correlation import Windows
from sreops.ports import Issues
from sreops.telemetry import log
from sreops.worker.copies import Copies
from sreops.worker.correlation import Correlator
from sreops.worker.dispatch import Dispatcher
from sreops.worker.forwarding import Forwarding
from sreops.worker.hindsight import Hindsight
from sreops.worker.intake import Intake
from sreops.worker.issue_decisions import IssueDecisions
from sreops.worker.issue_refresh import IssueRefresh
from sreops.worker.notice_sending import NoticeLoop
from sreops.worker.pause_file import PauseFileWatch
from sreops.worker.retention import RetentionLoop
from sreops.worker.rules_noted import note_policy
from sreops.worker.runbooks_file import RunbooksReloader
from sreops.worker.upkeep import analyse_again, catch_up_tickets
from sreops.worker.watchdog import watch

MODEL_NOT_UP: Final = "model.not_up"
TASK_FAILED: Final = "sreops.task_failed"

FIRST_LOOK_BACK_S = 3600.0
"""So far back a topic that was never read before is read: an upgrade must not tell of last week's information."""


@contextlib.asynccontextmanager
async def background_tasks(app: Running, database: ProcessDatabase, wake: asyncio.Event) -> AsyncIterator[None]:
    """Run the worker's tasks while the block runs; one that fails sets ``broken`` so that the process ends.

    What works on the store begins when that is there.
    """
    parts, settings = app.parts, app.settings

    def own(work: Awaitable[None], name: str) -> asyncio.Task[None]:
        task = asyncio.ensure_future(_guarded(work, name, app.broken))
        app.background.append(task)
        return task

    async def once_ready(work: Callable[[], Awaitable[None]]) -> None:
        await database.ready.wait()
        await work()

    own(database.tend(), "database")
    if app.spooled is not None:  # whatever the roles: an earlier bridge may have left something in it
        forwarding = Forwarding(
            spool=app.spooled,
            event_log=parts.event_log,
            clock=parts.tools.clock,
            append_timeout_s=settings.ack_timeout_s,
        )
        own(forwarding.run(), "spool")
    if parts.tools.pause_file is not None:
        paused_by = PauseFileWatch(
            store=parts.store, file=parts.tools.pause_file, clock=parts.tools.clock, host=socket.gethostname()
        )
        own(once_ready(paused_by.run), "pause file")
    watched = RunbooksReloader(
        in_force=parts.tools.runbooks,
        read=partial(configured_text, settings),
        store=parts.store,
        clock=parts.tools.clock,
        host=socket.gethostname(),
    )
    own(once_ready(watched.run), "runbooks file")
    own(once_ready(partial(note_policy, parts.store, parts.tools.clock, settings, socket.gethostname())), "policy")
    if "worker" in settings.roles:
        app.dispatch = Dispatcher(
            Runner(build_graph(database.saver), parts.tools),
            parts.tools,
            owner=f"{socket.gethostname()}-{os.getpid()}",
            wake=wake,
        )
        correlating = Correlator(
            store=parts.store,
            event_log=parts.event_log,
            clock=parts.tools.clock,
            windows=Windows.model_validate(settings.correlation.model_dump() | {"slots": settings.concurrency}),
            on_due=wake.set,
            append_timeout_s=settings.ack_timeout_s,
        )
        intake = Intake(
            subscribe=lambda: parts.event_log.subscribe(
                ALERT_TOPICS, group=settings.kafka.group_id, recent_s={INFO: FIRST_LOOK_BACK_S}
            ),
            store=parts.store,
            event_log=parts.event_log,
            clock=parts.tools.clock,
            correlating=correlating,
            append_timeout_s=settings.ack_timeout_s,
            max_inbox_bytes=settings.worker.max_inbox_bytes,
            work_on=settings.work_on,
        )
        app.reading = intake.health
        copies = Copies(store=parts.store, event_log=parts.event_log, clock=parts.tools.clock, shared=database.shared)
        app.intake = own(once_ready(intake.run), "intake")
        own(once_ready(app.dispatch.run), "dispatch")
        own(once_ready(copies.run), "copies")
        own(once_ready(partial(catch_up_tickets, parts.tools.tickets)), "tickets")
        own(once_ready(partial(analyse_again, parts.tools, wake)), "joins")
        own(once_ready(_people(app, database).run), "people")
        if parts.issues is not None:
            own(once_ready(_issue_refresh(app, database, parts.issues).run), "showing")
            own(once_ready(_issue_decisions(app, database, parts.issues, wake).run), "hearing")
        own(once_ready(partial(watch, parts.tools, wake, app.dispatch.interrupt)), "watchdog")
        own(once_ready(_retention(app, database).run), "retention")
        own(once_ready(Hindsight(parts.tools, shared=database.shared).run), "hindsight")
        if "model" in parts.checks:
            own(once_ready(partial(_look_at_model, parts.checks["model"])), "model")
    try:
        yield
    finally:
        for task in app.background:
            task.cancel()
        await asyncio.gather(*app.background, return_exceptions=True)


def _public_url(app: Running) -> str | None:
    """Return where people reach the page, as far as that is known."""
    settings = app.settings
    here = f"http://{settings.host}:{settings.port}" if settings.host in ("127.0.0.1", "localhost") else None
    return settings.public_url or here


def _issue_refresh(app: Running, database: ProcessDatabase, issues: Issues) -> IssueRefresh:
    return IssueRefresh(
        store=app.parts.store,
        issues=issues,
        clock=app.parts.tools.clock,
        timeout_s=app.settings.gitlab.timeout_s,
        public_url=_public_url(app),
        shared=database.shared,
    )


def _issue_decisions(app: Running, database: ProcessDatabase, issues: Issues, wake: asyncio.Event) -> IssueDecisions:
    gitlab = app.settings.gitlab
    return IssueDecisions(
        store=app.parts.store,
        issues=issues,
        clock=app.parts.tools.clock,
        wake=wake,
        approvers=gitlab.approvers,
        oncall_user=gitlab.oncall_user,
        every_s=gitlab.hear_every_s,
        timeout_s=gitlab.timeout_s,
        shared=database.shared,
    )


def _people(app: Running, database: ProcessDatabase) -> NoticeLoop:
    settings = app.settings
    return NoticeLoop(
        store=app.parts.store,
        notifier=app.parts.notifier,
        clock=app.parts.tools.clock,
        settings=settings.notify,
        public_url=_public_url(app),
        shared=database.shared,
        silences=app.parts.tools.silences,
    )


def _retention(app: Running, database: ProcessDatabase) -> RetentionLoop:
    """Return what prunes; the broker prunes its own topics."""
    settings, event_log = app.settings, app.parts.event_log
    windows = settings.correlation
    return RetentionLoop(
        store=app.parts.store,
        clock=app.parts.tools.clock,
        settings=settings.retention,
        needed_s=max(windows.clear_grace_s, windows.refire_window_s, windows.escalated_window_s),
        delete_thread=database.saver.adelete_thread,
        prune_log=event_log.prune if isinstance(event_log, EmbeddedEventLog) else None,
        used_bytes=partial(asyncio.to_thread, used_bytes, settings.data_dir),
    )


async def _look_at_model(check: Check) -> None:
    """Ask about the model once at the start: one that retires soon, or is not there, is told before it is needed."""
    found = await check()
    if found.status != "up":
        log.warning(MODEL_NOT_UP, detail=found.detail, cure=found.cure)


async def _guarded(work: Awaitable[None], name: str, broken: asyncio.Event) -> None:
    try:
        await work
    except asyncio.CancelledError:
        raise
    except BaseException:
        log.critical(TASK_FAILED, task=name, exc_info=True)
        broken.set()
        raise
