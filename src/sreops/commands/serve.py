"""serve: the process's life, from the first signal handler to the last closed connection."""

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
import sys
import time
from types import FrameType
from typing import Final

import uvicorn
from sse_starlette.sse import AppStatus

from sreops.app import Running, running
from sreops.app.exposure import guard_exposure, weak_credentials
from sreops.errors import SettingsInvalid
from sreops.settings import Settings, load_settings, passed_over
from sreops.telemetry import configure_logging, log
from sreops.web.connections import Connections

SERVING_STARTED: Final = "sreops.serving_started"
SHUTDOWN_STARTED: Final = "sreops.shutdown_started"
SETTING_PASSED_OVER: Final = "settings.variable_passed_over"
_KEEP_ALIVE_S = 15
_SWITCH_S = 0.0005  # Python's 5 ms is how long a thread at the database waits for a busy loop, at every statement
_YOUNG_OBJECTS = 20_000  # Python's 700 are a fraction of one request, all of it still in use: a sixth of the time
_OPEN_FILES = 65_536
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
CREDENTIAL_WEAK: Final = "sreops.credential_weak"


def run() -> int:
    """Serve until SIGTERM or SIGINT."""
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    for sentence in passed_over():
        log.warning(SETTING_PASSED_OVER, detail=sentence)
    guard_exposure(settings)
    for told in weak_credentials(settings):
        log.warning(CREDENTIAL_WEAK, detail=told)
    tune_interpreter()
    # uvicorn's choice: uvloop where there is one, with which a bridge takes half as many alerts again
    with asyncio.Runner(loop_factory=uvicorn.Config("", loop="auto", log_config=None).get_loop_factory()) as runner:
        return runner.run(_serve(settings))


def tune_interpreter() -> None:
    """Set what interpreter and system get wrong for a loop of many small objects, connections and database threads."""
    sys.setswitchinterval(_SWITCH_S)
    gc.freeze()  # what has been imported stays: not to be looked through at every full collection
    gc.set_threshold(_YOUNG_OBJECTS)
    # a crowd of connections needs a file each, until those without proof are cut off: the usual 1,024 are soon used up
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _serve(settings: Settings) -> int:
    listener = _listen(settings)
    with contextlib.closing(listener):
        async with running(settings) as app:
            await _serve_until_told(app, listener)
            return 1 if app.broken.is_set() else 0  # a supervisor must see that a part of it failed


def _listen(settings: Settings) -> socket.socket:
    """Bind before anything is opened, so that a taken port is one clear sentence."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(2048)
    except OSError as exc:
        listener.close()
        raise SettingsInvalid(
            [f"SREOPS_HOST={settings.host} SREOPS_PORT={settings.port}: can't listen there: {exc.strerror}"]
        ) from exc
    return listener


async def _serve_until_told(app: Running, listener: socket.socket) -> None:
    trusted = app.settings.trusted_proxies
    server = uvicorn.Server(
        uvicorn.Config(
            app.web,
            http=Connections(trusted_proxies=trusted).protocol(),
            ws="none",  # an upgraded connection would leave the limits
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=max(1, int(app.settings.shutdown_grace_s)),
            proxy_headers=bool(trusted),
            forwarded_allow_ips=list(trusted),
        )
    )
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]  # the signals are ours: uvicorn would raise them again
    AppStatus.should_exit = False
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in _SIGNALS:
        loop.add_signal_handler(signum, told.set)
    host, port = listener.getsockname()[:2]
    log.info(SERVING_STARTED, url=f"http://{host}:{port}/", roles=list(app.settings.roles))
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    stop = asyncio.create_task(told.wait(), name="signal")
    broken = asyncio.create_task(app.broken.wait(), name="broken")
    await asyncio.wait({serving, stop, broken}, return_when=asyncio.FIRST_COMPLETED)
    for signum in _SIGNALS:
        loop.remove_signal_handler(signum)
        signal.signal(signum, _leave_at_once)
    began = time.monotonic()
    log.info(SHUTDOWN_STARTED, grace_s=app.settings.shutdown_grace_s, note="a second signal ends it at once")
    await app.drain()
    left_s = app.settings.shutdown_grace_s - (time.monotonic() - began)
    server.config.timeout_graceful_shutdown = max(1, int(left_s))  # requests share the grace with incidents
    AppStatus.should_exit = True  # ends event streams where uvicorn does not own the signals
    server.should_exit = True
    for task in (stop, broken):
        task.cancel()
    await serving


def _leave_at_once(signum: int, _: FrameType | None) -> None:
    """End the process here and now: no worse than a crash, which loses and repeats nothing.

    A plain handler and not the default action, which the kernel keeps from the first process of a container; and
    not the event loop's, which would wait for what hangs.
    """
    os.write(2, b"sreops: a second signal: leaving at once; the next start goes on from here\n")
    os._exit(128 + signum)
