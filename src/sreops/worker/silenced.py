"""Whether an incident is silenced: then nobody is woken by it until the silence ends."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sreops.domain.alerts.alert import AlertStatus
from sreops.errors import SreopsError
from sreops.ports import Clock, IncidentStore, Silences
from sreops.telemetry import log

NOTICE_SILENCED: Final = "notify.silenced"
SILENCES_UNKNOWN: Final = "notify.silences_unknown"

ASKED_AGAIN_S: Final = 15.0
_TIMEOUT_S: Final = 5.0
_EVENTS: Final = 200
_MOST_KNOWN: Final = 1000


class SilencedIncidents:
    """Asks where alerts are silenced; an answer is kept for a quarter of a minute."""

    def __init__(self, store: IncidentStore, silences: Sequence[Silences], clock: Clock) -> None:
        self._store = store
        self._silences = silences
        self._clock = clock
        self._known: dict[str, tuple[datetime | None, bool]] = {}

    async def holds(self, incident_id: str) -> bool:
        """Say whether every firing alert of the incident is silenced; False where that is not known."""
        if not self._silences:
            return False
        now = self._clock.now()
        asked_at, known = self._known.get(incident_id, (None, False))
        if asked_at is not None and now - asked_at < timedelta(seconds=ASKED_AGAIN_S):
            return known
        found = await self._ask(incident_id)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[incident_id] = (now, found)
        if found and not known:
            log.info(NOTICE_SILENCED, incident_id=incident_id)
        return found

    async def _ask(self, incident_id: str) -> bool:
        newest = {event.fingerprint: event for event, _ in await self._store.events(incident_id, newest=_EVENTS)}
        firing = [event for event in newest.values() if event.status is AlertStatus.firing]
        if not firing:
            return False
        quiet: set[str] = set()
        for silence in self._silences:
            try:
                found = await silence.silenced(firing, now=self._clock.now(), timeout_s=_TIMEOUT_S)
            except SreopsError as exc:  # people are told rather than not
                log.warning(SILENCES_UNKNOWN, where=silence.name, error=str(exc))
                continue
            quiet |= {alert.fingerprint for alert in found if alert.sure}
        return all(event.fingerprint in quiet for event in firing)
