"""What all tests share: the real servers, what happens where they are missing, and no blocking calls in async code."""

from __future__ import annotations

import inspect
import logging
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
import structlog

from servers.installed import require, required
from servers.process import Server
from servers.sreops import Sreops

if TYPE_CHECKING:
    from blockbuster import BlockBuster

pytest_plugins = ["servers.fixtures"]

# a busy machine makes any example slow: what must be fast is measured as a ratio (growth.py, bench/)
EXAMPLES = int(os.environ.get("SREOPS_EXAMPLES") or 100)  # of each property; scripts/long wants more
hypothesis.settings.register_profile("sreops", deadline=None, max_examples=EXAMPLES)
hypothesis.settings.load_profile("sreops")

Sreops.prepared = True
WITHOUT_BLOCKING_CALLS = ("unit", "contract")
SHOWN_LOG_LINES = 40
_MISSING = re.compile(r"(\w+) (?:is not installed: `scripts/servers|must be started by root)")
_log_starts = pytest.StashKey[dict[Path, int]]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[_log_starts] = {server.log: server.log.stat().st_size for server in Server.not_closed}
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            require(name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Add to a failed test what the servers logged while it ran."""
    report: pytest.TestReport = yield  # type: ignore[assignment]  # pluggy sends the outcome in
    if report.failed:
        starts = item.stash.get(_log_starts, {})
        for server in Server.not_closed:
            lines = _lines_since(server.log, starts.get(server.log, 0))
            if lines:
                report.sections.append((f"log of {server.name} meanwhile", "\n".join(lines)))
    return report  # type: ignore[return-value]


def _lines_since(log: Path, start: int) -> list[str]:
    with log.open("rb") as file:
        file.seek(start)
        return file.read().decode(errors="replace").splitlines()[-SHOWN_LOG_LINES:]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out for want of which server: a skipped test must not pass for a passed one."""
    left_out: dict[str, set[str]] = defaultdict(set)
    for outcome in ("skipped", "error", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            found = _MISSING.search(str(report.longrepr))
            if found:
                left_out[found[1]].add(report.nodeid)
    if not left_out:
        return
    told = ", ".join(f"{name} ({len(tests)})" for name, tests in sorted(left_out.items()))
    names = " ".join(sorted(left_out))
    terminalreporter.section("real servers that are missing")
    terminalreporter.write_line(
        f"{sum(map(len, left_out.values()))} tests did not run for want of: {told}. To run them:"
        f" `scripts/servers {names}` (as root, once; without names it installs all), then pytest again as root."
        + ("" if required() else " SREOPS_REQUIRE_SERVERS=1 (or CI=1) turns a missing server into a failure.")
    )


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A test that sets up the process's logging, or starts the app in ours, must not silence it for all later ones."""
    root, configured = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.configure(**configured)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def blockbuster() -> Iterator[BlockBuster]:
    """Raise BlockingError where code of sreops blocks the event loop (time.sleep, file and socket calls)."""
    from blockbuster import blockbuster_ctx

    # only stacks that pass through sreops: what pytest and the tests themselves do is not at stake
    with blockbuster_ctx("sreops") as detector:
        for name in ("threading.Lock.acquire", "threading.Lock.acquire_lock"):
            # the tracer's own lock, wherever two threads are traced at once: its refusal would end our coroutine
            detector.functions[name].can_block_in("coverage/collector.py", "lock_data")
        yield detector


@pytest.fixture(autouse=True)
def _no_blocking_calls(request: pytest.FixtureRequest) -> None:
    tests = Path(__file__).parent
    if not inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        return
    if request.node.path.relative_to(tests).parts[0] in WITHOUT_BLOCKING_CALLS:
        request.getfixturevalue("blockbuster")
