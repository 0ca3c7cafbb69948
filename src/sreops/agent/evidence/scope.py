"""The scene of an incident: what every source of evidence is asked about, and the series that were found."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from sreops.agent.patient import Patient, subject_of_incident, subjects_patient
from sreops.agent.visit import Visit
from sreops.domain.evidence import findings
from sreops.domain.evidence.evidence import ContainerState, Evidence, LogLines, Window
from sreops.domain.evidence.golden_signals import Signal
from sreops.domain.evidence.neighbours import Neighbour, Role
from sreops.domain.incidents.incident import Incident
from sreops.domain.suspects.live import Seen
from sreops.errors import SreopsError

_POINTS = 120  # of a range query: enough to see an onset, small enough to keep
_MIN_STEP_S = 5.0
_HISTORY = 20


class Scene:
    """The visit, the alert's window, one redactor for the whole incident; and what the ranking works on."""

    def __init__(self, visit: Visit) -> None:
        settings = visit.tools.settings.evidence
        self.visit = visit
        self.tools = visit.tools
        self.event = visit.event
        self.now = visit.now()
        self.window = findings.evidence_window(
            self.event.starts_at, self.now, settings.lookback_s, settings.lookahead_s
        )
        self.redactor = visit.tools.redactors.of(visit.incident.id)
        self.excerpt_chars = settings.excerpt_chars
        self.seen: list[Seen] = []
        self.neighbours: tuple[Neighbour, ...] = ()
        self.own: ContainerState | None = None
        self.patient = Patient()
        self.own_lines = LogLines(query="", lines=())
        self.log_labels: dict[str, str] = {}
        """The labels under which its own lines were found; the first one names the service."""
        self._asked = False
        self._asking = asyncio.Lock()

    @property
    def alert_at(self) -> datetime:
        """When the alert began, within the window."""
        return min(max(self.event.starts_at, self.window.start), self.window.end)

    @property
    def on_call_path(self) -> tuple[Neighbour, ...]:
        """The neighbours of which it is known who calls whom: peers may be ill for reasons of their own."""
        return tuple(one for one in self.neighbours if one.role is not Role.peer)

    async def own_container(self) -> ContainerState | None:
        """Return the subject's container, of replicas the one that is ill; asked for once, None without an engine."""
        containers = self.tools.containers
        if containers is None:
            return None
        async with self._asking:
            if not self._asked:
                self.patient = await subjects_patient(self.tools, subject_of_incident(self.visit), self.now)
                # of replicas the one that is ill, else one like another; of namesakes nobody is taken by accident
                if len(self.patient.targets) == 1:
                    self.own = self.patient.one or self.patient.states[0]
                self._asked = True
            return self.own

    async def history(self) -> Sequence[Incident]:
        """Return the service's earlier incidents."""
        incident = self.visit.incident
        return await self.tools.store.history(incident.service, before=incident.opened_at, limit=_HISTORY)

    async def measure(self, service: str, signal: Signal) -> Evidence:
        """Ask for one signal around the alert, and keep its series for the ranking."""
        metrics, settings = self.tools.metrics, self.tools.settings.prometheus
        assert metrics is not None
        window = Window(start=self.window.start, end=min(self.now, self.window.end + timedelta(seconds=60)))
        step_s = max(_MIN_STEP_S, window.span_s() / _POINTS)
        try:
            found = await metrics.range(signal.promql, window, step_s=step_s, timeout_s=settings.timeout_s)
            limit = None
            if signal.limit:
                limit = await metrics.instant(signal.limit, at=window.end, timeout_s=settings.timeout_s)
        except SreopsError as exc:
            return findings.gap("prometheus", f"{signal.title}: {exc}", "", query=signal.promql)
        self.seen += [Seen(service, signal.id, series.points) for series in found.series]
        return findings.metric(signal, found, self.alert_at, limit=limit)
