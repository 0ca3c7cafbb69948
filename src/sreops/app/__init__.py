"""The composition root: the one place that builds adapters and wires the parts of the process together.

- ``runbooks``, ``store``, ``event_log``, ``observability``, ``analysts``: what builds that noun's adapters
- ``parts``: the other adapters, and all of them put together (``assembly``: their checks, and what is missing)
- ``background``: the tasks of the worker and of the spool
- ``process``, ``lifespan``: a running process, and how it is opened and closed
"""

from sreops.app.analysts import model_text, open_analyst
from sreops.app.assembly import Check
from sreops.app.event_log import build_event_log, build_spool
from sreops.app.lifespan import running
from sreops.app.observability import open_metrics
from sreops.app.parts import Parts, build_notifier, build_parts
from sreops.app.process import Running
from sreops.app.runbooks import configured_runbooks, packaged_runbooks, read_runbooks
from sreops.app.store import build_store, open_store

__all__ = [
    "Check",
    "Parts",
    "Running",
    "build_event_log",
    "build_notifier",
    "build_parts",
    "build_spool",
    "build_store",
    "configured_runbooks",
    "model_text",
    "open_analyst",
    "open_metrics",
    "open_store",
    "packaged_runbooks",
    "read_runbooks",
    "running",
]
