"""Long computations in a thread of their own, one for all of them, so that the event loop stays free.

Python runs one thread at a time, so several analyses at once end no sooner than one after another; but the loop would
wait for each of them in turn before it may go on, and with it every webhook and health check.
"""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_THREAD = ThreadPoolExecutor(max_workers=1, thread_name_prefix="analysis")


async def in_analysis_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run pure computation in the thread for it, after what already waits there; the caller's log context goes along.

    Nothing that waits for the network or a disk belongs here: everybody else's analysis would wait too.
    """
    call = partial(contextvars.copy_context().run, partial(work, *args, **kwargs))
    return await asyncio.get_running_loop().run_in_executor(_THREAD, call)
